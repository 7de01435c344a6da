"""What stands for a result that is not there yet, when it is an argument of a call.

Owns `Pending`, which promises derive from, and what can keep one from crossing. Never
waits: who makes the call does. Asked by the broker's objects while a call is packed.
"""

from __future__ import annotations

from typing import Any

from geopb.errors import InsecureJelly
from geopb.failure import Failure
from geopb.jelly.passing import Instead


class Pending:
    """A result that is there later, as an argument of a call sees it."""

    __slots__ = ()

    def ready(self) -> bool:
        """Whether it is there."""
        raise NotImplementedError

    def stand_in(self, line: object) -> Named | Instead:
        """Return what crosses for it now: a name, or what it has become.

        Raises:
            InsecureJelly: It is no result of that connection.
            ResultFailed: It has failed, and so does the call.
            NotYet: It can neither be named nor is it there.
        """
        raise InsecureJelly(NO_CALLS)


class Named(Pending):
    """One that a call can name, as the answer to a question of this side's.

    Attributes:
        question: The question's id.
    """

    __slots__ = ()

    question: int


class There(Pending):
    """One that is there: its value crosses, whatever becomes of its promise."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def ready(self) -> bool:
        """It is."""
        return True

    def stand_in(self, line: object) -> Instead:
        """Return the value."""
        return Instead(self._value)


class NotYet(Exception):
    """A call has to wait for a result; nothing of it was sent."""

    def __init__(self, pending: Pending) -> None:
        super().__init__("a result that is waited for")
        self.pending = pending


class ResultFailed(Exception):
    """A result that a call takes has failed: the call fails with the same failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__("a result that has failed")
        self.failure = failure


class GoesLater(Exception):
    """A call on an answer can be sent only when that is there; nothing was sent.

    It brings bulk, and so would not start in its turn; or a stream or a cache, and so
    could not be sent again; or it passes a limit of before the hello.
    """


class PromiseMet(Exception):
    """A call has promises among its arguments; nothing of it was sent."""


def check_line(own: object, line: object) -> None:
    """Raise InsecureJelly unless both are the same connection."""
    if own is not line:
        raise InsecureJelly(
            "a promise of a result of another peer may not be sent to a third party: "
            "wait for it, and pass what it gives"
        )


#: Why a promise that no connection has made is refused.
NO_CALLS = (
    "a promise that is no call's result may not be sent: wait for it, and pass what it "
    "gives"
)
#: Why a promise in an answer, an update or a state is refused.
NO_ARGUMENT = (
    "a promise may be sent as an argument of a call only; a method may return one by "
    "itself"
)


def holds_pending(values: object) -> bool:
    """Whether a result that is not there stands in containers of plain types."""
    waiting = [values]
    seen: set[int] = set()
    while waiting:
        value: Any = waiting.pop()
        if isinstance(value, Pending):
            if not value.ready():
                return True
        elif type(value) in _CONTAINERS and id(value) not in seen:
            seen.add(id(value))
            waiting += value
            if type(value) is dict:
                waiting += value.values()
    return False


_CONTAINERS = (list, tuple, dict, set, frozenset)
