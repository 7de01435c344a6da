"""The last steps of a message: what the decoder has to leave for later.

Owns `Unfinished`: placeholders that are put in place, and the order in which steps are
done. Some of these run users' code, so they are never done while a message is being
decoded, nor in the reader: the connection does them where the method, or whoever waits
for an answer, would run. Made by ``draft``; run by the broker (plain ones) and the host
(`runs_code`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from geopb.errors import InsecureJelly
from geopb.jelly.slots import Again, AnswerSlot, BulkSlot, Made, MadeArray
from geopb.jelly.steps import Step
from geopb.wire.codec import DecodeRefused, uncollected


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
        try:
            self._prepare()
        except BaseException as raised:
            error = raised
        for step in self.steps:
            if error is None or step.always:
                try:
                    step.do()
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

    def _prepare(self) -> None:
        if self.placeholders:
            uncollected(self.resolve)
            if self.known and not all(map(_is_plain_tuple, self.steps)):
                # What stands for others may be needed ahead of its own place.
                uncollected(self._put_in_order)

    def resolve(self) -> None:
        """Put what is known in the place of its placeholders, note the other places.

        Linear: each container is looked at once.
        """
        waiting: list[Any] = [self.message]
        for step in self.steps:
            waiting += step.parts
        # Of containers that are values: many may hold one. Those above are the steps'
        # own, and stand nowhere else.
        seen: set[int] = set()
        while waiting:
            container = waiting.pop()
            spots: Any = (
                list(container.items())
                if type(container) is dict
                else enumerate(container)
            )
            for place, value in spots:
                kind = type(value)
                if kind in _PLACEHOLDERS:
                    found = self._known(value.number) if kind is Again else value
                    if type(found) is Made or type(found) is MadeArray:
                        found.stands_in(container, place)
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
            if type(step) in _MADE and not step.runs_code:
                # A tuple holds what it holds, whatever that will hold.
                keys = [id(each) for each in step.parts[0] if type(each) is Made]
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
_MADE = (Made, MadeArray)
_PLACEHOLDERS = (Again, *_SLOTS, Made, MadeArray)


def _is_plain_tuple(step: Step) -> bool:
    """Whether a step makes a tuple: these stand in their order, inner ones first."""
    return type(step) is Made and step.make is tuple


def _append(
    step: Step, needs: dict[int, list[Step]], ordered: dict[int, Step], open_: set[int]
) -> None:
    """Put a step into its place, behind the placeholders that it uses."""
    if id(step) in ordered or id(step) in open_:
        return
    open_.add(id(step))
    for needed in needs.get(id(step), ()):
        if type(needed) in _MADE:
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
    # By type: isinstance() asks the object, too, which may be users' code. A loop: for
    # the few that there are most often, any() takes twice as long.
    for item in items:  # noqa: SIM110 (see above)
        if type(item) in _PLACEHOLDERS:
            return True
    return False


def abandon(unfinished: Unfinished | None) -> None:
    """Leave what is left to do for a message that is not used, if anything is."""
    if unfinished is not None:
        unfinished.abandon()
