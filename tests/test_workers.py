"""Greenlets that run jobs, and what a job leaves behind: nothing."""

from __future__ import annotations

import contextvars
import decimal
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.local
import pytest
from gevent import getcurrent
from gevent.event import Event

import geopb as pb
from geopb.workers import Worker, WorkerPool, in_worker, worker_pool
from tests.support import collect, collected, eventually, in_thread, run_python, turns


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    """The pool of this thread; all of its workers are parked again at the end."""
    pool = worker_pool()
    turns()
    yield pool
    eventually(lambda: not pool.jobs)


def run(pool: WorkerPool, function: Callable[[], Any]) -> Any:
    """Run `function` as a job; return what it returned."""
    results: list[Any] = []
    pool.submit(lambda _: results.append(function()))
    eventually(lambda: results)
    return results[0]


def run_many(pool: WorkerPool, function: Callable[[], Any], count: int) -> list[Any]:
    """Run jobs one after another, each in a turn of its own."""
    return [run(pool, function) for _ in range(count)]


# -- jobs --------------------------------------------------------------------------


def test_job_runs_with_its_argument(pool: WorkerPool) -> None:
    taken: list[Any] = []

    pool.submit(taken.append, 3)

    assert taken == []
    eventually(lambda: taken)
    assert taken == [3]


def test_function_runs_without_an_argument(pool: WorkerPool) -> None:
    done = Event()

    pool.submit_function(done.set)

    assert done.wait(5)


def test_job_runs_in_a_worker_and_not_in_the_hub(pool: WorkerPool) -> None:
    assert run(pool, lambda: type(getcurrent())) is Worker
    assert run(pool, in_worker) is True
    assert in_worker() is False
    assert gevent.spawn(in_worker).get() is False


def test_submit_does_not_switch(pool: WorkerPool) -> None:
    ran: list[int] = []
    gevent.spawn(ran.append, 1)

    pool.submit(ran.append, 2)

    assert ran == []
    eventually(lambda: len(ran) == 2)


def test_jobs_start_in_their_order(pool: WorkerPool) -> None:
    started: list[int] = []

    for number in range(1000):
        pool.submit(started.append, number)

    eventually(lambda: len(started) == 1000)
    assert started == list(range(1000))


def test_jobs_that_block_start_in_their_order(pool: WorkerPool) -> None:
    started: list[int] = []
    gate = Event()

    def block(number: int) -> None:
        started.append(number)
        gate.wait(5)

    for number in range(100):
        pool.submit(block, number)

    eventually(lambda: len(started) == 100)
    gate.set()
    assert started == list(range(100))


def test_job_that_blocks_does_not_hold_up_the_next(pool: WorkerPool) -> None:
    gate, done = Event(), Event()
    pool.submit(lambda _: gate.wait(5))
    pool.submit(lambda _: done.set())

    assert done.wait(5)
    gate.set()


def test_jobs_submitted_by_a_job_run(pool: WorkerPool) -> None:
    order: list[int] = []

    def outer(_: object) -> None:
        pool.submit(order.append, 2)
        order.append(1)

    pool.submit(outer)

    eventually(lambda: len(order) == 2)
    assert order == [1, 2]


def test_many_jobs_leave_the_loop_its_turns(pool: WorkerPool) -> None:
    """Others get a turn between them."""
    ran: list[int] = []
    for number in range(10_000):
        pool.submit(ran.append, number)

    turns_taken = 0
    while len(ran) < 10_000:
        gevent.sleep(0)
        turns_taken += 1

    assert turns_taken > 2


def test_quick_jobs_share_a_worker(pool: WorkerPool) -> None:
    workers = run_many(pool, lambda: getcurrent().minimal_ident, 20)

    assert len(set(workers)) == 1


def test_workers_that_blocked_are_used_again(pool: WorkerPool) -> None:
    def block_at_once(count: int) -> int:
        names: set[int] = set()
        done: list[int] = []
        gate = Event()

        def block(_: object) -> None:
            names.add(getcurrent().minimal_ident)
            gate.wait(5)
            done.append(1)

        for _ in range(count):
            pool.submit(block)
        eventually(lambda: len(names) == count)
        gate.set()
        eventually(lambda: len(done) == count)
        turns()
        seen.append(names)
        return len(names)

    seen: list[set[int]] = []
    block_at_once(30)
    block_at_once(30)

    assert seen[0] == seen[1]


def test_each_thread_has_a_pool_of_its_own(pool: WorkerPool) -> None:
    assert worker_pool() is pool
    assert in_thread(lambda: worker_pool() is pool) is False


def test_job_in_another_thread_runs_there(pool: WorkerPool) -> None:
    def in_there() -> tuple[int, int]:
        done = Event()
        ran: list[int] = []

        def job(_: object) -> None:
            ran.append(threading.get_ident())
            done.set()

        worker_pool().submit(job)
        done.wait(5)
        return threading.get_ident(), ran[0]

    here, there = in_thread(in_there)

    assert here == there


