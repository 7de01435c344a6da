"""The end of a connection: what is told, in which order, and what is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import (
    client_connection,
    eventually,
    run_python,
    server_connection,
    turns,
)

Lose = Callable[[pb.PBServer, pb.PBClientFactory], object]


def by_the_client(server: pb.PBServer, client: pb.PBClientFactory) -> None:
    client.disconnect()


def by_the_server(server: pb.PBServer, client: pb.PBClientFactory) -> None:
    server.stop(0)


def by_a_broken_line(server: pb.PBServer, client: pb.PBClientFactory) -> None:
    client_connection(client)._sock.close()
    server_connection(server)._writer.close_both_ways()


@pytest.fixture(params=[by_the_client, by_the_server, by_a_broken_line])
def lose(request: pytest.FixtureRequest) -> Lose:
    found: Lose = request.param
    return found


@pytest.fixture(params=[by_the_client, by_the_server])
def part(request: pytest.FixtureRequest) -> Lose:
    found: Lose = request.param
    return found


def test_every_method_is_interrupted_when_its_connection_ends(
    pair: Pair, part: Lose
) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    promises = [remote.callRemote("hold", n) for n in range(20)]
    remote.callRemoteOnly("hold", "only")
    eventually(lambda: len(root.started) == 21)

    part(server, client)

    eventually(lambda: len(root.interrupted) == 21)
    assert {type(error) for _, error in root.interrupted} == {pb.Cancelled}
    assert "connection of the caller has ended" in str(root.interrupted[0][1])
    assert not root.finished
    for promise in promises:
        with pytest.raises(pb.PBConnectionLost):
            promise.get(timeout=5)


def test_a_method_of_the_client_is_interrupted_too(pair: Pair, part: Lose) -> None:
    waiting, stopped = Event(), Event()

    class Callback(pb.Referenceable):
        def remote_wait(self) -> None:
            try:
                waiting.set()
                Event().wait()
            except pb.Cancelled:
                stopped.set()
                raise

    server, client = pair(Doing(lambda back: back.callRemoteOnly("wait")))
    root_of(client).callRemote("do", Callback()).get(timeout=5)
    assert waiting.wait(5)

    part(server, client)

    assert stopped.wait(5)


def test_methods_of_other_connections_go_on(serve: Serve) -> None:
    root = Holding()
    server = serve(root)
    with pb.connect(server.address) as staying:
        kept = root_of(staying).callRemote("hold", "kept")
        with pb.connect(server.address) as leaving:
            root_of(leaving).callRemote("hold", "left")
            eventually(lambda: len(root.started) == 2)
        eventually(lambda: root.interrupted)
        turns()
        root.go.set()

        assert kept.get(timeout=5) == "kept"
    assert [what for what, _ in root.interrupted] == ["left"]


def test_pending_calls_fail_first_then_the_callbacks_run_in_their_order(
    pair: Pair, part: Lose
) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    promises = [remote.callRemote("hold", n) for n in range(3)]
    other = remote.callRemote("hold", "other")
    seen: list[Any] = []

    def watch(name: Any) -> Callable[[Any], None]:
        def gone(reference: Any) -> None:
            assert all(each.failed() for each in promises)
            assert reference is remote
            with pytest.raises(pb.DeadReferenceError):
                reference.callRemote("echo")
            seen.append(name)

        return gone

    def raises(_: Any) -> None:
        seen.append("raises")
        raise ValueError("of a callback")

    taken_back = watch("taken back")
    remote.notifyOnDisconnect(watch(1))
    remote.notifyOnDisconnect(taken_back)
    remote.notifyOnDisconnect(raises)
    remote.notifyOnDisconnect(watch(2))
    remote.dontNotifyOnDisconnect(taken_back)
    remote.dontNotifyOnDisconnect(taken_back)
    eventually(lambda: len(root.started) == 4)

    part(server, client)

    eventually(lambda: seen == [1, "raises", 2])
    turns(20)
    assert seen == [1, "raises", 2]
    assert isinstance(other.exception, pb.PBConnectionLost)
    assert all(isinstance(each.exception, pb.PBConnectionLost) for each in promises)
    # At once, where it is gone already.
    remote.notifyOnDisconnect(watch(3))
    eventually(lambda: seen[-1] == 3)


def test_promises_fail_in_the_order_of_their_calls(pair: Pair, part: Lose) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    order: list[int] = []
    for number in range(20):
        promise = remote.callRemote("hold", number)
        promise.addErrback(lambda _, n=number: order.append(n))
    eventually(lambda: len(root.started) == 20)

    part(server, client)

    eventually(lambda: len(order) == 20)
    assert order == list(range(20))


def test_a_broken_line_is_noticed_at_the_other_end(serve: Serve) -> None:
    root = Holding()
    server = serve(root)
    with Peer(server) as peer:
        peer.call(2, "hold", 1)
        eventually(lambda: root.started)
    # Closed without a word, with a call under way.

    eventually(lambda: root.interrupted)
    eventually(lambda: not server.connections)


def test_a_method_that_swallows_the_end_goes_on_and_harms_nothing(
    pair: Pair, part: Lose
) -> None:
    waiting, swallowed, go, ended = Event(), Event(), Event(), Event()

    def stubborn() -> str:
        try:
            waiting.set()
            Event().wait()
        except pb.Cancelled:
            swallowed.set()
        go.wait()
        ended.set()
        return "for nobody"

    server, client = pair(Doing(stubborn))
    connection = server_connection(server)
    root_of(client).callRemoteOnly("do")
    assert waiting.wait(5)

    part(server, client)

    assert swallowed.wait(5)
    go.set()
    assert ended.wait(5)
    eventually(lambda: not connection.service.running)


def test_what_was_sent_before_the_end_is_begun(pair: Pair) -> None:
    done: list[int] = []
    _, client = pair(Doing(done.append))
    remote = root_of(client)
    for number in range(200):
        remote.callRemoteOnly("do", number)

    client.disconnect()

    eventually(lambda: len(done) == 200)
    assert done == list(range(200))


def test_the_nested_calls_of_an_interrupted_method_are_cancelled(
    serve: Serve, pair: Pair, part: Lose
) -> None:
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        further = root_of(inner)
        server, client = pair(Doing(lambda: further.callRemote("hold").get()))
        root_of(client).callRemoteOnly("do")
        eventually(lambda: last.started)

        part(server, client)

        eventually(lambda: last.interrupted)


def test_a_greenlet_that_the_method_spawned_goes_on(pair: Pair, part: Lose) -> None:
    """It is the method's own, which did not return it."""
    go, ended = Event(), Event()

    def spawned() -> None:
        go.wait()
        ended.set()

    def work() -> None:
        gevent.spawn(spawned)
        Event().wait()

    server, client = pair(Doing(work))
    connection = server_connection(server)
    root_of(client).callRemoteOnly("do")
    eventually(lambda: connection.service.running)

    part(server, client)

    eventually(lambda: not connection.service.running)
    go.set()
    assert ended.wait(5)


