"""The promise of a remote call.

Owns what ends it besides its answer: being cancelled, its deadline. Made and settled by
connections.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from geopb.errors import DeadlineExceeded, Draining
from geopb.failure import Failure
from geopb.promise.promise import Promise, cancelled

T_co = TypeVar("T_co", covariant=True)


class Caller(Protocol):
    """Who has sent the call: a connection."""

    @property
    def draining(self) -> bool:
        """Whether one side takes no new calls any more."""

    def abandon(self, question: int, promise: Answer[Any], *, late: bool) -> bool:
        """Have the peer stop the call; False if it is answered already."""


class Answer(Promise[T_co]):
    """A promise that is a connection's to settle: setting it is an error.

    Args:
        hub: The connection's, which the caller has asked for already.
    """

    # Claimed from the start.
    _value: Any = None
    #: Who has sent the call, and as which question; None for no call.
    caller: Caller | None = None
    question = 0

    def __init__(self, hub: Any) -> None:
        self._hub = hub

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Errors of this connection, though it is the peer that tells them."""
        drains = self.caller is not None and self.caller.draining
        return (Draining,) if drains else ()

    def _cancel(self) -> None:
        if self._abandon(late=False):
            self.settle(None, cancelled())
        else:
            super()._cancel()

    def _abandon(self, *, late: bool) -> bool:
        caller = self.caller
        return caller is not None and caller.abandon(self.question, self, late=late)


class TimedAnswer(Answer[T_co]):
    """The promise of a call that has a deadline."""

    _timer: Any = None

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Those of any call, and that its time is over."""
        return (*super().genuine, DeadlineExceeded)

    def expire_in(self, seconds: float) -> None:
        """Fail when so many seconds have passed, and have the peer stop the call."""
        self._timer = self._hub.loop.timer(max(seconds, 0))
        # From now on, not from when this turn of the loop began.
        self._timer.start(self._expired, update=True)

    def _expired(self) -> None:
        if self._abandon(late=True):
            self.settle(None, Failure(too_late()))

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End, in time."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        super().settle(value, failure)


def too_late() -> DeadlineExceeded:
    """Make the error of a call whose deadline has passed."""
    return DeadlineExceeded("the deadline of the call has passed")
