"""The last steps of a message: what each of them does.

Owns the kinds of steps that a decoded message leaves: copies that take their state,
sets and maps whose keys are objects. Some run users' code (``__hash__``,
``setCopyableState``), so none is done while a message is being decoded. Made by
``draft`` and ``copies``, put in their order and done by ``finish``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from geopb.jelly.budget import HashBudget
from geopb.jelly.registry import Record
from geopb.jelly.weight import Weigher

_set_attribute: Callable[[Any, str, Any], None] = object.__setattr__


class Step:
    """One thing to do; steps are done in the order in which values were complete.

    Attributes:
        makes: The objects that are complete when it is done.
        parts: Lists that hold what the step uses, in which placeholders may stand.
        runs_code: Whether doing it may run users' code.
        always: Whether it is to be done though one before it has failed, as others
            depend on it.
    """

    __slots__ = ()

    makes: Sequence[object] = ()
    parts: Sequence[list[Any]]
    runs_code: bool = True
    always: bool = False

    def do(self) -> None:
        """Do it; what it uses is complete."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The message is not used: tell whoever waits for this step."""


class TakeState(Step):
    """Give a copy its state, which is alone in a list."""

    def __init__(
        self, made: object, take: Callable[[Any], object], state: list[Any]
    ) -> None:
        self.makes = (made,)
        self._take = take
        self.parts = (state,)

    def do(self) -> None:
        """Call its hook."""
        self._take(self.parts[0][0])


class SetFields(Step):
    """Give records their fields; `parts` are their values, in the order of `names`."""

    def __init__(
        self,
        record: Record,
        instances: list[Any],
        names: list[str],
        rows: list[list[Any]],
    ) -> None:
        self._record = record
        self._instances = self.makes = instances
        self._names = names
        self.parts = rows
        self.runs_code = not record.slotted

    def do(self) -> None:
        """Set them past ``__init__``, ``__setattr__`` and frozenness."""
        instances, rows = self._instances, self.parts
        if self._record.plain and (len(rows) == 1 or not self._record.still_plain()):
            # Its class may be another by now, and have setters of its own.
            for instance, row in zip(instances, rows, strict=True):
                instance.__dict__.update(zip(self._names, row, strict=True))
            return
        # Field by field: a table may have 350,000 rows in a mebibyte, and so none of
        # them takes a step of Python code.
        for place, name in enumerate(self._names):
            values = map(itemgetter(place), rows)
            done = map(_set_attribute, instances, repeat(name), values)
            deque(done, maxlen=0)


class Hashing:
    """Makes the sets and dicts of one message whose keys run users' code.

    Args:
        clock: CPU seconds of this thread, for the hash budget.
        weigher: Bounds what hashing a key may run into.
    """

    def __init__(self, clock: Callable[[], float], weigher: Weigher) -> None:
        self._budget = HashBudget(clock)
        self._weigher = weigher

    def make_set(self, members: list[Any]) -> set[Any]:
        """Return the set of `members`. Raises DecodeRefused."""
        return self._weighed(members).make_set(members)

    def make_frozenset(self, members: list[Any]) -> frozenset[Any]:
        """Return the frozenset of `members`. Raises DecodeRefused."""
        return self._weighed(members).make_frozenset(members)

    def make_dict(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        """Return the dict of `keys` and `values`. Raises DecodeRefused."""
        return self._weighed(keys).make_dict(keys, values)

    def _weighed(self, keys: list[Any]) -> HashBudget:
        """Return what hashes these keys; each of these has a budget of its own."""
        self._weigher.add(keys)
        self._budget.reset()
        return self._budget


class FillSet(Step):
    """Put members into a set."""

    __slots__ = ("_hashing", "_target", "makes", "parts")

    def __init__(self, target: set[Any], members: list[Any], hashing: Hashing) -> None:
        self._target = target
        self.makes = (target,)
        self._hashing = hashing
        self.parts = (members,)

    def do(self) -> None:
        """Hash them."""
        self._target.update(self._hashing.make_set(self.parts[0]))


class FillDict(Step):
    """Put keys and values into a dict."""

    __slots__ = ("_hashing", "_target", "makes", "parts")

    def __init__(
        self,
        target: dict[Any, Any],
        keys: list[Any],
        values: list[Any],
        hashing: Hashing,
    ) -> None:
        self._target = target
        self.makes = (target,)
        self._hashing = hashing
        self.parts = (keys, values)

    def do(self) -> None:
        """Hash the keys."""
        self._target.update(self._hashing.make_dict(*self.parts))
