"""From a caller's values to one message that cbor2 may see.

Owns the careful pass: exact types, depth, aliases and cycles, references, bulk; and
the choice between it and the quick look (`census`). Never decides what an object
*is*: the broker's `Passer` does. Called by the broker, once for each message.

What a failing pass has exported is given back by the caller (`Exports.rollback`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Protocol

from geopb.errors import InsecureJelly, LimitExceeded, over_limit, qualified_name
from geopb.jelly import tags
from geopb.jelly.census import (
    BULK_BYTES,
    may_hold_big_integer,
    plain_tree,
)
from geopb.jelly.scalars import SCALARS, NumberLimits, check_integer
from geopb.limits import MAX_BULK
from geopb.wire.codec import CBORTag, encode_within

#: A tag of ours and the head of its array: what a tuple or set costs at the least.
_TAG_BYTES = 4


class SendLimits(NumberLimits, Protocol):
    """The peer's bounds, as its hello told them."""

    @property
    def max_message_size(self) -> int:
        """Bytes of a message with its bulk."""

    @property
    def max_structure_size(self) -> int:
        """Bytes of the structured part."""

    @property
    def max_depth(self) -> int:
        """Nested containers."""


class Passer(Protocol):
    """Who knows how objects cross: the broker."""

    def passed(self, value: object) -> CBORTag | None:
        """Return the tag for an object that may cross, None for any other.

        An export that it makes is the caller's to roll back.
        """

    def new_bulk(self) -> int:
        """Allot an id for bulk bytes."""


@dataclass(slots=True)
class Bulk:
    """Bytes that travel beside a message, in chunks."""

    id: int
    data: bytes


@dataclass(slots=True)
class Packed:
    """A message ready to be framed, with its bulk."""

    body: bytes
    bulk: Sequence[Bulk] = ()
    #: Objects that must stay alive until the body is written: the references in
    #: it, so that no release can overtake it.
    kept: list[object] = field(default_factory=list)


class Encoder:
    """Packs messages for one peer.

    Args:
        passer: Knows how objects cross.
        limits: Returns the peer's limits as they are known now.
    """

    __slots__ = ("_limits", "_passer")

    def __init__(self, passer: Passer, limits: Callable[[], SendLimits]) -> None:
        self._passer = passer
        self._limits = limits

    def pack(
        self,
        head: list[object],
        args: Sequence[object],
        kwargs: Mapping[str, object] | None = None,
        tail: Sequence[object] = (),
    ) -> Packed:
        """Return ``[*head, args, kwargs?, *tail]``, `args` and `kwargs` made passable.

        Raises:
            InsecureJelly: A value of a type that may not cross, or text that UTF-8
                cannot carry.
            LimitExceeded: It passes a limit of the peer.
        """
        limits = self._limits()
        body = self._plain(head, args, kwargs, tail, limits)
        if body is not None:
            return Packed(body)
        walk = _Walk(self._passer, limits)
        message = [*head, walk.convert(list(args))]
        if kwargs is not None:
            message.append(walk.convert_kwargs(kwargs))
        message += tail
        try:
            body = encode_within(message, limits.max_structure_size)
        except UnicodeEncodeError as error:
            raise InsecureJelly(f"text that UTF-8 cannot carry: {error}") from None
        size = len(body) + walk.bulk_size
        if size > limits.max_message_size:
            limit = limits.max_message_size
            raise over_limit("max_message_size", limit, "a message", size)
        return Packed(body, walk.bulk, walk.kept)

    def _plain(
        self,
        head: list[object],
        args: Sequence[object],
        kwargs: Mapping[str, object] | None,
        tail: Sequence[object],
        limits: SendLimits,
    ) -> bytes | None:
        """Encode without the careful pass where nothing in it would be needed."""
        values = [*args, *kwargs.values()] if kwargs else args
        if not plain_tree(values, limits.max_depth, limits.max_structure_size):
            return None
        message = (
            [*head, args, *tail] if kwargs is None else [*head, args, kwargs, *tail]
        )
        try:
            body = encode_within(message, limits.max_structure_size)
        except (UnicodeEncodeError, LimitExceeded):
            # The careful pass says it better, or makes bulk of long texts.
            return None
        if may_hold_big_integer(body, limits.max_integer_bits):
            return None
        return body


