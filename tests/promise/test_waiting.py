"""Waiting that could never end, and what it is told from."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.promise.waiting import Timeout, Waitable
from tests.support import eventually, turns


def assert_waits_for_itself(promise: pb.Promise[Any]) -> None:
    """It ends with a RuntimeError, and soon."""
    with pytest.raises(RuntimeError):
        promise.get(timeout=2)


# -- promises that wait for themselves ---------------------------------------------


def test_promise_set_to_itself_fails() -> None:
    promise: pb.Promise[Any] = pb.Promise()

    promise.set(promise)

    assert_waits_for_itself(promise)


def test_handler_that_returns_its_own_promise_fails_it() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: promise)

    promise.set(1)

    assert_waits_for_itself(promise)


def test_handler_added_after_the_end_that_returns_its_own_promise_fails_it() -> None:
    promise: pb.Promise[Any] = pb.succeed(1)

    promise.addCallback(lambda _: promise)

    assert_waits_for_itself(promise)


def test_errback_takes_the_error_of_a_promise_that_waits_for_itself() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: promise)
    promise.addErrback(lambda failure: failure.trap(RuntimeError) and "saved")

    promise.set(1)

    assert promise.get(timeout=2) == "saved"


@pytest.mark.parametrize("method", ["get", "wait"])
@pytest.mark.parametrize("timeout", [None, 30])
def test_handler_that_blocks_on_its_own_promise_fails_it(
    method: str, timeout: float | None
) -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: getattr(promise, method)(timeout=timeout))

    promise.set(1)

    assert_waits_for_itself(promise)


def test_two_promises_set_to_each_other_fail() -> None:
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()

    one.set(two)
    two.set(one)

    assert_waits_for_itself(one)
    assert_waits_for_itself(two)


def test_ring_of_promises_fails() -> None:
    ring: list[pb.Promise[Any]] = [pb.Promise() for _ in range(10)]

    for index, promise in enumerate(ring):
        promise.set(ring[index - 1])

    for promise in ring:
        assert_waits_for_itself(promise)


def test_two_promises_whose_handlers_return_each_other_fail() -> None:
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()
    one.addCallback(lambda _: two)
    two.addCallback(lambda _: one)

    one.set()
    two.set()

    assert_waits_for_itself(one)
    assert_waits_for_itself(two)


def test_two_promises_whose_handlers_block_on_each_other_fail() -> None:
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()
    one.addCallback(lambda _: two.get())
    two.addCallback(lambda _: one.get())

    one.set()
    two.set()

    assert_waits_for_itself(one)
    assert_waits_for_itself(two)


def test_three_promises_whose_handlers_block_in_a_ring_fail() -> None:
    ring: list[pb.Promise[Any]] = [pb.Promise() for _ in range(3)]
    for index, promise in enumerate(ring):
        promise.addCallback(lambda _, index=index: ring[index - 1].get())

    for promise in ring:
        promise.set()

    for promise in ring:
        assert_waits_for_itself(promise)


def test_blocking_and_following_in_a_ring_fails() -> None:
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()
    one.addCallback(lambda _: two.get())

    one.set()
    turns()
    two.set(one)

    assert_waits_for_itself(one)
    assert_waits_for_itself(two)


def test_promise_set_to_a_gathering_of_itself_fails(
    geopb_log: list[Any],
) -> None:
    promise: pb.Promise[Any] = pb.Promise()

    promise.set(pb.gather([pb.succeed(1), promise]))

    assert_waits_for_itself(promise)


def test_handler_that_returns_a_gathering_of_its_own_promise_fails_it(
    geopb_log: list[Any],
) -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: pb.gather([promise]))

    promise.set()

    assert_waits_for_itself(promise)


def test_handler_that_blocks_on_a_gathering_of_its_own_promise_fails_it(
    geopb_log: list[Any],
) -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: pb.gather([promise]).get())

    promise.set()

    assert_waits_for_itself(promise)


def test_gathering_whose_handler_waits_for_it_through_another_fails(
    geopb_log: list[Any],
) -> None:
    other: pb.Promise[Any] = pb.Promise()
    gathered = pb.gather([pb.succeed(1)])
    gathered.addCallback(lambda _: other)

    other.set(gathered)

    assert_waits_for_itself(gathered)


@pytest.mark.parametrize("blocks", [False, True], ids=["returned", "blocked on"])
def test_handler_that_waits_for_a_call_on_its_own_promise_fails_it(
    blocks: bool, geopb_log: list[Any]
) -> None:
    promise: pb.Promise[Any] = pb.Promise()

    def handler(value: Any) -> Any:
        called = promise.callRemote("echo")
        return called.get() if blocks else called

    promise.addCallback(handler)

    promise.set(1)

    assert_waits_for_itself(promise)


def test_promise_set_to_a_call_on_itself_fails(geopb_log: list[Any]) -> None:
    promise: pb.Promise[Any] = pb.Promise()

    promise.set(promise.callRemote("echo"))

    assert_waits_for_itself(promise)


# -- promises that do not ----------------------------------------------------------


def test_handler_may_wait_for_what_ends_later() -> None:
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()
    one.addCallback(lambda _: two.get(timeout=5))
    one.set()
    turns()

    two.set(2)

    assert one.get(timeout=5) == 2


def test_two_handlers_may_wait_for_the_same_promise() -> None:
    shared: pb.Promise[Any] = pb.Promise()
    waiting = [pb.succeed(1).addCallback(lambda _: shared.get()) for _ in range(3)]
    turns()

    shared.set("both")

    assert pb.gather(waiting).get(timeout=5) == ["both"] * 3


def test_promise_may_stand_twice_in_what_is_waited_for() -> None:
    shared: pb.Promise[Any] = pb.Promise()
    outer: pb.Promise[Any] = pb.Promise()
    outer.set(pb.gather([shared, shared, pb.gather([shared])]))

    shared.set(1)

    assert outer.get(timeout=5) == [1, 1, [1]]


def test_handler_that_timed_out_may_be_waited_for() -> None:
    """What a handler has stopped waiting for is not what its promise depends on."""
    one: pb.Promise[Any] = pb.Promise()
    two: pb.Promise[Any] = pb.Promise()
    gate = Event()

    def handler(_: object) -> str:
        with pytest.raises(pb.Timeout):
            two.get(timeout=0)
        timed_out.append(True)
        gate.wait()
        return "done"

    timed_out: list[bool] = []
    one.addCallback(handler)
    one.set()
    eventually(lambda: timed_out)

    two.set(one)
    gate.set()

    assert two.get(timeout=5) == "done"


def test_handler_may_set_off_what_waits_for_its_promise() -> None:
    """It does not wait for it itself."""
    promise: pb.Promise[Any] = pb.Promise()
    follower: pb.Promise[Any] = pb.Promise()

    def handler(value: int) -> int:
        follower.set(promise)
        return value + 1

    promise.addCallback(handler)
    promise.set(1)

    assert follower.get(timeout=5) == 2


def test_handler_may_spawn_what_waits_for_its_promise() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    spawned: list[Any] = []
    gate = Event()
    promise.addCallback(lambda value: spawned.append(gevent.spawn(promise.get)))
    promise.addCallback(lambda _: gate.wait() and "end")
    promise.set()
    eventually(lambda: spawned)
    turns()

    gate.set()

    assert promise.get(timeout=5) == "end"
    assert spawned[0].get(timeout=5) == "end"


def test_greenlet_of_a_handler_waits_for_nothing_on_its_behalf() -> None:
    """What it spawned goes on after the handler: the promise has an end of its own."""
    promise: pb.Promise[Any] = pb.Promise()
    other: pb.Promise[Any] = pb.Promise()
    spawned: list[Any] = []
    promise.addCallback(lambda value: spawned.append(gevent.spawn(other.get)))
    promise.set()
    promise.get(timeout=5)
    turns()
    gate = Event()
    promise.addCallback(lambda _: gate.wait() and "end")

    other.set(promise)

    gate.set()
    assert other.get(timeout=5) == "end"
    assert spawned[0].get(timeout=5) == "end"


def test_handler_may_wait_for_a_greenlet() -> None:
    promise = pb.succeed(1).addCallback(lambda _: gevent.spawn(lambda: 3).get())

    assert promise.get(timeout=5) == 3


def test_handler_may_add_to_another_promise_that_waits_for_its_own() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    other: pb.Promise[Any] = pb.succeed(0)

    def handler(value: int) -> int:
        other.addCallback(lambda _: promise.get())
        return value

    promise.addCallback(handler)
    promise.set(1)

    assert promise.get(timeout=5) == 1
    assert other.get(timeout=5) == 1


# -- Timeout -----------------------------------------------------------------------


def test_text_of_a_timeout_is_its_message() -> None:
    assert str(Timeout(3, "too late")) == "too late"


def test_timeout_is_the_one_that_is_public() -> None:
    assert Timeout is pb.Timeout
    assert issubclass(pb.Promise, Waitable)


def test_a_get_that_timed_out_keeps_nothing_of_its_promise() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    gone = weakref.ref(promise)
    gc.disable()
    try:
        with contextlib.suppress(pb.Timeout):
            promise.get(timeout=0)
        del promise

        assert gone() is None
    finally:
        gc.enable()
