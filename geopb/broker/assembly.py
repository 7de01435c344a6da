"""The bytes of one bulk, where they stay.

Owns their memory, which grows with what has come: what was announced allocates nothing.
Whoever reads the line may read the next bytes of a chunk to where they stay, without a
copy; for that there is memory for a few times what has come. Called by the inbox alone.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from geopb.jelly import tags
from geopb.jelly.slots import BulkSlot

if TYPE_CHECKING:
    from geopb.broker.inbox import Waiting

#: Room is for so many times what has come of the bulk. More is also slower: see
#: docs/design.md.
TIMES_AHEAD = 3
#: And for no more bytes than a whole chunk of this implementation's has,
MOST_AHEAD = 512 * 1024
#: or fewer than so many: these are sooner received with what comes behind them.
LEAST_ROOM = 16 * 1024
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

    __slots__ = ("_have", "_memory", "left", "slot", "waiting")

    def __init__(
        self, length: int, slot: BulkSlot | None, waiting: Waiting | None
    ) -> None:
        self.left = length
        self.slot = slot
        self.waiting = waiting
        self._have = 0
        #: Once there is anything: at its position where it is a file. Joining parts in
        #: the end would take their memory twice, and hold up everything else.
        self._memory: BytesIO | bytearray | None = None

    def add(self, part: memoryview) -> None:
        """Keep a copy of the next bytes."""
        memory = self._memory
        if memory is None:
            is_bytearray = self.slot and self.slot.kind == tags.BULK_BYTEARRAY
            memory = self._memory = bytearray() if is_bytearray else BytesIO()
        if isinstance(memory, BytesIO):
            memory.write(part)
        else:
            del memory[self._have :]
            memory += part
        self._have += len(part)
        self.left -= len(part)

    def room(self, most: int) -> memoryview | None:
        """Return where the next bytes go, `most` or fewer; None: they are for `add`.

        It is to be let go before anything else is asked of this bulk.
        """
        have, memory = self._have, self._memory
        count = min(most, TIMES_AHEAD * have, MOST_AHEAD)
        if memory is None or count < LEAST_ROOM:
            return None
        stop = have + count
        if isinstance(memory, BytesIO):
            memory.seek(stop - 1)
            memory.write(b"\0")
            memory.seek(have)
            return memory.getbuffer()[have:stop]
        if stop > len(memory):
            memory += _ZEROS[: stop - len(memory)]
        return memoryview(memory)[have:stop]

    def filled(self, count: int) -> None:
        """Take note that so many of them are there."""
        self._have += count
        self.left -= count
        if isinstance(self._memory, BytesIO):
            self._memory.seek(self._have)

    def whole(self) -> bytearray | bytes:
        """Return all that has come, once, and without a copy."""
        if isinstance(self._memory, BytesIO):
            return self._memory.getvalue()
        return self._memory or b""
