"""Promises: wait for an answer like an AsyncResult, or chain on it like a Deferred.

Owns `Promise` and its chain of handlers. Never runs a
handler in the hub, inside ``addCallback``, or in the greenlet that settles it: they run
in a worker. Called by connections (settle), users (all else).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from typing import Any, Generic, Self, TypeVar, cast

from gevent import get_hub

from geopb.broker.pending import Named, Pending
from geopb.errors import Cancelled
from geopb.failure import Failure, failure_of
from geopb.flavors.referenceable import method_name
from geopb.jelly.passing import Instead
from geopb.promise.chain import Handler, Step, run_handlers
from geopb.promise.dependents import Dependents, leave
from geopb.promise.following import FOLLOWED, follow
from geopb.promise.naming import NamedAnswer
from geopb.promise.pipelining import call_on, stand_in
from geopb.promise.unhandled import Unhandled
from geopb.promise.waiting import Timeout, Waitable
from geopb.workers import worker_pool

T_co = TypeVar("T_co", covariant=True)

_UNSET: Any = object()


class Promise(Waitable, Pending, Generic[T_co]):
    """A result that will be there later.

    Wait for it with `get`, or add handlers that run when it is there, each taking
    what the one before returned; `get` gives what stands at the end of that chain.
    For use in the thread of its hub; any number of greenlets may wait.
    """

    # The state that most promises never leave stands on the class: a promise is made
    # for each call.
    _value: Any = _UNSET
    _failure: Failure | None = None
    _handlers: deque[Step] | None = None
    #: Calls on what this promise will be.
    _dependents: Dependents | None = None
    #: The last failure that somebody has looked at.
    _looked: Failure | None = None
    _unhandled: Unhandled | None = None
    #: Cancelled before it was set: the next `set` is ignored.
    _cancelled = False
    #: What it follows now, and its link there.
    _followed: tuple[Any, Callable[[object], None]] | None = None
    #: The other result that it follows, or followed, to its own end.
    _source: Promise[Any] | None = None
    #: Whether calls on it have gone to that one.
    _passed_on = False
    #: How calls name it as the answer to a question, once one has.
    _named: NamedAnswer | None = None

    def __init__(self) -> None:
        self._hub = get_hub()

    # -- waiting ---------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> T_co:
        """Return the result, or raise the failure, at the end of the chain.

        Blocks the greenlet until there is one.

        Args:
            block: False does not wait: without a result it raises `Timeout`.
            timeout: Seconds to wait; None waits for ever. The call goes on
                behind a timeout, and `get` may be called again.

        Raises:
            Timeout: No result in that time.
            RuntimeError: The result depends on this very greenlet, or this is
                another thread than the promise's.
        """
        if not self._ready and not (block and self._wait(timeout)):
            raise Timeout(timeout if block else 0)
        if self._failure is not None:
            self._looked_at()
            self._failure.raiseException()
        return self._value  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> T_co | None:
        """Block until the chain has ended or `timeout` seconds have passed.

        Returns the value, None where there is none. A failure is not raised and does
        not count as looked at.
        """
        if not self._ready:
            self._wait(timeout)
        return self.value

    def successful(self) -> bool:
        """Whether it is ready and no failure."""
        return self._ready and self._failure is None

    def failed(self) -> bool:
        """Whether it is ready and a failure."""
        return self._ready and self._failure is not None

    @property
    def value(self) -> T_co | None:
        """The result where it is ready and no failure, else None."""
        return cast(T_co, self._value) if self.successful() else None

    @property
    def exception(self) -> BaseException | None:
        """The exception where it is ready and a failure, else None; never raises.

        Reading it counts as looking at the failure.
        """
        if not self.failed() or self._failure is None:
            return None
        self._looked_at()
        return self._failure.value

    # -- chaining --------------------------------------------------------------------

    def addCallbacks(
        self,
        callback: Handler | None,
        errback: Handler | None = None,
        callbackArgs: Iterable[Any] = (),
        callbackKeywords: Mapping[str, Any] | None = None,
        errbackArgs: Iterable[Any] = (),
        errbackKeywords: Mapping[str, Any] | None = None,
    ) -> Self:
        """Add a step to the chain; return this same promise. Does not block.

        A result goes to ``callback(result, *callbackArgs, **callbackKeywords)``, a
        failure to ``errback(failure, ...)``; what that returns is the result for the
        next step, what it raises the failure. A promise, AsyncResult or Greenlet that
        it returns pauses the chain until that ends. None in place of a handler
        passes on what comes.

        Handlers run one after the other, in another greenlet than the caller's, with
        the caller's context variables, and may block.
        """
        for handler in (callback, errback):
            if handler is not None:
                _check_callable(handler)
        step = Step(
            callback,
            errback,
            (tuple(callbackArgs), dict(callbackKeywords or {})),
            (tuple(errbackArgs), dict(errbackKeywords or {})),
            copy_context(),
        )
        self._check_thread()
        if self._handlers is None:
            self._handlers = deque()
        self._handlers.append(step)
        if self._ready:
            self._ready = False
            worker_pool().submit(run_handlers, self)
        return self

    def addCallback(self, callback: Handler, /, *args: Any, **kwargs: Any) -> Self:
        """Add a handler for a result: ``callback(result, *args, **kwargs)``."""
        _check_callable(callback)
        return self.addCallbacks(callback, None, args, kwargs)

    def addErrback(self, errback: Handler, /, *args: Any, **kwargs: Any) -> Self:
        """Add a handler for a failure: ``errback(failure, *args, **kwargs)``."""
        _check_callable(errback)
        return self.addCallbacks(None, errback, (), None, args, kwargs)

    def addBoth(self, handler: Handler, /, *args: Any, **kwargs: Any) -> Self:
        """Add a handler for either: ``handler(result or failure, ...)``."""
        _check_callable(handler)
        return self.addCallbacks(handler, handler, args, kwargs, args, kwargs)

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> Promise[Any]:
        """Call a method of the object that this promise will be.

        Of a call's promise, or a root's, that has no handlers the call goes out at
        once, though this one is not there yet: both take one round trip. On any other
        it goes out when the object is there. Calls on one promise start in their
        order. If this promise fails, the call fails with the same failure; if its
        value cannot be called, with a TypeError. It waits only as
        `RemoteReference.callRemote` does.
        """
        self._check_thread()
        method_name(method)
        return call_on(self, Promise(), method, args, kwargs)

    def stand_in(self, line: object) -> Named | Instead:
        """Return what crosses for it among a call's arguments: for the broker."""
        return stand_in(self, line)

    def is_unset(self) -> bool:
        """Whether it was neither set nor ended in another way."""
        return self._value is _UNSET

    def is_followed(self) -> bool:
        """Whether something waits for its end: a greenlet, a handler, a call."""
        return bool(self._links or self._handlers or self._dependents is not None)

    def holds_calls(self) -> bool:
        """Whether calls wait for its own end, which others are not to overtake."""
        return self._named is not None and bool(self._named.unanswered)

    # -- cancelling ------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop what is waited for; `get` then raises `Cancelled`. Does not block.

        Of a remote call: the method has `Cancelled` raised in it, and this promise
        fails at once. Where the chain waits for another promise, that one is cancelled
        unless others wait for it too; a `gather` cancels all that it gathers. A
        promise made by hand fails, and what is set later is ignored once. Nothing
        happens to one that is finished.
        """
        self._check_thread()
        if not self._ready:
            self._cancel()

    def _give_up(self) -> None:
        if self._ready:
            self._looked_at()
        else:
            self._cancel()

    def _cancel(self) -> None:
        """Cancel what can be: this promise is not ready."""
        waits_for = self._waits_for
        if self._followed is not None:
            other, ended = self._followed
            other.unlink(ended)
            self._followed = None
            # An AsyncResult or Greenlet is not ours to stop.
            if isinstance(other, Promise) and not other._links:
                other._give_up()
            self._end(None, cancelled())
        elif waits_for and self._value is not _UNSET:
            for each in waits_for:
                each._give_up()
        elif self._value is _UNSET:
            self._value = None
            self._cancelled = True
            leave(self)
            self._end(None, cancelled())

    # -- settling --------------------------------------------------------------------

    def set(self, value: Any = None) -> None:
        """End with `value`; given a promise, AsyncResult or Greenlet, follow it.

        Raises:
            RuntimeError: It has been set already.
        """
        if not self._claim():
            return
        if isinstance(value, FOLLOWED):
            follow(self, value)
        else:
            self._end(value, None)

    def set_exception(self, exception: BaseException | Failure) -> None:
        """End with a failure. Raises RuntimeError if it has been set already."""
        if not isinstance(exception, Failure):
            given: object = exception
            if not isinstance(given, BaseException):
                raise TypeError("set_exception() takes an exception or a Failure")
            exception = failure_of(given)
        if self._claim():
            self._end(None, exception)

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End with `value` or `failure`: for the broker. Does not switch greenlets."""
        if (
            failure is None
            and self._handlers is None
            and self._dependents is None
            and self._named is None
        ):
            # Most answers: nobody has chained on it.
            self._value = value
            self._ready = True
            self._waits_for = ()
            if self._links:
                self._hub.loop.run_callback(self._call_links)
        else:
            self._end(value, failure)

    def _claim(self) -> bool:
        """Take the right to set it; False where it was cancelled before."""
        self._check_thread()
        if self._cancelled:
            self._cancelled = False
            return False
        if self._value is not _UNSET:
            raise RuntimeError("the promise has been set already")
        self._value = None
        return True

    def _end(self, value: Any, failure: Failure | None) -> None:
        """Take what stands at this point of the chain, and go on with the rest."""
        if self._named is not None:
            # The answer itself: what the chain makes of it is not named.
            self._named.take(self, value, failure)
        self._value = value
        self._failure = failure
        self._waits_for = ()
        if self._handlers:
            worker_pool().submit(run_handlers, self)
            return
        self._ready = True
        if failure is not None and not failure.quiet and failure is not self._looked:
            # Passed on by steps that have nothing for it, it is armed already.
            self._unhandled = self._unhandled or Unhandled(failure)
        if self._links:
            self._call_links_soon()
        if self._dependents is not None:
            self._dependents.send_soon()

    def _looked_at(self) -> None:
        self._looked = self._failure
        self._disarm()

    def _disarm(self) -> None:
        if self._unhandled is not None:
            self._unhandled.failure = None
            self._unhandled = None

    def __repr__(self) -> str:
        if not self._ready:
            return f"<Promise at {id(self):#x} pending>"
        if self._failure is not None:
            return f"<Promise at {id(self):#x} {self._failure!r}>"
        return f"<Promise at {id(self):#x} value of {type(self._value).__name__}>"


def _check_callable(handler: object) -> None:
    if not callable(handler):
        raise TypeError(f"{type(handler).__name__} object is not callable")


def cancelled() -> Failure:
    """Make the failure of what was cancelled here: nobody has to look at it."""
    return Failure(Cancelled("cancelled"), quiet=True)
