"""Calls on what a promise will be.

Owns the calls that wait for one promise, and their order. Called by `Promise` alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from gevent import GreenletExit

from geopb.failure import failure_of
from geopb.promise.chain import call_value
from geopb.workers import interrupt_main, worker_pool

if TYPE_CHECKING:
    from geopb.promise.promise import Promise


class Dependents:
    """The calls on one promise's value that are not sent yet."""

    __slots__ = ("_calls", "_promise", "_sending")

    def __init__(self, promise: Promise[Any]) -> None:
        self._promise = promise
        self._calls: deque[Callable[[], object]] = deque()
        #: Whether a worker is sending them.
        self._sending = False

    def add(
        self, called: Promise[Any], method: Any, args: Any, kwargs: Any
    ) -> Promise[Any]:
        """Have `called` settled with what the call gives; return it."""
        promise = self._promise
        called._waits_for = (promise,)
        # Its deadline, above all: it is made now, and sent later.
        context = copy_context()

        def go_on() -> None:
            called._waits_for = ()
            if called._cancelled:
                # Not wanted any more: it is not sent.
                return
            if promise._failure is not None:
                promise._looked_at()
                called.settle(None, promise._failure)
                return
            try:
                value = promise._value
                called.set(context.run(call_value, value, method, args, kwargs))
            except BaseException as error:
                called.settle(None, failure_of(error))
                if isinstance(error, KeyboardInterrupt):
                    interrupt_main(error)
                elif isinstance(error, GreenletExit):
                    raise

        self._calls.append(go_on)
        if promise._ready and not self._sending:
            self.send_soon()
        return called

    def send_soon(self) -> None:
        """Send them, in a worker: the promise is ready."""
        worker_pool().submit(Dependents._send, self)

    def _send(self) -> None:
        """Send the calls that waited, in their order."""
        if self._sending:
            return
        self._sending = True
        promise = self._promise
        try:
            while self._calls and promise._ready:
                # It may wait for room: the flag keeps the order meanwhile.
                self._calls.popleft()()
        finally:
            self._sending = False
            if not self._calls:
                # No cycle may keep the promise when its owner drops it.
                promise._dependents = None
            elif promise._ready:
                # This greenlet was killed in a call: the next ones go out all the same.
                self.send_soon()
