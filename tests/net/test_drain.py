"""A server that stops: peers are told, what runs is finished, all else is refused."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.net import drain
from geopb.testing.clock import settle
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import client_connection, eventually, server_connection, turns
from tests.vectors.cbor import frame


class Working(Holding):
    """Holds calls, and then calls what it was given."""

    def remote_work(self, back: Any) -> Any:
        self.started.append("work")
        self.go.wait()
        return back.callRemote("help", 1).get(timeout=5)


class Helper(pb.Referenceable):
    """Is called back, and calls the server for that."""

    def __init__(self, remote: Any = None) -> None:
        self.remote = remote

    def remote_help(self, value: Any) -> Any:
        if self.remote is None:
            return value
        return self.remote.callRemote("echo", value + 1).get(timeout=5)


@pytest.fixture
def stopping(pair: Pair) -> Any:
    """A server that stops while it runs a call: ``(root, server, client, remote)``."""
    root = Working()
    server, client = pair(root)
    remote = root_of(client)
    held = remote.callRemote("hold", "held")
    eventually(lambda: root.started)
    stopped = gevent.spawn(server.stop)
    eventually(lambda: client.draining)
    yield root, server, client, remote
    root.go.set()
    assert held.get(timeout=5) == "held"
    stopped.get(timeout=5)


def test_a_client_knows_that_its_server_drains(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    held = root_of(client).callRemote("hold")
    eventually(lambda: root.started)
    assert not client.draining

    stopped = gevent.spawn(server.stop)

    eventually(lambda: client.draining)
    assert not held.ready()
    root.go.set()
    held.get(timeout=5)
    stopped.get(timeout=5)


def test_new_calls_fail_at_once_with_draining(stopping: Any) -> None:
    root, _, _, remote = stopping

    for call in (
        lambda: remote.callRemote("echo", 1),
        lambda: remote.options(timeout=5).callRemote("echo", 1),
        lambda: remote.callRemoteOnly("echo", 1),
        lambda: remote.remoteMethod("echo")(1),
    ):
        with pytest.raises(pb.Draining, match="takes no new calls") as caught:
            call()
        assert isinstance(caught.value, pb.DeadReferenceError)
    assert root.started == ["held"]


def test_the_root_is_not_given_out_any_more(stopping: Any) -> None:
    _, _, client, _ = stopping

    with pytest.raises(pb.Draining):
        client.getRootObject().get(timeout=5)


def test_running_calls_call_back_and_are_called_in_turn(pair: Pair) -> None:
    """The call of the server to the client, and what that calls to serve it."""
    root = Working()
    server, client = pair(root)
    remote = root_of(client)
    working = remote.callRemote("work", Helper(remote))
    eventually(lambda: root.started)
    stopped = gevent.spawn(server.stop)
    eventually(lambda: client.draining)
    # The server has read that the client knows.
    settle()

    root.go.set()

    assert working.get(timeout=5) == 2
    stopped.get(timeout=5)


def test_the_server_makes_no_new_calls_either(pair: Pair) -> None:
    root = Doing()
    given: list[Any] = []
    held, go = Event(), Event()

    def do(what: Any = None) -> None:
        if what is not None:
            given.append(what)
            return
        held.set()
        go.wait()

    root.do = do
    server, client = pair(root)
    remote = root_of(client)
    remote.callRemote("do", Helper()).get(timeout=5)
    running = remote.callRemote("do")
    assert held.wait(5)
    stopped = gevent.spawn(server.stop)
    eventually(lambda: client.draining)

    with pytest.raises(pb.Draining):
        given[0].callRemote("help", 1)

    go.set()
    running.get(timeout=5)
    stopped.get(timeout=5)


def test_what_was_sent_before_the_client_knew_is_run(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    held = remote.callRemote("hold", 1)
    eventually(lambda: root.started)
    connection = server_connection(server)
    connection.drain()
    # On their way while the client is told.
    crossing = [remote.callRemote("echo", n) for n in range(10)]
    only = remote.callRemoteOnly

    only("hold", 2)

    assert pb.gather(crossing).get(timeout=5) == list(range(10))
    eventually(lambda: client.draining)
    eventually(lambda: root.started == [1, 2])
    root.go.set()
    held.get(timeout=5)


def test_stop_waits_for_what_it_could_not_know_of(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    first = remote.callRemote("hold", 1)
    eventually(lambda: root.started)
    stopped = gevent.spawn(server.stop)
    second = remote.callRemote("hold", 2)
    eventually(lambda: client.draining and len(root.started) == 2)

    root.go.set()

    assert first.get(timeout=5) == 1
    assert second.get(timeout=5) == 2
    stopped.get(timeout=5)


def test_a_running_call_is_cancelled_when_the_timeout_of_stop_is_over(
    pair: Pair,
) -> None:
    root = Holding()
    server, client = pair(root)
    held = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    server.stop(0.03)

    with pytest.raises(pb.PBConnectionLost):
        held.get(timeout=5)
    eventually(lambda: root.interrupted)
    assert type(root.interrupted[0][1]) is pb.Cancelled


def test_cancelling_the_last_call_lets_the_server_stop(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    held = root_of(client).callRemote("hold")
    eventually(lambda: root.started)
    stopped = gevent.spawn(server.stop)
    eventually(lambda: client.draining)

    held.cancel()

    stopped.get(timeout=5)
    assert root.interrupted


def test_a_deadline_of_the_last_call_lets_the_server_stop(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    held = root_of(client).options(timeout=0.1).callRemote("hold")
    eventually(lambda: root.started)

    gevent.spawn(server.stop).get(timeout=5)

    with pytest.raises(pb.DeadlineExceeded):
        held.get(timeout=5)


def test_an_idle_client_is_disconnected_at_once(pair: Pair) -> None:
    server, client = pair(Doing())
    remote = root_of(client)
    gone: list[Any] = []
    remote.notifyOnDisconnect(gone.append)

    server.stop()

    eventually(lambda: gone == [remote])
    with pytest.raises(pb.DeadReferenceError) as caught:
        remote.callRemote("echo")
    assert not isinstance(caught.value, pb.Draining)


def test_calls_that_wait_for_room_are_refused_when_it_drains(pair: Pair) -> None:
    """They have not been sent, and are told so at once."""
    root = Holding()
    server, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    held = remote.callRemote("hold", 1)
    eventually(lambda: root.started)
    refused: list[Exception] = []

    def call() -> None:
        with pytest.raises(pb.Draining) as caught:
            remote.callRemote("hold", 2)
        refused.append(caught.value)

    waiting = [gevent.spawn(call) for _ in range(5)]
    eventually(lambda: client_connection(client)._gate.waited_for == 5)
    stopped = gevent.spawn(server.stop)

    gevent.joinall(waiting, timeout=5, raise_error=True)
    assert len(refused) == 5
    root.go.set()
    assert held.get(timeout=5) == 1
    stopped.get(timeout=5)
    assert root.started == [1]


def test_a_client_that_connects_again_waits_for_the_next_server(serve: Serve) -> None:
    root = Holding()
    server = serve(root)
    with pb.connect(server.address, reconnect=True) as client:
        held = root_of(client).callRemote("hold", 1)
        eventually(lambda: root.started)
        stopped = gevent.spawn(server.stop)
        eventually(lambda: client.draining)

        promise = client.getRootObject()
        settle()
        assert not promise.ready()
        root.go.set()
        assert held.get(timeout=5) == 1
        stopped.get(timeout=5)
        serve(Doing(lambda: "next"), server.address)

        assert promise.get(timeout=5).callRemote("do").get(timeout=5) == "next"
        assert not client.draining


# -- peers that do not keep the rules


DRAINING, SEEN = frame([messages.DRAINING, False]), frame([messages.DRAINING, True])


def test_seen_by_a_peer_that_was_told_nothing_means_nothing(serve: Serve) -> None:
    server = serve(Doing())
    with Peer(server) as peer:
        peer.send(SEEN * 5)
        peer.call(2, "echo", 1)

        assert peer.read_answer(2) == [messages.ANSWER, 2, [1]]


def test_a_peer_that_drains_is_served_on(serve: Serve) -> None:
    given: list[Any] = []
    server = serve(Doing(given.append))
    with Peer(server) as peer:
        peer.send(DRAINING)
        peer.call(2, "echo", 1)

        assert peer.read_answer(2) == [messages.ANSWER, 2, [1]]
        assert peer.connection.draining


def test_draining_said_on_and_on_is_acknowledged_once(serve: Serve) -> None:
    server = serve(Doing())
    with Peer(server) as peer:
        unsent = peer.connection.broker.post.outbox
        for _ in range(1000):
            peer.send(DRAINING * 100)
        peer.call(2, "echo", 1)

        assert peer.read_answer(2) == [messages.ANSWER, 2, [1]]
        assert unsent.unsent == 0
        assert peer.others == [[messages.DRAINING, True]]


@pytest.fixture
def drained_peer(serve: Serve) -> Any:
    """A peer of a server that stops while it runs call 2: ``(root, peer)``."""
    root = Holding()
    server = serve(root)
    with Peer(server) as peer:
        peer.call(2, "hold", 2)
        eventually(lambda: root.started)
        stopped = gevent.spawn(server.stop)
        turns()
        yield root, peer
        root.go.set()
        assert peer.read_answer(2) == [messages.ANSWER, 2, [2]]
        peer.close()
        stopped.get(timeout=5)


def test_a_peer_that_knows_and_calls_all_the_same_is_refused(drained_peer: Any) -> None:
    _, peer = drained_peer
    peer.send(SEEN)
    peer.call(3, "echo", 1)

    assert peer.read_answer(3)[2] == "geopb.Draining"
    nested = [messages.CALL, 4, 1, "echo", [1], {}, {"nested": True}]
    peer.send(frame(nested))
    assert peer.read_answer(4) == [messages.ANSWER, 4, [1]]


def test_a_peer_that_does_not_say_that_it_knows_is_refused_some_time_later(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    monkeypatch.setattr(drain, "_UNSEEN", 0.05)
    root = Holding()
    server = serve(root)
    with Peer(server) as peer:
        peer.call(2, "hold", 2)
        eventually(lambda: root.started)
        stopped = gevent.spawn(server.stop)
        turns()
        peer.call(3, "echo", 1)
        assert peer.read_answer(3) == [messages.ANSWER, 3, [1]]

        eventually(lambda: peer.connection.service.refuses)

        peer.call(4, "echo", 1)
        assert peer.read_answer(4)[2] == "geopb.Draining"
        root.go.set()
        peer.read_answer(2)
        peer.close()
        stopped.get(timeout=5)


@pytest.mark.parametrize("message", [[11], [11, None], [11, 0], [11, 1], [11, "true"]])
def test_draining_of_the_wrong_shape_ends_the_connection(
    serve: Serve, message: list[Any]
) -> None:
    server = serve(Doing())
    with Peer(server) as peer:
        peer.send(frame(message))

        eventually(lambda: not server.connections)


def test_a_peer_may_not_claim_that_it_drains_in_an_error(pair: Pair) -> None:
    def work() -> None:
        raise pb.Draining("not of this connection")

    _, client = pair(Doing(work))

    with pytest.raises(pb.RemoteError) as caught:
        root_of(client).callRemote("do").get(timeout=5)
    assert not isinstance(caught.value, pb.DeadReferenceError)
