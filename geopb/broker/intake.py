"""From bytes to whole messages: what the broker acts on.

Owns the way in: frames, decoding, the references that a good message brings, the bulk
that a message waits for. Never acts on a message. Called by the broker alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from geopb.broker.exports import Exports
from geopb.broker.imports import Imports
from geopb.broker.inbox import Inbox, Waiting
from geopb.errors import Error, InsecureJelly, LimitExceeded, ProtocolError
from geopb.jelly.contents import Finder
from geopb.jelly.decode import Unjellier
from geopb.jelly.draft import Draft
from geopb.jelly.finish import Unfinished
from geopb.jelly.readers import NOBODY, Readers
from geopb.jelly.slots import BulkSlot, Salvaged
from geopb.jelly.tags import BULK_BYTES
from geopb.limits import STRUCTURE_WEIGHT, Limits
from geopb.wire.codec import DecodeRefused
from geopb.wire.framing import ChunkPart, FrameReader
from geopb.wire.messages import CALL


@dataclass(slots=True)
class Refused:
    """A message that may not be used, though its envelope can be read."""

    #: Kind and question id, as far as they are what they should be.
    head: list[Any]
    error: Error
    #: Ids of the peer's objects that came with it, one entry for each time.
    theirs: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Whole:
    """A message whose bulk is there."""

    message: list[Any] | Refused
    unfinished: Unfinished | None
    #: The id of an export that was kept for it, to be released now.
    pinned: int | None
    #: ``(question, late)`` where the call was cancelled while its bulk came.
    cancelled: tuple[int, bool] | None


class Intake:
    """Reads the messages of one peer."""

    __slots__ = (
        "_exports",
        "_finder",
        "_imports",
        "_inbox",
        "_most_bulk",
        "_readers",
        "frames",
        "pin",
        "size",
        "unfinished",
    )

    def __init__(
        self,
        finder: Finder,
        imports: Imports,
        exports: Exports,
        limits: Limits,
        readers: Readers,
    ) -> None:
        self._finder = finder
        self._imports = imports
        # Made when needed: most connections send no bulk.
        self._inbox: Inbox | None = None
        self._most_bulk = limits.max_message_size
        #: Cuts the stream; its `refusal` says what is wrong behind the last bodies.
        self.frames = FrameReader(limits.max_structure_size)
        #: Keeps what a waiting message needs; returns the id of what was pinned.
        self.pin: Callable[[Exports, list[Any]], int | None] = _nothing
        self._exports = exports
        self._readers = readers
        #: What the message weighs that was read, or completed, last, but for those that
        #: were acted on at once: as so many bytes of structure.
        self.size = 0
        #: What is left to do for the message read last, where users' code may run.
        self.unfinished: Unfinished | None = None

    @property
    def in_the_middle(self) -> bool:
        """Whether a frame or a message with bulk has begun and not ended."""
        return self.frames.in_the_middle or self.bulk > 0

    def bound(self, limits: Limits) -> None:
        """Keep the bounds of `limits` on sizes, from the next message on."""
        self.frames.bound(limits.max_structure_size)
        self._most_bulk = limits.max_message_size
        if self._inbox is not None:
            self._inbox.bound(limits.max_message_size)

    @property
    def bulk(self) -> int:
        """Bulk that is announced and not complete."""
        return 0 if self._inbox is None else len(self._inbox)

    def _bulk(self) -> Inbox:
        if self._inbox is None:
            self._inbox = Inbox(self._most_bulk)
        return self._inbox

    def read(self, body: bytes) -> list[Any] | Refused | None:
        """Return the message that `body` is; None if it waits for its bulk.

        Raises:
            ProtocolError: It is none.
        """
        idle = self._readers.idle
        reader = idle.pop() if idle else self._readers.make(self._finder)
        contents = reader.contents
        contents.finder = self._finder
        self.size = len(body)
        message: list[Any] | None = None
        try:
            message = reader.read(body)
            if reader.draft.used:
                return self._noted(reader.draft, message)
        except (DecodeRefused, LimitExceeded, InsecureJelly) as error:
            salvaged = None if message is None else reader.draft.salvaged(message)
            reader.draft.forget()
            self._imports.refuse()
            # Nothing of the first reading is held while it is read again.
            message = None
            return self._salvage(reader, body, salvaged, _as_error(error))
        finally:
            # What waits for the next message keeps no connection alive.
            contents.finder = NOBODY
            idle.append(reader)
        if not message:
            raise ProtocolError("a message that is an empty array")
        return message

    def _noted(self, draft: Draft, message: list[Any]) -> list[Any] | None:
        """Return a message of which something was noted; None if it waits for bulk."""
        self.unfinished = _unfinished(draft, message)
        if not message:
            raise ProtocolError("a message that is an empty array")
        if draft.named and message[0] != CALL:
            raise DecodeRefused("the answer to a question outside of a call")
        if draft.theirs:
            self._imports.accept(draft.theirs)
        if draft.slots:
            pinned = self.pin(self._exports, message)
            self._bulk().expect(
                message, draft.slots, pinned, self.unfinished, size=self.size
            )
            self.unfinished = None
            message = []
        draft.forget()
        return message or None

    def expect_bytes(
        self, head: list[Any], number: int, length: int, size: int
    ) -> None:
        """Hold ``[*head, [bulk]]`` until that has come, as `read` does with others.

        Args:
            head: The rest of the message.
            number: The id of bulk that is bytes.
            length: How many.
            size: Bytes of the message without these.

        Raises:
            ProtocolError, LimitExceeded: It may not come.
        """
        slot = BulkSlot(number, length, BULK_BYTES)
        message = [*head, [slot]]
        pinned = self.pin(self._exports, message)
        self._bulk().expect(message, [slot], pinned, size=size, alone=slot)

    def take_unfinished(self) -> Unfinished | None:
        """Return what is left to do for the message read last; once."""
        unfinished, self.unfinished = self.unfinished, None
        return unfinished

    def add_chunk(self, part: ChunkPart) -> Whole | None:
        """Take a part of a chunk; return the message that it completes, if it does."""
        waiting = self._bulk().add(*part)
        return None if waiting is None else self._whole(waiting)

    def room(self) -> memoryview | None:
        """Return where the next bytes of the chunk under way go: see `Inbox.room`."""
        frames = self.frames
        if self._inbox is None or not frames.chunk_left:
            return None
        return self._inbox.room(frames.bulk, frames.chunk_left)

    def filled(self, count: int) -> Whole | None:
        """Take so many bytes of that room, as `add_chunk` does."""
        bulk = self.frames.bulk
        self.frames.skip(count)
        waiting = self._bulk().filled(bulk, count)
        return None if waiting is None else self._whole(waiting)

    def _whole(self, waiting: Waiting) -> Whole:
        message, unfinished = self._finished(waiting)
        self.size = waiting.structure + waiting.size // STRUCTURE_WEIGHT
        return Whole(message, unfinished, waiting.pinned, waiting.cancelled)

    def waits_for_bulk(self, question: int) -> bool:
        """Whether the call of that question is here, and not all of its bulk."""
        return self._inbox is not None and self._inbox.holds(question)

    def cancel(self, question: int, *, late: bool) -> bool:
        """Note that a call was cancelled; False if it does not wait for its bulk."""
        inbox = self._inbox
        return inbox is not None and inbox.cancel(question, late=late)

    def _finished(
        self, waiting: Waiting
    ) -> tuple[list[Any] | Refused, Unfinished | None]:
        unfinished = waiting.unfinished
        error = waiting.refusal
        if waiting.alone is not None:
            waiting.value[-1] = [waiting.alone.value]
        if error is None and unfinished is not None:
            if unfinished.runs_code or unfinished.named:
                return waiting.value, unfinished
            try:
                unfinished.finish()
            except (InsecureJelly, LimitExceeded) as refused:
                error = refused
        if error is not None:
            return Refused(waiting.value, _as_error(error)), None
        return waiting.value, None

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        if self._inbox is not None:
            self._inbox.clear()

    def _salvage(
        self,
        reader: Unjellier,
        body: bytes,
        salvaged: Salvaged | None,
        error: Error,
    ) -> Refused:
        if salvaged is None:
            try:
                salvaged = reader.salvage(body)
            except DecodeRefused as worse:
                raise ProtocolError(f"a message that cannot be read: {worse}") from None
        for number, length in salvaged.bulk:
            self._bulk().discard(number, length)
        return Refused(salvaged.head, error, salvaged.theirs)


def _unfinished(draft: Draft, message: list[Any]) -> Unfinished | None:
    """Return what is left to do where users' code may run; do it if it is not."""
    unfinished = draft.unfinished(message)
    if unfinished is None or unfinished.runs_code or draft.slots or draft.named:
        return unfinished
    unfinished.finish()
    return None


def _nothing(exports: Exports, message: list[Any]) -> None:
    """Keep nothing."""


def no_values(unfinished: Unfinished | None) -> None:
    """Refuse copies in a message that has no place for users' values."""
    if unfinished is not None:
        raise ProtocolError("a copy in a message without values")


def _as_error(error: Exception) -> Error:
    """Return what a refusal is told as; without its frames.

    These hold the body and what was read of it, and by who reads it the error itself.
    """
    error.__context__ = error.__traceback__ = None
    if isinstance(error, Error):
        return error
    return InsecureJelly(f"refused by the receiver: {error}")
