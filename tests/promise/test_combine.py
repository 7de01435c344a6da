"""One promise out of many."""

from __future__ import annotations

import itertools
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

import geopb as pb
from tests.support import turns


class Boom(Exception):
    """What tests fail promises with."""


def some(count: int) -> list[pb.Promise[Any]]:
    return [pb.Promise() for _ in range(count)]


def test_gather_gives_the_results_in_the_order_of_the_promises() -> None:
    promises = some(3)
    gathered = pb.gather(promises)

    for index in (2, 0, 1):
        assert not gathered.ready()
        promises[index].set(index)
        turns()

    assert gathered.get(timeout=5) == [0, 1, 2]


def test_gather_of_nothing_is_an_empty_list() -> None:
    assert pb.gather([]).get(timeout=5) == []


def test_gather_of_finished_promises_ends() -> None:
    assert pb.gather([pb.succeed(1), pb.succeed(2)]).get(timeout=5) == [1, 2]


def test_gather_takes_any_iterable() -> None:
    gathered = pb.gather(pb.succeed(number) for number in range(3))

    assert gathered.get(timeout=5) == [0, 1, 2]


def test_gather_takes_a_promise_twice() -> None:
    promise: pb.Promise[int] = pb.Promise()
    gathered = pb.gather([promise, promise])

    promise.set(1)

    assert gathered.get(timeout=5) == [1, 1]


def test_gather_gives_what_stands_at_the_end_of_each_chain() -> None:
    promise = pb.succeed(1).addCallback(lambda value: value + 1)

    assert pb.gather([promise]).get(timeout=5) == [2]


def test_gather_adds_nothing_to_the_chains() -> None:
    promise = pb.succeed(1)
    pb.gather([promise]).addCallback(lambda _: None).get(timeout=5)

    assert promise.get() == 1


def test_gather_takes_async_results_and_greenlets() -> None:
    result: AsyncResult[int] = AsyncResult()
    result.set(1)
    mixed: list[Any] = [result, gevent.spawn(lambda: 2), pb.succeed(3)]

    assert pb.gather(mixed).get(timeout=5) == [1, 2, 3]


def test_gather_can_be_gathered() -> None:
    inner = pb.gather([pb.succeed(1)])

    assert pb.gather([inner, inner]).get(timeout=5) == [[1], [1]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_gather_fails_with_the_failure_that_comes_first(
    order: tuple[int, ...],
) -> None:
    promises = some(3)
    gathered = pb.gather(promises)

    for index in order:
        promises[index].set_exception(Boom(index))

    with pytest.raises(Boom) as caught:
        gathered.get(timeout=5)
    assert caught.value.args == (order[0],)


def test_gather_fails_without_waiting_for_the_others() -> None:
    promises = some(2)
    gathered = pb.gather(promises)

    promises[1].set_exception(Boom("first"))

    with pytest.raises(Boom, match="first"):
        gathered.get(timeout=5)
    assert not promises[0].ready()


def test_failures_after_the_first_count_as_looked_at() -> None:
    promises = some(3)
    gathered = pb.gather(promises)
    for promise in promises:
        promise.set_exception(Boom())
    with pytest.raises(Boom):
        gathered.get(timeout=5)

    # The fixture that watches the log fails this test where one was not.
    del promise
    promises.clear()


def test_failure_that_comes_after_the_end_counts_as_looked_at() -> None:
    promises = some(2)
    gathered = pb.gather(promises)
    promises[0].set_exception(Boom())
    with pytest.raises(Boom):
        gathered.get(timeout=5)

    promises[1].set_exception(Boom("late"))
    turns()

    promises.clear()


def test_failed_gather_that_nobody_looks_at_is_logged_once(
    geopb_log: list[Any],
) -> None:
    pb.gather([pb.fail(Boom("one")), pb.fail(Boom("two"))])
    turns(10)

    assert [record.getMessage().count("one") > 0 for record in geopb_log] == [True]


def test_gather_that_was_saved_is_not_ended_again_by_a_success() -> None:
    promises = some(2)
    gate = Event()
    steps: list[Any] = []
    gathered: pb.Promise[Any] = pb.gather(promises)
    gathered.addErrback(lambda _: "saved")
    gathered.addCallback(lambda value: (gate.wait(), steps.append(value)) and value)
    gathered.addCallback(lambda value: steps.append("last") or value)
    promises[0].set_exception(Boom())
    turns(10)

    promises[1].set(1)
    turns(10)

    assert not gathered.ready()
    gate.set()
    assert gathered.get(timeout=5) == "saved"
    assert steps == ["saved", "last"]


def test_gather_that_was_saved_is_not_ended_again_by_a_failure() -> None:
    promises = some(2)
    gate = Event()
    gathered: pb.Promise[Any] = pb.gather(promises)
    gathered.addErrback(lambda _: "saved")
    gathered.addCallback(lambda value: gate.wait() and value)
    promises[0].set_exception(Boom())
    turns(10)

    promises[1].set_exception(Boom("late"))
    turns(10)

    assert not gathered.ready()
    gate.set()
    assert gathered.get(timeout=5) == "saved"


def test_gather_cannot_be_set_by_hand() -> None:
    gathered = pb.gather(some(1))

    with pytest.raises(RuntimeError):
        gathered.set([])


def test_gather_of_many_ends() -> None:
    promises = some(2000)
    gathered = pb.gather(promises)

    for index, promise in enumerate(promises):
        promise.set(index)

    assert gathered.get(timeout=20) == list(range(2000))


def test_gather_waits_for_handlers_that_run() -> None:
    gate = Event()
    promise: pb.Promise[Any] = pb.succeed(1)
    promise.addCallback(lambda value: gate.wait() and value + 1)
    gathered = pb.gather([promise])
    turns()
    assert not gathered.ready()

    gate.set()

    assert gathered.get(timeout=5) == [2]


@pytest.mark.parametrize("wrong", [1, None, "text", [pb.succeed]])
def test_gather_says_what_it_takes(wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"promises, .* not {type(wrong).__name__}"):
        pb.gather([pb.succeed(1), wrong])
