"""From a message's bytes to values, or to one refusal.

Owns the readers of all tags, the budgets that hostile keys meet, aliases, and what
is left to finish when bulk bytes have arrived. Never acts: references are looked up
or prepared by the broker's `Finder` and count only when the whole message is good.
Called by the broker, once for each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from geopb.errors import LimitExceeded, over_limit
from geopb.jelly import tags
from geopb.jelly.budget import HashBudget
from geopb.jelly.scalars import SCALARS, read_bignum
from geopb.jelly.slots import Again, BulkSlot, Salvaged
from geopb.limits import Limits
from geopb.wire.codec import Decoder, DecodeRefused, TagReader, TooDeep
from geopb.wire.messages import MAX_ID

#: CBOR levels around the values of a message: its array, then ``args``.
_ENVELOPE = 2
#: CBOR levels that one container of the user's may take: DEFINE, its pair, itself.
_LEVELS_EACH = 3


class Finder(Protocol):
    """Who knows references: the broker."""

    def found_theirs(self, number: int) -> object:
        """Return the reference to the peer's object, not counted yet.

        Raises LimitExceeded when the table is full.
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
    """

    def __init__(
        self, finder: Finder, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._finder = finder
        self._limits = limits
        self._budget = HashBudget(clock)
        #: Whether the last message left anything that `forget` lets go.
        self.used = False
        self._again = False
        #: What DEFINE has numbered: numbers, and as many containers.
        self._numbers: list[int] = []
        self._defined: list[Any] = []
        #: Ids of the peer's objects in the last message, one entry for each time.
        self.theirs: list[int] = []
        #: Bulk that the last message waits for.
        self.slots: list[BulkSlot] = []
        readers = self._readers()
        depth = limits.max_depth
        self._shallow = Decoder(readers, depth + _ENVELOPE)
        self._deep = Decoder(readers, _LEVELS_EACH * depth + 8)

    def read(self, body: bytes) -> Any:
        """Return the message that `body` holds; `theirs` and `slots` belong to it.

        Where there are slots, `finish` must follow when they are filled.

        Raises:
            DecodeRefused: It holds what may not cross, or is malformed.
            LimitExceeded: It passes a limit of this side.
        """
        if self.used:
            self.forget()
        try:
            # Plain data of the full depth passes; tags take levels of their own.
            message = self._shallow.decode(body)
        except TooDeep:
            self.forget()
            message = self._deep.decode(body)
            _check_array(message)
            self._check_depth(message)
        if type(message) is not list:
            _check_array(message)
        if self._numbers or self._again:
            # Numbers are the peer's choice: they are hashed within the budget.
            known = self._budget.make_dict(self._numbers, self._defined)
            self._replace(message, partial(_known, known))
        return message

    def finish(self, message: Any) -> None:
        """Put the filled slots' values in their places."""
        self._replace(message, _filled)

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

        readers: dict[int, TagReader] = {tags.MINE: mine, tags.BULK: chunked}
        deep = _LEVELS_EACH * self._limits.max_depth + 8
        head = Decoder(readers, deep, inert=True).decode(body)
        if type(head) is not list or len(head) < 2:
            raise DecodeRefused("a message that is no array of two or more")
        return Salvaged(head, theirs, bulk)

    def forget(self) -> None:
        """Let go of what belongs to the last message."""
        self.used = False
        self._again = False
        self._numbers = []
        self._defined = []
        self._budget.reset()
        self.theirs = []
        self.slots = []

    def _readers(self) -> dict[int, TagReader]:
        readers: dict[int, TagReader] = {
            scalar.tag: partial(_read_scalar, scalar.read, self._limits)
            for scalar in SCALARS.values()
        }
        readers[tags.POSITIVE_BIGNUM] = self._positive
        readers[tags.NEGATIVE_BIGNUM] = self._negative
        readers[tags.MINE] = self._mine
        readers[tags.YOURS] = self._yours
        readers[tags.TUPLE] = _tuple
        readers[tags.SET] = self._set
        readers[tags.FROZENSET] = self._frozenset
        readers[tags.MAP] = self._map
        readers[tags.BYTEARRAY] = _bytearray
        readers[tags.DEFINE] = self._define
        readers[tags.AGAIN] = self._once_more
        readers[tags.BULK] = self._bulk
        return readers

    def _positive(self, content: Any, immutable: bool) -> int:
        return read_bignum(content, self._limits)

    def _negative(self, content: Any, immutable: bool) -> int:
        return -1 - read_bignum(content, self._limits)

    def _mine(self, content: Any, immutable: bool) -> object:
        number = _integer(content)
        self.used = True
        self.theirs.append(number)
        return self._finder.found_theirs(number)

    def _yours(self, content: Any, immutable: bool) -> object:
        return self._finder.found_ours(_integer(content))

    def _set(self, content: Any, immutable: bool) -> set[Any]:
        self.used = True
        return self._budget.make_set(_list(content))

    def _frozenset(self, content: Any, immutable: bool) -> frozenset[Any]:
        self.used = True
        return frozenset(self._budget.make_set(_list(content)))

    def _map(self, content: Any, immutable: bool) -> dict[Any, Any]:
        self.used = True
        flat = _list(content)
        if len(flat) % 2:
            raise DecodeRefused("a map with a key and no value")
        return self._budget.make_dict(flat[::2], flat[1::2])

    def _define(self, content: Any, immutable: bool) -> Any:
        self.used = True
        pair = _list(content)
        if len(pair) != 2 or type(pair[1]) not in (list, dict):
            raise DecodeRefused("a definition of neither a list nor a dict")
        self._numbers.append(_integer(pair[0]))
        self._defined.append(pair[1])
        return pair[1]

    def _once_more(self, content: Any, immutable: bool) -> Again:
        self.used = self._again = True
        return Again(_integer(content))

    def _bulk(self, content: Any, immutable: bool) -> BulkSlot:
        slot = BulkSlot(*_bulk_fields(content))
        if slot.kind not in (tags.BULK_BYTES, tags.BULK_BYTEARRAY, tags.BULK_TEXT):
            raise DecodeRefused(f"bulk of an unknown kind {slot.kind}")
        self.used = True
        self.slots.append(slot)
        return slot

    def _check_depth(self, message: Any) -> None:
        """Count the user's containers, which CBOR levels only bound."""
        limit = self._limits.max_depth
        level = [part for part in message if type(part) in _NESTING]
        if message and type(message[0]) is int and message[0] in _WITH_VALUES:
            level = [item for part in level for item in _inside(part)]
        depth = 0
        while level:
            level = [item for item in level if type(item) in _NESTING]
            depth += bool(level)
            if depth > limit:
                raise over_limit(
                    "max_depth", limit, "nested containers: a depth", depth
                )
            level = [inner for item in level for inner in _inside(item)]

    def _replace(self, message: Any, final: Callable[[Any], Any]) -> None:
        """Put ``final(placeholder)`` wherever a placeholder stands."""
        waiting: list[Any] = [message]
        seen = {id(message)}

        def settled(value: Any) -> Any:
            value = final(value)
            if type(value) is tuple:
                # Made anew only where something in it changed.
                items = tuple(map(settled, value))
                return items if any(map(_is_not, items, value)) else value
            if type(value) in (list, dict) and id(value) not in seen:
                seen.add(id(value))
                waiting.append(value)
            return value

        while waiting:
            container = waiting.pop()
            places: Any = range(len(container))
            if type(container) is dict:
                places = list(container)
            for place in places:
                old = container[place]
                new = settled(old)
                if new is not old:
                    container[place] = new


#: Kinds of messages that carry the user's values: CALL, ANSWER, ERROR.
_WITH_VALUES = (1, 2, 3)
_NESTING = (list, dict, tuple, set, frozenset)


def _check_array(message: Any) -> None:
    if type(message) is not list:
        raise DecodeRefused("a message that is no array")


def _inside(container: Any) -> list[Any]:
    if type(container) is dict:
        return [*container.keys(), *container.values()]
    return list(container)


def _is_not(one: object, other: object) -> bool:
    return one is not other


def _known(known: dict[int, Any], value: Any) -> Any:
    if type(value) is not Again:
        return value
    try:
        return known[value.number]
    except KeyError:
        raise DecodeRefused("a number that is not defined") from None


def _filled(value: Any) -> Any:
    return value.value if type(value) is BulkSlot else value


def _integer(content: Any) -> int:
    if type(content) is not int or not 0 <= content <= MAX_ID:
        raise DecodeRefused("expected a number of 63 bits")
    return content


def _list(content: Any) -> list[Any]:
    if type(content) is not list:
        raise DecodeRefused("expected an array")
    return content


def _tuple(content: Any, immutable: bool) -> tuple[Any, ...]:
    return tuple(_list(content))


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
