"""Calls that wait for a promise.

Owns those that are not sent before one promise is there, and their order: calls on it,
and calls that take it as an argument. Called by promises and connections.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import GreenletExit

from geopb.failure import Failure, failure_of
from geopb.jelly.snapshot import snapshot
from geopb.promise.chain import call_value
from geopb.promise.deadline import time_left, too_late, until
from geopb.promise.waiting import Waitable
from geopb.workers import context_for_later, interrupt_main, worker_pool

if TYPE_CHECKING:
    from geopb.promise.promise import Promise


class Dependents:
    """The calls that wait for one promise."""

    __slots__ = ("_calls", "_promise", "_sending", "_through")

    def __init__(self, promise: Promise[Any]) -> None:
        self._promise = promise
        #: By their promises, in their order.
        self._calls: OrderedDict[Promise[Any], Callable[[], object]] = OrderedDict()
        #: Whether a worker is sending them.
        self._sending = False
        #: The result that the promise follows, to which they can go already.
        self._through: Promise[Any] | None = None

    def add_call(
        self, called: Promise[Any], method: Any, args: Any, kwargs: Any
    ) -> Promise[Any]:
        """Have `called` settled with what a call on the promise gives; return it."""
        # As they are now: their owner may change them before they are sent.
        (args, kwargs), _ = snapshot((args, kwargs))
        return self.add(called, lambda on: call_value(on, method, args, kwargs))

    def add(
        self,
        called: Promise[Any],
        call: Callable[[Any], Any],
        timeout: float | None = None,
    ) -> Promise[Any]:
        """Have `called` settled with what ``call(value)`` gives; return it.

        Args:
            called: It fails as the promise does, if that fails.
            call: Gets the promise's value, or a promise of it.
            timeout: Seconds that the call has, None for no limit but the deadline here.
        """
        promise = self._promise
        called._waits_for = (promise,)
        # Its deadline, above all: it is made now, and sent later.
        context = context_for_later()
        timer: Any = None
        seconds = time_left(timeout)
        if seconds is not None:
            context.run(until.set, monotonic() + seconds)
            timer = called._hub.loop.timer(max(seconds, 0))
            timer.start(_expire, called, update=True)

        def go_on() -> None:
            if timer is not None:
                # From here on that is for whom the call is sent by.
                timer.close()
            called._waits_for = ()
            on = self._through
            if promise._ready or on is None:
                if promise._failure is not None:
                    promise._looked_at()
                    called.settle(None, promise._failure)
                    return
                on = promise._value
            else:
                promise._passed_on = True
            _send(called, lambda: context.run(call, on))

        self._calls[called] = go_on
        if self._can_send() and not self._sending:
            self.send_soon()
        return called

    def send_through(self, result: Promise[Any]) -> None:
        """Send them to the result that the promise follows, though it is not there."""
        self._through = result
        self.send_soon()

    def send_soon(self) -> None:
        """Send them, in a worker: the promise is ready, or they can go to another."""
        worker_pool().submit(Dependents._send, self)

    def _can_send(self) -> bool:
        promise = self._promise
        # What handlers that were added meanwhile make of it is waited for.
        through = self._through is not None and promise._handlers is None
        return promise._ready or through

    def _send(self) -> None:
        """Send the calls that waited, in their order."""
        if self._sending:
            return
        self._sending = True
        promise = self._promise
        try:
            while self._calls and self._can_send():
                # It may wait for room: the flag keeps the order meanwhile.
                self._calls.popitem(last=False)[1]()
        finally:
            self._sending = False
            if not self._calls:
                # No cycle may keep the promise when its owner drops it.
                promise._dependents = None
            elif self._can_send():
                # This greenlet was killed in a call: the next ones go out all the same.
                self.send_soon()


def _send(called: Promise[Any], call: Callable[[], Any]) -> None:
    """Send a call that has waited; it may wait for room."""
    try:
        answer = call()
    except BaseException as error:
        if called.is_unset():
            called.settle(None, failure_of(error))
        if isinstance(error, KeyboardInterrupt):
            interrupt_main(error)
        elif isinstance(error, GreenletExit):
            raise
        return
    if called.is_unset():
        called.set(answer)
    elif isinstance(answer, Waitable):
        # Cancelled meanwhile.
        answer._give_up()


def leave(called: Promise[Any]) -> None:
    """Forget a call that waits, if it does: it is not wanted any more."""
    for promise in called._waits_for:
        waiting: Dependents | None = getattr(promise, "_dependents", None)
        if waiting is not None:
            waiting._calls.pop(called, None)


def _expire(called: Promise[Any]) -> None:
    """Fail a call whose time is over while it waits."""
    if called.is_unset():
        leave(called)
        called.settle(None, Failure(too_late()))
