"""Calls on one promise start in the order made, though one waits for its arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.broker import pipeline
from geopb.testing import Pair, connected_pair, settle
from tests.net.roots import root_of
from tests.support import (
    assert_released,
    client_connection,
    eventually,
    server_connection,
)


class Log(pb.Referenceable):
    """Remembers what it was told, in the order in which that began."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def remote_tell(self, what: Any, *more: Any) -> Any:
        self.told.append(what)
        return what

    def remote_me(self, *more: Any) -> Log:
        return self


class Note(pb.Copyable, pb.RemoteCopy):
    """A copy: a call that names one is not run before its caller has it."""


pb.setUnjellyableForClass(Note, Note)


class Root(pb.Root):
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.log = Log(self.told)
        #: Ends `slow`, and `slowly_log`.
        self.go, self.go_log = Event(), Event()

    def remote_log(self) -> Log:
        return self.log

    def remote_slowly_log(self) -> Log:
        self.go_log.wait()
        return self.log

    def remote_slow(self, what: Any = "slow") -> Any:
        self.go.wait()
        return Note() if what == "note" else what

    def remote_fail(self) -> None:
        self.go.wait()
        raise pb.Error("no")

    def remote_ask(self, client: Any) -> Any:
        return client.callRemote("asked").get()

    def remote_tell(self, what: Any, *more: Any) -> Any:
        self.told.append(what)
        return what


@pytest.fixture
def root() -> Root:
    return Root()


@pytest.fixture
def joined(root: Root) -> Iterator[Pair]:
    with connected_pair(root) as pair:
        yield pair


@pytest.fixture
def remote(joined: Pair) -> Any:
    return root_of(joined.client)


def pending(root: Root, remote: Any) -> Any:
    """Return the promise of a log that is not there when it is called."""
    gevent.spawn(root.go_log.set)
    return remote.callRemote("slowly_log")


def there(root: Root, remote: Any) -> Any:
    promise = remote.callRemote("log")
    promise.get(timeout=5)
    return promise


def by_hand(root: Root, remote: Any) -> Any:
    promise: pb.Promise[Any] = pb.Promise()
    log = remote.callRemote("log").get(timeout=5)
    gevent.spawn(promise.set, log)
    return promise


def after_handlers(root: Root, remote: Any) -> Any:
    return remote.callRemote("log").addCallback(lambda log: log)


def of_a_root(root: Root, remote: Any) -> Any:
    return pb.succeed(remote)


def a_call(remote: Any) -> Any:
    return remote.callRemote("slow")


def with_a_handler(remote: Any) -> Any:
    return remote.callRemote("slow").addCallback(str.upper)


def a_copy(remote: Any) -> Any:
    return remote.callRemote("slow", "note")


def one_that_fails(remote: Any) -> Any:
    return remote.callRemote("fail")


def two_calls(remote: Any) -> Any:
    return [remote.callRemote("slow"), {"a": remote.callRemote("slow", "note")}]


@pytest.mark.parametrize("on", [pending, there, by_hand, after_handlers, of_a_root])
@pytest.mark.parametrize(
    "waits_for", [a_call, with_a_handler, a_copy, one_that_fails, two_calls]
)
def test_a_call_that_waits_for_an_argument_holds_up_later_ones_on_its_promise(
    root: Root, remote: Any, on: Any, waits_for: Any
) -> None:
    promise = on(root, remote)
    first = promise.callRemote("tell", 1, waits_for(remote))
    later = [promise.callRemote("tell", n) for n in (2, 3)]
    remote.callRemote("tell", "the next on the root").get(timeout=5)
    promise.get(timeout=5)
    # Also when it is there.
    later.append(promise.callRemote("tell", 4))
    settle()

    assert root.told == ["the next on the root"]
    root.go.set()
    first.wait(timeout=5)
    assert [each.get(timeout=5) for each in later] == [2, 3, 4]
    fails = waits_for is one_that_fails
    assert root.told[1:] == ([2, 3, 4] if fails else [1, 2, 3, 4])
    assert isinstance(first.exception, pb.Error) == fails


