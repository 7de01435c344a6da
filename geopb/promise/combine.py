"""Making promises out of values, and one out of many. Called by users."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar

from geopb.failure import Failure, failure_of
from geopb.promise.following import FOLLOWED, outcome
from geopb.promise.promise import Promise
from geopb.promise.waiting import Waitable

T = TypeVar("T")


def succeed(value: T) -> Promise[T]:
    """Return a promise that has `value` already."""
    promise: Promise[T] = Promise()
    promise.set(value)
    return promise


def fail(exception: BaseException | Failure) -> Promise[Any]:
    """Return a promise that has failed already."""
    promise: Promise[Any] = Promise()
    promise.set_exception(exception)
    return promise


def result() -> Promise[Any]:
    """Return a promise of what a connection will give: for connections."""
    promise: Promise[Any] = Promise()
    promise._is_result = True
    return promise


def failed_result(error: BaseException) -> Promise[Any]:
    """Return a promise of what a connection does not give."""
    promise = result()
    promise.settle(None, failure_of(error))
    return promise


def gather(promises: Iterable[Promise[T]]) -> Promise[list[T]]:
    """Return a promise of the list of all results, in the order of `promises`.

    It fails with the failure that comes first; the others count as looked at. It adds
    no step to the promises' chains. AsyncResults and Greenlets may stand among them.

    Raises:
        TypeError: Something else does.
    """
    waiting: list[Any] = list(promises)
    for each in waiting:
        if not isinstance(each, FOLLOWED):
            raise TypeError(
                f"gather() takes promises, AsyncResults and Greenlets, not "
                f"{type(each).__name__}"
            )
    gathered: Promise[list[T]] = Promise()
    results: list[Any] = [None] * len(waiting)
    left = len(waiting)
    done = False

    def ended(index: int, promise: Any) -> None:
        nonlocal left, done
        results[index], failure = outcome(promise)
        left -= 1
        if not done and (failure is not None or not left):
            done = True
            gathered.settle(None if failure is not None else results, failure)

    gathered._waits_for = tuple(p for p in waiting if isinstance(p, Waitable))
    gathered._claim()
    for index, promise in enumerate(waiting):
        promise.rawlink(partial(ended, index))
    if not waiting:
        gathered.settle(results)
    return gathered
