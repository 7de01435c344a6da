"""How much is hashed when a copy is: an upper bound, before users' code runs.

Copies may be shared, and a hash that is made of the fields hashes what is shared each
time it is met: thirty records, each of which holds the one before twice, take minutes.
Owns the count of that. Never hashes. Called by the last steps (``finish``) where copies
are keys or members of sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geopb.wire.codec import DecodeRefused

#: Values that the keys of one message may be unfolded to, those that are shared counted
#: each time: some 0.2 s. Honest keys, which share little, have `_EACH` times as many as
#: there are different ones.
_MOST = 1_000_000
_EACH = 4
_BY_IDENTITY: Any = object.__hash__
_CONTAINERS = (tuple, list, frozenset, set)


class Weigher:
    """Weighs the keys of one message.

    Args:
        inside: What stands in copies, by their id().
        tables: Lists of records, with as many rows.
    """

    def __init__(
        self, inside: dict[int, list[Any]], tables: list[tuple[list[Any], list[Any]]]
    ) -> None:
        self._inside = inside
        self._tables = tables
        self._rows: dict[int, Any] = {}
        self._weights: dict[int, int] = {}
        self._opened: set[int] = set()
        self._total = 0
        #: Keys that hash nothing but themselves.
        self._simple = 0

    def add(self, keys: Iterable[Any]) -> None:
        """Count keys that are to be hashed.

        Raises:
            DecodeRefused: They unfold to too much.
        """
        for made, rows in self._tables:
            self._rows.update(zip(map(id, made), rows, strict=True))
        self._tables = []
        for key in keys:
            if self._parts(key):
                self._total += self._weigh(key)
            else:
                # Each has come for itself; no need to remember it.
                self._total += 1
                self._simple += 1
        if self._total > max(_MOST, _EACH * (len(self._weights) + self._simple)):
            raise DecodeRefused("keys that share so much that they take long to hash")

    def _weigh(self, key: Any) -> int:
        weights, opened = self._weights, self._opened
        waiting = [key]
        while waiting:
            value = waiting[-1]
            number = id(value)
            parts = () if number in weights else self._parts(value)
            if number not in opened and parts:
                opened.add(number)
                waiting += [part for part in parts if id(part) not in opened]
                continue
            waiting.pop()
            if number not in weights:
                weight = 1 + sum(weights.get(id(part), 1) for part in parts)
                # No need to know more, and numbers stay small.
                weights[number] = min(weight, _MOST + 1)
        return weights[id(key)]

    def _parts(self, value: Any) -> Any:
        """Return what is hashed with a value, as far as that may be shared."""
        kind = type(value)
        if kind in _CONTAINERS:
            return value
        if kind is dict:
            return [*value.keys(), *value.values()]
        number = id(value)
        inside = self._inside.get(number) or self._rows.get(number)
        # By default an object is hashed by what it is, and not by what it holds.
        if inside is None or kind.__hash__ is _BY_IDENTITY:
            return ()
        return inside
