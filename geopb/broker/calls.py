"""Calls under way: those this side waits for, and those it runs for the peer.

Owns `Question` numbers with what waits for their answers, and `IncomingCall`. Knows
promises by the small protocol `Answerable` only. Called by the broker.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from geopb.failure import Failure
from geopb.jelly.finish import Unfinished
from geopb.limits import LIGHT_WEIGHT, NOT_TOLD

if TYPE_CHECKING:
    from geopb.broker.pipeline import Names


#: Of a peer that tells no ``max_pending_bytes``.
NO_BOUND = NOT_TOLD["max_pending_bytes"]


def checked_seconds(seconds: object) -> float:
    """Return a number of seconds. Raises TypeError or ValueError for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"expected seconds, not {type(seconds).__name__}")
    try:
        number = float(seconds)
    except OverflowError:
        raise ValueError(
            "so many seconds are no deadline: give None for none"
        ) from None
    if not isfinite(number):
        raise ValueError(f"{number} seconds are no deadline: give None for none")
    return number


class Answerable(Protocol):
    """What waits for an answer: a promise."""

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Errors that are about this call when the peer tells them, if it may."""

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End with `value`, or with `failure`; must not switch greenlets."""


@runtime_checkable
class Repeatable(Protocol):
    """What waits for the answer to a call that names others."""

    def not_run(self, question: int) -> bool:
        """Take note that the peer has not run the call, which names that question.

        It is to be made again with the answer. False if it names no such question.
        """


class IncomingCall:
    """One call of the peer's, from its arrival to its answer.

    Attributes:
        question: The id to answer under, None where no answer is wanted.
        target: The object that is called.
        unfinished: What is left to do for its arguments, None for nothing.
        timeout: Seconds that it has from its arrival, None for no deadline.
        names: The answers that it names, None for none.
        weight: What it counts in ``max_pending_bytes``, 0 where it is light.
        nested: Whether it belongs to a call of this side that the peer runs.

    The rest belongs to who runs it:
        waits: Whether it waits for answers that it names.
        until: Its deadline by the monotonic clock, None for none.
        worker: The greenlet that does, None before; it is in users' code while its
            ``call`` is this one.
        interruption: What is to be raised in it, None for nothing.
        thrown: Whether that has been done.
        begins_anyway: Whether it begins though it is to be interrupted.
        shields: How many blocks it is in that must not be interrupted.
        result: The promise, AsyncResult or Greenlet that it returned, if it did.
        timer: Ends at its deadline.
    """

    # What most calls are never asked stands on the class, and what all are on each:
    # there it is found five times as fast.
    waits = False
    until: float | None = None
    worker: Any = None
    thrown = False
    begins_anyway = False
    shields = 0
    result: Any = None

    def __init__(
        self,
        broker: Any,
        question: int | None,
        target: Any,
        name: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        self.broker = broker
        self.weight = 0
        self.question = question
        self.target = target
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.unfinished: Unfinished | None = None
        self.timeout: float | None = None
        self.names: Names | None = None
        self.nested = False
        self.interruption: Exception | None = None
        self.timer: Any = None

    def __repr__(self) -> str:
        return f"<IncomingCall {self.question} {self.name}>"


class Ignored:
    """Waits for an answer that nobody wants any more.

    Its references are released when it is dropped.
    """

    genuine: tuple[type[Exception], ...] = ()

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """Let it go."""

    def not_run(self, question: int) -> bool:
        """Let it go."""
        return True


class Questions(dict[int, Answerable]):
    """Calls that are not answered yet: ids with their promises, and what they weigh.

    Attributes:
        last: The id allotted last; none is used twice in a connection.
        full: Whether they weigh as much as the peer lets them: no more should be made.
        weights: Those that are not light, with their weights.
        bounded: Whether the peer has told a bound.
    """

    __slots__ = ("_most", "bounded", "full", "last", "weight", "weights")

    def __init__(self) -> None:
        super().__init__()
        self.last = 0
        self.full = self.bounded = False
        self.weights: dict[int, int] = {}
        #: What they weigh in all.
        self.weight = 0
        # Until the hello tells: no more than a few KiB can be sent before.
        self._most = NO_BOUND

    def bound(self, max_pending_bytes: int) -> None:
        """Keep the peer's bound."""
        self._most = max_pending_bytes
        self.bounded = max_pending_bytes < NO_BOUND
        self.full = self.weight >= self._most

    def weigh(self, number: int, weight: int) -> None:
        """Take note of what a question weighs that was sent now."""
        if weight > LIGHT_WEIGHT and number in self:
            self.weights[number] = weight
            self.weight += weight
            self.full = self.weight >= self._most

    def lighten(self, number: int) -> None:
        """A question is not open any more; to be called where any has `weights`."""
        self.weight -= self.weights.pop(number, 0)
        self.full = self.weight >= self._most

    def take_all(self) -> list[Answerable]:
        """Take out all that wait, in the order of their calls."""
        pending = list(self.values())
        self.clear()
        self.weights.clear()
        self.weight, self.full = 0, False
        return pending