def test_all_of_them_take_one_round_trip(root: Root, joined: Pair, remote: Any) -> None:
    joined.link.to_client.stall()
    log = remote.callRemote("log")
    slow = remote.callRemote("slow")
    called = [log.callRemote("tell", 1, slow), log.callRemote("tell", 2)]
    settle()
    assert root.told == []

    root.go.set()
    eventually(lambda: root.told == [1, 2])
    assert not slow.ready()
    joined.link.to_client.resume()
    assert pb.gather(called).get(timeout=5) == [1, 2]


def test_what_is_not_held_up(root: Root, remote: Any) -> None:
    """Calls on the reference, on another promise, and with another argument."""
    log = remote.callRemote("log")
    first = log.callRemote("tell", 1, remote.callRemote("slow"))

    assert log.get(timeout=5).callRemote("tell", 2).get(timeout=5) == 2
    assert remote.callRemote("log").callRemote("tell", 3).get(timeout=5) == 3
    root.go.set()
    assert first.get(timeout=5) == 1
    assert root.told == [2, 3, 1]


def test_several_that_wait_start_in_the_order_made(root: Root, remote: Any) -> None:
    """Whichever of their arguments is there first."""
    log = remote.callRemote("log")
    there_first = remote.callRemote("tell", "there first")
    called = [
        log.callRemote("tell", 1, remote.callRemote("slow")),
        log.callRemote("tell", 2, there_first),
        log.callRemote("tell", 3, there_first),
        log.callRemote("tell", 4),
    ]
    there_first.get(timeout=5)
    settle()
    assert root.told == ["there first"]

    root.go.set()
    pb.gather(called).get(timeout=5)
    assert root.told == ["there first", 1, 2, 3, 4]


def test_a_call_that_is_cancelled_holds_up_nothing(root: Root, remote: Any) -> None:
    log = remote.callRemote("log")
    for waits_for in (a_call, with_a_handler):
        first = log.callRemote("tell", 1, waits_for(remote))
        second = log.callRemote("tell", 2)
        settle()
        assert not second.ready()

        first.cancel()
        assert second.get(timeout=5) == 2
    assert root.told == [2, 2]


def test_a_call_whose_time_is_over_holds_up_nothing(root: Root, remote: Any) -> None:
    log = remote.callRemote("log")
    for waits_for in (a_call, with_a_handler):
        slow = waits_for(remote)
        with pb.deadline(0.01):
            first = log.callRemote("tell", 1, slow)
        second = log.callRemote("tell", 2)

        assert second.get(timeout=5) == 2
        assert isinstance(first.exception, pb.DeadlineExceeded)


def test_a_call_behind_one_can_be_cancelled(root: Root, remote: Any) -> None:
    log = remote.callRemote("log")
    for waits_for in (a_call, with_a_handler):
        root.go.clear()
        first = log.callRemote("tell", 1, waits_for(remote))
        second = log.callRemote("tell", 2)
        third = log.callRemote("tell", 3)
        settle()
        second.cancel()
        settle()
        assert not third.ready()
        root.go.set()

        assert third.get(timeout=5) == 3
        assert first.get(timeout=5) == 1
    assert root.told == [1, 3, 1, 3]


