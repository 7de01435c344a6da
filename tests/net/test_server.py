"""Servers: what they take, who they serve, how they stop."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import AsyncResult, Event
from gevent.server import StreamServer

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually, named, turns


@pytest.mark.parametrize(
    "root",
    [None, "root", object(), pb.Referenceable(), pb.Root, Doing, 5, [pb.Root()]],
    ids=named,
)
def test_what_is_no_Root_is_a_TypeError_at_once(root: Any) -> None:
    for use in (pb.PBServerFactory, lambda root: pb.serve(root, "127.0.0.1:0")):
        with pytest.raises(TypeError, match=r"pb\.Root"):
            use(root)


# -- the factory as a handler ----------------------------------------------------------


def test_the_factory_is_a_handler_of_any_StreamServer() -> None:
    factory = pb.PBServerFactory(Doing())
    server = StreamServer(("127.0.0.1", 0), factory)
    server.start()
    with pb.connect(("127.0.0.1", server.server_port)) as client:
        assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1
        assert len(factory.connections) == 1

    eventually(lambda: not factory.connections)
    server.stop(timeout=1)


def test_a_StreamServer_that_is_stopped_ends_its_connections() -> None:
    factory = pb.PBServerFactory(Doing())
    # With a pool: only then does a StreamServer know the greenlets it started.
    server = StreamServer(("127.0.0.1", 0), factory, spawn=10)
    server.start()
    client = pb.connect(("127.0.0.1", server.server_port))
    gone = Event()
    root_of(client).notifyOnDisconnect(lambda _: gone.set())

    server.stop(timeout=0)

    assert gone.wait(5)
    assert not factory.connections


def test_the_factory_runs_a_connection_to_its_end_on_any_socket() -> None:
    ours, theirs = socket.socketpair()
    factory = pb.PBServerFactory(Doing())
    running = gevent.spawn(factory, ours, "")
    turns()
    assert not running.ready()

    theirs.close()

    running.get(timeout=5)
    assert ours.fileno() == -1


def test_one_factory_serves_several_listeners() -> None:
    factory = pb.PBServerFactory(Doing())
    servers = [StreamServer(("127.0.0.1", 0), factory) for _ in range(3)]
    for server in servers:
        server.start()
    clients = [pb.connect(("127.0.0.1", each.server_port)) for each in servers]

    assert [
        root_of(client).callRemote("echo", number).get(timeout=5)
        for number, client in enumerate(clients)
    ] == [0, 1, 2]
    assert len(factory.connections) == 3

    for client in clients:
        client.disconnect()
    for server in servers:
        server.stop(timeout=1)


# -- connections ---------------------------------------------------------------------


def test_connections_is_a_read_only_collection_of_those_that_are_open(
    serve: Serve,
) -> None:
    server = serve(Doing())
    assert len(server.connections) == 0
    with pb.connect(server.address) as first, pb.connect(server.address):
        eventually(lambda: len(server.connections) == 2)
        assert not hasattr(server.connections, "add")
        first.disconnect()
        eventually(lambda: len(server.connections) == 1)

    eventually(lambda: len(server.connections) == 0)
    with pytest.raises(AttributeError):
        server.connections = ()  # type: ignore[misc, assignment]


def test_the_repr_tells_address_and_state(serve: Serve) -> None:
    server = serve(Doing())

    assert repr(server) == f"<PBServer {server.address} accepting, 0 connections>"
    server.stop()
    assert repr(server) == f"<PBServer {server.address} stopped, 0 connections>"


def test_many_clients_at_once(serve: Serve) -> None:
    server = serve(Doing())

    def one(number: int) -> Any:
        with pb.connect(server.address) as client:
            return root_of(client).callRemote("echo", number).get(timeout=20)

    running = [gevent.spawn(one, number) for number in range(150)]
    gevent.joinall(running, timeout=20, raise_error=True)

    assert [each.value for each in running] == list(range(150))
    eventually(lambda: not server.connections)


# -- stopping ------------------------------------------------------------------------


def test_stop_lets_running_calls_finish_and_delivers_their_answers(
    pair: Pair,
) -> None:
    root = Holding()
    server, client = pair(root)
    promises = [root_of(client).callRemote("hold", n) for n in range(5)]
    eventually(lambda: len(root.started) == 5)
    stopping = gevent.spawn(server.stop)
    turns()
    assert not stopping.ready()

    root.go.set()

    stopping.get(timeout=5)
    assert pb.gather(promises).get(timeout=5) == [0, 1, 2, 3, 4]


def test_stop_with_a_timeout_waits_no_longer(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    started = monotonic()
    server.stop(timeout=0.05)

    assert 0.04 < monotonic() - started < 3
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)
    root.go.set()


def test_stop_with_a_timeout_returns_as_soon_as_calls_are_done(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold", "x")
    eventually(lambda: root.started)
    gevent.spawn_later(0.02, root.go.set)

    started = monotonic()
    server.stop(timeout=30)

    assert monotonic() - started < 5
    assert promise.get(timeout=5) == "x"


def test_a_stopped_server_does_not_accept(pair: Pair) -> None:
    server, client = pair(Doing())
    server.stop()

    with pytest.raises(ConnectionRefusedError):
        pb.connect(server.address)
    with pytest.raises(pb.DeadReferenceError):
        client.getRootObject().get(timeout=5)


def test_a_server_that_waits_for_its_calls_does_not_accept(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold", 1)
    eventually(lambda: root.started)
    stopping = gevent.spawn(server.stop)
    turns()

    with pytest.raises(ConnectionRefusedError):
        pb.connect(server.address)

    root.go.set()
    stopping.get(timeout=5)
    assert promise.get(timeout=5) == 1


def test_stop_may_be_called_any_number_of_times(serve: Serve) -> None:
    server = serve(Doing())
    with pb.connect(server.address):
        for timeout in (None, 0, 1):
            server.stop(timeout)
        running = [gevent.spawn(server.stop, 0) for _ in range(3)]
        gevent.joinall(running, timeout=5, raise_error=True)


def test_leaving_the_with_block_stops_without_waiting_for_calls() -> None:
    root = Holding()
    with pb.serve(root, "127.0.0.1:0") as server:
        client = pb.connect(server.address)
        promise = root_of(client).callRemote("hold")
        eventually(lambda: root.started)

    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)
    with pytest.raises(ConnectionRefusedError):
        pb.connect(server.address)
    root.go.set()
    client.disconnect()


def test_a_with_block_that_raises_stops_the_server_and_raises_on() -> None:
    with pytest.raises(KeyError), pb.serve(Doing(), "127.0.0.1:0") as server:
        raise KeyError

    with pytest.raises(ConnectionRefusedError):
        pb.connect(server.address)


def test_a_method_that_stops_its_own_server_gets_its_answer_delivered(
    pair: Pair,
) -> None:
    def stop(timeout: float | None) -> str:
        server.stop(timeout)
        return "stopped"

    for timeout in (None, 0, 5):
        server, client = pair(Doing(stop))
        gone = Event()
        remote = root_of(client)
        remote.notifyOnDisconnect(lambda _, gone=gone: gone.set())

        assert remote.callRemote("do", timeout).get(timeout=5) == "stopped"
        assert gone.wait(5)
        with pytest.raises(ConnectionRefusedError):
            pb.connect(server.address)


def test_its_answer_is_delivered_though_the_method_goes_on_after_stop(
    pair: Pair,
) -> None:
    """And `serve_forever` returns when it is: the program may end then."""

    def stop() -> bytes:
        server.stop()
        turns()
        return b"x" * 1_000_000

    server, client = pair(Doing(stop))
    serving = gevent.spawn(server.serve_forever)
    turns()

    assert len(root_of(client).callRemote("do").get(timeout=5)) == 1_000_000
    serving.get(timeout=5)


def test_stop_within_a_method_lets_the_calls_of_others_finish(serve: Serve) -> None:
    class Both(Holding):
        def remote_stop(self) -> str:
            server.stop()
            return "stopped"

    root = Both()
    server = serve(root)
    with pb.connect(server.address) as mine, pb.connect(server.address) as other:
        held = root_of(other).callRemote("hold", "held")
        eventually(lambda: root.started)
        stopped = root_of(mine).callRemote("stop")
        eventually(lambda: "accepting" not in repr(server))
        turns()
        root.go.set()

        assert stopped.get(timeout=5) == "stopped"
        assert held.get(timeout=5) == "held"


def test_two_methods_that_stop_the_server_at_once_are_both_answered(
    serve: Serve,
) -> None:
    def stop() -> str:
        server.stop()
        return "stopped"

    server = serve(Doing(stop))
    with pb.connect(server.address) as one, pb.connect(server.address) as two:
        roots = [root_of(one), root_of(two), root_of(one)]
        promises = [root.callRemote("do") for root in roots]

        assert pb.gather(promises).get(timeout=5) == ["stopped"] * 3


def test_a_promise_that_a_method_returned_is_waited_for(pair: Pair) -> None:
    result: AsyncResult[str] = AsyncResult()
    server, client = pair(Doing(lambda: result))
    promise = root_of(client).callRemote("do")
    eventually(lambda: server.connections and next(iter(server.connections)))
    root_of(client)  # the call before it has started
    stopping = gevent.spawn(server.stop)
    turns()

    result.set("late")

    assert promise.get(timeout=5) == "late"
    stopping.get(timeout=5)


def test_serve_forever_returns_when_the_server_is_stopped(serve: Serve) -> None:
    server = serve(Doing())
    serving = gevent.spawn(server.serve_forever)
    turns()
    assert not serving.ready()

    server.stop()

    serving.get(timeout=5)
    server.serve_forever()  # stopped already: it returns at once


def test_an_exception_out_of_serve_forever_stops_the_server(
    pair: Pair, greenlet_errors: list[Any]
) -> None:
    server, client = pair(Doing())
    serving = gevent.spawn(server.serve_forever)
    turns()

    serving.kill(KeyError("out of it"))

    with pytest.raises(KeyError):
        serving.get(timeout=5)
    with pytest.raises(pb.DeadReferenceError):
        eventually(lambda: client.getRootObject().get(timeout=5) is None)
    with pytest.raises(ConnectionRefusedError):
        pb.connect(server.address)


def test_serve_forever_lets_calls_finish_within_its_bound(pair: Pair) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold", "held")
    eventually(lambda: root.started)
    serving = gevent.spawn(server.serve_forever, 5)
    turns()

    gevent.spawn(serving.kill, KeyboardInterrupt)
    turns()
    root.go.set()

    assert promise.get(timeout=5) == "held"
    with pytest.raises(KeyboardInterrupt):
        serving.get(timeout=5)


def test_clients_that_wait_are_told_at_once_when_the_server_stops(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())
    clients = [pb.connect(server.address) for _ in range(20)]
    gone: list[Any] = []
    roots = [root_of(client) for client in clients]
    for root in roots:
        root.notifyOnDisconnect(gone.append)

    server.stop()

    eventually(lambda: len(gone) == 20)
    assert [each for each in geopb_log if each.levelno >= logging.WARNING] == []
    for client in clients:
        client.disconnect()
