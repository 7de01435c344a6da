"""From a finalizer to where it may act."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent
from gevent.event import Event

from geopb.finalizers import FinalizerQueue, finalizer_queue
from geopb.workers import Worker, worker_pool
from tests.support import eventually, in_thread, run_python, turns


@pytest.fixture
def queue() -> Iterator[FinalizerQueue]:
    """A queue of this thread's loop."""
    yield FinalizerQueue(worker_pool().submit_function)
    turns()


def test_action_is_called_with_its_item_soon(queue: FinalizerQueue) -> None:
    taken: list[Any] = []

    queue.put(taken.append, 3)

    assert taken == []
    eventually(lambda: taken)
    assert taken == [3]


def test_action_is_called_in_a_worker(queue: FinalizerQueue) -> None:
    where: list[Any] = []

    queue.put(lambda _: where.append(type(getcurrent())), None)

    eventually(lambda: where)
    assert where == [Worker]


def test_actions_are_called_in_their_order(queue: FinalizerQueue) -> None:
    taken: list[int] = []

    for number in range(100):
        queue.put(taken.append, number)

    eventually(lambda: len(taken) == 100)
    assert taken == list(range(100))


def test_action_put_by_an_action_is_called(queue: FinalizerQueue) -> None:
    taken: list[int] = []

    queue.put(lambda item: queue.put(taken.append, item), 1)

    eventually(lambda: taken)
    assert taken == [1]


def test_later_batches_are_called_too(queue: FinalizerQueue) -> None:
    taken: list[int] = []

    for number in range(5):
        queue.put(taken.append, number)
        eventually(lambda number=number: number in taken)

    assert taken == [0, 1, 2, 3, 4]


def test_action_put_in_the_hub_is_called(queue: FinalizerQueue) -> None:
    taken: list[int] = []

    get_hub().loop.run_callback(queue.put, taken.append, 1)

    eventually(lambda: taken)
    assert taken == [1]


def test_action_put_in_another_thread_is_called_in_this_one(
    queue: FinalizerQueue,
) -> None:
    where: list[int] = []

    in_thread(lambda: queue.put(lambda _: where.append(threading.get_ident()), None))

    eventually(lambda: where)
    assert where == [threading.get_ident()]


def test_action_put_in_another_thread_wakes_a_loop_that_sleeps(
    queue: FinalizerQueue,
) -> None:
    called = Event()

    get_hub().threadpool.spawn(queue.put, lambda _: called.set(), None)

    assert called.wait(5)


def test_actions_put_by_many_threads_are_all_called(queue: FinalizerQueue) -> None:
    taken: list[int] = []

    def put_many() -> None:
        for number in range(500):
            queue.put(taken.append, number)

    threads = [threading.Thread(target=put_many, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()

    eventually(lambda: len(taken) == 2000)
    eventually(lambda: not any(thread.is_alive() for thread in threads))


def test_finalizer_of_an_object_may_put(queue: FinalizerQueue) -> None:
    taken: list[str] = []

    class Dropped:
        """Puts when it goes."""

        def __del__(self) -> None:
            queue.put(taken.append, "gone")

    Dropped()

    eventually(lambda: taken)
    assert taken == ["gone"]


def test_action_may_block_and_hold_up_only_what_comes_after_it(
    queue: FinalizerQueue,
) -> None:
    gate, done = Event(), Event()
    queue.put(lambda _: gate.wait(5), None)
    queue.put(lambda _: done.set(), None)
    turns()

    assert gevent.spawn(lambda: "others go on").get(timeout=5)
    gate.set()

    assert done.wait(5)


def test_action_put_while_another_blocks_is_called(queue: FinalizerQueue) -> None:
    gate, done = Event(), Event()
    queue.put(lambda _: gate.wait(5), None)
    turns()

    queue.put(lambda _: done.set(), None)

    gate.set()
    assert done.wait(5)


def test_action_that_raises_does_not_silence_the_next(
    queue: FinalizerQueue, greenlet_errors: list[Any]
) -> None:
    def die(_: object) -> None:
        raise ValueError("a bug")

    done = Event()
    queue.put(die, None)
    queue.put(lambda _: done.set(), None)

    assert done.wait(5)


def test_queue_of_a_loop_that_is_gone_takes_and_drains() -> None:
    """Dropping what belonged to an ended thread is no error."""
    taken: list[int] = []
    queue = in_thread(lambda: FinalizerQueue(worker_pool().submit_function))

    queue.put(taken.append, 1)

    assert taken == []
    queue.drain()
    assert taken == [1]


def test_thread_has_one_queue() -> None:
    run = worker_pool().submit_function

    assert finalizer_queue(run) is finalizer_queue(run)
    assert in_thread(lambda: finalizer_queue(run)) is not finalizer_queue(run)


@pytest.mark.slow
def test_what_is_left_at_exit_is_called() -> None:
    ended = run_python(
        """
        from geopb.finalizers import finalizer_queue
        from geopb.workers import worker_pool

        queue = finalizer_queue(worker_pool().submit_function)
        queue.put(print, "first")
        queue.put(print, "second")
        """
    )

    assert (ended.returncode, ended.stdout) == (0, "first\nsecond\n")


@pytest.mark.slow
def test_action_put_after_the_end_of_the_loop_is_called_at_exit() -> None:
    ended = run_python(
        """
        import gevent
        from geopb.finalizers import finalizer_queue
        from geopb.workers import worker_pool

        queue = finalizer_queue(worker_pool().submit_function)
        hub = gevent.get_hub()
        hub.destroy(destroy_loop=True)
        queue.put(print, "after the loop")
        """
    )

    assert (ended.returncode, ended.stdout) == (0, "after the loop\n"), ended.stderr


@pytest.mark.slow
def test_what_a_thread_has_left_is_called_at_exit() -> None:
    ended = run_python(
        """
        import threading
        from geopb.finalizers import finalizer_queue
        from geopb.workers import worker_pool

        def work():
            queue = finalizer_queue(worker_pool().submit_function)
            queue.put(print, "left by a thread")

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """
    )

    assert (ended.returncode, ended.stdout) == (0, "left by a thread\n"), ended.stderr


def test_a_quick_action_is_called_in_the_hub_and_soon(queue: FinalizerQueue) -> None:
    where: list[Any] = []

    queue.put_quick(lambda _: where.append(getcurrent()), None)

    assert where == []
    eventually(lambda: where)
    assert where == [get_hub()]


def test_a_quick_action_of_another_thread_wakes_the_loop(
    queue: FinalizerQueue,
) -> None:
    where: list[Any] = []
    done = Event()

    def act(_: object) -> None:
        where.append(getcurrent())
        done.set()

    in_thread(lambda: queue.put_quick(act, None))

    assert done.wait(5)
    assert where == [get_hub()]
