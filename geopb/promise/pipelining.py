"""Promises of what calls give: calling them, and passing them, before they are there.

Owns what becomes of a call on a promise, and of a promise among a call's arguments,
when no question of a connection stands for it yet. Called by `Promise` and `Answer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geopb.broker.pending import NO_CALLS, Named, NotYet, ResultFailed
from geopb.errors import DeadReferenceError, InsecureJelly
from geopb.failure import failure_of
from geopb.jelly.passing import Instead
from geopb.jelly.snapshot import snapshot
from geopb.promise.chain import call_value
from geopb.promise.dependents import Dependents
from geopb.promise.turns import Turn
from geopb.promise.waiting import Waitable

if TYPE_CHECKING:
    from geopb.promise.promise import Promise
    from geopb.promise.turns import Gone


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
            return _call_now(promise, called, method, args, kwargs)
    # As they are now: their owner may change them before they are sent.
    (args, kwargs), _ = snapshot((args, kwargs))
    return dependents(promise).add(
        called,
        lambda on: _call_in_turn(promise, on, _another(called), method, args, kwargs),
    )


def dependents(promise: Promise[Any] | Gone) -> Dependents:
    """Return what keeps the calls that wait for a promise, or for a call to go."""
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
    promise: Promise[Any], called: Promise[Any], method: Any, args: Any, kwargs: Any
) -> Promise[Any]:
    try:
        result = _call_in_turn(promise, promise._value, called, method, args, kwargs)
    except Exception as error:
        called.settle(None, failure_of(error))
        return called
    if isinstance(result, Waitable):
        return result  # type: ignore[return-value]  # every one is a promise
    called.set(result)
    return called


def _call_in_turn(
    promise: Promise[Any],
    value: Any,
    called: Promise[Any],
    method: Any,
    args: Any,
    kwargs: Any,
) -> Any:
    """Call a method of `value`, which `promise` has become, in the order of its calls.

    Raises:
        TypeError: It has no remote methods.
    """
    if isinstance(value, Waitable):
        # Its own calls are in order.
        return call_value(value, method, args, kwargs)

    def call(before: Turn | None, args: Any, kwargs: Any) -> Any:
        sent: Any = None if before is None else before.stands()
        if sent is None:
            return call_value(value, method, args, kwargs)
        return sent.caller.call_behind(before, value, method, args, kwargs)

    return call_behind(promise, called, args, kwargs, call)


def call_behind(
    promise: Promise[Any],
    called: Promise[Any],
    args: Any,
    kwargs: Any,
    call: Callable[[Turn | None, Any, Any], Any],
) -> Any:
    """Make a call on `promise` that overtakes none of those which began late.

    Args:
        promise: That it is made on.
        called: A new promise, to be used where the call has to wait.
        args: Its arguments.
        kwargs: Likewise.
        call: Makes it: ``call(before, args, kwargs)``, to begin after `before`, a call
            that was sent, or None.
    """
    before = promise.stays_behind()
    made = _when_gone(before, called, args, kwargs, call)
    promise.note_call(made, before)
    return made


def _when_gone(
    before: Turn | None,
    called: Promise[Any],
    args: Any,
    kwargs: Any,
    call: Callable[[Turn | None, Any, Any], Any],
) -> Any:
    """Make a call, when the one that it stays behind does not wait here any more."""
    stands = None if before is None else before.stands()
    if stands is None or not stands._waits_here:
        return call(None if stands is None else before, args, kwargs)
    (args, kwargs), _ = snapshot((args, kwargs))

    def go_on(_: object) -> Any:
        try:
            return _when_gone(before, _another(called), args, kwargs, call)
        except DeadReferenceError as dead:
            # It was pending when the line went.
            raise dead.lost or dead from None

    return dependents(stands.gone()).add(called, go_on)


def _another(called: Promise[Any]) -> Promise[Any]:
    """Return one more new promise of a result."""
    another = type(called)()
    another._is_result = True
    return another


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
