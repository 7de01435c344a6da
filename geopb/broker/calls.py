"""Calls under way: those this side waits for, and those it runs for the peer.

Owns `Question` numbers with what waits for their answers, and `IncomingCall`. Knows
promises by the small protocol `Answerable` only. Called by the broker.
"""

from __future__ import annotations

from typing import Any, Protocol

from geopb.failure import Failure


class Answerable(Protocol):
    """What waits for an answer: a promise."""

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End with `value`, or with `failure`; must not switch greenlets."""


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

    def __repr__(self) -> str:
        return f"<IncomingCall {self.question} {self.name}>"


class Questions(dict[int, Answerable]):
    """Calls that are not answered yet: ids with their promises.

    Attributes:
        last: The id allotted last; none is used twice in a connection.
    """

    __slots__ = ("last",)

    def __init__(self) -> None:
        super().__init__()
        self.last = 0

    def take_all(self) -> list[Answerable]:
        """Take out all that wait, in the order of their calls."""
        pending = list(self.values())
        self.clear()
        return pending
