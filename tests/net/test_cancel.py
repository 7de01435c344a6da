"""`Promise.cancel`: the promise fails at once, the method is stopped at the peer."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event

import geopb as pb
from geopb.net import connection as net_connection
from geopb.testing import connected_pair
from geopb.testing.link import MemoryLink
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import (
    assert_released,
    client_connection,
    collect,
    eventually,
    in_thread,
    server_connection,
    turns,
)
from tests.vectors.cbor import frame


class Copied(pb.Copyable, pb.RemoteCopy):
    """Its state is taken when the test says so."""

    taking = Event()
    go = Event()

    def setCopyableState(self, state: Any) -> None:
        self.taking.set()
        self.go.wait()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What nothing refers to any more is freed at once, or not at all."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Held:
    """Something large that a method has."""


class Keeping(pb.Root):
    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Held] = weakref.WeakSet()

    def remote_hold(self) -> None:
        held = Held()
        self.alive.add(held)
        gevent.sleep(60)

    def remote_stream(self) -> Any:
        held = Held()
        self.alive.add(held)
        yield 1
        gevent.sleep(60)
        yield 2


@pytest.mark.parametrize("end", ["cancel", "deadline", "disconnect"])
def test_what_an_interrupted_method_had_is_freed_at_once(
    pair: Pair, no_collector: None, end: str
) -> None:
    root = Keeping()
    _, client = pair(root)
    remote = root_of(client)
    seconds = 0.2 if end == "deadline" else None
    promise = remote.options(timeout=seconds).callRemote("hold")
    eventually(lambda: root.alive)

    if end == "cancel":
        promise.cancel()
    elif end == "disconnect":
        client.disconnect()

    eventually(lambda: not root.alive)
    with pytest.raises(pb.Error):
        promise.get(timeout=5)


def test_what_an_interrupted_generator_had_is_freed_at_once(
    pair: Pair, no_collector: None
) -> None:
    root = Keeping()
    _, client = pair(root)
    stream = root_of(client).callRemote("stream").get(timeout=5)
    assert next(stream) == 1

    stream.close()

    eventually(lambda: not root.alive)


def test_get_of_a_cancelled_call_raises_cancelled_at_once(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    promise.cancel()

    assert promise.failed()
    with pytest.raises(pb.Cancelled):
        promise.get(block=False)
    eventually(lambda: root.interrupted)


def test_the_method_has_cancelled_raised_where_it_blocks(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold", 7)
    eventually(lambda: root.started)

    promise.cancel()

    eventually(lambda: root.interrupted)
    ((what, error),) = root.interrupted
    assert what == 7
    assert type(error) is pb.Cancelled
    assert not root.finished


def test_a_method_cleans_up_and_may_block_while_it_does(pair: Pair) -> None:
    steps: list[str] = []
    waiting, go = Event(), Event()

    def work() -> None:
        try:
            waiting.set()
            Event().wait()
        finally:
            steps.append("cleaning")
            go.wait()
            steps.append("clean")

    _, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    assert waiting.wait(5)

    promise.cancel()

    eventually(lambda: steps == ["cleaning"])
    go.set()
    eventually(lambda: steps == ["cleaning", "clean"])


def test_a_method_that_swallows_the_interruption_does_not_hang_the_caller(
    pair: Pair,
) -> None:
    swallowed, go, ended = Event(), Event(), Event()

    def work() -> str:
        try:
            Event().wait()
        except pb.Cancelled:
            swallowed.set()
        go.wait()
        ended.set()
        return "late"

    server, client = pair(Doing(work))
    remote = root_of(client)
    promise = remote.callRemote("do")
    eventually(lambda: server_connection(server).service.running)
    turns()

    promise.cancel()

    with pytest.raises(pb.Cancelled):
        promise.get(timeout=0.1)
    assert swallowed.wait(5)
    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    go.set()
    # Once only: it is not interrupted again.
    assert ended.wait(5)
    eventually(lambda: not server_connection(server).service.running)
    with pytest.raises(pb.Cancelled):
        promise.get(block=False)


def test_a_call_that_has_not_begun_does_not_begin(pair: Pair) -> None:
    done: list[Any] = []
    server, client = pair(Doing(done.append))
    remote = root_of(client)

    for number in range(100):
        remote.callRemote("do", number).cancel()
    kept = remote.callRemote("do", "kept")

    kept.get(timeout=5)
    assert done == ["kept"]
    del remote
    assert_released([server_connection(server), client_connection(client)])


def test_a_cancelled_call_does_not_begin_when_the_connection_ends_behind_it(
    serve: Serve,
) -> None:
    done: list[Any] = []
    server = serve(Doing(done.append))
    with Peer(server) as peer:
        peer.send(
            frame([messages.CALL, 2, 1, "do", ["cancelled"]])
            + frame([messages.CANCEL, 2])
            + frame([messages.CALL, 3, 1, "do", ["sent"]])
            + frame([messages.GOODBYE, "enough"])
        )
        eventually(lambda: not server.connections)

    eventually(lambda: done)
    turns()
    assert done == ["sent"]


def test_cancelling_what_is_finished_does_nothing(pair: Pair) -> None:
    _, client = pair(Doing())
    promise = root_of(client).callRemote("echo", 5)
    promise.get(timeout=5)

    promise.cancel()
    promise.cancel()

    assert promise.get() == 5


def test_cancelling_twice_is_cancelling_once(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    promise.cancel()
    promise.cancel()

    eventually(lambda: not server_connection(server).service.running)
    assert len(root.interrupted) == 1


def test_cancel_as_its_answer_leaves_the_peer_harms_nothing(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    for number in range(200):
        promise = remote.callRemote("echo", number)
        turns(number % 5)
        promise.cancel()
        if not promise.successful():
            with pytest.raises(pb.Cancelled):
                promise.get(timeout=5)

    assert remote.callRemote("echo", "on").get(timeout=5) == "on"
    eventually(lambda: not client_connection(client).broker.questions)


def test_the_references_of_a_late_answer_are_released(pair: Pair) -> None:
    class Two(pb.Referenceable):
        pass

    go = Event()

    def work() -> Any:
        try:
            Event().wait()
        except pb.Cancelled:
            go.wait()
        return [Two(), Two()]

    server, client = pair(Doing(work))
    remote = root_of(client)
    promise = remote.callRemote("do")
    remote.callRemote("echo").get(timeout=5)

    promise.cancel()
    go.set()
    eventually(lambda: not client_connection(client).broker.questions)
    del remote, promise

    assert_released([client_connection(client), server_connection(server)])


def test_a_storm_of_cancels_leaves_nothing(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    for _ in range(5):
        promises = [remote.callRemote("hold") for _ in range(500)]
        turns(2)
        for promise in promises:
            promise.cancel()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1

    eventually(lambda: not client_connection(client).broker.questions)
    assert server_connection(server).service.running == 0
    assert len(root.interrupted) == len(root.started)
    assert not root.finished


def test_an_interruption_never_reaches_the_call_that_its_worker_runs_next(
    pair: Pair,
) -> None:
    """Many calls that end as they are cancelled, and others behind them."""
    wrong: list[BaseException] = []

    def quick(cancelled: bool, count: int) -> None:
        try:
            turns(count)
        except pb.Cancelled as error:
            if not cancelled:
                wrong.append(error)
            raise

    _, client = pair(Doing(quick))
    remote = root_of(client)
    kept = []
    for number in range(500):
        stopped = remote.callRemote("do", True, number % 4)
        kept.append(remote.callRemote("do", False, number % 3))
        turns(number % 5)
        stopped.cancel()

    pb.gather(kept).get(timeout=10)
    assert not wrong


def test_a_nested_call_that_the_method_is_blocked_on_is_cancelled_too(
    serve: Serve, pair: Pair
) -> None:
    """Through two hops: each callee has it raised."""
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        further = root_of(inner)

        def forward() -> Any:
            return further.callRemote("hold").get()

        _, client = pair(Doing(forward))
        promise = root_of(client).callRemote("do")
        eventually(lambda: last.started)

        promise.cancel()

        eventually(lambda: last.interrupted)
        assert type(last.interrupted[0][1]) is pb.Cancelled


def test_a_promise_that_the_method_returned_is_cancelled(
    serve: Serve, pair: Pair
) -> None:
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        further = root_of(inner)
        server, client = pair(Doing(lambda: further.callRemote("hold")))
        promise = root_of(client).callRemote("do")
        eventually(lambda: last.started)

        promise.cancel()

        eventually(lambda: last.interrupted)
        eventually(lambda: not server_connection(server).service.running)


def test_a_greenlet_that_the_method_returned_is_killed(pair: Pair) -> None:
    raised: list[BaseException] = []
    begun = Event()

    def work() -> None:
        begun.set()
        try:
            Event().wait()
        except BaseException as error:
            raised.append(error)
            raise

    server, client = pair(Doing(lambda: gevent.spawn(work)))
    promise = root_of(client).callRemote("do")
    assert begun.wait(5)

    promise.cancel()

    eventually(lambda: raised)
    assert isinstance(raised[0], pb.Cancelled)
    eventually(lambda: not server_connection(server).service.running)


def test_an_async_result_that_the_method_returned_is_not_waited_for(pair: Pair) -> None:
    result: Any = AsyncResult()
    begun = Event()

    def work() -> Any:
        begun.set()
        return result

    server, client = pair(Doing(work))
    promise = root_of(client).callRemote("do")
    assert begun.wait(5)
    turns()

    promise.cancel()

    eventually(lambda: not server_connection(server).service.running)
    result.set(1)
    assert root_of(client).callRemote("echo", 2).get(timeout=5) == 2


def test_a_gather_cancels_all_that_it_gathers(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    promises = [remote.callRemote("hold", n) for n in range(3)]
    gathered = pb.gather(promises)
    eventually(lambda: len(root.started) == 3)

    gathered.cancel()

    eventually(lambda: len(root.interrupted) == 3)
    with pytest.raises(pb.Cancelled):
        gathered.get(timeout=5)
    assert all(isinstance(each.exception, pb.Cancelled) for each in promises)


def test_a_follower_cancels_what_it_follows(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    follower: pb.Promise[Any] = pb.Promise()
    follower.set(root_of(client).callRemote("hold"))
    eventually(lambda: root.started)

    follower.cancel()

    with pytest.raises(pb.Cancelled):
        follower.get(timeout=5)
    eventually(lambda: root.interrupted)


def test_a_chain_that_waits_for_another_call_cancels_that(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    promise = remote.callRemote("echo").addCallback(
        lambda _: remote.callRemote("hold", "second")
    )
    eventually(lambda: root.started)

    promise.cancel()

    with pytest.raises(pb.Cancelled):
        promise.get(timeout=5)
    eventually(lambda: root.interrupted)


def test_an_errback_gets_the_cancelled(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold")
    promise.addErrback(lambda failure: failure.trap(pb.Cancelled))
    eventually(lambda: root.started)

    promise.cancel()

    assert promise.get(timeout=5) is pb.Cancelled
    eventually(lambda: root.interrupted)


def test_a_promise_made_by_hand_fails_and_its_result_is_ignored() -> None:
    promise: pb.Promise[int] = pb.Promise()

    promise.cancel()
    promise.set(5)

    with pytest.raises(pb.Cancelled):
        promise.get(timeout=5)


def test_all_who_wait_for_it_are_woken(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold")
    waiting = [gevent.spawn(promise.wait) for _ in range(5)]
    eventually(lambda: root.started)

    promise.cancel()

    gevent.joinall(waiting, timeout=5, raise_error=True)
    assert all(each.ready() for each in waiting)
    eventually(lambda: root.interrupted)


def test_one_waiter_that_is_interrupted_leaves_the_promise_to_the_others(
    serve: Serve, pair: Pair
) -> None:
    """Two methods wait for one promise: stopping one is not stopping the other."""
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        shared = root_of(inner).callRemote("hold", "shared")
        server, client = pair(Doing(shared.get))
        remote = root_of(client)
        first, second = remote.callRemote("do"), remote.callRemote("do")
        eventually(lambda: last.started)
        eventually(lambda: len(shared._links or ()) == 2)

        first.cancel()
        eventually(lambda: server_connection(server).service.running == 1)
        last.go.set()

        assert second.get(timeout=5) == "shared"
        assert not last.interrupted


def test_cancelling_one_promise_of_the_root_leaves_the_others(serve: Serve) -> None:
    server = serve(Doing())
    with pb.PBClientFactory() as client:
        client.connect(server.address)
        first, second = client.getRootObject(), client.getRootObject()
        turns(2)

        first.cancel()

        with pytest.raises(pb.Cancelled):
            first.get(timeout=5)
        assert second.get(timeout=5).callRemote("echo", 1).get(timeout=5) == 1


def test_cancelling_the_roots_promise_while_it_is_asked_leaves_the_others() -> None:
    with connected_pair(Doing(), wait=False, on_link=MemoryLink.stall) as pair:
        eventually(lambda: pair.links)
        turns()
        first, second = pair.client.getRootObject(), pair.client.getRootObject()
        assert pair.client._first_root is not None

        first.cancel()
        pair.link.resume()

        assert second.get(timeout=5).callRemote("echo", 1).get(timeout=5) == 1
        with pytest.raises(pb.Cancelled):
            first.get(timeout=5)


def test_a_follower_leaves_what_others_wait_for(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    call = root_of(client).callRemote("hold", 5)
    followers: list[pb.Promise[Any]] = [pb.Promise() for _ in range(3)]
    for follower in followers:
        follower.set(call)
    eventually(lambda: root.started)

    followers[0].cancel()
    followers[1].cancel()

    root.go.set()
    assert followers[2].get(timeout=5) == 5
    for cancelled in followers[:2]:
        with pytest.raises(pb.Cancelled):
            cancelled.get(timeout=5)


def test_the_last_follower_cancels_what_it_follows(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    call = root_of(client).callRemote("hold", 5)
    followers: list[pb.Promise[Any]] = [pb.Promise() for _ in range(3)]
    for follower in followers:
        follower.set(call)
    eventually(lambda: root.started)

    for follower in followers:
        follower.cancel()

    eventually(lambda: root.interrupted)


def test_a_cancelled_call_on_a_pending_result_is_not_made(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    base = root_of(client).callRemote("hold")
    dependent = base.callRemote("echo", 1)
    eventually(lambda: root.started)

    base.cancel()

    with pytest.raises(pb.Cancelled):
        dependent.get(timeout=5)
    eventually(lambda: root.interrupted)


def test_a_call_whose_answer_is_being_finished_can_be_cancelled(pair: Pair) -> None:
    Copied.taking.clear()
    Copied.go.clear()
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Copied, Copied)
    _, client = pair(Doing(Copied), registry=registry)
    promise = root_of(client).callRemote("do")
    assert Copied.taking.wait(5)

    promise.cancel()

    with pytest.raises(pb.Cancelled):
        promise.get(timeout=1)
    Copied.go.set()
    turns()
    with pytest.raises(pb.Cancelled):
        promise.get(block=False)


def test_a_call_whose_bytes_are_on_their_way_is_cancelled(serve: Serve) -> None:
    """It does not begin when the last of them is there."""
    done: list[Any] = []
    server = serve(Doing(done.append))
    bulk = bytes.fromhex("d9eacd83010400")  # BULK [1, 4, bytes]
    call = bytes.fromhex("85010201") + b"\x62do" + b"\x81" + bulk
    with Peer(server) as peer:
        peer.send(len(call).to_bytes(4, "big") + call)
        peer.send(frame([messages.CANCEL, 2]))
        peer.send(frame([messages.CHUNK, 1, b"abcd"]))

        assert peer.read_answer(2)[2] == "geopb.Cancelled"
        peer.call(3, "do", "next")
        peer.read_answer(3)
    assert done == ["next"]


def test_a_large_call_is_cancelled_while_it_is_sent(pair: Pair) -> None:
    done: list[Any] = []
    server, client = pair(Doing(lambda data: done.append(len(data))))
    remote = root_of(client)
    promise = remote.callRemote("do", bytes(8_000_000))

    promise.cancel()

    remote.callRemote("do", b"x").get(timeout=5)
    eventually(lambda: not client_connection(client).broker.questions)
    assert done == [1]
    del remote
    assert_released([server_connection(server)])


def test_a_call_that_waits_for_room_is_not_there_to_be_cancelled(pair: Pair) -> None:
    """It has no promise yet; killing its greenlet sends nothing."""
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    first = remote.callRemote("hold", 1)
    eventually(lambda: root.started)
    waiting = gevent.spawn(remote.callRemote, "hold", 2)
    eventually(lambda: client_connection(client)._gate.waited_for)

    waiting.kill()
    first.cancel()

    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    assert root.started == [1]


def test_cancel_of_a_lost_call_does_nothing(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)
    server.stop(0)

    promise.cancel()

    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)
    promise.cancel()


def test_cancel_from_another_thread_names_the_rule(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    with pytest.raises(RuntimeError, match="in its own thread only"):
        in_thread(promise.cancel)

    assert not promise.ready()
    promise.cancel()
    eventually(lambda: root.interrupted)


def test_nothing_is_logged_of_what_was_cancelled(pair: Pair, geopb_log: Any) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    promise.cancel()
    del promise
    collect()
    eventually(lambda: not server_connection(server).service.running)

    assert not geopb_log


def test_a_method_raises_cancelled_of_its_own_call_as_a_remote_error(
    pair: Pair,
) -> None:
    """Only this side's call that was cancelled makes it a real one."""

    def work() -> None:
        raise pb.Cancelled("of mine")

    _, client = pair(Doing(work))

    with pytest.raises(pb.RemoteError) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert not isinstance(caught.value, pb.Cancelled)
    assert caught.value.remote_type == "geopb.Cancelled"


