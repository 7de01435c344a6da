"""What one message has left while it was being decoded.

Owns the notes that the readers of tags make: placeholders, numbered containers, copies
without their state, sets and dicts that cannot be hashed yet, the peer's objects; and
the bounds on these, the cost of hashing and the depth. Never runs users' code. Filled
by ``decode`` and ``copies``, read by the broker's intake.
"""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType
from typing import Any

from geopb.errors import over_limit
from geopb.jelly.budget import HashBudget
from geopb.jelly.finish import Unfinished, holds_placeholder
from geopb.jelly.scalars import SCALARS
from geopb.jelly.slots import (
    Again,
    AnswerSlot,
    BulkSlot,
    Made,
    MadeArray,
    Placeholder,
    Salvaged,
)
from geopb.jelly.steps import FillDict, FillSet, Hashing, Step
from geopb.jelly.weight import Weigher
from geopb.wire import messages
from geopb.wire.codec import DecodeRefused

#: The kind and the question: who refuses a message needs no more.
_ENVELOPE = 2
#: Numbers below this have one placeholder each.
_FEW_NUMBERS = 256


class Draft:
    """The notes on one message, and then on the next.

    Attributes:
        used: Whether there are any.
        placeholders: Whether placeholders stand in the message.
        objects: Whether objects do whose hash is users' code.
        theirs: Ids of the peer's objects, one entry for each time.
        slots: Bulk that the message waits for.
        named: Answers that it names in its arguments.

    Args:
        clock: CPU seconds of this thread, for the hash budget.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budget = HashBudget(clock)
        self.forget()

    def forget(self) -> None:
        """Begin a new message."""
        self.used = self.placeholders = self.objects = False
        self.theirs: list[int] = []
        self.slots: list[BulkSlot] = []
        self.named: list[AnswerSlot] = []
        #: What stands for the first numbers.
        self._again: dict[int, Again] = {}
        #: What DEFINE has numbered: numbers, and as many containers.
        self._numbers: list[int] = []
        self._defined: list[Any] = []
        self._steps: list[Step] = []
        #: Done behind all others.
        self._waits: list[Step] = []
        self._arrays: list[MadeArray] = []
        #: What stands in containers that are not filled yet, by their id().
        self._inside: dict[int, list[Any]] = {}
        #: Lists of records that came as tables, with their rows.
        self._tables: list[tuple[list[Any], list[Any]]] = []
        self._hashing: Hashing | None = None
        self._budget.reset()

    def unfinished(self, message: list[Any]) -> Unfinished | None:
        """Return what is left to do for the message, None if nothing is.

        Raises:
            DecodeRefused: Numbers that collide, or are given twice; an array of a
                class that is not registered.
        """
        if not (self.placeholders or self._steps or self._waits or self._numbers):
            # References alone, most often.
            return None
        for made in self._arrays:
            if made.refusal is not None:
                raise DecodeRefused(made.refusal)
        # Numbers are the peer's choice: they are hashed within the budget; also where
        # nothing names them, as none may be given twice.
        known = self._budget.make_dict(self._numbers, self._defined)
        # First of all arrays, as what comes before one may hold it by its number.
        steps = [*self._arrays, *self._steps, *self._waits]
        if not (steps or self.placeholders):
            return None
        return Unfinished(message, steps, self.placeholders, known, self.named)

    def salvaged(self, message: list[Any]) -> Salvaged | None:
        """Return what is left of a message that was read to its end, and is refused.

        None if it has no envelope.
        """
        if len(message) < _ENVELOPE:
            return None
        bulk = [(slot.id, slot.length) for slot in self.slots]
        return Salvaged(message[:_ENVELOPE], self.theirs, bulk)

    # -- notes -----------------------------------------------------------------------

    def add_copy(self, made: object, inside: list[Any], step: Step) -> None:
        """Note a copy that is made and has its state still to take."""
        self.used = self.objects = True
        self._inside[id(made)] = inside
        self._steps.append(step)

    def add_wait(self, step: Step) -> None:
        """Note what is to be waited for when all else is done."""
        self.used = True
        self._waits.append(step)

    def add_array(self, made: MadeArray) -> int:
        """Note an array that is to be made; return how many there are."""
        self.used = self.placeholders = True
        self._arrays.append(made)
        return len(self._arrays)

    def add_table(self, made: list[Any], rows: list[Any], step: Step) -> None:
        """Note a list of records that are made and have their fields still to take."""
        self._tables.append((made, rows))
        self.add_copy(made, rows, step)

    def again(self, number: int) -> Again:
        """Return what stands for what a number is given to."""
        self.used = self.placeholders = True
        if number >= _FEW_NUMBERS:
            return Again(number)
        # Peers number from 0: one serves all places, and no number can collide.
        found = self._again.get(number)
        if found is None:
            found = self._again[number] = Again(number)
        return found

    def define(self, number: int, made: object) -> None:
        """Note a list, dict, copy or array under a number."""
        if type(made) not in (list, dict, MadeArray) and (
            id(made) not in self._inside or issubclass(type(made), Placeholder)
        ):
            raise DecodeRefused(
                "a definition of neither a list, a dict, a copy nor an array"
            )
        self.used = True
        self._numbers.append(number)
        self._defined.append(made)

    def define_row(self, number: int, made: object) -> None:
        """Note a row of a table of copies under a number."""
        self.used = True
        self._numbers.append(number)
        self._defined.append(made)

    def make_tuple(self, items: list[Any]) -> Any:
        """Return the tuple, or its placeholder where it holds one."""
        if holds_placeholder(items):
            return self._made(tuple, items, runs_code=False)
        return tuple(items)

    def make_set(self, members: list[Any]) -> set[Any]:
        """Return the set; filled later where hashing runs users' code."""
        self.used = True
        if not (self.objects or self.placeholders) or self._may_hash(members):
            return self._budget.make_set(members)
        made: set[Any] = set()
        self._steps.append(FillSet(made, members, self._hash_later()))
        self._inside[id(made)] = members
        return made

    def make_frozenset(self, members: list[Any]) -> Any:
        """Return the frozenset, or its placeholder where hashing runs users' code."""
        self.used = True
        if not (self.objects or self.placeholders) or self._may_hash(members):
            return self._budget.make_frozenset(members)
        return self._made(self._hash_later().make_frozenset, members, runs_code=True)

    def make_dict(self, flat: list[Any]) -> dict[Any, Any]:
        """Return the dict of keys and values; filled later where hashing is code."""
        self.used = True
        keys, values = flat[::2], flat[1::2]
        if not (self.objects or self.placeholders) or self._may_hash(keys):
            return self._budget.make_dict(keys, values)
        made: dict[Any, Any] = {}
        self._steps.append(FillDict(made, keys, values, self._hash_later()))
        self._inside[id(made)] = flat
        return made

    def _hash_later(self) -> Hashing:
        if self._hashing is None:
            weigher = Weigher(self._inside, self._tables)
            self._hashing = Hashing(self._clock, weigher)
        return self._hashing

    def _may_hash(self, keys: list[Any]) -> bool:
        """Whether hashing these now runs no users' code and needs no placeholder.

        Raises:
            DecodeRefused: They hold bulk.
        """
        if self.slots:
            _refuse_bulk(keys)
        waiting = keys
        while waiting:
            deeper: list[Any] = []
            for key in waiting:
                if type(key) is tuple:
                    deeper += key
                elif type(key) not in _HASHED_HERE:
                    return False
            waiting = deeper
        return True

    def _made(
        self, make: Callable[[list[Any]], Any], items: list[Any], *, runs_code: bool
    ) -> Made:
        made = Made(make, items, runs_code=runs_code)
        self.used = self.placeholders = True
        self._steps.append(made)
        return made

    # -- depth -----------------------------------------------------------------------

    def check_depth(self, message: Any, limit: int) -> None:
        """Count the user's containers, which CBOR levels only bound.

        Raises:
            LimitExceeded: They are nested deeper than `limit`.
        """
        level = [part for part in message if self._nests(part)]
        if message and type(message[0]) is int and message[0] in _WITH_VALUES:
            level = [item for part in level for item in self._items(part)]
        depth = 0
        while level:
            level = [item for item in level if self._nests(item)]
            depth += bool(level)
            if depth > limit:
                raise over_limit(
                    "max_depth", limit, "nested containers: a depth", depth
                )
            level = [inner for item in level for inner in self._items(item)]

    def _nests(self, value: Any) -> bool:
        kind = type(value)
        return kind in _NESTING or kind is Made or id(value) in self._inside

    def _items(self, container: Any) -> list[Any]:
        """Return what stands in a container; a copy's state is the copy's own level."""
        if type(container) is Made:
            items: list[Any] = container.items
            return items
        inside = self._inside.get(id(container))
        if inside is None:
            return _inside(container)
        if type(container) in _NESTING:
            return inside
        return [
            item
            for part in inside
            for item in (_inside(part) if type(part) in _NESTING else [part])
        ]


#: Kinds of messages that carry the user's values.
_WITH_VALUES = (
    messages.CALL,
    messages.ANSWER,
    messages.ERROR,
    messages.UPDATE,
    messages.SNAPSHOT,
)
_NESTING = (list, dict, tuple, set, frozenset)
#: What hashes without users' code, whatever stands in it.
_HASHED_HERE = frozenset((str, int, float, bool, bytes, NoneType, frozenset, *SCALARS))


def _refuse_bulk(keys: list[Any]) -> None:
    """Refuse bulk in a key: the message would be hashed when its last byte comes."""
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if type(key) is tuple:
            waiting += key
        elif type(key) is Made and key.make is tuple:
            # What a frozenset holds was looked at when that was read.
            waiting += key.items
        elif type(key) is BulkSlot:
            raise DecodeRefused("bulk in a key or a set")


def _inside(container: Any) -> list[Any]:
    if type(container) is dict:
        return [*container.keys(), *container.values()]
    return list(container)
