"""Peers that ask and do not read: they cost a bounded amount, and nobody else."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.net import connection as connection_module
from geopb.net import server as server_module
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.peers import ROOT, Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually, turns
from tests.vectors.cbor import Tag, frame

#: Far more than the kernels of both sides hold.
MUCH = 1_000_000


class Much(Doing):
    def remote_much(self) -> list[str]:
        # No bulk, which lets small answers pass.
        return ["x" * 1000] * (MUCH // 1000)


def flooded(peer: Peer) -> None:
    """Have the peer ask for much; return when that waits to be sent."""
    # The first is being sent, the second waits.
    peer.call(2, "much")
    peer.call(9, "much")
    eventually(lambda: peer.connection.broker.unsent > MUCH / 10)


# -- an answer that waits for room -----------------------------------------------------


def test_a_late_timeout_of_a_method_does_not_cost_the_peer_its_answer(
    serve: Serve,
) -> None:
    timeouts: list[Any] = []

    def start_timeout() -> str:
        # It fires when the method has ended, and its answer waits for room.
        timeouts.append(gevent.Timeout.start_new(0.02))
        return "answered"

    with Peer(serve(Much(start_timeout), max_unsent_bytes=1000)) as peer:
        flooded(peer)
        peer.call(3, "do")
        eventually(lambda: timeouts and not timeouts[0].pending)

        assert peer.read_answer(3) == [messages.ANSWER, 3, ["answered"]]
        assert peer.connection.service.running == 0
        peer.call(4, "echo", "alive")
        assert peer.read_answer(4) == [messages.ANSWER, 4, ["alive"]]


def test_a_late_timeout_of_a_method_does_not_cost_the_peer_its_failure(
    serve: Serve,
) -> None:
    timeouts: list[Any] = []

    def start_timeout() -> None:
        timeouts.append(gevent.Timeout.start_new(0.02))
        raise pb.Error("failed")

    with Peer(serve(Much(start_timeout), max_unsent_bytes=1000)) as peer:
        flooded(peer)
        peer.call(3, "do")
        eventually(lambda: timeouts and not timeouts[0].pending)

        assert peer.read_answer(3)[:4] == [messages.ERROR, 3, "geopb.Error", "failed"]
        assert peer.connection.service.running == 0


def test_a_kill_of_a_greenlet_whose_answer_waits_does_not_cost_the_peer_it(
    serve: Serve,
) -> None:
    running: list[Any] = []

    def do() -> str:
        running.append(gevent.getcurrent())
        return "answered"

    with Peer(serve(Much(do), max_unsent_bytes=1000)) as peer:
        flooded(peer)
        peer.call(3, "do")
        eventually(lambda: running)
        turns()
        assert peer.connection.service.running == 1

        running.pop().kill(timeout=5)

        assert peer.read_answer(3) == [messages.ANSWER, 3, ["answered"]]


# -- refusals --------------------------------------------------------------------------


def to_an_unknown_object(number: int) -> bytes:
    return frame([messages.CALL, number, 999, "echo", []])


def with_a_long_name(number: int) -> bytes:
    return frame([messages.CALL, number, ROOT, "x" * 300, []])


def with_a_refused_argument(number: int) -> bytes:
    return frame([messages.CALL, number, ROOT, "echo", [Tag(35, "a*")]])


def beside_too_many(number: int) -> bytes:
    return frame([messages.CALL, number, ROOT, "hold", []])


refused = pytest.mark.parametrize(
    "make_call",
    [
        to_an_unknown_object,
        with_a_long_name,
        with_a_refused_argument,
        beside_too_many,
    ],
)
MakeCall = Callable[[int], bytes]


@refused
def test_refusals_that_are_not_read_end_that_connection_and_no_other(
    serve: Serve,
    geopb_log: list[logging.LogRecord],
    monkeypatch: pytest.MonkeyPatch,
    make_call: MakeCall,
) -> None:
    # It does not read what it is told last either.
    monkeypatch.setattr(connection_module, "_LAST_FLUSH", 0.01)
    root = Holding()
    server = serve(root, max_unsent_bytes=1000, max_pending_calls=1)
    with pb.connect(server.address) as other, Peer(server) as peer:
        remote = root_of(other)

        for start in range(10, 5000, 100):
            if peer.connection.lost is not None:
                break
            try:
                peer.send(b"".join(map(make_call, range(start, start + 100))))
            except OSError:
                # It has ended meanwhile.
                break
            assert remote.callRemote("echo", start).get(timeout=5) == start

        eventually(lambda: peer.connection not in server.connections)
        assert "max_unsent_bytes=2000" in str(peer.connection.lost)
        (line,) = [
            each.getMessage()
            for each in geopb_log
            if "connection ended" in each.getMessage()
        ]
        found = re.search(r"answers of (\d+) exceeds max_unsent_bytes=2000", line)
        assert found is not None, line
        # By one refusal and no more.
        assert 2000 < int(found[1]) < 3000
        assert remote.callRemote("echo", "served").get(timeout=5) == "served"
        root.go.set()


@refused
def test_refusals_that_are_read_never_end_a_connection(
    serve: Serve, geopb_log: list[logging.LogRecord], make_call: MakeCall
) -> None:
    """More in all than what may be unsent at a time."""
    root = Holding()
    server = serve(root, max_unsent_bytes=10_000, max_pending_calls=1)
    with Peer(server) as peer:
        peer.call(5, "hold")
        eventually(lambda: root.started)

        for start in range(10, 2000, 50):
            peer.send(b"".join(map(make_call, range(start, start + 50))))
            peer.read_answer(start + 49)

        assert {kind for kind, *_ in peer.answers.values()} == {2, 3}
        assert len(peer.answers) == 1 + 2000
        assert peer.connection in server.connections
        root.go.set()
        assert peer.read_answer(5)[0] == messages.ANSWER


# -- stopping --------------------------------------------------------------------------


@pytest.mark.slow
def test_stop_does_not_wait_for_a_client_that_does_not_read(serve: Serve) -> None:
    server = serve(Much())
    with Peer(server) as one, Peer(server) as other:
        flooded(one)
        flooded(other)

        started = monotonic()
        server.stop(0)

        # Some time to take the last answers, all clients the same.
        assert monotonic() - started < 0.8
        assert not server.connections
        assert one.connection.closed.is_set()
        assert other.connection.closed.is_set()


@pytest.mark.slow
def test_stop_does_not_wait_for_an_answer_that_waits_for_room(serve: Serve) -> None:
    server = serve(Much(), max_unsent_bytes=1000)
    with Peer(server) as peer:
        flooded(peer)
        peer.call(3, "echo", "waits")
        eventually(lambda: peer.connection.service.running)

        started = monotonic()
        server.stop(0)

        assert monotonic() - started < 0.8
        assert not server.connections
        eventually(lambda: not peer.connection.service.running)


@pytest.mark.slow
def test_stop_does_not_wait_for_a_stopper_whose_answer_is_not_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The method that stops its server is answered, if its client reads in time."""
    monkeypatch.setattr(server_module, "_FLUSH", 0.1)
    monkeypatch.setattr(server_module, "_LEAST_FLUSH", 0.1)
    server = serve(Much(lambda: server.stop(0)), max_unsent_bytes=1000)
    with Peer(server) as peer:
        flooded(peer)
        peer.call(3, "do")
        eventually(lambda: peer.connection.service.quiet.stoppers)

        stopping = gevent.spawn(server.stop, 0)
        try:
            stopping.get(timeout=0.8)
            assert not server.connections
        finally:
            peer.close()
            stopping.join(timeout=5)


