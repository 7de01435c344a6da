"""What a promise does with its value: steps of its chain, calls on it.

Called by `Promise` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

from gevent import GreenletExit

from geopb.failure import Failure, raised_failure
from geopb.promise.following import FOLLOWED, follow
from geopb.promise.waiting import Waitable, handling
from geopb.workers import interrupt_main

if TYPE_CHECKING:
    from geopb.promise.promise import Promise

Handler = Callable[..., Any]


class Step:
    """One step of a chain: two handlers, what they are called with, and where."""

    __slots__ = ("callback", "context", "errback", "for_callback", "for_errback")

    def __init__(
        self,
        callback: Handler | None,
        errback: Handler | None,
        for_callback: tuple[tuple[Any, ...], dict[str, Any]],
        for_errback: tuple[tuple[Any, ...], dict[str, Any]],
        context: Context,
    ) -> None:
        self.callback = callback
        self.errback = errback
        self.for_callback = for_callback
        self.for_errback = for_errback
        self.context = context

    def call(self, handled: Waitable, value: Any, failure: Failure | None) -> Any:
        """Run the handler that fits, inside `context`."""
        handling.set(handled)
        if failure is not None:
            args, kwargs = self.for_errback
            return cast(Handler, self.errback)(failure, *args, **kwargs)
        args, kwargs = self.for_callback
        return cast(Handler, self.callback)(value, *args, **kwargs)


def call_value(value: Any, method: Any, args: Any, kwargs: Any) -> Any:
    """Call a method of what a promise has become. Raises TypeError if it has none."""
    call = getattr(value, "callRemote", None)
    if call is None:
        kind = type(value).__name__
        raise TypeError(f"a result of type {kind} has no remote methods to call")
    return call(method, *args, **kwargs)


def run_handlers(promise: Promise[Any]) -> None:
    """Run the chain to its end or to its next pause, in a worker."""
    killed: GreenletExit | None = None
    while promise._handlers:
        step = promise._handlers.popleft()
        failure = promise._failure
        if failure is not None:
            if step.errback is None:
                continue
            # Looked at, unless the handler passes it on.
            promise._disarm()
        elif step.callback is None:
            continue
        try:
            result = step.context.run(step.call, promise, promise._value, failure)
        except BaseException as error:
            _handler_raised(promise, error)
            if issubclass(type(error), GreenletExit):
                killed = cast(GreenletExit, error)
            continue
        if isinstance(result, FOLLOWED):
            follow(promise, result)
            break
        if isinstance(result, Failure):
            promise._value, promise._failure = None, result
        else:
            promise._value, promise._failure = result, None
    else:
        promise._end(promise._value, promise._failure)
    if killed is not None:
        # Whoever killed this greenlet waits for its end.
        raise killed


def _handler_raised(promise: Promise[Any], error: BaseException) -> None:
    promise._value = None
    promise._failure = raised_failure(error)
    if issubclass(type(error), KeyboardInterrupt):
        interrupt_main(error)