class _Walk:
    """One careful pass over the values of one message.

    Each list or dict is converted once; where it is met again, its first place is
    wrapped into DEFINE and this one is AGAIN. So the pass is linear in distinct
    lists and dicts, and cycles end.
    """

    def __init__(self, passer: Passer, limits: SendLimits) -> None:
        self._passer = passer
        self._limits = limits
        self._least_size = 0
        self._depth = 0
        # Inside a key or a set nothing may travel as bulk: it must hash on arrival.
        self._hashed = 0
        # id(list or dict) -> where its node stands: (holder, index or key, node),
        # and its number once it has been met again.
        self._met: dict[int, tuple[Any, Any, Any]] = {}
        self._numbers: dict[int, int] = {}
        self.bulk: list[Bulk] = []
        #: Their bytes together.
        self.bulk_size = 0
        self.kept: list[object] = []

    def convert(self, values: list[object]) -> list[Any]:
        """Return `values`, which are no user's list themselves, made passable."""
        node: list[Any] = [None] * len(values)
        for index, value in enumerate(values):
            self._put(value, node, index)
        return node

    def convert_kwargs(self, kwargs: Mapping[str, object]) -> dict[str, Any]:
        """Return keyword arguments made passable."""
        node: dict[str, Any] = {}
        for name, value in kwargs.items():
            self._put(value, node, name)
        return node

    def _put(self, value: Any, holder: Any, place: Any) -> None:
        """Convert `value` into ``holder[place]``."""
        self._count()
        kind = type(value)
        if kind is int:
            holder[place] = check_integer(value, self._limits)
        elif kind is str or kind is bytes:
            holder[place] = self._string(value)
        elif kind is float or kind is bool or kind is NoneType:
            holder[place] = value
        elif kind is list or kind is dict:
            self._container(value, holder, place)
        elif kind is tuple:
            self._count(_TAG_BYTES)
            holder[place] = CBORTag(tags.TUPLE, self._nested(value))
        elif kind is set or kind is frozenset:
            self._count(_TAG_BYTES)
            tag = tags.SET if kind is set else tags.FROZENSET
            holder[place] = CBORTag(tag, self._hashable(value))
        else:
            holder[place] = self._leaf(kind, value)

    def _count(self, size: int = 1) -> None:
        """Add to the least that the message will measure: ends bombs of tuples."""
        self._least_size += size
        limit = self._limits.max_structure_size
        if self._least_size > limit:
            size = self._least_size
            raise over_limit("max_structure_size", limit, "a message", size)

    def _string(self, value: str | bytes) -> Any:
        if len(value) < BULK_BYTES or self._hashed or len(self.bulk) >= MAX_BULK:
            return value
        if isinstance(value, bytes):
            return self._as_bulk(value, tags.BULK_BYTES)
        try:
            return self._as_bulk(value.encode(), tags.BULK_TEXT)
        except UnicodeEncodeError as error:
            raise InsecureJelly(f"text that UTF-8 cannot carry: {error}") from None

    def _as_bulk(self, data: bytes, kind: int) -> CBORTag:
        self.bulk_size += len(data)
        limit = self._limits.max_message_size
        if self.bulk_size > limit:
            raise over_limit("max_message_size", limit, "a message", self.bulk_size)
        bulk = Bulk(self._passer.new_bulk(), data)
        self.bulk.append(bulk)
        return CBORTag(tags.BULK, [bulk.id, len(data), kind])

    def _container(self, value: Any, holder: Any, place: Any) -> None:
        met = self._met.get(id(value))
        if met is not None:
            holder[place] = CBORTag(tags.AGAIN, self._number(id(value), met))
            return
        # In its place before its content: the content may hold it again.
        if type(value) is list:
            node: Any = [None] * len(value)
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            self._fill(node, enumerate(value))
        elif all(type(key) is str or type(key) is bytes for key in value):
            node = {}
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            self._fill(node, value.items())
        else:
            flat: list[Any] = [None] * (2 * len(value))
            node = CBORTag(tags.MAP, flat)
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            for index, key in enumerate(value):
                self._key(key, flat, 2 * index)
            self._fill(flat, zip(range(1, len(flat), 2), value.values(), strict=True))

    def _fill(self, node: Any, items: Any) -> None:
        self._deeper()
        for place, item in items:
            self._put(item, node, place)
        self._depth -= 1

    def _number(self, key: int, met: tuple[Any, Any, Any]) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            holder, place, node = met
            holder[place] = CBORTag(tags.DEFINE, [number, node])
        return number

    def _nested(self, values: Sequence[object]) -> list[Any]:
        # At least a byte each: a huge one is refused before it is walked.
        self._count(len(values))
        node: list[Any] = [None] * len(values)
        self._fill(node, enumerate(values))
        self._least_size -= len(values)
        return node

    def _hashable(self, values: Any) -> list[Any]:
        self._hashed += 1
        node = self._nested(list(values))
        self._hashed -= 1
        return node

    def _key(self, key: object, flat: list[Any], place: int) -> None:
        self._hashed += 1
        self._put(key, flat, place)
        self._hashed -= 1

    def _deeper(self) -> None:
        self._depth += 1
        limit = self._limits.max_depth
        if self._depth > limit:
            raise over_limit(
                "max_depth", limit, "nested containers: a depth", self._depth
            )

    def _leaf(self, kind: type, value: Any) -> Any:
        scalar = SCALARS.get(kind)
        if scalar is not None:
            return CBORTag(scalar.tag, scalar.plain(value, self._limits))
        if kind is bytearray:
            if len(value) >= BULK_BYTES and len(self.bulk) < MAX_BULK:
                # A copy: the caller may change it before the last chunk has left.
                return self._as_bulk(bytes(value), tags.BULK_BYTEARRAY)
            return CBORTag(tags.BYTEARRAY, bytes(value))
        tag = self._passer.passed(value)
        if tag is None:
            raise InsecureJelly(_refusal(value))
        self.kept.append(value)
        return tag


def _refusal(value: object) -> str:
    cls = type(value)
    for base in cls.__mro__[1:]:
        if base in _CROSSING:
            return (
                f"{qualified_name(cls)} may not cross: it is a subclass of "
                f"{base.__name__}, which would lose its class; convert it"
            )
    return (
        f"{qualified_name(cls)} may not cross: pass a Referenceable, or plain values "
        "made of it"
    )


_CROSSING = frozenset(
    (int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, *SCALARS)
)
