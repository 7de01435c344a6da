"""What hashing a peer's keys may cost.

Owns the making of sets and dicts out of keys that are not text. Such keys can be
chosen to collide: 87,000 integers in 462 KB keep a plain ``dict()`` busy for seconds.
A count tells honest ones from hostile ones badly, so the cost itself is bounded.
Called by ``decode``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geopb.wire.codec import DecodeRefused

#: Keys between two looks at the clock.
_SLICE = 256
#: Up to here keys are not timed: 32 that all collide cost some 15 us.
_FREE = 32
#: CPU seconds that any message may spend, above what honest keys take: a resize of
#: a large table, a slow moment.
_ALLOWANCE = 0.050
#: CPU seconds for each key. Ordinary keys take 0.05 to 1 us; a set of 50,000 UUIDs,
#: whose hash is Python code, takes 12 ms in all.
_EACH = 2e-6


class HashBudget:
    """The cost of one message's keys, all its sets and dicts together.

    Args:
        clock: CPU seconds of this thread. Not the wall clock: a machine that is
            busy elsewhere must not make honest keys look hostile.
    """

    __slots__ = ("_clock", "_keys", "spent")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys = 0
        #: CPU seconds that were spent on the present message.
        self.spent = 0.0

    def reset(self) -> None:
        """Begin a new message."""
        self._keys = 0
        self.spent = 0.0

    def make_set(self, members: list[Any]) -> set[Any]:
        """Return the set of `members`, all different. Raises DecodeRefused."""
        if len(members) <= _FREE:
            try:
                made = set(members)
            except (TypeError, ValueError) as error:
                raise _unhashable(error) from None
        else:
            made = set()
            self._build(made.update, members)
        if len(made) != len(members):
            raise DecodeRefused("a set that holds a member twice")
        return made

    def make_frozenset(self, members: list[Any]) -> frozenset[Any]:
        """Return the frozenset of `members`, all different. Raises DecodeRefused."""
        if len(members) > _FREE:
            return frozenset(self.make_set(members))
        try:
            made = frozenset(members)
        except (TypeError, ValueError) as error:
            raise _unhashable(error) from None
        if len(made) != len(members):
            raise DecodeRefused("a set that holds a member twice")
        return made

    def make_dict(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        """Return the dict of `keys`, all different, and `values`."""
        if len(keys) <= _FREE:
            try:
                # As many of both, as they come in pairs.
                made = dict(zip(keys, values))  # noqa: B905
            except (TypeError, ValueError) as error:
                raise _unhashable(error) from None
            if len(made) != len(keys):
                raise DecodeRefused("a map that holds a key twice")
            return made
        made = {}
        # First the keys alone: a slice of pairs would hash them the same way.
        self._build(lambda part: made.update(dict.fromkeys(part)), keys)
        if len(made) != len(keys):
            raise DecodeRefused("a map that holds a key twice")
        made.update(zip(keys, values, strict=True))
        return made

    def _build(self, add: Callable[[list[Any]], object], keys: list[Any]) -> None:
        try:
            begun = self._clock() - self.spent
            for start in range(0, len(keys), _SLICE):
                add(keys[start : start + _SLICE])
                self._keys += _SLICE
                self.spent = self._clock() - begun
                if self.spent > _ALLOWANCE + self._keys * _EACH:
                    raise DecodeRefused("keys that collide: they take too long to hash")
        except (TypeError, ValueError) as error:
            raise _unhashable(error) from None


def _unhashable(error: TypeError | ValueError) -> DecodeRefused:
    # The second is what a memoryview says.
    return DecodeRefused(f"a key that cannot be hashed: {error}")
