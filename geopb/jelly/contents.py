"""What the content of each tag becomes.

Owns the readers of the tags that stand for containers, references and what is noted
while a message is decoded; those of copies, arrays and scalars it puts together with
them. Never runs users' code, and never acts: see ``decode``, which calls it. A peer may
send a quarter of a million tags in a mebibyte: each of these is as short as it can be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from geopb.errors import LimitExceeded
from geopb.jelly import tags
from geopb.jelly.arrays import ArrayReader
from geopb.jelly.copies import CopyReader
from geopb.jelly.draft import Draft
from geopb.jelly.registry import ClassRegistry
from geopb.jelly.rows import read_rows
from geopb.jelly.scalars import FEW_BYTES, SCALARS, read_bignum
from geopb.jelly.slots import Again, AnswerSlot, BulkSlot
from geopb.jelly.steps import Step
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused, TagReader
from geopb.wire.messages import MAX_ID


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


class Contents:
    """Reads what stands in tags.

    Knows no decoder, which has these methods and is not looked into by the collector:
    a cycle through it would never be freed.

    Attributes:
        finder: Whoever knows the references of the connection whose message is read.
    """

    def __init__(
        self, finder: Finder, draft: Draft, limits: Limits, registry: ClassRegistry
    ) -> None:
        self.finder = finder
        self._draft = draft
        self._limits = limits
        self._copies = CopyReader(registry, draft)
        self._arrays = ArrayReader(registry, draft, limits)

    def readers(self) -> dict[int, TagReader]:
        """Return the reader of each tag that is accepted."""
        limits, copies = self._limits, self._copies
        return {
            **{
                scalar.tag: partial(_read_scalar, scalar.read, limits)
                for scalar in SCALARS.values()
            },
            tags.POSITIVE_BIGNUM: self._positive,
            tags.NEGATIVE_BIGNUM: self._negative,
            tags.MINE: self._mine,
            tags.YOURS: self._yours,
            tags.STREAM: self._stream,
            tags.TUPLE: self._tuple,
            tags.SET: self._set,
            tags.FROZENSET: self._frozenset,
            tags.MAP: self._map,
            tags.ROWS: read_rows,
            tags.BYTEARRAY: _bytearray,
            tags.DEFINE: self._define,
            tags.AGAIN: self._once_more,
            tags.BULK: self._bulk,
            tags.ANSWER_OF: self._answer_of,
            tags.COPY: copies.read_copy,
            tags.COPIES: copies.read_copies,
            tags.ENUM: copies.read_enum,
            tags.CACHE: self._cache,
            **self._arrays.readers(),
        }

    def _positive(self, content: Any, immutable: bool) -> int:
        if type(content) is bytes and len(content) <= FEW_BYTES:
            return int.from_bytes(content, "big")
        return read_bignum(content, self._limits)

    def _negative(self, content: Any, immutable: bool) -> int:
        return -1 - read_bignum(content, self._limits)

    def _mine(self, content: Any, immutable: bool) -> object:
        if type(content) is not int or not 0 <= content <= MAX_ID:
            raise _no_number()
        draft = self._draft
        draft.used = True
        draft.theirs.append(content)
        return self.finder.found_theirs(content)

    def _yours(self, content: Any, immutable: bool) -> object:
        if type(content) is not int or not 0 <= content <= MAX_ID:
            raise _no_number()
        # Its hash may be users' code.
        draft = self._draft
        draft.used = draft.objects = True
        return self.finder.found_ours(content)

    def _stream(self, content: Any, immutable: bool) -> object:
        fields = _list(content)
        if len(fields) != 1:
            raise DecodeRefused("expected a stream's id alone")
        number = integer(fields[0])
        found = self.finder.found_stream(number)
        self._draft.used = True
        self._draft.theirs.append(number)
        return found

    def _tuple(self, content: Any, immutable: bool) -> Any:
        if type(content) is not list:
            raise _no_array()
        draft = self._draft
        return draft.make_tuple(content) if draft.placeholders else tuple(content)

    def _set(self, content: Any, immutable: bool) -> set[Any]:
        if type(content) is not list:
            raise _no_array()
        return self._draft.make_set(content) if content else set()

    def _frozenset(self, content: Any, immutable: bool) -> Any:
        if type(content) is not list:
            raise _no_array()
        return self._draft.make_frozenset(content)

    def _map(self, content: Any, immutable: bool) -> dict[Any, Any]:
        if type(content) is not list:
            raise _no_array()
        if len(content) % 2:
            raise DecodeRefused("a map with a key and no value")
        return self._draft.make_dict(content) if content else {}

    def _cache(self, content: Any, immutable: bool) -> object:
        fields = _list(content)
        if len(fields) not in (2, 3) or type(fields[1]) is not str:
            raise DecodeRefused("expected a cache's id, its type and its state")
        number = integer(fields[0])
        draft = self._draft
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
        if type(content) is not list or len(content) != 2:
            raise DecodeRefused("a definition without a number and a container")
        number, made = content
        self._draft.define(integer(number), made)
        return made

    def _once_more(self, content: Any, immutable: bool) -> Again:
        if type(content) is not int or not 0 <= content <= MAX_ID:
            raise _no_number()
        return self._draft.again(content)

    def _answer_of(self, content: Any, immutable: bool) -> AnswerSlot:
        slot = AnswerSlot(integer(content))
        draft = self._draft
        draft.used = draft.placeholders = True
        draft.named.append(slot)
        return slot

    def _bulk(self, content: Any, immutable: bool) -> BulkSlot:
        slot = BulkSlot(*bulk_fields(content))
        if slot.kind not in (tags.BULK_BYTES, tags.BULK_BYTEARRAY, tags.BULK_TEXT):
            raise DecodeRefused(f"bulk of an unknown kind {slot.kind}")
        draft = self._draft
        draft.used = draft.placeholders = True
        draft.slots.append(slot)
        return slot


def _no_number() -> DecodeRefused:
    return DecodeRefused("expected a number of 63 bits")


def _no_array() -> DecodeRefused:
    return DecodeRefused("expected an array")


def integer(content: Any) -> int:
    """Return a number of 63 bits. Raises DecodeRefused for anything else."""
    if type(content) is not int or not 0 <= content <= MAX_ID:
        raise _no_number()
    return content


def _list(content: Any) -> list[Any]:
    if type(content) is not list:
        raise _no_array()
    return content


def _bytearray(content: Any, immutable: bool) -> bytearray:
    if type(content) is not bytes:
        raise DecodeRefused("expected bytes")
    return bytearray(content)


def bulk_fields(content: Any) -> tuple[int, int, int]:
    """Return what `BULK` holds: an id, a length, a kind. Raises DecodeRefused."""
    fields = _list(content)
    if len(fields) != 3:
        raise DecodeRefused("expected a bulk id, a length and a kind")
    number, length, kind = map(integer, fields)
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