class Asked(pb.Referenceable):
    """Calls on the promise that its own caller waits for."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def remote_asked(self) -> Any:
        slow = self.log.callRemote("me")
        called = [self.log.callRemote("tell", 1, slow), self.log.callRemote("tell", 2)]
        return pb.gather(called).get()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_method_that_is_asked_back_never_waits_for_what_waits_for_it(
    root: Root, remote: Any, is_there: bool
) -> None:
    log = remote.callRemote("log")
    if is_there:
        log.get(timeout=5)
    asking = remote.callRemote("ask", Asked(log))
    first = log.callRemote("tell", 3, asking)
    last = log.callRemote("tell", 4)

    assert last.get(timeout=5) == 4
    assert first.get(timeout=5) == 3
    # Its own calls keep their order, too.
    assert root.told == [1, 2, 3, 4]


def test_a_handler_never_waits_for_what_waits_for_its_chain(
    root: Root, remote: Any
) -> None:
    log = remote.callRemote("log")
    handled = remote.callRemote("slow").addCallback(
        lambda _: log.callRemote("tell", 1).get()
    )
    called = [log.callRemote("tell", 2, handled), log.callRemote("tell", 3)]
    root.go.set()

    assert pb.gather(called).get(timeout=5) == [2, 3]
    assert root.told == [1, 2, 3]


def test_order_holds_though_the_peer_has_forgotten_what_it_put_off(
    monkeypatch: pytest.MonkeyPatch, root: Root, joined: Pair, remote: Any
) -> None:
    """It says too often that a call was not run, never too seldom."""
    monkeypatch.setattr(pipeline, "_LAST_PUT_OFF", 1)
    log = there(root, remote)
    notes = [remote.callRemote("slow", "note") for _ in range(3)]
    joined.link.to_client.stall()
    root.go.set()
    called = []
    for n, note in enumerate(notes):
        called.append(log.callRemote("tell", (n, "with"), note))
        called.append(log.callRemote("tell", (n, "behind")))
    settle()
    called.append(log.callRemote("tell", "last"))
    settle()
    assert root.told == []
    joined.link.to_client.resume()

    pb.gather(called).get(timeout=5)
    assert root.told == [
        *((n, what) for n in range(3) for what in ("with", "behind")),
        "last",
    ]


def test_a_thousand_calls_stay_behind_one(root: Root, remote: Any) -> None:
    log = remote.callRemote("log")
    called = [log.callRemote("tell", 0, remote.callRemote("slow"))]
    called += [log.callRemote("tell", n) for n in range(1, 900)]
    root.go.set()

    pb.gather(called).get(timeout=20)
    assert root.told == list(range(900))


def test_calls_behind_one_that_has_begun_are_usual_ones(
    root: Root, remote: Any
) -> None:
    log = remote.callRemote("log")
    first = log.callRemote("tell", 1, remote.callRemote("slow"))
    behind = log.callRemote("tell", 2)
    root.go.set()
    first.get(timeout=5)

    assert log._turns is not None
    log.callRemote("tell", 3)
    assert log._turns is None
    assert behind.get(timeout=5) == 2


def test_nothing_is_kept_of_them(root: Root) -> None:
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        remote = root_of(client)
        log = remote.callRemote("log")
        for waits_for in (a_call, with_a_handler, a_copy, two_calls):
            root.go.clear()
            called = [log.callRemote("tell", 1, waits_for(remote))]
            called += [log.callRemote("tell", n) for n in (2, 3)]
            called[1].cancel()
            root.go.set()
            for each in called:
                each.wait(timeout=5)
        del remote, log, called, each
        sides = [client_connection(client), server_connection(server)]
        assert_released(sides)
        assert not any(side.broker.pipeline.waiting for side in sides)


def test_the_end_of_the_line_ends_all_of_them(
    root: Root, joined: Pair, remote: Any
) -> None:
    log = remote.callRemote("log")
    called = [
        log.callRemote("tell", 1, remote.callRemote("slow")),
        log.callRemote("tell", 2),
        log.callRemote("tell", 3, with_a_handler(remote)),
        log.callRemote("tell", 4),
    ]
    settle()
    joined.link.reset()

    for each in called:
        with pytest.raises(pb.PBConnectionLost):
            each.get(timeout=5)


def test_what_stays_behind_a_call_is_let_in_while_the_server_drains(
    root: Root,
) -> None:
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        remote = root_of(client)
        log = remote.callRemote("log")
        note = remote.callRemote("slow", "note")
        # Not run before the copy is here: both are made again.
        called = [log.callRemote("tell", 1, note), log.callRemote("tell", 2)]
        eventually(lambda: server_connection(server).service.waiting == 2)
        stopping = gevent.spawn(server.stop)
        eventually(lambda: client.draining)
        root.go.set()

        assert pb.gather(called).get(timeout=5) == [1, 2]
        stopping.get(timeout=5)