# -- nothing is left behind --------------------------------------------------------


def test_greenlet_local_does_not_reach_the_next_job(pool: WorkerPool) -> None:
    local = gevent.local.local()

    def job() -> bool:
        seen = hasattr(local, "mark")
        local.mark = object()
        return seen

    assert run_many(pool, job, 10) == [False] * 10


def test_greenlet_local_does_not_reach_the_next_job_of_a_batch(
    pool: WorkerPool,
) -> None:
    local = gevent.local.local()
    seen: list[bool] = []

    def job(_: object) -> None:
        seen.append(hasattr(local, "mark"))
        local.mark = object()

    for _ in range(10):
        pool.submit(job)

    eventually(lambda: len(seen) == 10)
    assert not any(seen)


def test_greenlet_local_of_a_job_that_blocked_does_not_reach_the_next(
    pool: WorkerPool,
) -> None:
    local = gevent.local.local()

    def job() -> bool:
        seen = hasattr(local, "mark")
        local.mark = object()
        gevent.sleep(0)
        return seen

    assert run_many(pool, job, 10) == [False] * 10


def test_value_of_a_greenlet_local_is_let_go(pool: WorkerPool) -> None:
    class Witness:
        """Something in a greenlet-local."""

    local = gevent.local.local()
    gone: list[weakref.ref[Witness]] = []

    def job() -> None:
        local.mark = Witness()
        gone.append(weakref.ref(local.mark))

    run(pool, job)
    run(pool, lambda: None)

    assert collected(gone[0])


@pytest.mark.parametrize("blocks", [False, True])
def test_late_timeout_does_not_reach_the_next_job(
    pool: WorkerPool, blocks: bool, greenlet_errors: list[Any]
) -> None:
    """A job starts a timeout and forgets to cancel it."""
    timers: list[gevent.Timeout] = []
    gate, hit = Event(), []

    def careless(_: object) -> None:
        timers.append(gevent.Timeout.start_new(0.002))
        if blocks:
            gevent.sleep(0)

    def next_job(_: object) -> None:
        try:
            gate.wait(5)
        except BaseException as error:
            hit.append(error)

    for _ in range(5):
        pool.submit(careless)
        pool.submit(next_job)
    eventually(lambda: len(timers) == 5)
    eventually(lambda: not any(timer.pending for timer in timers))
    gate.set()
    turns(10)

    assert hit == []
    for timer in timers:
        timer.close()


def test_late_timeout_that_hits_a_parked_worker_ends_it_and_is_not_told(
    pool: WorkerPool,
) -> None:
    """It is nobody's any more, and goes unseen as one that hits no one."""
    timers: list[gevent.Timeout] = []
    workers: list[Any] = []

    def careless(_: object) -> None:
        workers.append(getcurrent())
        timers.append(gevent.Timeout.start_new(0.001))

    pool.submit(careless)
    eventually(lambda: timers and not timers[0].pending)
    eventually(lambda: workers[0].dead)

    assert run_many(pool, lambda: 1, 5) == [1] * 5
    timers[0].close()


@pytest.mark.parametrize("blocks", [False, True])
def test_kept_greenlet_is_not_used_for_the_next_job(
    pool: WorkerPool, blocks: bool
) -> None:
    kept: list[Any] = []

    def keep() -> bool:
        current = getcurrent()
        again = any(current is each for each in kept)
        kept.append(current)
        if blocks:
            gevent.sleep(0)
        return again

    assert run_many(pool, keep, 5) == [False] * 5


def test_late_kill_does_not_reach_the_next_job(pool: WorkerPool) -> None:
    gate, hit, kept = Event(), [], []

    def next_job(_: object) -> None:
        try:
            gate.wait(5)
        except gevent.GreenletExit as error:
            hit.append(error)

    def doomed(_: object) -> None:
        kept.append(getcurrent())
        kept[0].kill(block=False)

    pool.submit(doomed)
    pool.submit(next_job)
    turns(10)
    gate.set()
    turns(10)

    assert hit == []


def test_trace_of_an_exception_is_not_left(pool: WorkerPool) -> None:
    def handle() -> None:
        try:
            raise ValueError
        except ValueError:
            gevent.sleep(0)

    run(pool, handle)

    assert run(pool, sys.exception) is None


def test_parked_worker_holds_nothing_of_its_last_job(pool: WorkerPool) -> None:
    class Witness:
        """An argument."""

        def run(self) -> None:
            """Be a job as well."""

    gone: list[weakref.ref[Any]] = []

    def job(witness: Witness) -> None:
        gone.append(weakref.ref(witness))

    pool.submit(job, Witness())
    eventually(lambda: gone)
    function_witness = Witness()
    gone.append(weakref.ref(function_witness))
    pool.submit_function(function_witness.run)
    del function_witness
    turns(10)

    assert [each() for each in gone] == [None, None]


