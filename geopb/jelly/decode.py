"""From a message's bytes to values, or to one refusal.

Owns the two decoders, and how a message is read again when it is refused. Never runs
users' code, and never acts: references are looked up or prepared by the broker's
`Finder` and count only when the whole message is good; what has to wait until then is
noted in the `Draft`. Called by the broker, once for each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geopb.jelly import tags
from geopb.jelly.contents import Contents, Finder, bulk_fields
from geopb.jelly.draft import Draft
from geopb.jelly.registry import ClassRegistry
from geopb.jelly.slots import Salvaged
from geopb.limits import Limits
from geopb.wire.codec import Decoder, DecodeRefused, TagReader, TooDeep

#: CBOR levels around the values of a message: its array, then ``args``.
_ENVELOPE = 2
#: CBOR levels that one container of the user's may take: DEFINE, its pair, COPY, its
#: pair, the state.
_LEVELS_EACH = 5
#: CBOR levels around and inside of these: the envelope, and an array in bulk: DEFINE,
#: its pair, ARRAY, its pair, COMPLEXES, the typed array, BULK, its fields.
_LEVELS_ELSE = 2 + 8


class Unjellier:
    """Reads the messages of one peer.

    Args:
        finder: Knows references.
        limits: This side's limits.
        clock: CPU seconds of this thread, for the hash budget.
        registry: The classes that copies may be made of.
    """

    #: What reads the tags.
    contents_class = Contents

    def __init__(
        self,
        finder: Finder,
        limits: Limits,
        clock: Callable[[], float],
        registry: ClassRegistry,
    ) -> None:
        self._limits = limits
        #: What the last message left.
        self.draft = Draft(clock)
        #: Reads what stands in tags; its `finder` is that of the present connection.
        self.contents = self.contents_class(finder, self.draft, limits, registry)
        readers = self.contents.readers()
        depth = limits.max_depth
        self._shallow = Decoder(readers, depth + _ENVELOPE)
        self._deep = Decoder(readers, _LEVELS_EACH * depth + _LEVELS_ELSE)

    def read(self, body: bytes) -> Any:
        """Return the message that `body` holds; `draft` belongs to it.

        Raises:
            DecodeRefused: It holds what may not cross, or is malformed.
            LimitExceeded: It passes a limit of this side.
        """
        draft = self.draft
        if draft.used:
            draft.forget()
        try:
            # Plain data of the full depth passes; tags take levels of their own.
            message = self._shallow.decode(body)
        except TooDeep:
            draft.forget()
            message = self._deep.decode(body)
            _check_array(message)
            draft.check_depth(message, self._limits.max_depth)
        if type(message) is not list:
            _check_array(message)
        return message

    def salvage(self, body: bytes) -> Salvaged:
        """Read a refused body for its envelope, references and bulk alone.

        Raises:
            DecodeRefused: It is malformed: not even that can be read.
        """
        theirs: list[int] = []
        bulk: list[tuple[int, int]] = []

        def mine(content: Any, immutable: bool) -> None:
            if type(content) is not int:
                raise DecodeRefused("a reference without a number")
            theirs.append(content)

        def chunked(content: Any, immutable: bool) -> None:
            number, length, _ = bulk_fields(content)
            bulk.append((number, length))

        def cached(content: Any, immutable: bool) -> None:
            mine(content[0] if type(content) is list and content else None, immutable)

        readers: dict[int, TagReader] = {
            tags.MINE: mine,
            tags.CACHE: cached,
            tags.STREAM: cached,
            tags.BULK: chunked,
        }
        deep = _LEVELS_EACH * self._limits.max_depth + _LEVELS_ELSE
        head = Decoder(readers, deep, inert=True).decode(body)
        if type(head) is not list or len(head) < 2:
            raise DecodeRefused("a message that is no array of two or more")
        return Salvaged(head, theirs, bulk)


def _check_array(message: Any) -> None:
    if type(message) is not list:
        raise DecodeRefused("a message that is no array")
