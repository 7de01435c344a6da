"""Messages of which bulk bytes are still on their way.

Owns which bulk was announced, bounded in all by ``max_message_size``, and the messages
that wait for it. What was announced allocates nothing: its bytes have memory as they
come (see `assembly`). Called by the broker's intake alone.
"""

from __future__ import annotations

from geopb.broker.assembly import Assembly
from geopb.errors import ProtocolError, over_limit
from geopb.jelly.finish import Unfinished
from geopb.jelly.slots import BulkSlot
from geopb.limits import MAX_BULK
from geopb.wire.codec import DecodeRefused
from geopb.wire.messages import CALL


class Waiting:
    """A decoded message and how many of its slots are empty."""

    __slots__ = (
        "alone",
        "cancelled",
        "missing",
        "pinned",
        "refusal",
        "size",
        "structure",
        "unfinished",
        "value",
    )

    def __init__(
        self,
        value: list[object],
        slots: list[BulkSlot],
        pinned: int | None,
        unfinished: Unfinished | None,
        structure: int,
    ) -> None:
        self.value = value
        #: What is left to do for it then.
        self.unfinished = unfinished
        #: The id of an export that is kept for it.
        self.pinned = pinned
        self.missing = len(slots)
        self.size = sum(slot.length for slot in slots)
        #: Bytes of it without these.
        self.structure = structure
        #: What its only value is, where it is bulk and nothing else is left to do.
        self.alone: BulkSlot | None = None
        #: Why the message cannot be used after all.
        self.refusal: Exception | None = None
        #: ``(question, late)`` once it is a call that was cancelled.
        self.cancelled: tuple[int, bool] | None = None


class Inbox:
    """Bulk that was announced, by id."""

    __slots__ = ("_by_id", "_calls", "_limit", "_open")

    def __init__(self, max_message_size: int) -> None:
        self._limit = max_message_size
        self._by_id: dict[int, Assembly] = {}
        #: The calls among those that wait, by question.
        self._calls: dict[int, Waiting] = {}
        #: Bytes of the messages that are not complete, arrived or not.
        self._open = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def bound(self, max_message_size: int) -> None:
        """Take so much bulk from now on."""
        self._limit = max_message_size

    def expect(
        self,
        message: list[object],
        slots: list[BulkSlot],
        pinned: int | None = None,
        unfinished: Unfinished | None = None,
        *,
        size: int = 0,
        alone: BulkSlot | None = None,
    ) -> None:
        """Hold `message`, of that size, until the bytes for its slots are there.

        ``alone`` is the only slot where it is the message's only value.
        """
        waiting = Waiting(message, slots, pinned, unfinished, size)
        waiting.alone = alone
        question = _question(message)
        if question is not None:
            self._calls[question] = waiting
        for slot in slots:
            self._announce(slot.id, slot.length, slot, waiting)

    def discard(self, number: int, length: int) -> None:
        """Take bulk of a refused message off the line and throw it away."""
        self._announce(number, length, None, None)

    def add(self, number: int, part: memoryview, left: int) -> Waiting | None:
        """Take a part of a chunk; return its message if that is complete now.

        Args:
            number: The bulk's id.
            part: Bytes of it.
            left: How many more bytes this chunk will bring.

        Raises:
            ProtocolError: Bulk that was not announced, or more than announced.
        """
        assembly = self._by_id.get(number)
        if assembly is None:
            raise ProtocolError(f"a chunk of bulk {number}, which was not announced")
        if assembly.left < len(part) + left:
            raise ProtocolError(f"bulk {number} is longer than announced")
        if assembly.waiting is None:
            self._open -= len(part)
            assembly.left -= len(part)
        else:
            assembly.add(part)
        return None if assembly.left else self._complete(number, assembly)

    def room(self, number: int, left: int) -> memoryview | None:
        """Return where the next bytes of a chunk go, `left` of them or fewer.

        None for those that `add` is to have: they are few, or only counted, or refused.
        """
        assembly = self._by_id.get(number)
        if assembly is None or assembly.waiting is None or assembly.left < left:
            return None
        return assembly.room(left)

    def filled(self, number: int, count: int) -> Waiting | None:
        """Take so many bytes that are in that room by now, as `add` does."""
        assembly = self._by_id[number]
        assembly.filled(count)
        return None if assembly.left else self._complete(number, assembly)

    def holds(self, question: int) -> bool:
        """Whether the call of that question waits."""
        return question in self._calls

    def cancel(self, question: int, *, late: bool) -> bool:
        """Note that a call was cancelled; False if none of that question waits."""
        waiting = self._calls.get(question)
        if waiting is None:
            return False
        waiting.cancelled = waiting.cancelled or (question, late)
        return True

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        self._by_id.clear()
        self._calls.clear()
        self._open = 0

    def _announce(
        self, number: int, length: int, slot: BulkSlot | None, waiting: Waiting | None
    ) -> None:
        if len(self._by_id) >= MAX_BULK:
            raise over_limit("bulk under way", MAX_BULK, "bulk", MAX_BULK + 1)
        if number in self._by_id:
            raise ProtocolError(f"bulk {number} is announced twice")
        size = self._open + length
        if size > self._limit:
            raise over_limit("max_message_size", self._limit, "bulk", size)
        self._open = size
        self._by_id[number] = Assembly(length, slot, waiting)

    def _complete(self, number: int, assembly: Assembly) -> Waiting | None:
        del self._by_id[number]
        waiting, slot = assembly.waiting, assembly.slot
        if waiting is None or slot is None:
            return None
        try:
            slot.fill([assembly.whole()])
        except DecodeRefused as error:
            waiting.refusal = error
        waiting.missing -= 1
        if waiting.missing:
            return None
        self._open -= waiting.size
        question = _question(waiting.value)
        if question is not None and self._calls.get(question) is waiting:
            del self._calls[question]
        return waiting


def _question(message: list[object]) -> int | None:
    """Return the question of a call, None for what is none."""
    if len(message) < 2 or message[0] != CALL:
        return None
    question = message[1]
    return question if type(question) is int else None
