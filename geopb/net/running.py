"""The calls that one peer has under way here, and ending them early.

Owns the table of them, by question, and their interruption: by the caller, by their
deadline, by the end of the connection. An interruption reaches a method only while it
runs, wherever it blocks, once, and never the call that its worker runs next. Called by
the service (begun, ended) and the connection. Knows which call the running greenlet
serves, for `shielded` and for what is called or stopped from there.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gevent import Greenlet, GreenletExit, getcurrent

from geopb.broker.calls import IncomingCall
from geopb.errors import Cancelled, DeadlineExceeded, ProtocolError
from geopb.promise.deadline import too_late
from geopb.promise.promise import Promise
from geopb.workers import Worker, worker_pool

if TYPE_CHECKING:
    from geopb.net.service import Service


class Running:
    """Calls that have arrived and are not answered.

    Args:
        answer: Answers a call with a failure; runs in a worker.
        stop_waiting: Has a call that waits for others' answers begin, to be stopped.
    """

    __slots__ = ("_calls", "_pool", "_service")

    def __init__(self, service: Service) -> None:
        self._service = service
        # By question; those that want no answer by a number of their own below 0.
        self._calls: dict[int, IncomingCall] = {}
        self._pool = worker_pool()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: IncomingCall) -> None:
        """Take note of a call that has arrived; its time begins.

        Raises:
            ProtocolError: One that runs has the same question.
        """
        key = call.question or -id(call)
        if key in self._calls:
            raise ProtocolError(f"question {key} is asked again while it runs")
        self._calls[key] = call
        if call.timeout is not None:
            call.until = monotonic() + call.timeout
            call.timer = self._pool.hub.loop.timer(call.timeout)
            # From now on, not from when this turn of the loop began.
            call.timer.start(self._interrupt, call, too_late(), update=True)

    def is_open(self, question: int) -> bool:
        """Whether a call of that question is here and not answered."""
        return question in self._calls

    def remove(self, call: IncomingCall) -> None:
        """Take note that a call has been answered."""
        self._calls.pop(call.question or -id(call), None)
        if call.timer is not None:
            call.timer.close()
            call.timer = None

    def cancel(self, question: int, *, late: bool) -> None:
        """Stop a call that its caller has cancelled, if it still runs.

        Args:
            question: The call's.
            late: The caller stops it as its deadline has passed there.
        """
        call = self._calls.get(question)
        if call is not None:
            cancelled = Cancelled("the caller has cancelled the call")
            self._interrupt(call, too_late() if late else cancelled)

    def close(self) -> None:
        """Stop all: the connection has ended."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            # What was sent before the end is begun all the same, unless it is to be
            # stopped for another reason.
            call.begins_anyway = call.interruption is None and not call.waits
            self._interrupt(call, Cancelled("the connection of the caller has ended"))

    def begin(self, call: IncomingCall) -> bool:
        """Whether a call is to be run; its worker is set. To be asked in that."""
        if call.interruption is None:
            return True
        if call.begins_anyway:
            # It goes on to the place where it blocks.
            self._pool.hub.loop.run_callback(self._throw, call)
        return call.begins_anyway

    def _interrupt(self, call: IncomingCall, error: Exception) -> None:
        """Have `error` raised in a call, wherever its method blocks; once.

        One that has not begun does not begin, but for the end of the connection.
        """
        if call.interruption is not None:
            return
        call.interruption = error
        if call.waits:
            self._service.stop_waiting(call)
        elif call.result is not None:
            self._pool.submit(self._end_late, call)
        elif call.worker is not None:
            # It is blocked: it does not run while this does. Not from here: this may
            # be the reader.
            self._pool.hub.loop.run_callback(self._throw, call)

    def _throw(self, call: IncomingCall) -> None:
        """Raise the interruption in the worker; runs in the hub."""
        worker = call.worker
        if worker.call is call and not call.shields and not call.thrown:
            call.thrown = True
            worker.throw(call.interruption)

    def _end_late(self, call: IncomingCall) -> None:
        """Stop what a method has returned, and answer the call; in a worker."""
        result, error = call.result, call.interruption
        if result is None or error is None or call.shields:
            # It has ended meanwhile, or is shielded: it is stopped behind that.
            return
        call.result = None
        if isinstance(result, Promise):
            result._give_up()
        elif isinstance(result, Greenlet):
            call.thrown = True
            result.kill(killing(error), block=False)
        self._service.answer_failure(call, error)


def killing(error: Exception) -> BaseException:
    """Return `error` as something that ends a greenlet without being reported."""
    kind = DeadlineExceeded if isinstance(error, DeadlineExceeded) else Cancelled
    killing: BaseException = _KILLING[kind](*error.args)
    return killing


class _KilledByCancel(Cancelled, GreenletExit, register=False):
    """Both what the greenlet may expect, and what gevent does not print."""


class _KilledByDeadline(DeadlineExceeded, GreenletExit, register=False):
    """Likewise."""


_KILLING: dict[type, Any] = {
    Cancelled: _KilledByCancel,
    DeadlineExceeded: _KilledByDeadline,
}


def served_here() -> tuple[Service, IncomingCall] | None:
    """Return what the running greenlet serves, and its service, if it does.

    It is a call, or the making of a stream's items, as far as interruption goes.
    """
    current: object = getcurrent()
    if isinstance(current, Worker):
        return None if current.serving is None else (current.serving, current.call)
    return serving_greenlets.get(current)


#: Greenlets that methods have returned: the answer goes out when they end.
serving_greenlets: WeakKeyDictionary[Any, tuple[Service, IncomingCall]]
serving_greenlets = WeakKeyDictionary()
