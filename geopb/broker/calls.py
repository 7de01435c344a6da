"""Calls under way: those this side waits for, and those it runs for the peer.

Owns `Question` numbers with what waits for their answers, and `IncomingCall`. Knows
promises by the small protocol `Answerable` only. Called by the broker.
"""

from __future__ import annotations

from typing import Any, Protocol

from geopb.failure import Failure


class Answerable(Protocol):
    """What waits for an answer: a promise."""

    def settle(
        self, value: object, failure: Failure | None = None, *, quiet: bool = False
    ) -> None:
        """End with `value`, or with `failure`; must not switch greenlets.

        A ``quiet`` failure is not logged though nobody may look at it.
        """


class IncomingCall:
    """One call of the peer's.

    Attributes:
        question: The id to answer under, None where no answer is wanted.
        target: The object that is called.
    """

    __slots__ = ("args", "broker", "kwargs", "name", "question", "target")

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
        self.question = question
        self.target = target
        self.name = name
        self.args = args
        self.kwargs = kwargs

    def run(self) -> Any:
        """Run the method, and return its result or raise what it raises."""
        return self.target.remoteMessageReceived(
            self.broker, self.name, self.args, self.kwargs
        )

    def __repr__(self) -> str:
        return f"<IncomingCall {self.question} {self.name}>"


class Questions:
    """Ids of calls that are not answered yet, with their promises."""

    __slots__ = ("_next", "_pending")

    def __init__(self) -> None:
        self._next = 1
        self._pending: dict[int, Answerable] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def next(self) -> int:
        """Allot an id; never used twice in a connection."""
        number = self._next
        self._next = number + 1
        return number

    def ask(self, number: int, answerable: Answerable) -> None:
        """Remember who waits for the answer."""
        self._pending[number] = answerable

    def answered(self, number: int) -> Answerable | None:
        """Take out who waits for the answer, None for an id that nobody asked."""
        return self._pending.pop(number, None)

    def take_all(self) -> list[Answerable]:
        """Take out all that wait, in the order of their calls."""
        pending = list(self._pending.values())
        self._pending.clear()
        return pending