# -- peers that do not keep the rules


@pytest.mark.parametrize("question", [1, 2, 77, 2**63 - 1])
def test_a_cancel_of_what_does_not_run_is_ignored(serve: Serve, question: int) -> None:
    server = serve(Doing())
    with Peer(server) as peer:
        peer.send(frame([messages.CANCEL, question]) * 3)
        peer.call(5, "echo", 1)

        assert peer.read_answer(5) == [messages.ANSWER, 5, [1]]


@pytest.mark.parametrize(
    "message", [[10], [10, None], [10, 0], [10, -1], [10, True], [10, 1.0], [10, "1"]]
)
def test_a_cancel_of_the_wrong_shape_ends_the_connection(
    serve: Serve, message: list[Any]
) -> None:
    server = serve(Doing())
    with Peer(server) as peer:
        peer.send(frame(message))

        eventually(lambda: not server.connections)


def test_one_peer_cannot_cancel_the_calls_of_another(serve: Serve) -> None:
    root = Holding()
    server = serve(root)
    with Peer(server) as honest, Peer(server) as other:
        honest.call(2, "hold", "mine")
        eventually(lambda: root.started)
        other.send(b"".join(frame([messages.CANCEL, n]) for n in range(1, 100)))
        other.call(2, "echo", 1)
        other.read_answer(2)

        root.go.set()

        assert honest.read_answer(2) == [messages.ANSWER, 2, ["mine"]]


def test_a_question_asked_again_while_it_runs_ends_the_connection(
    serve: Serve,
) -> None:
    root = Holding()
    server = serve(root)
    with Peer(server) as peer:
        peer.call(2, "hold", 1)
        peer.call(2, "hold", 2)

        eventually(lambda: not server.connections)
    eventually(lambda: root.interrupted)
    assert root.started == [1]


def test_a_peer_that_calls_and_cancels_and_never_reads_is_bounded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes nothing of what is said to it last either.
    monkeypatch.setattr(net_connection, "_LAST_FLUSH", 0.05)
    root = Holding()
    server = serve(root, max_pending_calls=8, max_unsent_bytes=50_000)
    with Peer(server) as peer:
        connection = peer.connection
        most = 0
        try:
            for number in range(2, 30_000):
                peer.send(
                    frame([messages.CALL, number, 1, "hold", []])
                    + frame([messages.CANCEL, number])
                )
                most = max(most, connection.broker.unsent)
        except OSError:
            # It was ended for making calls whose answers it does not take.
            pass
        eventually(lambda: not server.connections)
        assert most < 200_000
        assert connection.lost is not None