def test_a_wait_of_get_is_told_apart_from_the_loss_of_the_line(
    pair: Pair, part: Lose
) -> None:
    root = Holding()
    server, client = pair(root)
    promise = root_of(client).callRemote("hold")
    eventually(lambda: root.started)

    with pytest.raises(pb.Timeout):
        promise.get(timeout=0.01)
    part(server, client)

    with pytest.raises(pb.PBConnectionLost) as caught:
        promise.get(timeout=5)
    assert isinstance(caught.value, ConnectionError)


def test_the_peers_tables_are_empty_after_any_loss(pair: Pair, lose: Lose) -> None:
    class Thing(pb.Referenceable):
        pass

    root = Doing()
    kept: list[Any] = []
    root.do = lambda *things: kept.extend(things) or [Thing() for _ in things]
    server, client = pair(root)
    ends = [server_connection(server), client_connection(client)]
    got = root_of(client).callRemote("do", *[Thing() for _ in range(50)]).get(timeout=5)
    assert len(got) == 50
    assert all(each.statistics()["exports"] >= 50 for each in ends)

    lose(server, client)

    for connection in ends:
        eventually(lambda connection=connection: connection.lost is not None)
        held = connection.statistics()
        assert not held["exports"]
        assert not held["imports"]
        assert not held["questions"]


def test_a_fork_inherits_no_running_call() -> None:
    """The child's copy of a pending promise ends nothing and hangs nowhere."""
    done = run_python(
        """
        import os
        import sys

        import gevent

        import geopb as pb


        class Root(pb.Root):
            def remote_hold(self):
                gevent.sleep(30)

            def remote_echo(self, value):
                return value


        server = pb.serve(Root(), "127.0.0.1:0")
        client = pb.connect(server.address)
        remote = client.getRootObject().get(timeout=5)
        promise = remote.options(timeout=30).callRemote("hold")
        gevent.sleep(0.05)
        child = gevent.fork() if hasattr(gevent, "fork") else gevent.os.fork()
        if not child:
            try:
                for call in (
                    lambda: remote.callRemote("echo", 1),
                    lambda: remote.options(timeout=1).callRemote("echo", 1),
                ):
                    try:
                        call()
                    except pb.DeadReferenceError as error:
                        assert "parent process" in str(error), error
                    else:
                        os._exit(3)
                promise.cancel()
                with pb.deadline(1):
                    pass
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(4)
        _, status = gevent.os.waitpid(child, 0)
        assert status == 0, status
        assert remote.callRemote("echo", 2).get(timeout=5) == 2
        assert not promise.ready()
        promise.cancel()
        server.stop(0)
        print("fine")
        """
    )

    assert (done.stdout, done.stderr) == ("fine\n", "")
