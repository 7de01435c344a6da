"""The bytes of one bulk, where they stay.

Owns their memory, which grows with what has come: what was announced allocates nothing,
and of a chunk that has begun a few times what is there. Whoever reads the line may read
them to there, without a copy. Called by the inbox alone.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from geopb.jelly import tags
from geopb.jelly.slots import BulkSlot

if TYPE_CHECKING:
    from geopb.broker.inbox import Waiting

#: Bytes of a chunk that has begun have memory before they have come: so many,
LEAST_AHEAD = 64 * 1024
#: or so many times what has come of the bulk (more is also slower: docs/design.md),
TIMES_AHEAD = 3
#: and at the most so many: a whole chunk of this implementation's.
MOST_AHEAD = 512 * 1024
_ZEROS = memoryview(bytes(MOST_AHEAD))


class Assembly:
    """One bulk of which bytes are still to come.

    Args:
        length: Its bytes.
        slot: Where they go in the end.
        waiting: The message that waits for them; None if they are thrown away.

    Attributes:
        left: Bytes that have not come.
    """

    __slots__ = ("_have", "_memory", "_size", "left", "slot", "waiting")

    def __init__(
        self, length: int, slot: BulkSlot | None, waiting: Waiting | None
    ) -> None:
        self.left = length
        self.slot = slot
        self.waiting = waiting
        self._have = 0
        #: Once there is anything. Joining parts in the end would take their memory
        #: twice, and hold up everything else.
        self._memory: BytesIO | bytearray | None = None
        #: Bytes that it has: those that have come are the first ones.
        self._size = 0

    def room(self, count: int) -> memoryview:
        """Return where the next bytes go, `count` or fewer, and at least one.

        It is to be let go before anything else is asked of this bulk.
        """
        have = self._have
        stop = have + min(count, _ahead(have))
        self._grow(stop)
        return self._view(have, stop)

    def filled(self, count: int) -> None:
        """Take note that so many bytes are there."""
        self._have += count
        self.left -= count

    def add(self, part: memoryview, left: int) -> None:
        """Keep a copy of `part`; so many bytes of its chunk are still to come."""
        have = self._have
        stop = have + len(part)
        self._grow(stop + min(left, _ahead(stop)))
        self._view(have, stop)[:] = part
        self.filled(len(part))

    def whole(self) -> bytearray | bytes:
        """Return all that has come, once, and without a copy."""
        if isinstance(self._memory, BytesIO):
            return self._memory.getvalue()
        return self._memory or b""

    def _view(self, start: int, stop: int) -> memoryview:
        memory = self._memory
        if isinstance(memory, BytesIO):
            return memory.getbuffer()[start:stop]
        return memoryview(memory or b"")[start:stop]

    def _grow(self, size: int) -> None:
        if size <= self._size:
            return
        memory = self._memory
        if memory is None:
            is_bytearray = self.slot and self.slot.kind == tags.BULK_BYTEARRAY
            memory = self._memory = bytearray() if is_bytearray else BytesIO()
        if isinstance(memory, BytesIO):
            memory.seek(size - 1)
            memory.write(b"\0")
        else:
            while len(memory) < size:
                memory += _ZEROS[: size - len(memory)]
        self._size = size


def _ahead(have: int) -> int:
    return min(max(LEAST_AHEAD, TIMES_AHEAD * have), MOST_AHEAD)
