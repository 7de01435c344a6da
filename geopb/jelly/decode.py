"""From a message's bytes to values, or to one refusal.

Owns the readers of all tags. Never runs users' code, and never acts: references are
looked up or prepared by the broker's `Finder` and count only when the whole message is
good; what has to wait until then is noted in the `Draft`. Called by the broker, once
for each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, Protocol
from weakref import proxy

from geopb.errors import LimitExceeded
from geopb.jelly import tags
from geopb.jelly.arrays import ArrayReader
from geopb.jelly.copies import CopyReader
from geopb.jelly.draft import Draft
from geopb.jelly.finish import Step
from geopb.jelly.registry import ClassRegistry
from geopb.jelly.scalars import SCALARS, read_bignum
from geopb.jelly.slots import Again, AnswerSlot, BulkSlot, Salvaged
from geopb.limits import Limits
from geopb.wire.codec import Decoder, DecodeRefused, TagReader, TooDeep
from geopb.wire.messages import MAX_ID

#: CBOR levels around the values of a message: its array, then ``args``.
_ENVELOPE = 2
#: CBOR levels that one container of the user's may take: DEFINE, its pair, COPY, its
#: pair, the state.
_LEVELS_EACH = 5
#: CBOR levels around and inside of these: the envelope, and an array in bulk: DEFINE,
#: its pair, ARRAY, its pair, COMPLEXES, the typed array, BULK, its fields.
_LEVELS_ELSE = 2 + 8


class Finder(Protocol):
    """Who knows references: the broker."""

    def found_theirs(self, number: int) -> object:
        """Return the reference to the peer's object, not counted yet.

        Raises LimitExceeded when the table is full.
        """

    def found_stream(self, number: int) -> object:
        """Return what iterates a stream of the peer's, not counted yet.

        Raises LimitExceeded when the table is full, DecodeRefused for one that came
        before.
        """

    def found_cache(
        self, number: int, cls: type, state: list[object]
    ) -> tuple[object, Step | None]:
        """Return the cache of the peer's object, not counted yet, and its next step.

        With its state the step takes that; without, it waits for it.

        Args:
            number: The object's id.
            cls: The class registered for it.
            state: Its state alone, or nothing for one that was sent before.

        Raises LimitExceeded when the table is full, DecodeRefused for no such class.
        """

    def found_ours(self, number: int) -> object:
        """Return the object that this side exported under that id.

        Raises DecodeRefused for one that was never given, or has been released.
        """


class Unjellier:
    """Reads the messages of one peer.

    Args:
        finder: Knows references.
        limits: This side's limits.
        clock: CPU seconds of this thread, for the hash budget.
        registry: The classes that copies may be made of.
    """

    def __init__(
        self,
        finder: Finder,
        limits: Limits,
        clock: Callable[[], float],
        registry: ClassRegistry,
    ) -> None:
        #: Whoever knows the references of the connection whose message is read.
        self.finder = finder
        self._limits = limits
        #: What the last message left.
        self.draft = draft = Draft(clock)
        self._copies = CopyReader(registry, draft)
        self._arrays = ArrayReader(registry, draft, limits)
        readers = self._readers()
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
            number, length, _ = _bulk_fields(content)
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

    def _readers(self) -> dict[int, TagReader]:
        # Weakly: the decoder, which has these, is not looked into by the collector, so
        # that a cycle through it would never be freed.
        cls, this = type(self), proxy(self)
        readers: dict[int, TagReader] = {
            scalar.tag: partial(_read_scalar, scalar.read, self._limits)
            for scalar in SCALARS.values()
        }
        readers[tags.POSITIVE_BIGNUM] = MethodType(cls._positive, this)
        readers[tags.NEGATIVE_BIGNUM] = MethodType(cls._negative, this)
        readers[tags.MINE] = MethodType(cls._mine, this)
        readers[tags.YOURS] = MethodType(cls._yours, this)
        readers[tags.STREAM] = MethodType(cls._stream, this)
        readers[tags.TUPLE] = MethodType(cls._tuple, this)
        readers[tags.SET] = MethodType(cls._set, this)
        readers[tags.FROZENSET] = MethodType(cls._frozenset, this)
        readers[tags.MAP] = MethodType(cls._map, this)
        readers[tags.BYTEARRAY] = _bytearray
        readers[tags.DEFINE] = MethodType(cls._define, this)
        readers[tags.AGAIN] = MethodType(cls._once_more, this)
        readers[tags.BULK] = MethodType(cls._bulk, this)
        readers[tags.ANSWER_OF] = MethodType(cls._answer_of, this)
        readers[tags.COPY] = self._copies.read_copy
        readers[tags.COPIES] = self._copies.read_copies
        readers[tags.ENUM] = self._copies.read_enum
        readers[tags.CACHE] = MethodType(cls._cache, this)
        readers.update(self._arrays.readers())
        return readers

    def _positive(self, content: Any, immutable: bool) -> int:
        return read_bignum(content, self._limits)

    def _negative(self, content: Any, immutable: bool) -> int:
        return -1 - read_bignum(content, self._limits)

    def _mine(self, content: Any, immutable: bool) -> object:
        number = _integer(content)
        self.draft.used = True
        self.draft.theirs.append(number)
        return self.finder.found_theirs(number)

    def _yours(self, content: Any, immutable: bool) -> object:
        # Its hash may be users' code.
        self.draft.used = self.draft.objects = True
        return self.finder.found_ours(_integer(content))

    def _stream(self, content: Any, immutable: bool) -> object:
        fields = _list(content)
        if len(fields) != 1:
            raise DecodeRefused("expected a stream's id alone")
        number = _integer(fields[0])
        found = self.finder.found_stream(number)
        self.draft.used = True
        self.draft.theirs.append(number)
        return found

    def _tuple(self, content: Any, immutable: bool) -> Any:
        return self.draft.make_tuple(_list(content))

    def _set(self, content: Any, immutable: bool) -> set[Any]:
        return self.draft.make_set(_list(content))

    def _frozenset(self, content: Any, immutable: bool) -> Any:
        return self.draft.make_frozenset(_list(content))

    def _map(self, content: Any, immutable: bool) -> dict[Any, Any]:
        flat = _list(content)
        if len(flat) % 2:
            raise DecodeRefused("a map with a key and no value")
        return self.draft.make_dict(flat)

    def _cache(self, content: Any, immutable: bool) -> object:
        fields = _list(content)
        if len(fields) not in (2, 3) or type(fields[1]) is not str:
            raise DecodeRefused("expected a cache's id, its type and its state")
        number = _integer(fields[0])
        draft = self.draft
        draft.used = draft.objects = True
        draft.theirs.append(number)
        cls = self._copies.find_cache(fields[1])
        state = fields[2:]
        found, step = self.finder.found_cache(number, cls, state)
        if state and step is not None:
            draft.add_copy(found, state, step)
        elif step is not None:
            draft.add_wait(step)
        return found

    def _define(self, content: Any, immutable: bool) -> Any:
        pair = _list(content)
        if len(pair) != 2:
            raise DecodeRefused("a definition without a number and a container")
        self.draft.define(_integer(pair[0]), pair[1])
        return pair[1]

    def _once_more(self, content: Any, immutable: bool) -> Again:
        self.draft.used = self.draft.placeholders = True
        return Again(_integer(content))

    def _answer_of(self, content: Any, immutable: bool) -> AnswerSlot:
        slot = AnswerSlot(_integer(content))
        self.draft.used = self.draft.placeholders = True
        self.draft.named.append(slot)
        return slot

    def _bulk(self, content: Any, immutable: bool) -> BulkSlot:
        slot = BulkSlot(*_bulk_fields(content))
        if slot.kind not in (tags.BULK_BYTES, tags.BULK_BYTEARRAY, tags.BULK_TEXT):
            raise DecodeRefused(f"bulk of an unknown kind {slot.kind}")
        self.draft.used = self.draft.placeholders = True
        self.draft.slots.append(slot)
        return slot


def _check_array(message: Any) -> None:
    if type(message) is not list:
        raise DecodeRefused("a message that is no array")


def _integer(content: Any) -> int:
    if type(content) is not int or not 0 <= content <= MAX_ID:
        raise DecodeRefused("expected a number of 63 bits")
    return content


def _list(content: Any) -> list[Any]:
    if type(content) is not list:
        raise DecodeRefused("expected an array")
    return content


def _bytearray(content: Any, immutable: bool) -> bytearray:
    if type(content) is not bytes:
        raise DecodeRefused("expected bytes")
    return bytearray(content)


def _bulk_fields(content: Any) -> tuple[int, int, int]:
    fields = _list(content)
    if len(fields) != 3:
        raise DecodeRefused("expected a bulk id, a length and a kind")
    number, length, kind = map(_integer, fields)
    if not number or not length:
        raise DecodeRefused("bulk without an id or without bytes")
    return number, length, kind


def _read_scalar(
    read: Callable[[Any, Limits], Any], limits: Limits, content: Any, immutable: bool
) -> Any:
    try:
        return read(content, limits)
    except (DecodeRefused, LimitExceeded):
        raise
    except (ValueError, OverflowError, TypeError, ArithmeticError) as error:
        raise DecodeRefused(f"{type(error).__name__}: {error}") from None
