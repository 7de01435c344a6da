"""The last steps of a message: what the decoder has to leave for later.

Owns `Unfinished`: placeholders that are put in place, copies that take their state,
sets and maps whose keys are objects. Some of that runs users' code (``__hash__``,
``setCopyableState``), so it never runs while a message is being decoded, nor in the
reader: the connection runs it where the method, or whoever waits for an answer, would
run. Made by ``decode``; run by the broker (plain ones) and the host (`runs_code`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from geopb.errors import InsecureJelly
from geopb.jelly.budget import HashBudget
from geopb.jelly.registry import Record
from geopb.jelly.slots import Again, AnswerSlot, BulkSlot, Made, MadeArray
from geopb.jelly.weight import Weigher
from geopb.wire.codec import DecodeRefused, uncollected

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

    makes: Sequence[object] = ()
    parts: Sequence[list[Any]]
    runs_code = True
    always = False

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
        self._plain = record.plain
        self._instances = self.makes = instances
        self._names = names
        self.parts = rows
        self.runs_code = not record.slotted

    def do(self) -> None:
        """Set them past ``__init__``, ``__setattr__`` and frozenness."""
        names = self._names
        if self._plain:
            for instance, row in zip(self._instances, self.parts, strict=True):
                instance.__dict__.update(zip(names, row, strict=True))
            return
        for instance, row in zip(self._instances, self.parts, strict=True):
            for name, value in zip(names, row, strict=True):
                _set_attribute(instance, name, value)


class Hashing:
    """Makes the sets and dicts of one message whose keys run users' code.

    Args:
        clock: CPU seconds of this thread, for the hash budget.
        weigher: Bounds what hashing a key may run into.
    """

    def __init__(self, clock: Callable[[], float], weigher: Weigher) -> None:
        self._clock = clock
        self._weigher = weigher

    def make_set(self, members: list[Any]) -> set[Any]:
        """Return the set of `members`. Raises DecodeRefused."""
        self._weigher.add(members)
        return HashBudget(self._clock).make_set(members)

    def make_dict(self, keys: list[Any], values: list[Any]) -> dict[Any, Any]:
        """Return the dict of `keys` and `values`. Raises DecodeRefused."""
        self._weigher.add(keys)
        return HashBudget(self._clock).make_dict(keys, values)


class FillSet(Step):
    """Put members into a set."""

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


class Place(Step):
    """Make an immutable value and put it wherever its placeholder stands.

    Attributes:
        made: The placeholder.
        places: Containers, and where in them; noted by `Unfinished.resolve`.
    """

    def __init__(self, made: Made, *, runs_code: bool) -> None:
        self.made = made
        self.makes = (made,)
        self.places: list[tuple[Any, Any]] = []
        self.runs_code = runs_code
        self.parts = (made.items,)

    def do(self) -> None:
        """Make it once."""
        value = self.made.make(self.made.items)
        for container, place in self.places:
            container[place] = value


@dataclass(slots=True, eq=False)
class Unfinished:
    """What is left to do for one message.

    Attributes:
        steps: In the order in which they have to be done.
        placeholders: Whether placeholders stand in the message or the steps' parts.
        known: What `Again` stands for, by number.
        named: Places for answers, which are to be filled before.
    """

    message: list[Any]
    steps: list[Step]
    placeholders: bool
    known: dict[int, Any]
    named: list[AnswerSlot]

    @property
    def runs_code(self) -> bool:
        """Whether finishing may run users' code, which may block."""
        return any(step.runs_code for step in self.steps)

    def finish(self) -> None:
        """Do it.

        Raises:
            InsecureJelly: The message is not what it should be.
            LimitExceeded: Its keys take too long.
            BaseException: What users' code raised.
        """
        error: BaseException | None = None
        for do, always in self._actions():
            if error is None or always:
                try:
                    do()
                except BaseException as raised:
                    error = error or raised
        if isinstance(error, DecodeRefused):
            error = InsecureJelly(f"refused by the receiver: {error}")
        if error is not None:
            try:
                raise error
            finally:
                # It would hold itself, by this frame, and the message.
                error = None

    def abandon(self) -> None:
        """Leave it: the message is not used. Runs no users' code."""
        for step in self.steps:
            step.abandon()

    def _actions(self) -> Iterator[tuple[Callable[[], object], bool]]:
        if self.placeholders:
            yield partial(uncollected, self.resolve), False
            if self.known and not all(map(_is_plain_tuple, self.steps)):
                # What stands for others may be needed ahead of its own place.
                yield partial(uncollected, self._put_in_order), False
        for step in self.steps:
            yield step.do, step.always

    def resolve(self) -> None:
        """Put what is known in the place of its placeholders, note the other places.

        Linear: each container is looked at once.
        """
        places = {
            id(step.made): step.places for step in self.steps if type(step) is Place
        }
        waiting: list[Any] = [self.message]
        for step in self.steps:
            waiting += step.parts
        seen = set(map(id, waiting))
        while waiting:
            container = waiting.pop()
            if type(container) is dict:
                spots: Any = list(container.items())
            else:
                spots = enumerate(container)
            for place, value in spots:
                kind = type(value)
                if kind in _PLACEHOLDERS:
                    found = self._known(value.number) if kind is Again else value
                    if type(found) is Made or type(found) is MadeArray:
                        places[id(found)].append((container, place))
                    elif type(found) in _SLOTS:
                        container[place] = found.value
                    else:
                        container[place] = found
                elif kind in _CONTAINERS and id(value) not in seen:
                    seen.add(id(value))
                    waiting.append(value)

    def _put_in_order(self) -> None:
        """Put each step behind those that complete what it uses, as far as it can be.

        In a ring copies may be seen without their state; but a placeholder is always
        replaced before anything takes it.
        """
        makers = {id(made): step for step in self.steps for made in step.makes}
        needs: dict[int, list[Step]] = {}
        ordered: dict[int, Step] = {}
        seen: set[int] = set()
        waiting: list[Step] = self.steps[::-1]
        while waiting:
            step = waiting[-1]
            if id(step) in needs:
                waiting.pop()
                _append(step, needs, ordered, set())
                continue
            if type(step) is Place and not step.runs_code:
                # A tuple holds what it holds, whatever that will hold.
                keys = [id(each) for each in step.made.items if type(each) is Made]
            else:
                keys = list(_held(step.parts, seen))
            found = [makers[key] for key in keys if key in makers]
            needs[id(step)] = found
            waiting += [each for each in found[::-1] if id(each) not in needs]
        self.steps[:] = ordered.values()

    def _known(self, number: int) -> Any:
        try:
            return self.known[number]
        except KeyError:
            raise DecodeRefused("a number that is not defined") from None


