"""The promise of a remote call.

Owns what ends it besides its answer: being cancelled, its deadline. Made and settled by
connections.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from geopb.broker.pending import Named, check_line
from geopb.errors import DeadlineExceeded, Draining
from geopb.failure import Failure
from geopb.jelly.passing import Instead
from geopb.promise.deadline import too_late
from geopb.promise.naming import NamedAnswer
from geopb.promise.promise import Promise, cancelled

T_co = TypeVar("T_co", covariant=True)


class Caller(Protocol):
    """Who has sent the call: a connection."""

    @property
    def draining(self) -> bool:
        """Whether one side takes no new calls any more."""

    @property
    def line(self) -> object:
        """The connection."""

    def call_named(
        self, answer: Answer[Any], method: Any, args: Any, kwargs: Any
    ) -> Promise[Any]:
        """Call a method of what the answer to a question will be, at once."""

    def abandon(self, question: int, promise: Answer[Any], *, late: bool) -> bool:
        """Have the peer stop the call; False if it is answered already."""


class Answer(Promise[T_co]):
    """A promise that is a connection's to settle: setting it is an error.

    Args:
        hub: The connection's, which the caller has asked for already.
    """

    # Claimed from the start.
    _value: Any = None
    _is_result = True
    #: Who has sent the call, and as which question; None for no call.
    caller: Caller | None = None
    question = 0

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        # What all are asked: found faster here than on the class.
        self._ready = False
        self._failure = self._handlers = self._dependents = self._named = None
        self._links = None

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Errors of this connection, though it is the peer that tells them."""
        drains = self.caller is not None and self.caller.draining
        return (Draining,) if drains else ()

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> Promise[Any]:
        """Call a method of what this will be: see `Promise.callRemote`."""
        caller, named = self.caller, self._named
        if caller is not None and self._handlers is None and self._dependents is None:
            behind = named is not None and bool(named.unanswered)
            if self._can_be_named() or (behind and self._failure is None):
                # Though it is there: what has named it before is to start before.
                self._check_thread()
                return caller.call_named(self, method, args, kwargs)
        return super().callRemote(method, *args, **kwargs)

    def stand_in(self, line: object) -> Named | Instead:
        """Return what crosses for it among a call's arguments: for the broker."""
        if self.caller is not None:
            check_line(self.caller.line, line)
            if self._handlers is None and self._can_be_named():
                return self.named()
        return super().stand_in(line)

    def named(self) -> NamedAnswer:
        """Return how calls name it."""
        if self._named is None:
            line = None if self.caller is None else self.caller.line
            self._named = NamedAnswer(self.question, line)
        return self._named

    def _can_be_named(self) -> bool:
        """Whether it is not there, and a question of the peer's stands for it."""
        return not self._ready and self._followed is None

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