def test_parked_worker_holds_nothing_of_a_last_job_that_blocked(
    pool: WorkerPool,
) -> None:
    class Witness:
        """An argument."""

    gone: list[weakref.ref[Any]] = []
    gate = Event()

    def job(witness: Witness) -> None:
        gone.append(weakref.ref(witness))
        gate.wait(5)

    pool.submit(job, Witness())
    eventually(lambda: gone)
    gate.set()
    turns(10)

    assert gone[0]() is None


def test_context_of_handlers_is_not_left(pool: WorkerPool) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    promise = pb.succeed(1).addCallback(lambda _: variable.set("left"))
    promise.get(timeout=5)

    assert run_many(pool, variable.get, 5) == ["none"] * 5


def test_decimal_context_of_handlers_is_not_left(pool: WorkerPool) -> None:
    def change(_: object) -> None:
        decimal.setcontext(decimal.Context(prec=2))

    pb.succeed(1).addCallback(change).get(timeout=5)

    assert run(pool, lambda: decimal.getcontext().prec) != 2


def test_retired_workers_end(pool: WorkerPool) -> None:
    local = gevent.local.local()
    workers: list[weakref.ref[Any]] = []

    def job() -> None:
        local.mark = 1
        workers.append(weakref.ref(getcurrent()))

    run_many(pool, job, 5)
    run(pool, lambda: None)

    collect()
    assert [each() for each in workers] == [None] * 5


def test_idle_workers_are_bounded(pool: WorkerPool) -> None:
    gate = Event()
    running: list[int] = []

    def job(_: object) -> None:
        running.append(1)
        gate.wait(10)
        running.pop()

    for _ in range(1000):
        pool.submit(job)
    eventually(lambda: len(running) == 1000)
    gate.set()
    eventually(lambda: not running)
    turns(10)

    gc.collect()
    living = [
        each for each in gc.get_objects() if type(each) is Worker and not each.dead
    ]
    assert len(living) < 400


# -- workers that die --------------------------------------------------------------


def test_killed_worker_ends_and_others_go_on(pool: WorkerPool) -> None:
    running: list[Any] = []

    def job(_: object) -> None:
        running.append(getcurrent())
        Event().wait()

    pool.submit(job)
    eventually(lambda: running)

    running[0].kill(timeout=5)

    assert running.pop().dead
    assert run_many(pool, lambda: 1, 5) == [1] * 5


def test_parked_worker_that_is_killed_is_not_used(pool: WorkerPool) -> None:
    parked: list[Any] = [run(pool, getcurrent)]
    turns()

    parked[0].kill(timeout=5)

    assert parked[0].dead
    assert run_many(pool, lambda: 1, 5) == [1] * 5


def test_job_that_raises_greenlet_exit_ends_its_worker_alone(
    pool: WorkerPool,
) -> None:
    def job(_: object) -> None:
        raise gevent.GreenletExit

    for _ in range(5):
        pool.submit(job)

    assert run_many(pool, lambda: 1, 5) == [1] * 5


def test_jobs_after_one_that_raises_run(
    pool: WorkerPool, greenlet_errors: list[Any]
) -> None:
    def job(_: object) -> None:
        raise ValueError("a bug")

    done = Event()
    pool.submit(job)
    pool.submit(lambda _: done.set())

    assert done.wait(5)
    assert [type(error) for _, error in greenlet_errors] == [ValueError]


def test_keyboard_interrupt_goes_on_to_the_main_greenlet() -> None:
    def handler(_: object) -> None:
        raise KeyboardInterrupt("by hand")

    promise = pb.succeed(1).addCallback(handler)

    with pytest.raises(KeyboardInterrupt, match="by hand"):
        Event().wait(5)

    promise.wait(5)
    assert isinstance(promise.exception, KeyboardInterrupt)


def test_worker_goes_on_after_a_keyboard_interrupt(pool: WorkerPool) -> None:
    def handler(_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        promise = pb.succeed(1).addCallback(handler).addErrback(lambda _: "saved")
        with pytest.raises(KeyboardInterrupt):
            Event().wait(5)
        assert promise.get(timeout=5) == "saved"

    assert run_many(pool, lambda: 1, 5) == [1] * 5


@pytest.mark.slow
def test_signal_during_a_handler_ends_the_program() -> None:
    ended = run_python(
        """
        import os, signal
        import gevent
        import geopb as pb

        def busy(_):
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass

        promise = pb.succeed(1).addCallback(busy)
        try:
            promise.get(timeout=10)
        except KeyboardInterrupt:
            print("main was interrupted")
            promise.wait(5)
            print(type(promise.exception).__name__)
        """
    )

    assert ended.stdout.split("\n")[:2] == [
        "main was interrupted",
        "KeyboardInterrupt",
    ]
    assert ended.returncode == 0