_CONTAINERS = (list, dict, tuple)
_LOOKED_INTO = (*_CONTAINERS, Made)
_SLOTS = (BulkSlot, AnswerSlot)
_PLACEHOLDERS = (Again, *_SLOTS, Made, MadeArray)


def _is_plain_tuple(step: Step) -> bool:
    """Whether a step makes a tuple: these stand in their order, inner ones first."""
    return type(step) is Place and step.made.make is tuple


def _append(
    step: Step, needs: dict[int, list[Step]], ordered: dict[int, Step], open_: set[int]
) -> None:
    """Put a step into its place, behind the placeholders that it uses."""
    if id(step) in ordered or id(step) in open_:
        return
    open_.add(id(step))
    for needed in needs.get(id(step), ()):
        if type(needed) is Place:
            _append(needed, needs, ordered, open_)
    ordered[id(step)] = step


def _held(parts: Sequence[list[Any]], seen: set[int]) -> Iterator[int]:
    """Return the id() of all that lists hold, through plain containers.

    What was `seen` is not looked at again: many may share one container.
    """
    waiting: list[Any] = list(parts)
    while waiting:
        container = waiting.pop()
        values = container.values() if type(container) is dict else container
        for value in values:
            yield id(value)
            if type(value) in _LOOKED_INTO and id(value) not in seen:
                seen.add(id(value))
                waiting.append(value.items if type(value) is Made else value)


def holds_placeholder(items: list[Any]) -> bool:
    """Whether a placeholder stands among `items` themselves."""
    # By type: isinstance() asks the object, too, which may be users' code.
    return any(type(item) in _PLACEHOLDERS for item in items)


def abandon(unfinished: Unfinished | None) -> None:
    """Leave what is left to do for a message that is not used, if anything is."""
    if unfinished is not None:
        unfinished.abandon()