# -- calls whose answers would have to wait --------------------------------------------


class Counting(Much):
    def __init__(self, do: Any = None) -> None:
        super().__init__(do)
        self.begun: list[int] = []

    def remote_numbered(self, number: int) -> list[str]:
        self.begun.append(number)
        return self.remote_much()


def test_no_more_calls_begin_while_several_answers_wait(serve: Serve) -> None:
    """Each would have its answer made, and held."""
    root = Counting()
    with Peer(serve(root, max_unsent_bytes=1000)) as peer:
        flooded(peer)
        for number in range(200):
            peer.call(10 + number, "numbered", number)
        eventually(lambda: peer.connection.service.running > 150)
        turns(20)

        assert 1 <= len(root.begun) < 30

        answers = [peer.read_answer(10 + number) for number in range(200)]

    assert [each[0] for each in answers] == [messages.ANSWER] * 200
    assert root.begun == list(range(200))


def test_calls_that_did_not_begin_are_over_with_the_connection(serve: Serve) -> None:
    root = Counting()
    server = serve(root, max_unsent_bytes=1000)
    with Peer(server) as peer:
        flooded(peer)
        for number in range(200):
            peer.call(10 + number, "numbered", number)
        eventually(lambda: peer.connection.service.running > 150)
        connection = peer.connection

    eventually(lambda: not server.connections and not connection.service.running)
