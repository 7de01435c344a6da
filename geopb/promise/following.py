"""One promise that ends as another does.

Owns what a promise follows: a promise, an AsyncResult or a Greenlet. Called by
promises, and by whoever waits for one to take over how it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent import Greenlet
from gevent.event import AsyncResult

from geopb.failure import Failure, failure_of
from geopb.promise.waiting import Waitable

if TYPE_CHECKING:
    from geopb.promise.promise import Promise

#: What a promise follows when it is set to it, or a handler returns it.
FOLLOWED = (Waitable, AsyncResult, Greenlet)


def follow(promise: Promise[Any], other: Any) -> None:
    """Have `promise` end as `other` does, when it does."""
    if isinstance(other, Waitable):
        # Nothing waits for one without links: a long chain is made in linear time.
        if other is promise or (promise.is_followed() and other._depends_on(promise)):
            promise._end(None, Failure(RuntimeError("a promise waits for itself")))
            return
        promise._waits_for = (other,)
    if other.ready():
        _end_as(promise, other)
        return

    def ended(_: object) -> None:
        if promise._followed == (other, ended):
            promise._followed = None
            _end_as(promise, other)

    promise._followed = (other, ended)
    other.rawlink(ended)
    if (
        promise._is_result
        and promise._handlers is None
        and isinstance(other, Waitable)
        and other._is_result
    ):
        # Calls need not wait for the end.
        source: Any = other
        promise._source = source
        if promise._dependents is not None and not promise.holds_calls():
            promise._dependents.send_through(source)


def _end_as(promise: Promise[Any], other: Any) -> None:
    value, failure = outcome(other)
    if promise._passed_on:
        # The calls on it have gone to the other one, and fail with it.
        promise._looked = failure
    promise._end(value, failure)


def outcome(other: Any) -> tuple[Any, Failure | None]:
    """Return what a finished promise, AsyncResult or Greenlet ended with."""
    if isinstance(other, Waitable):
        promise: Any = other
        promise._looked_at()
        return promise._value, promise._failure
    if other.exception is not None:
        return None, failure_of(other.exception)
    return other.value, None
