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
from geopb.broker.pending import PromiseMet, holds_pending
from geopb.broker.references import RemoteReference
from geopb.broker.releases import release_dropped
from geopb.errors import DeadlineExceeded, DeadReferenceError, Draining
from geopb.finalizers import get_ident
from geopb.jelly.census import LIGHT_BYTES, is_small
from geopb.net.early import call_named, call_with_promises
from geopb.net.gate import Gate
from geopb.net.running import served_here
from geopb.promise.answer import Answer, TimedAnswer
from geopb.promise.combine import failed_result
from geopb.promise.deadline import time_left, too_late, until
from geopb.promise.following import outcome
from geopb.promise.promise import Promise
from geopb.text import safe_str
from geopb.wire.messages import call_options

if TYPE_CHECKING:
    from geopb.net.connection import Connection


#: Returns when the calls made here have to be done, None for never.
_deadline = until.get


class Caller:
    """Sends the calls of one connection."""

    # fmt: off
    __slots__ = (
        "_broker", "_connection", "_dropped", "_gate", "_open", "_thread", "call_early",
        "hub"
    )
    # fmt: on

    def __init__(self, connection: Connection, broker: Broker, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate
        self._broker = broker
        self._dropped = broker.imports.dropped
        self.hub = get_hub()
        self._thread = get_ident()
        #: Sends a call that names answers: see `Asking`.
        self.call_early = broker.call_early
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
            and _deadline() is None
            and not self._gate.crowded()
            and get_ident() == self._thread
        ):
            if self._dropped:
                # In the same send: to send them alone is as dear as a call.
                release_dropped(self._broker, wake=False)
            promise: Answer[Any] = Answer(self.hub)
            call = self._broker.call
            try:
                promise.question = call(target, name, args, kwargs, promise)
            except PromiseMet:
                return call_with_promises(self, target, name, args, kwargs, None)
            promise.caller = self
            return promise
        if self.draining and holds_pending((args, kwargs)):
            # It may belong to a call that is let finish.
            return call_with_promises(self, target, name, args, kwargs, timeout)
        begun = monotonic()
        try:
            return self._call_carefully(target, name, args, kwargs, time_left(timeout))
        except PromiseMet:
            left = None if timeout is None else timeout - (monotonic() - begun)
            return call_with_promises(self, target, name, args, kwargs, left)

    def call_named(
        self, answer: Answer[Any], method: Any, args: Any, kwargs: Any
    ) -> Promise[Any]:
        """Call a method of what the answer to a question will be, at once if it can."""
        return call_named(self, answer, method, args, kwargs)

    @property
    def line(self) -> object:
        """The connection."""
        return self._connection

    @property
    def lost(self) -> Exception | None:
        """Why the connection has ended, None while it has not."""
        return self._connection.lost

    def held(self, target: int) -> RemoteReference | None:
        """Return the reference to a target that is being called, None for the lobby."""
        held = self._broker.imports.held(target)
        return held if isinstance(held, RemoteReference) else None

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
            nested = self.enter(seconds, args, kwargs)
        except DeadlineExceeded as error:
            return failed_result(error)
        if seconds is None:
            promise: Answer[Any] = Answer(self.hub)
            options = call_options(nested=nested, timeout=None)
            promise.question = self._broker.call(
                target, name, args, kwargs, promise, options
            )
            promise.caller = self
            return promise
        timed: TimedAnswer[Any] = TimedAnswer(self.hub)
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
        begun = monotonic()
        seconds = time_left(timeout)
        early = self.draining and holds_pending((args, kwargs))
        nested = self.enter(seconds, args, kwargs, early=early)
        options = call_options(nested=nested, timeout=seconds)
        try:
            self._broker.call_only(target, name, args, kwargs, options)
        except PromiseMet:
            # With a question, under which it can be made again; nobody waits for that.
            left = None if timeout is None else timeout - (monotonic() - begun)
            asked = call_with_promises(self, target, name, args, kwargs, left)
            if asked.failed():
                asked.get()
            asked.rawlink(outcome)

    def abandon(self, question: int, promise: Answer[Any], *, late: bool) -> bool:
        """Have the peer stop a call; False if it is answered, or the line is gone."""
        return self._connection.lost is None and self._broker.abandon(
            question, promise, late=late
        )

    def enter(
        self,
        seconds: float | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        early: bool = False,
    ) -> bool:
        """Wait until a call may be sent; return whether it is sent as a nested one.

        Args:
            seconds: That it has, None for no deadline.
            args: Its arguments.
            kwargs: Likewise.
            early: It depends on one that is under way, and so is let in while the peer
                shuts down.

        Raises:
            DeadReferenceError: The connection is gone, or takes no new calls.
            DeadlineExceeded: There was no room for so many seconds.
        """
        if self.lost is not None:
            raise self._dead()
        if get_hub() is not self.hub:
            raise RuntimeError(
                "a reference can be called in the thread of its connection only"
            )
        serving = self._check_draining(early=early)
        if seconds is not None and seconds <= 0:
            raise too_late()
        if not self._gate.crowded():
            return serving
        light = is_small((args, kwargs), LIGHT_BYTES)
        small = light or is_small((args, kwargs))
        nested = self._wait_at_gate(seconds, small=small, light=light)
        if self.lost is not None:
            raise self._dead()
        return self._check_draining(early=early) or nested

    def _check_draining(self, *, early: bool) -> bool:
        """Refuse a new call while one side drains; whether it is let in as nested."""
        if not self.draining:
            return False
        if not early and served_here() is None:
            raise Draining(
                f"{self._connection.peer} is shutting down and takes no new calls"
            )
        return True

    def _wait_at_gate(self, seconds: float | None, *, small: bool, light: bool) -> bool:
        if seconds is None:
            return self._gate.enter(small=small, light=light)
        timer = gevent.Timeout.start_new(seconds)
        try:
            return self._gate.enter(small=small, light=light)
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
