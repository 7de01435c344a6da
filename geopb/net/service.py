"""Running the peer's calls, each in a worker, and answering in every case.

Owns how many calls run for one connection, and the boundary at which whatever a method
raises becomes an answer and a log record. Called by the connection.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from operator import attrgetter
from types import NoneType
from typing import Any

from gevent import Greenlet, getcurrent
from gevent.event import AsyncResult

from geopb.broker.broker import Broker
from geopb.broker.calls import IncomingCall
from geopb.broker.pipeline import Names
from geopb.errors import Draining, Error, LimitExceeded, over_limit
from geopb.failure import format_traceback
from geopb.jelly.census import SCALAR_TYPES
from geopb.jelly.finish import Unfinished, abandon
from geopb.net.boundary import (
    finish,
    is_misfit,
    log_misfit,
    log_unexpected,
    pass_on,
    prepare,
)
from geopb.net.gate import Gate
from geopb.net.load import Load
from geopb.net.next_calls import NextCalls
from geopb.net.options import Options
from geopb.net.producer import Producer
from geopb.net.quiet import Quiet
from geopb.net.running import Running, serving_greenlets
from geopb.net.share import Share
from geopb.net.updates import Updates
from geopb.promise.following import outcome
from geopb.promise.promise import Promise
from geopb.workers import Worker, worker_pool

_log = logging.getLogger("geopb")

#: One-way calls that wait for room, as so many times ``max_pending_calls``.
_MOST_HELD = 64
#: Nested calls may take so many times the limit: beyond it they are refused.
_NESTED_SHARE = 2
#: What a method may return to be answered when that ends.
_LATER = (Promise, AsyncResult, Greenlet)
_NEVER_ENDS = "a method may not return the greenlet that a method runs in: it goes on"
#: The most frequent results, which need no further look.
_NEVER_LATER = frozenset((NoneType, bool, int, float, str, bytes, list, dict))


class Service:
    """The calls that are being run for one peer."""

    # fmt: off
    __slots__ = (
        "_broker", "_calls", "_gate", "_held", "_high", "_limit", "_next", "_options",
        "_outbox", "_pool", "_updates", "asked", "load", "quiet", "refuses", "running",
        "streams", "waiting"
    )
    # fmt: on

    def __init__(self, broker: Broker, gate: Gate, options: Options, share: Share):
        #: Calls that run; and of those and the held ones, those that want an answer.
        self.running = self.asked = 0
        #: What those weigh that are here and not answered.
        self.load = Load(options.limits.max_pending_bytes)
        #: Calls that wait for answers that they name, before they run.
        self.waiting = 0
        #: Whether calls are refused that do not belong to running ones.
        self.refuses = False
        #: Who waits until nothing runs here any more.
        self.quiet = Quiet(self, broker.pipeline)
        #: Streams of this side's that are being read.
        self.streams = 0
        # Made when needed, as on most connections it never is.
        self._held: deque[IncomingCall] | tuple[()] = ()
        self._broker, self._gate = broker, gate
        self._outbox, self._high = broker.post.outbox, broker.limits.max_unsent_bytes
        self._options, self._limit = options, options.limits.max_pending_calls
        self._pool, self._next = worker_pool(), NextCalls(self._serve, share)
        self._calls = Running(self)
        # Made when needed: most connections have no caches.
        self._updates: Updates | None = None

    #: Whether a call is here, ending one early, stopping all: see `Running`.
    is_open = property(attrgetter("_calls.is_open"))
    cancel = property(attrgetter("_calls.cancel"))
    close = property(attrgetter("_calls.close"))

    @property
    def updates(self) -> Updates:
        """Run what changes the caches of this side."""
        self._updates = self._updates or Updates(self, self._serve, self._limit)
        return self._updates

    def start(self, call: IncomingCall) -> None:
        """Have `call` run soon.

        One that the peer should not have made, as too many of its questions are open,
        is refused. One-way calls, which it cannot count, are held until there is room,
        and all calls behind them, but for nested ones.

        Raises:
            LimitExceeded: Too many one-way calls are held, or they hold too much.
        """
        if type(call.target) is Producer:
            # It waits for items, perhaps long, and takes no place among those that run.
            call.target.fetch(call)
            return
        names, nested = call.names, call.nested
        if self.refuses:
            if not nested and names is None:
                draining = Draining("the peer is shutting down and takes no new calls")
                self._broker.refuse(call.question, draining)
                return
            self.quiet.came()
        if call.weight and (too_heavy := self.load.refusal(call)):
            self._refuse(call, too_heavy)
            return
        if call.question is not None:
            limit = self._limit * _NESTED_SHARE if nested else self._limit
            if self.asked >= limit:
                most, size = self._limit, self.asked + 1
                error = over_limit("max_pending_calls", most, "running calls", size)
                self._refuse(call, error)
                return
        self.expect(call)
        if names is not None and self._broker.pipeline.hold(call, names):
            call.waits = True
            self.waiting += 1
        elif names is not None:
            self._broker.check_unread()
            self._begin_named(call, names)
        elif not nested and (self._held or self.running >= self._limit):
            most = _MOST_HELD * self._limit
            if len(self._held) >= most:
                raise over_limit("max_pending_calls", most, "one-way calls", most + 1)
            if not isinstance(self._held, deque):
                self._held = deque()
            self._held.append(call)
        else:
            self.running += 1
            self._next.submit(call)

    def _refuse(self, call: IncomingCall, error: LimitExceeded) -> None:
        """Do not run a call that should not have been made yet."""
        if call.question is None:
            # Nobody can be told.
            raise error
        if call.names is not None:
            # Made again when what it names has ended, it may find room.
            self._broker.check_unread()
            self._broker.not_run(call, call.names.questions()[0])
            return
        abandon(call.unfinished)
        self._broker.refuse(call.question, error)

    def run_waiting(self, call: IncomingCall) -> None:
        """Run a call that has waited for answers: the last of them is given."""
        call.waits = False
        self.waiting -= 1
        if call.names is not None:
            self._begin_named(call, call.names)

    def _begin_named(self, call: IncomingCall, names: Names) -> None:
        """Run a call with the answers that it names, if they can be had here."""
        self.running += 1
        lacking = self._broker.pipeline.complete(call, names)
        if lacking is None:
            self._next.submit(call)
        else:
            self.quiet.put_off()
            self._broker.not_run(call, lacking)
            self._done(call)

    def stop_waiting(self, call: IncomingCall) -> None:
        """Answer a call that was interrupted before it could run."""
        self._broker.pipeline.leave(call)
        call.waits = False
        self.waiting -= 1
        self.running += 1
        self._next.submit(call)

    def expect(self, call: IncomingCall) -> None:
        """Take note of a call that is to be run."""
        self._calls.add(call)
        self.asked += call.question is not None
        if call.weight:
            self.load.weight += call.weight

    def finish(
        self, unfinished: Unfinished, then: Callable[[BaseException | None], object]
    ) -> None:
        """Finish an answer in a worker, where users' code may run; then go on."""
        self._pool.submit(finish, (unfinished, then))

    def stream_ended(self, producer: object) -> None:
        """Take note that a stream is read no more."""
        self.streams -= 1
        self.quiet.left(producer)

    @property
    def under_way(self) -> int:
        """Calls that run, are held or wait, and streams that are read."""
        return self.running + len(self._held) + self.waiting + self.streams

    def _serve(self, call: IncomingCall) -> None:
        """Run a call and answer it; runs in a worker."""
        worker: Any = getcurrent()
        call.worker = worker
        if call.interruption is not None and not self._calls.begin(call):
            abandon(call.unfinished)
            self.answer_failure(call, call.interruption)
            return
        worker.serving, worker.call = self, call
        # A context of its own: nothing that it sets reaches the next call.
        context = Context()
        try:
            if (
                call.unfinished is not None
                or call.timeout is not None
                or call.target.serializing_perspective is not None
            ):
                context.run(prepare, call)
            result = context.run(
                call.target.remoteMessageReceived,
                self._broker,
                call.name,
                call.args,
                call.kwargs,
            )
        except BaseException as error:
            worker.serving = worker.call = None
            self.answer_failure(call, error)
            pass_on(error)
            return
        # From here on it is not interrupted any more.
        worker.serving = worker.call = None
        if type(result) in SCALAR_TYPES and self._outbox.unsent <= self._high:
            # Most results: no users' code runs, and nothing waits.
            answer = self._broker.answer
            try:
                answer(call, result)
            except BaseException as error:
                self.answer_failure(call, error)
                pass_on(error)
            else:
                self._done(call)
        # Their types are asked: the class that an object tells is users' code.
        elif type(result) not in _NEVER_LATER and issubclass(type(result), _LATER):
            if type(result) is Worker:
                self.answer_failure(call, RuntimeError(_NEVER_ENDS))
                return
            call.result = result
            if issubclass(type(result), Greenlet):
                serving_greenlets[result] = (self, call)
            # A lambda here would have every call pay for its variables.
            result.rawlink(partial(self._pool.submit, partial(self._late, call)))
        else:
            self._answer(call, result, context)

    def _late(self, call: IncomingCall, ended: Any) -> None:
        """Answer a call whose method returned a promise, that has ended now."""
        if call.result is None:
            # Interrupted, and answered.
            return
        call.result = None
        value, failure = outcome(ended)
        if failure is not None:
            self.answer_failure(call, failure.value, failure.getTraceback())
        else:
            self._answer(call, value, Context())

    def _answer(self, call: IncomingCall, value: Any, context: Context) -> None:
        held = self._outbox.unsent > self._high and not self._gate.passes((value,))
        interruption = self._wait_for_bytes() if held else None
        try:
            # Copies among the value are asked for their state: that is users' code.
            context.run(self._broker.answer, call, value)
        except BaseException as error:
            # Or Ctrl-C has struck in the send, and the connection has ended.
            self.answer_failure(call, error)
            pass_on(error)
        else:
            self._done(call)
        if interruption is not None:
            pass_on(interruption)

    def answer_failure(
        self, call: IncomingCall, error: BaseException, trace: str | None = None
    ) -> None:
        """Answer a call with a failure; blocks, in a worker."""
        interruption = self._wait_for_bytes(small=True)
        unexpected = not issubclass(type(error), Error) and not is_misfit(error)
        if trace is None and (unexpected or self._options.unsafe_tracebacks):
            trace = format_traceback(error)
        told = trace if self._options.unsafe_tracebacks else None
        try:
            self._broker.fail(call, error, told)
        finally:
            self._done(call)
        # Last: whatever a log handler does, the peer has its answer.
        if unexpected:
            log_unexpected(trace)
        elif is_misfit(error):
            log_misfit(self._options.told.misfits, call, error)
        pass_on(interruption)

    def _wait_for_bytes(self, *, small: bool = False) -> BaseException | None:
        """Wait while too much is unsent; return what interrupted that.

        A late timeout of the method's, or a kill, must not cost the peer its answer.
        """
        if not self._gate.flooded(small=small):
            return None
        self._next.answer_waits()
        try:
            self._gate.wait_for_bytes(small=small)
        except BaseException as interruption:
            return interruption
        finally:
            self._next.answer_goes()
        return None

    def _done(self, call: IncomingCall) -> None:
        self._calls.remove(call)
        # Its traceback holds the method's frames, and those the call.
        call.interruption = None
        self.running -= 1
        self.asked -= call.question is not None
        if call.weight:
            self.load.weight -= call.weight
        if self._held and self.running < self._limit:
            self.running += 1
            self._next.submit(self._held.popleft())
        if self.quiet.waited_for:
            self.quiet.left(call)
