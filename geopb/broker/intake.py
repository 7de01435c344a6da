"""From bytes to whole messages: what the broker acts on.

Owns the way in: frames, decoding, the references that a good message brings, the bulk
that a message waits for. Never acts on a message. Called by the broker alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from geopb.broker.inbox import Inbox, Waiting
from geopb.broker.references import Imports
from geopb.errors import Error, InsecureJelly, LimitExceeded, ProtocolError
from geopb.jelly.decode import Finder, Unjellier
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from geopb.wire.framing import ChunkPart, FrameReader


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
    #: The id of an export that was kept for it, to be released now.
    pinned: int | None


class Intake:
    """Reads the messages of one peer."""

    def __init__(
        self,
        finder: Finder,
        imports: Imports,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._imports = imports
        self._inbox = Inbox(limits.max_message_size)
        #: Cuts the stream; its `refusal` says what is wrong behind the last bodies.
        self.frames = FrameReader(limits.max_structure_size)
        #: Keeps what a waiting message needs; returns the id of what was pinned.
        self.pin: Callable[[list[Any]], int | None] = lambda message: None
        #: Cuts what arrives into bodies and parts of chunks.
        self.cut = self.frames.feed
        self._unjellier = Unjellier(finder, limits, clock)

    @property
    def in_the_middle(self) -> bool:
        """Whether a frame or a message with bulk has begun and not ended."""
        return self.frames.in_the_middle or len(self._inbox) > 0

    @property
    def bulk(self) -> int:
        """Bulk that is announced and not complete."""
        return len(self._inbox)

    def read(self, body: bytes) -> list[Any] | Refused | None:
        """Return the message that `body` is; None if it waits for its bulk.

        Raises:
            ProtocolError: It is none.
        """
        reader = self._unjellier
        try:
            message: list[Any] = reader.read(body)
        except (DecodeRefused, LimitExceeded) as error:
            self._imports.refuse()
            return self._salvage(body, error)
        if not message:
            raise ProtocolError("a message that is an empty array")
        if reader.used:
            if reader.theirs:
                self._imports.accept(reader.theirs)
            if reader.slots:
                self._inbox.expect(message, reader.slots, self.pin(message))
                reader.forget()
                return None
            reader.forget()
        return message

    def add_chunk(self, part: ChunkPart) -> Whole | None:
        """Take a part of a chunk; return the message that it completes, if it does."""
        waiting = self._inbox.add(*part)
        if waiting is None:
            return None
        return Whole(self._finished(waiting), waiting.pinned)

    def _finished(self, waiting: Waiting) -> list[Any] | Refused:
        if waiting.refusal is not None:
            return Refused(waiting.value, _as_error(waiting.refusal))
        self._unjellier.finish(waiting.value)
        return waiting.value

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        self._inbox.clear()

    def _salvage(self, body: bytes, error: Exception) -> Refused:
        try:
            salvaged = self._unjellier.salvage(body)
        except DecodeRefused as worse:
            raise ProtocolError(f"a message that cannot be read: {worse}") from None
        for number, length in salvaged.bulk:
            self._inbox.discard(number, length)
        return Refused(salvaged.head, _as_error(error), salvaged.theirs)


def _as_error(error: Exception) -> Error:
    if isinstance(error, Error):
        return error
    return InsecureJelly(f"refused by the receiver: {error}")
