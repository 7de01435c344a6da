"""`geopb.shielded`: parts of a method that are not interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.promise.deadline import until
from geopb.testing.clock import settle
from tests.conftest import Pair, Serve
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually, server_connection, turns


class Steps:
    """What a method has done, and what lets it go on."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.go = Event()

    def block(self) -> None:
        """Wait; note how that ended."""
        self.done.append("begun")
        try:
            self.go.wait()
        except BaseException as error:
            self.done.append(type(error))
            raise
        self.done.append("went on")

    def until(self, *done: Any) -> None:
        eventually(lambda: tuple(self.done) == done)


def stopped_by_cancel(promise: Any, _: Any) -> None:
    promise.cancel()


def stopped_by_the_end(promise: Any, client: Any) -> None:
    client.disconnect()


@pytest.fixture(params=[stopped_by_cancel, stopped_by_the_end])
def stop(request: pytest.FixtureRequest) -> Callable[[Any, Any], None]:
    found: Callable[[Any, Any], None] = request.param
    return found


def test_the_interruption_is_held_off_until_the_block_is_left(
    pair: Pair, stop: Callable[[Any, Any], None]
) -> None:
    steps = Steps()

    def work() -> None:
        try:
            with pb.shielded():
                steps.block()
            steps.done.append("wrong: behind the block")
        except pb.Cancelled:
            steps.done.append("cancelled")
            raise

    _, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    steps.until("begun")

    stop(promise, client)
    settle()
    assert steps.done == ["begun"]
    steps.go.set()

    steps.until("begun", "went on", "cancelled")


def test_a_deadline_is_held_off_too(pair: Pair) -> None:
    steps = Steps()

    def work() -> None:
        try:
            with pb.shielded():
                steps.block()
        except pb.DeadlineExceeded:
            steps.done.append("late")
            raise

    _, client = pair(Doing(work))
    with pytest.raises(pb.DeadlineExceeded):
        root_of(client).options(timeout=0.03).callRemote("do").get(timeout=5)
    settle()
    assert steps.done == ["begun"]
    steps.go.set()

    steps.until("begun", "went on", "late")


def test_a_cleanup_can_be_shielded_after_the_interruption(
    pair: Pair, stop: Callable[[Any, Any], None]
) -> None:
    steps = Steps()

    def work() -> None:
        try:
            Event().wait()
        finally:
            with pb.shielded():
                steps.block()
            steps.done.append("clean")

    server, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    eventually(lambda: server_connection(server).service.running)
    turns()

    stop(promise, client)
    steps.until("begun")
    steps.go.set()

    # It was raised once: the end of the block does not raise it again.
    steps.until("begun", "went on", "clean")


def test_blocks_may_nest(pair: Pair) -> None:
    steps = Steps()

    def work() -> None:
        with pb.shielded():
            with pb.shielded():
                steps.block()
            steps.done.append("between")
        steps.done.append("wrong")

    server, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    steps.until("begun")

    promise.cancel()
    settle()
    steps.go.set()

    steps.until("begun", "went on", "between")
    eventually(lambda: not server_connection(server).service.running)
    assert steps.done == ["begun", "went on", "between"]


def test_nothing_is_raised_where_nothing_was_to_interrupt(pair: Pair) -> None:
    def work() -> str:
        with pb.shielded():
            turns()
        return "done"

    _, client = pair(Doing(work))

    assert root_of(client).callRemote("do").get(timeout=5) == "done"


def test_it_is_interrupted_as_usual_behind_the_block(pair: Pair) -> None:
    steps = Steps()

    def work() -> None:
        with pb.shielded():
            pass
        steps.block()

    _, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    steps.until("begun")

    promise.cancel()

    steps.until("begun", pb.Cancelled)


def test_calls_inside_do_not_inherit_the_deadline(pair: Pair) -> None:
    seen: list[Any] = []

    def work() -> None:
        seen.append(until.get() is None)
        with pb.shielded():
            seen.append(until.get() is None)
        seen.append(until.get() is None)

    _, client = pair(Doing(work))
    root_of(client).options(timeout=60).callRemote("do").get(timeout=5)

    assert seen == [False, True, False]


def test_a_call_made_inside_goes_on_when_the_caller_has_cancelled(
    serve: Serve, pair: Pair
) -> None:
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        further = root_of(inner)

        def work() -> None:
            with pb.shielded():
                further.callRemote("hold", "kept").get()

        server, client = pair(Doing(work))
        promise = root_of(client).callRemote("do")
        eventually(lambda: last.started)

        promise.cancel()
        settle()
        last.go.set()

        eventually(lambda: last.finished == ["kept"])
        eventually(lambda: not server_connection(server).service.running)
        assert not last.interrupted


def test_the_callers_promise_does_not_wait_for_the_block(pair: Pair) -> None:
    steps = Steps()

    def work() -> None:
        with pb.shielded():
            steps.block()

    _, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    steps.until("begun")

    promise.cancel()

    with pytest.raises(pb.Cancelled):
        promise.get(block=False)
    steps.go.set()
    steps.until("begun", "went on")


def test_a_body_that_raises_is_followed_by_the_interruption(pair: Pair) -> None:
    steps = Steps()

    def work() -> None:
        try:
            with pb.shielded():
                steps.block()
                raise KeyError("mine")
        except pb.Cancelled as error:
            steps.done.append(type(error.__context__))
            raise

    _, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    steps.until("begun")

    promise.cancel()
    settle()
    steps.go.set()

    steps.until("begun", "went on", KeyError)


def test_elsewhere_it_does_nothing() -> None:
    with pb.shielded():
        gevent.sleep(0)

    with pytest.raises(KeyError), pb.shielded():
        raise KeyError


def test_other_interruptions_pass_through(pair: Pair) -> None:
    """It is about the end of the call: a timeout of the method's own strikes."""

    def work() -> str:
        try:
            with pb.shielded(), gevent.Timeout(0.02):
                Event().wait()
        except gevent.Timeout:
            return "timed out"
        return "wrong"

    _, client = pair(Doing(work))

    assert root_of(client).callRemote("do").get(timeout=5) == "timed out"


def test_a_greenlet_that_the_method_returned_can_shield_itself(
    pair: Pair, stop: Callable[[Any, Any], None]
) -> None:
    steps = Steps()

    def later() -> None:
        try:
            with pb.shielded():
                steps.block()
            steps.done.append("wrong: behind the block")
        except pb.Cancelled:
            steps.done.append("cancelled")
            raise

    server, client = pair(Doing(lambda: gevent.spawn(later)))
    connection = server_connection(server)
    promise = root_of(client).callRemote("do")
    steps.until("begun")
    turns()

    stop(promise, client)
    settle()
    assert steps.done == ["begun"]
    steps.go.set()

    steps.until("begun", "went on", "cancelled")
    eventually(lambda: not connection.service.running)
