"""Failures that nobody looked at."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.support import collect, eventually, in_thread, run_python, turns


class Boom(Exception):
    """What tests fail promises with."""


Log = list[logging.LogRecord]


def unhandled(records: Log) -> list[str]:
    """Return the texts of the records about unhandled errors."""
    collect()
    texts = [record.getMessage() for record in records]
    return [text for text in texts if text.startswith("Unhandled error in Promise")]


def test_dropped_failure_is_logged_once(geopb_log: Log) -> None:
    pb.fail(Boom("why"))

    (text,) = unhandled(geopb_log)

    assert f"{__name__}.Boom" in text
    assert "why" in text
    collect()
    assert len(unhandled(geopb_log)) == 1


def test_record_is_an_error_of_logger_geopb(geopb_log: Log) -> None:
    pb.fail(Boom("why"))
    collect()

    (record,) = geopb_log

    assert record.name == "geopb"
    assert record.levelno == logging.ERROR


def test_record_has_the_traceback(geopb_log: Log) -> None:
    def the_handler(_: object) -> None:
        raise Boom("why")

    pb.succeed(1).addCallback(the_handler).wait(5)

    (text,) = unhandled(geopb_log)

    assert "Traceback (most recent call last)" in text
    assert "in the_handler" in text
    assert f"{__name__}.Boom: why" in text


def test_record_of_a_failure_passed_on_by_trap_has_its_traceback(
    geopb_log: Log,
) -> None:
    def the_handler(_: object) -> None:
        raise Boom("why")

    promise = pb.succeed(1).addCallback(the_handler)
    promise.addErrback(lambda failure: failure.trap(KeyError))
    promise.wait(5)
    del promise

    (text,) = unhandled(geopb_log)

    assert "in the_handler" in text


def test_record_of_a_failure_with_a_cause_has_both(geopb_log: Log) -> None:
    def the_handler(_: object) -> None:
        raise Boom("effect") from ValueError("cause")

    pb.succeed(1).addCallback(the_handler).wait(5)

    (text,) = unhandled(geopb_log)

    assert "ValueError: cause" in text
    assert "Boom: effect" in text


def test_failure_is_not_logged_while_the_promise_is_held(geopb_log: Log) -> None:
    promise = pb.fail(Boom())
    assert unhandled(geopb_log) == []

    del promise

    assert len(unhandled(geopb_log)) == 1


def test_adding_a_callback_does_not_log_while_the_promise_is_held(
    geopb_log: Log,
) -> None:
    promise = pb.fail(Boom())

    promise.addCallback(print).addCallback(print)
    promise.wait(5)

    assert unhandled(geopb_log) == []
    del promise
    assert len(unhandled(geopb_log)) == 1


def test_promise_in_a_cycle_is_logged_once(geopb_log: Log) -> None:
    def make() -> None:
        promise = pb.fail(Boom())
        cycle: list[Any] = [promise]
        cycle.append(cycle)
        cycle.append(lambda: promise)

    make()

    assert len(unhandled(geopb_log)) == 1


def test_each_dropped_failure_is_logged(geopb_log: Log) -> None:
    for number in range(20):
        pb.fail(Boom(f"number {number};"))

    texts = unhandled(geopb_log)

    assert [f"number {number};" in text for number, text in enumerate(texts)] == (
        [True] * 20
    )


# -- what counts as looking --------------------------------------------------------


def looks_by_get(promise: pb.Promise[Any]) -> None:
    with pytest.raises(Boom):
        promise.get()


def looks_by_get_without_block(promise: pb.Promise[Any]) -> None:
    with pytest.raises(Boom):
        promise.get(block=False)


def looks_by_exception(promise: pb.Promise[Any]) -> None:
    assert promise.exception is not None


def looks_by_errback(promise: pb.Promise[Any]) -> None:
    promise.addErrback(lambda _: None).wait(5)


def looks_by_both(promise: pb.Promise[Any]) -> None:
    promise.addBoth(lambda _: None).wait(5)


def looks_by_callbacks(promise: pb.Promise[Any]) -> None:
    promise.addCallbacks(print, lambda _: None).wait(5)


def looks_by_gather(promise: pb.Promise[Any]) -> None:
    assert pb.gather([promise]).addBoth(lambda f: None).get(timeout=5) is None


def looks_by_following(promise: pb.Promise[Any]) -> None:
    follower: pb.Promise[Any] = pb.Promise()
    follower.set(promise)
    looks_by_get(follower)


def looks_by_returning_it(promise: pb.Promise[Any]) -> None:
    with pytest.raises(Boom):
        pb.succeed(1).addCallback(lambda _: promise).get(timeout=5)


LOOKS = [
    looks_by_get,
    looks_by_get_without_block,
    looks_by_exception,
    looks_by_errback,
    looks_by_both,
    looks_by_callbacks,
    looks_by_gather,
    looks_by_following,
    looks_by_returning_it,
]


@pytest.mark.parametrize("look", LOOKS)
def test_failure_that_was_looked_at_is_not_logged(
    look: Callable[[pb.Promise[Any]], None], geopb_log: Log
) -> None:
    promise = pb.fail(Boom())
    look(promise)

    del promise

    assert unhandled(geopb_log) == []


def glances(promise: pb.Promise[Any]) -> list[Callable[[], object]]:
    """Return ways to see that it failed without looking at the failure."""
    return [
        promise.wait,
        lambda: promise.wait(1),
        promise.ready,
        promise.successful,
        promise.failed,
        lambda: promise.value,
        lambda: repr(promise),
        lambda: promise.rawlink(lambda _: None),
        lambda: promise.unlink(print),
        lambda: gevent.wait([promise], timeout=5),
        lambda: promise.addCallback(print).wait(5),
    ]


@pytest.mark.parametrize("number", range(11))
def test_failure_that_was_not_looked_at_is_logged(number: int, geopb_log: Log) -> None:
    promise = pb.fail(Boom())
    glances(promise)[number]()
    turns()

    del promise

    assert len(unhandled(geopb_log)) == 1


def test_errback_that_fails_is_logged_with_its_own_failure(geopb_log: Log) -> None:
    def errback(_: object) -> None:
        raise Boom("errback's")

    pb.fail(ValueError("first")).addErrback(errback).wait(5)

    (text,) = unhandled(geopb_log)
    assert "errback's" in text


def test_failure_that_an_errback_returned_is_logged(geopb_log: Log) -> None:
    pb.fail(Boom("on")).addErrback(lambda failure: failure).wait(5)

    (text,) = unhandled(geopb_log)
    assert "on" in text


def test_failure_inside_the_chain_that_was_saved_is_not_logged(
    geopb_log: Log,
) -> None:
    def die(_: object) -> None:
        raise Boom

    pb.succeed(1).addCallback(die).addErrback(lambda _: "saved").wait(5)

    assert unhandled(geopb_log) == []


def test_looked_at_failure_whose_chain_goes_on_and_fails_again_is_logged(
    geopb_log: Log,
) -> None:
    promise = pb.fail(Boom("first"))
    assert promise.exception is not None
    promise.addErrback(lambda failure: pb.Failure(Boom("second"))).wait(5)

    del promise

    (text,) = unhandled(geopb_log)
    assert "second" in text


def test_get_that_timed_out_does_not_count_as_looking(geopb_log: Log) -> None:
    promise: pb.Promise[Any] = pb.Promise()
    with pytest.raises(pb.Timeout):
        promise.get(timeout=0)
    promise.set_exception(Boom())

    del promise

    assert len(unhandled(geopb_log)) == 1


def test_promise_that_never_ends_is_not_logged(geopb_log: Log) -> None:
    pb.Promise().addCallback(print)

    assert unhandled(geopb_log) == []


# -- strange failures --------------------------------------------------------------


class BadText(Exception):
    """Its str() raises."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    "error",
    [
        BadText(),
        Boom("\ud800 lone"),
        Boom("x" * 10_000_000),
        Boom("line\nUnhandled error in Promise: forged"),
    ],
    ids=["str raises", "surrogate", "huge", "lines"],
)
def test_failure_with_a_strange_text_is_logged_once(
    error: Exception, geopb_log: Log
) -> None:
    pb.fail(error)
    del error

    (text,) = unhandled(geopb_log)

    assert type(text) is str
    assert len(text) < 200_000
    text.encode("utf-8")


