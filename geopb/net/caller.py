"""Sending the calls of this side, when they may be sent.

Owns what a call waits for, and what ends it besides its answer. Called by references,
through the connection.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub

from geopb.broker.broker import Broker
from geopb.errors import DeadlineExceeded, DeadReferenceError, Draining
from geopb.jelly.census import is_small
from geopb.net.gate import Gate
from geopb.net.service import served_here
from geopb.promise.answer import Answer, TimedAnswer, too_late
from geopb.promise.combine import fail
from geopb.promise.deadline import time_left, until
from geopb.promise.promise import Promise
from geopb.text import safe_str
from geopb.wire.messages import call_options

if TYPE_CHECKING:
    from geopb.net.connection import Connection


class Caller:
    """Sends the calls of one connection."""

    __slots__ = ("_broker", "_connection", "_gate", "_hub", "_open")

    def __init__(self, connection: Connection, broker: Broker, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate
        self._broker = broker
        self._hub = get_hub()
        #: Whether calls may be sent without a further look.
        self._open = True

    def close(self) -> None:
        """Look at each call from now on: the connection ends, or takes no new ones."""
        self._open = False

    @property
    def draining(self) -> bool:
        """Whether one side takes no new calls any more."""
        return self._connection.draining

    def call(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
    ) -> Promise[Any]:
        """Send a call; return its promise. See `RemoteReference.callRemote`."""
        # Looked at here and not in a function of its own: every call passes.
        if (
            self._open
            and timeout is None
            and until.get() is None
            and not self._gate.crowded()
            and get_hub() is self._hub
        ):
            promise: Answer[Any] = Answer(self._hub)
            promise.question = self._broker.call(target, name, args, kwargs, promise)
            promise.caller = self
            return promise
        return self._call_carefully(target, name, args, kwargs, time_left(timeout))

    def _call_carefully(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seconds: float | None,
    ) -> Promise[Any]:
        begun = monotonic()
        try:
            nested = self._enter(seconds, args, kwargs)
        except DeadlineExceeded as error:
            return fail(error)
        if seconds is None:
            promise: Answer[Any] = Answer(self._hub)
            options = call_options(nested=nested, timeout=None)
            promise.question = self._broker.call(
                target, name, args, kwargs, promise, options
            )
            promise.caller = self
            return promise
        timed: TimedAnswer[Any] = TimedAnswer(self._hub)
        left = seconds - (monotonic() - begun)
        options = call_options(nested=nested, timeout=left)
        timed.question = self._broker.call(target, name, args, kwargs, timed, options)
        timed.caller = self
        if not timed.ready():
            # Packing may have taken its time: users' code runs there.
            timed.expire_in(seconds - (monotonic() - begun))
        return timed

    def call_only(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
    ) -> None:
        """Send a call that is not answered."""
        seconds = time_left(timeout)
        nested = self._enter(seconds, args, kwargs)
        options = call_options(nested=nested, timeout=seconds)
        self._broker.call_only(target, name, args, kwargs, options)

    def abandon(self, question: int, promise: Answer[Any], *, late: bool) -> bool:
        """Have the peer stop a call; False if it is answered, or the line is gone."""
        return self._connection.lost is None and self._broker.abandon(
            question, promise, late=late
        )

    def _enter(
        self, seconds: float | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Wait until a call may be sent; return whether it is sent as a nested one.

        Raises:
            DeadReferenceError: The connection is gone, or takes no new calls.
            DeadlineExceeded: There was no room for so many seconds.
        """
        if self._connection.lost is not None:
            raise self._dead()
        if get_hub() is not self._hub:
            raise RuntimeError(
                "a reference can be called in the thread of its connection only"
            )
        serving = self._check_draining()
        if seconds is not None and seconds <= 0:
            raise too_late()
        if not self._gate.crowded():
            return serving
        small = is_small((args, kwargs))
        nested = self._wait_at_gate(seconds, small=small)
        if self._connection.lost is not None:
            raise self._dead()
        return self._check_draining() or nested

    def _check_draining(self) -> bool:
        """Refuse a new call while one side drains; whether it is let in as nested."""
        if not self.draining:
            return False
        if served_here() is None:
            raise Draining(
                f"{self._connection.peer} is shutting down and takes no new calls"
            )
        return True

    def _wait_at_gate(self, seconds: float | None, *, small: bool) -> bool:
        if seconds is None:
            return self._gate.enter(small=small)
        timer = gevent.Timeout.start_new(seconds)
        try:
            return self._gate.enter(small=small)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            raise too_late() from None
        finally:
            timer.close()

    def _dead(self) -> DeadReferenceError:
        return DeadReferenceError(
            f"stale reference: {safe_str(self._connection.lost, 500)}"
        )
