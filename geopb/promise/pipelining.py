"""Promises of what calls give: calling them, and passing them, before they are there.

Owns what becomes of a call on a promise, and of a promise among a call's arguments,
when no question of a connection stands for it yet. Called by `Promise` and `Answer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.pending import NO_CALLS, Named, NotYet, ResultFailed
from geopb.errors import InsecureJelly
from geopb.failure import failure_of
from geopb.jelly.passing import Instead
from geopb.promise.chain import call_value
from geopb.promise.dependents import Dependents
from geopb.promise.waiting import Waitable

if TYPE_CHECKING:
    from geopb.promise.promise import Promise


def call_on(
    promise: Promise[Any], called: Promise[Any], method: Any, args: Any, kwargs: Any
) -> Promise[Any]:
    """Call a method of what `promise` will be; return a promise of the result.

    Args:
        promise: If it is a result that follows another one, that is called.
        called: A new promise, to be used where the call has to wait.
        method: As `Promise.callRemote` takes it.
        args: Likewise.
        kwargs: Likewise.
    """
    called._is_result = True
    if promise._handlers is None and promise._dependents is None:
        if promise._source is not None and not promise.holds_calls():
            promise._passed_on = True
            return promise._source.callRemote(method, *args, **kwargs)
        if promise._ready and promise._failure is None:
            return _call_now(promise._value, called, method, args, kwargs)
    return dependents(promise).add_call(called, method, args, kwargs)


def dependents(promise: Promise[Any]) -> Dependents:
    """Return what keeps the calls that wait for a promise."""
    if promise._dependents is None:
        promise._dependents = Dependents(promise)
    return promise._dependents


def last_source(promise: Promise[Any]) -> Promise[Any]:
    """Return the result that a promise follows to its end, itself if it follows none.

    What cannot be sent before that is there waits for that one.
    """
    while not promise._ready and promise._handlers is None and promise._source:
        promise = promise._source
    return promise


def _call_now(
    value: Any, called: Promise[Any], method: Any, args: Any, kwargs: Any
) -> Promise[Any]:
    try:
        result: Any = call_value(value, method, args, kwargs)
    except Exception as error:
        called.settle(None, failure_of(error))
        return called
    if isinstance(result, Waitable):
        return result  # type: ignore[return-value]  # every one is a promise
    called.set(result)
    return called


def stand_in(promise: Promise[Any], line: object) -> Named | Instead:
    """Return what crosses for a promise among the arguments of a call.

    Raises:
        InsecureJelly, ResultFailed, NotYet: See `Pending.stand_in`.
    """
    if not promise._is_result:
        raise InsecureJelly(NO_CALLS)
    if promise._ready:
        failure = promise._failure
        if failure is not None:
            promise._looked_at()
            raise ResultFailed(failure)
        return Instead(promise._value)
    if promise._handlers is None and promise._source is not None:
        promise._passed_on = True
        return promise._source.stand_in(line)
    raise NotYet(promise)