def test_system_exit_that_nobody_looked_at_is_logged(geopb_log: Log) -> None:
    pb.fail(SystemExit(3))

    (text,) = unhandled(geopb_log)
    assert "SystemExit" in text


# -- where it is dropped -----------------------------------------------------------


def test_promise_dropped_in_the_hub_is_logged(geopb_log: Log) -> None:
    held = [pb.fail(Boom())]

    gevent.get_hub().loop.run_callback(held.clear)

    eventually(lambda: geopb_log)
    assert len(unhandled(geopb_log)) == 1


def test_promise_dropped_in_another_thread_is_logged(geopb_log: Log) -> None:
    held = [pb.fail(Boom())]

    in_thread(held.clear)

    eventually(lambda: geopb_log)
    assert len(unhandled(geopb_log)) == 1


def test_promise_dropped_in_another_thread_wakes_a_sleeping_loop(
    geopb_log: Log,
) -> None:
    """The loop has nothing else to do: the drop itself must wake it."""
    logged = Event()
    held = [pb.fail(Boom())]

    class Wake(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.set()

    log, handler = logging.getLogger("geopb"), Wake()
    log.addHandler(handler)
    gevent.get_hub().threadpool.spawn(held.clear)
    try:
        assert logged.wait(5)
    finally:
        log.removeHandler(handler)


def test_handler_of_the_log_may_block(geopb_log: Log) -> None:
    """Records are made where blocking is allowed, not in finalizer or hub."""
    gate, seen = Event(), []

    class Blocking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            gate.wait(5)
            seen.append(record)

    log, handler = logging.getLogger("geopb"), Blocking()
    log.addHandler(handler)
    try:
        pb.fail(Boom())
        gc.collect()
        turns(10)
        assert seen == []
        gate.set()
        eventually(lambda: seen)
    finally:
        log.removeHandler(handler)


@pytest.mark.slow
def test_failure_dropped_at_the_end_of_the_program_is_logged() -> None:
    ended = run_python(
        """
        import geopb as pb
        pb.fail(ValueError("at the end"))
        """
    )

    assert ended.returncode == 0
    assert ended.stderr.count("Unhandled error in Promise") == 1
    assert "at the end" in ended.stderr


@pytest.mark.slow
def test_failure_held_to_the_end_of_the_program_is_logged() -> None:
    ended = run_python(
        """
        import geopb as pb
        held = pb.fail(ValueError("held"))
        """
    )

    assert ended.returncode == 0
    assert ended.stderr.count("Unhandled error in Promise") == 1


@pytest.mark.slow
def test_failure_that_was_looked_at_is_not_logged_at_the_end() -> None:
    ended = run_python(
        """
        import geopb as pb
        pb.fail(ValueError("seen")).exception
        held = pb.fail(ValueError("seen"))
        held.exception
        """
    )

    assert (ended.returncode, ended.stderr) == (0, "")
