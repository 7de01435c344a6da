"""Running the peer's calls, each in a worker, and answering in every case.

Owns how many calls run for one connection, and the boundary at which whatever a method
raises becomes an answer and a log record. Called by the connection.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import Context
from typing import Any

from gevent import Greenlet, GreenletExit, getcurrent
from gevent.event import AsyncResult, Event

from geopb.broker.broker import Broker
from geopb.broker.calls import IncomingCall
from geopb.errors import Error, over_limit
from geopb.failure import format_traceback
from geopb.flavors.referenceable import Referenceable
from geopb.net.gate import Gate
from geopb.net.options import Options
from geopb.promise.promise import Promise, outcome
from geopb.text import printable, safe_str
from geopb.workers import Worker, interrupt_main, worker_pool

_log = logging.getLogger("geopb")

#: Nested calls may take so many times the limit: beyond it they are refused.
_NESTED_SHARE = 2
#: What a method may return to be answered when that ends.
_LATER = (Promise, AsyncResult, Greenlet)
_DISPATCH = Referenceable.remoteMessageReceived.__code__


class Service:
    """The calls that are being run for one peer."""

    def __init__(self, broker: Broker, gate: Gate, options: Options) -> None:
        self.running = 0
        #: Greenlets whose call stops the server: that does not wait for them.
        self.stoppers: set[object] = set()
        self._waiting: list[tuple[Callable[[], bool], Event]] = []
        self._broker = broker
        self._gate = gate
        self._options = options
        self._limit = options.limits.max_pending_calls
        self._pool = worker_pool()

    def start(self, call: IncomingCall, *, nested: bool) -> None:
        """Have `call` run soon, or refuse it: the peer has too many running."""
        limit = self._limit * _NESTED_SHARE if nested else self._limit
        if self.running >= limit:
            size = self.running + 1
            error = over_limit("max_pending_calls", self._limit, "running calls", size)
            self._broker.fail(call, error)
            return
        self.running += 1
        self._pool.submit(self._serve, call)

    def add_stopper(self) -> None:
        """The running greenlet, which serves a call, stops its own server."""
        self.stoppers.add(getcurrent())
        self._changed()

    def wait_until_quiet(self, timeout: float | None) -> None:
        """Block until no call runs but those that stop the server, or `timeout`."""
        self._wait_until(lambda: self.running <= len(self.stoppers), timeout)

    def wait_until_no_stopper(self) -> None:
        """Block until those that stop the server are answered."""
        self._wait_until(lambda: not self.stoppers, None)

    def _wait_until(self, true: Callable[[], bool], timeout: float | None) -> None:
        if not true():
            became_true = Event()
            self._waiting.append((true, became_true))
            became_true.wait(timeout)

    def _changed(self) -> None:
        for waiting in list(self._waiting):
            true, became_true = waiting
            if true():
                became_true.set()
                self._waiting.remove(waiting)

    def _serve(self, call: IncomingCall) -> None:
        """Run a call and answer it; runs in a worker."""
        worker: Any = getcurrent()
        worker.serving = self
        try:
            # A context of its own: nothing that it sets reaches the next call.
            result = Context().run(
                call.target.remoteMessageReceived,
                self._broker,
                call.name,
                call.args,
                call.kwargs,
            )
        except BaseException as error:
            self._answer_failure(call, error)
            if isinstance(error, KeyboardInterrupt):
                interrupt_main(error)
            elif isinstance(error, GreenletExit):
                # Whoever killed this greenlet waits for its end.
                raise
        else:
            if isinstance(result, _LATER):
                result.rawlink(
                    lambda ended: self._pool.submit(self._late, (call, ended))
                )
            else:
                self._answer(call, result)
        finally:
            worker.serving = None
            if self.stoppers:
                self.stoppers.discard(worker)
                self._changed()

    def _late(self, what: tuple[IncomingCall, Any]) -> None:
        """Answer a call whose method returned a promise, that has ended now."""
        call, ended = what
        value, failure = outcome(ended)
        if failure is not None:
            self._answer_failure(call, failure.value)
        else:
            self._answer(call, value)

    def _answer(self, call: IncomingCall, value: Any) -> None:
        if self._gate.flooded():
            self._gate.wait_for_bytes()
        self._broker.answer(call, value)
        self._done()

    def _answer_failure(self, call: IncomingCall, error: BaseException) -> None:
        with_traceback = self._options.unsafe_tracebacks
        self._broker.fail(call, error, with_traceback=with_traceback)
        self._done()
        # Last: whatever a log handler does, the peer has its answer.
        try:
            self._log_failure(call, error)
        except Exception:
            # A handler that raises cannot be told so in the log.
            traceback.print_exc()

    def _done(self) -> None:
        self.running -= 1
        if self._waiting:
            self._changed()

    def _log_failure(self, call: IncomingCall, error: BaseException) -> None:
        if isinstance(error, Error):
            return
        if _is_misfit(error):
            # The peer's mistake, and its traceback would say nothing.
            text = printable(safe_str(error), 500)
            _log.warning("call of %s refused: %s", printable(call.name), text)
            return
        text = format_traceback(error)
        _log.error("Peer will receive following PB traceback:\n%s", text)


def _is_misfit(error: BaseException) -> bool:
    """Whether a method was called with arguments that it does not take."""
    if not isinstance(error, TypeError) or error.__traceback__ is None:
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_code is _DISPATCH


def served_here() -> Service | None:
    """Return the service whose call the running greenlet serves, if it does."""
    current: object = getcurrent()
    return current.serving if isinstance(current, Worker) else None
