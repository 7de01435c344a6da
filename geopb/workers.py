"""Greenlets that run user code: remote methods, handlers, callbacks.

Owns the pool of parked workers of each hub. A fresh greenlet costs some 20 us, waking a
parked one 1 us. Never lets one job see another's traces: greenlet-locals and pending
timeouts belong to a greenlet, so a worker that a job has left anything on is retired.
Called by connections and promises.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gevent import Greenlet, GreenletExit, Timeout, get_hub, getcurrent
from greenlet import greenlet

Job = Callable[[Any], object]

if TYPE_CHECKING:
    _Greenlet = Greenlet[[], None]
else:
    _Greenlet = Greenlet  # generic in its stubs alone

#: Jobs that a worker runs in a row before the loop gets a turn: other connections
#: are read and answers are sent meanwhile.
_IN_A_ROW = range(64)
#: Seconds of jobs in one turn of the loop.
_TURN = 0.005
#: Parked workers that are kept; beyond it they end. One is some 8 KiB.
_MAX_IDLE = 256


def switch_to(hub: Any) -> Callable[[], Any]:
    """Return what does as `hub.switch`, in greenlets that have no ``switch_out``.

    That looks for one each time; only gevent's own consoles have it.
    """
    switch: Callable[[], Any] = greenlet.switch.__get__(hub)
    return switch


class Worker(_Greenlet):
    """A greenlet that runs jobs and parks between them.

    Attributes:
        serving: The service whose call the job serves, None in any other job.
        call: That call.
    """

    # In slots: found faster than in the dict that every greenlet has, which so is
    # empty, unless somebody leaves something there.
    __slots__ = ("_pool", "_unclaimed", "call", "serving")

    def __init__(self, pool: WorkerPool) -> None:
        Greenlet.__init__(self)
        self.serving: Any = None
        self.call: Any = None
        self._pool = pool
        #: References to a parked worker that nobody has a claim on.
        self._unclaimed = 0

    def _run(self) -> None:
        pool = self._pool
        # Parked once before its first job, so that `claimed` has something to compare
        # with. A job that raises GreenletExit was killed: the worker ends with it.
        # With the question inside: a loop that asks at its head is never specialized by
        # CPython 3.11, and this is one frame for all jobs.
        while True:
            if not pool.park(self):
                return
            references = sys.getrefcount(self)
            for _ in _IN_A_ROW:
                job, argument = pool.jobs.popleft()
                job(argument)
                # A parked worker must not keep alive what its last job had.
                del job, argument
                if pool.running is not self or not pool.jobs:
                    # It blocked, and is resumed by somebody else than the pool; or
                    # it parks, and is looked at before its next job.
                    break
                if self._marked() or sys.getrefcount(self) > references:
                    return

    def claimed(self) -> bool:
        """Whether a past job left something on this parked worker.

        A greenlet-local links to its greenlet; a timeout that was never cancelled, a
        variable that holds ``getcurrent()`` refer to it. They would hit the next job.
        """
        # Looked at while parked, when no switch of anybody's refers to it.
        references = sys.getrefcount(self)
        if not self._unclaimed:
            self._unclaimed = references
        # With what `_marked` says.
        return references > self._unclaimed or self.has_links() or bool(self.__dict__)

    def _marked(self) -> bool:
        """Whether a greenlet-local, or an attribute, was set on it."""
        return self.has_links() or bool(self.__dict__)


class WorkerPool:
    """The workers of one hub, and the jobs that wait for one.

    Jobs start in the order of `submit`. One that blocks does not hold up the next.
    """

    def __init__(self) -> None:
        self.hub = get_hub()
        self.jobs: deque[tuple[Job, Any]] = deque()
        self._idle: list[Worker] = []
        self._scheduled = False
        self._loop: Any = self.hub.loop
        self._run_pump = self._pump
        self._wait = switch_to(self.hub)
        #: The turn of the loop in which one of its connections has sent a message: the
        #: first of a turn does not wait for others. Its writers note it.
        self.turn = -1
        #: The worker that the pool has switched to, until that blocks or parks.
        self.running: Worker | None = None

    def submit(self, job: Job, argument: object = None) -> None:
        """Have ``job(argument)`` run soon; it may raise nothing but GreenletExit.

        Does not switch greenlets.
        """
        self.jobs.append((job, argument))
        if not self._scheduled:
            self._scheduled = True
            self._loop.run_callback(self._run_pump)

    def submit_function(self, function: Callable[[], object]) -> None:
        """Have ``function()`` run soon, by the same rules."""
        self.submit(lambda _: function())

    def park(self, worker: Worker) -> bool:
        """Wait in `worker` for more jobs; False when it is to end instead."""
        if len(self._idle) >= _MAX_IDLE:
            return False
        self._idle.append(worker)
        try:
            wait = self._wait
            return bool(wait())
        except BaseException as error:
            # It is not to be woken any more.
            if worker in self._idle:
                self._idle.remove(worker)
            if isinstance(error, Timeout):
                # A past job has left it running: it is nobody's any more.
                return False
            raise

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.run_callback(self._pump)

    def _pump(self) -> None:
        """Run jobs, in the hub: wake a worker for them, another when that blocks."""
        self._scheduled = False
        begun = 0.0
        try:
            while self.jobs:
                worker = self._idle.pop() if self._idle else self._made()
                if worker.claimed():
                    worker.switch(False)
                    continue
                self.running = worker
                worker.switch(True)
                if not self.jobs:
                    return
                # Some are left: the worker blocked, or has run its share.
                now = monotonic()
                begun = begun or now
                if (self._idle and self._idle[-1] is worker) or now - begun > _TURN:
                    return
        finally:
            self.running = None
            # Also when a KeyboardInterrupt ends this: what waits must still run.
            if self.jobs and not self._scheduled:
                self._schedule()

    def _made(self) -> Worker:
        """Return a new worker, which has parked."""
        Worker(self).switch()
        return self._idle.pop()


_pools: WeakKeyDictionary[Any, WorkerPool] = WeakKeyDictionary()


def worker_pool() -> WorkerPool:
    """Return the pool of this thread's hub."""
    hub = get_hub()
    pool = _pools.get(hub)
    if pool is None:
        pool = _pools[hub] = WorkerPool()
    return pool


#: Whether a call that is sent in this context was made in a job, where it was made
#: before: it had to wait, or is made again. None for what is made here and now.
made_in_worker: ContextVar[bool | None] = ContextVar("made_in_worker", default=None)


def in_worker() -> bool:
    """Whether a call made here is made in a job: in a remote method or a handler."""
    before = made_in_worker.get()
    return type(getcurrent()) is Worker if before is None else before


def context_for_later() -> Context:
    """Copy the context, for a call that is made here and sent later, in a job."""
    context = copy_context()
    context.run(made_in_worker.set, in_worker())
    return context


def interrupt_main(error: BaseException) -> None:
    """Raise a KeyboardInterrupt, that a job was hit by, in the main greenlet.

    Called in the worker that caught it; it goes on when the loop runs again.
    """
    get_hub().handle_system_error(type(error), error)


def killed_by(error: BaseException) -> BaseException | None:
    """Return `error` if it is to end the greenlet of the job; pass Ctrl-C on."""
    if isinstance(error, KeyboardInterrupt):
        interrupt_main(error)
    return error if isinstance(error, GreenletExit) else None


def reraise_if_killing(error: BaseException) -> None:
    """Raise what must not be kept from the greenlet."""
    if isinstance(error, KeyboardInterrupt | GreenletExit):
        raise error
