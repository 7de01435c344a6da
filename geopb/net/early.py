"""Calls that name answers which are not there: on promises, and with promises.

Owns when such a call is sent at once, when it waits here, and how it is made again if
the peer could not run it so. Called by the caller, for the rare call that is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from geopb.broker.pending import GoesLater, NotYet, There
from geopb.broker.references import RemoteReference
from geopb.errors import DeadlineExceeded, DeadReferenceError
from geopb.flavors.referenceable import method_name
from geopb.jelly.snapshot import snapshot
from geopb.promise.answer import Answer
from geopb.promise.chain import call_value
from geopb.promise.combine import failed_result, result, succeed
from geopb.promise.deadline import time_left, until
from geopb.promise.early import EarlyAnswer
from geopb.promise.naming import NamedAnswer
from geopb.promise.pipelining import call_on, dependents, last_source
from geopb.promise.promise import Promise
from geopb.wire.messages import call_options
from geopb.workers import context_for_later

if TYPE_CHECKING:
    from geopb.net.caller import Caller


def call_named(
    caller: Caller, answer: Answer[Any], method: Any, args: Any, kwargs: Any
) -> Promise[Any]:
    """Call a method of what the answer to a question will be, at once if it can go."""
    call = _Call(caller, answer.named(), 0, method_name(method), args, kwargs)
    try:
        return call.send(None)
    except DeadReferenceError as error:
        return failed_result(error)
    except (GoesLater, NotYet):
        return call_on(answer, result(), method, args, kwargs)


def call_with_promises(
    caller: Caller,
    target: int,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    timeout: float | None,
) -> Promise[Any]:
    """Call a method of an object with promises among its arguments.

    Raises:
        DeadReferenceError: The connection is gone.
    """
    call = _Call(caller, None, target, name, args, kwargs)
    try:
        return call.send(timeout)
    except NotYet as waits:
        pending: Any = waits.pending
        return dependents(last_source(pending)).add(result(), call.later(), timeout)


class _Call:
    """One such call.

    Args:
        caller: Sends it.
        on: The answer that is called, None where an object is.
        target: The object's id.
        name: The method.
        args: Its arguments.
        kwargs: Likewise.
    """

    def __init__(
        self,
        caller: Caller,
        on: NamedAnswer | None,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._caller = caller
        self._on = on
        self._target = target
        # Not released while the call may have to be made again.
        self._held = caller.held(target) if on is None else None
        self._name = name
        self._args = args
        self._kwargs = kwargs

    def send(self, timeout: float | None) -> Promise[Any]:
        """Send it; return its promise.

        Raises:
            GoesLater, NotYet: It cannot go now.
            DeadReferenceError: The connection is gone.
        """
        caller, on = self._caller, self._on
        begun = monotonic()
        seconds = time_left(timeout)
        try:
            nested = caller.enter(seconds, self._args, self._kwargs, early=True)
        except DeadlineExceeded as error:
            return failed_result(error)
        early: EarlyAnswer[Any] = EarlyAnswer(caller.hub)
        if on is not None and on.failure is not None:
            # While this one waited for room.
            early.settle(None, on.failure)
            return early
        left = None if seconds is None else seconds - (monotonic() - begun)
        early.question, met = caller.call_early(
            self._target if on is None else -on.question,
            self._name,
            self._args,
            self._kwargs,
            early,
            call_options(nested=nested, timeout=left),
        )
        early.caller = caller
        names = [each for _, each in met if isinstance(each, NamedAnswer)]
        if on is not None:
            names.insert(0, on)
        if early.ready():
            return early
        instead = {
            id(promise): each if isinstance(each, NamedAnswer) else There(each.value)
            for promise, each in met
        }
        until_then = None if seconds is None else begun + seconds
        if names:
            early.name(names, self._again(instead, until_then))
        if seconds is not None:
            # Packing may have taken its time: users' code runs there.
            early.expire_in(seconds - (monotonic() - begun))
        return early

    def later(self) -> Callable[[object], Promise[Any]]:
        """Return what makes the call when a promise that it waits for is there."""
        (args, kwargs), _ = snapshot((self._args, self._kwargs))
        held, target, name = self._held, self._target, self._name
        caller = self._caller

        def call(_: object) -> Promise[Any]:
            # It holds the reference until then.
            number = target if held is None else held._entry.number
            return call_with_promises(caller, number, name, args, kwargs, None)

        return call

    def _again(
        self, instead: dict[int, Any], until_then: float | None
    ) -> Callable[[], Promise[Any]]:
        """Return what makes the call once more, as it was made at first.

        Args:
            instead: What stands for each promise, by its ``id()``.
            until_then: Its deadline, None for none.
        """
        (args, kwargs), _ = snapshot((self._args, self._kwargs), instead)
        context = context_for_later()
        if until_then is not None:
            context.run(until.set, until_then)
        return partial(context.run, self._make_again, args, kwargs)

    def _make_again(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Promise[Any]:
        caller, on = self._caller, self._on
        called = self._held if on is None else on.value
        target = self._target
        if isinstance(called, RemoteReference) and called._line is caller.line:
            target = called._entry.number
        elif on is not None:
            called = call_value(called, self._name, args, kwargs)
            return called if isinstance(called, Promise) else succeed(called)
        try:
            return _Call(caller, None, target, self._name, args, kwargs).send(None)
        except DeadReferenceError:
            if caller.lost is not None:
                # It was pending when the line went.
                raise caller.lost from None
            raise
