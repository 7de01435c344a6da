"""Ctrl-C while bytes leave: the stream is over, and all who wait are told so."""

from __future__ import annotations

import logging
import signal
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent, socket
from gevent.event import Event

import geopb as pb
from geopb.net.connection import Connection
from geopb.net.sockets import raw
from geopb.net.writer import _rest
from geopb.workers import Worker, WorkerPool
from tests.conftest import Pair
from tests.net.roots import Doing, Holding, root_of
from tests.support import (
    SOON,
    client_connection,
    collect,
    eventually,
    server_connection,
    take_once,
    turns,
)

WHY = "interrupted in the middle of a send"


class HalfSending:
    """A socket on which Ctrl-C strikes when half of the next bytes have left.

    Attributes:
        go: Cleared by a test to have a send that waits go on waiting.
        struck: The greenlet in which Ctrl-C did strike, None before.
    """

    def __init__(self, connection: Connection) -> None:
        self._sock: Any = connection._sock
        self.struck: Any = None
        self.go = Event()
        self.go.set()

    def send(self, data: bytes) -> int:
        """Take the place of the send that never waits."""
        raw(self._sock).send(data[: len(data) // 2])
        return self._strike()

    def _strike(self) -> int:
        assert self.struck is None, "more is sent after half a frame"
        self.struck = getcurrent()
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("Ctrl-C does not raise KeyboardInterrupt")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class HalfWaiting(HalfSending):
    """One on which it strikes in a send that waits."""

    def send(self, data: bytes) -> int:
        """Take the place of the send that waits."""
        self._sock.sendall(data[: len(data) // 2])
        self.go.wait(SOON)
        return self._strike()

    def sendmsg(self, pieces: list[bytes]) -> int:
        """Take the place of the one that sends pieces."""
        return self.send(b"".join(pieces))


def interrupt_next_send(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> HalfSending:
    """Have Ctrl-C strike in the next send that does not wait."""
    sock = HalfSending(connection)
    monkeypatch.setattr(connection._writer, "_send", sock.send)
    return sock


def interrupt_next_wait(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> HalfSending:
    """Have Ctrl-C strike in the next send that waits, in a worker.

    What is large waits: the kernel has little room.
    """
    connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock = HalfWaiting(connection)
    monkeypatch.setattr(connection._writer, "_sock", sock)
    return sock


def send_in_place(monkeypatch: pytest.MonkeyPatch, in_place: bool) -> None:
    """Have messages leave in the greenlet that sends them, or in the hub."""

    def latest(pool: WorkerPool) -> int:
        return -1 if in_place else pool.hub.loop.iteration

    turn = property(latest, lambda pool, turn: None)
    monkeypatch.setattr(WorkerPool, "turn", turn, raising=False)


def assert_lost(promise: Any) -> None:
    with pytest.raises(pb.PBConnectionLost, match=WHY):
        promise.get(timeout=0.5)


def test_ctrl_c_in_a_callers_send_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, geopb_log: list[logging.LogRecord]
) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    held = remote.callRemote("hold")
    eventually(lambda: root.started)
    send_in_place(monkeypatch, True)
    sock = interrupt_next_send(client_connection(client), monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        remote.callRemote("echo", "x" * 1000)

    assert sock.struck is getcurrent()
    assert_lost(held)
    with pytest.raises(pb.DeadReferenceError, match=WHY):
        remote.callRemote("echo")
    # The server has half a message, and sees that the rest does not come.
    eventually(lambda: not server.connections)
    root.go.set()
    # Nobody has the promise of the call that was interrupted.
    collect()
    assert len([each for each in geopb_log if "Unhandled" in each.getMessage()]) == 1


def test_ctrl_c_in_the_hubs_send_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = pair(Doing())
    remote = root_of(client)
    send_in_place(monkeypatch, False)
    sock = interrupt_next_send(client_connection(client), monkeypatch)
    promise = remote.callRemote("echo", "x" * 1000)

    with pytest.raises(KeyboardInterrupt):
        promise.get(timeout=5)

    assert sock.struck is get_hub()
    assert_lost(promise)
    with pytest.raises(pb.DeadReferenceError, match=WHY):
        remote.callRemote("echo")
    eventually(lambda: not server.connections)


def test_ctrl_c_in_the_send_of_an_answer_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, greenlet_errors: list[Any]
) -> None:
    server, client = pair(Doing())
    remote = root_of(client)
    connection = server_connection(server)
    send_in_place(monkeypatch, True)
    sock = interrupt_next_send(connection, monkeypatch)
    promise = remote.callRemote("echo", "x" * 1000)

    with pytest.raises(KeyboardInterrupt):
        promise.get(timeout=5)

    assert type(sock.struck) is Worker
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=1)
    assert connection.closed.wait(1)
    assert isinstance(connection.lost, pb.PBConnectionLost)
    assert WHY in str(connection.lost)
    assert not greenlet_errors
    # The server goes on for others, if Ctrl-C was not meant for it.
    monkeypatch.undo()
    with pb.connect(server.address) as other:
        assert root_of(other).callRemote("echo", 1).get(timeout=5) == 1


def test_ctrl_c_in_the_send_of_an_answer_does_not_hold_up_who_stops_the_server(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is over: a stop without bound does not wait for it any more."""
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    held = remote.callRemote("hold", "x" * 1000)
    eventually(lambda: root.started)
    connection = server_connection(server)
    stopping = gevent.spawn(server.stop)
    # The client has been told: what is sent next is the answer.
    eventually(lambda: client.draining)
    send_in_place(monkeypatch, True)
    interrupt_next_send(connection, monkeypatch)

    root.go.set()
    with pytest.raises(KeyboardInterrupt):
        held.get(timeout=5)

    try:
        assert connection.closed.wait(1)
        stopping.get(timeout=0.5)
        assert connection.service.running == 0
    finally:
        gevent.killall([stopping, *server._closing], timeout=5)


def test_ctrl_c_in_a_send_that_waits_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    held = remote.callRemote("hold")
    eventually(lambda: root.started)
    sock = interrupt_next_wait(client_connection(client), monkeypatch)
    large = remote.callRemote("echo", bytes(1_000_000))

    with pytest.raises(KeyboardInterrupt):
        large.get(timeout=5)

    assert type(sock.struck) is Worker
    assert_lost(held)
    assert_lost(large)
    with pytest.raises(pb.DeadReferenceError, match=WHY):
        remote.callRemote("echo")
    eventually(lambda: not server.connections)
    root.go.set()


def test_ctrl_c_in_a_send_that_waits_lets_go_all_who_wait_for_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for room, and one that disconnects when all is sent."""
    _, client = pair(Doing(), client_options={"max_unsent_bytes": 1000})
    remote = root_of(client)
    connection = client_connection(client)
    sock = interrupt_next_wait(connection, monkeypatch)
    sock.go.clear()
    dead: list[Any] = []

    def call() -> None:
        try:
            # Bulk: what is small does not wait for bulk.
            remote.callRemote("echo", bytes(100_000))
        except pb.DeadReferenceError as error:
            dead.append(error)

    large = remote.callRemote("echo", bytes(1_000_000))
    waiting = [gevent.spawn(call) for _ in range(3)]
    waiting.append(gevent.spawn(client.disconnect))
    eventually(lambda: connection._gate.waited_for == 3 and connection._writer._flushed)

    sock.go.set()
    with pytest.raises(KeyboardInterrupt):
        large.get(timeout=5)

    gevent.joinall(waiting, timeout=1, raise_error=True)
    assert all(each.ready() for each in waiting)
    assert len(dead) == 3
    assert_lost(large)


def test_ctrl_c_when_a_message_is_taken_and_not_sent_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else has it: the call would never be answered."""
    server, client = pair(Doing())
    remote = root_of(client)
    outgoing: Any = client_connection(client)._writer._outgoing

    class Interrupted:
        more = True
        held = False

        def take_pieces(self) -> bytes:
            assert outgoing.take_pieces()
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("Ctrl-C does not raise KeyboardInterrupt")

    send_in_place(monkeypatch, False)
    promise = remote.callRemote("echo", 1)
    writer: Any = client_connection(client)._writer
    monkeypatch.setattr(writer, "_outgoing", Interrupted())

    with pytest.raises(KeyboardInterrupt):
        promise.get(timeout=5)

    assert_lost(promise)
    eventually(lambda: not server.connections)


def test_what_is_large_leaves_whole_whatever_the_kernel_takes(pair: Pair) -> None:
    """In pieces, of which each send may leave some, or a part of one."""
    _, client = pair(Doing(len))
    connection = client_connection(client)
    # Less than a batch of pieces. With a few KiB the kernel waits for receipts that its
    # other end puts off, and each send leaves no more than it does so.
    connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    remote, sent = root_of(client), bytes(range(251)) * 12_000

    echoes = [remote.callRemote("echo", sent[start:]) for start in range(3)]

    assert [echo.get(timeout=5) for echo in echoes] == [sent, sent[1:], sent[2:]]


@pytest.mark.parametrize("taken", [None, 0, 1, 10])
def test_a_message_that_leaves_at_once_leaves_whole_whatever_the_kernel_takes(
    taken: int | None, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: the kernel would have the writer wait."""
    _, client = pair(Doing())
    remote = root_of(client)
    writer = client_connection(client)._writer
    send_in_place(monkeypatch, True)
    sent = take_once(writer, taken)

    echoes = [remote.callRemote("echo", 0)]
    monkeypatch.undo()
    echoes += [remote.callRemote("echo", number) for number in (1, 2)]

    # In the turn of the first call, before anything waits; what follows is behind it.
    assert len(sent) == 1
    assert writer._left == sent[0][taken or 0 :]
    assert [echo.get(timeout=5) for echo in echoes] == [0, 1, 2]


def test_a_message_is_offered_only_where_nothing_waits(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    offered: list[bytes] = []

    def offer(framed: bytes) -> bool:
        offered.append(framed)
        return False

    send_in_place(monkeypatch, False)
    monkeypatch.setattr(client_connection(client), "offer", offer)

    echoes = [remote.callRemote("echo", number) for number in range(3)]

    # Refused, the first waits, and the others behind it.
    assert len(offered) == 1
    assert [echo.get(timeout=5) for echo in echoes] == [0, 1, 2]


@pytest.mark.parametrize(
    ("count", "left"),
    [(0, [b"ab", b"cde"]), (1, [b"b", b"cde"]), (2, [b"cde"]), (4, [b"e"]), (5, None)],
)
def test_what_is_left_of_pieces_is_found(count: int, left: list[bytes] | None) -> None:
    assert _rest([b"", b"ab", b"cde"], count) == left


class Two(pb.Referenceable):
    """What is dropped."""


def test_what_was_dropped_is_released_in_the_send_of_the_next_call(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = pair(Doing(Two))
    remote = root_of(client)
    two = remote.callRemote("do").get(timeout=5)
    # The hub holds the answer until it is switched to again.
    turns()
    writer = client_connection(client)._writer
    sends: list[bytes] = []
    send = writer._send
    monkeypatch.setattr(writer, "_send", lambda data: sends.append(data) or send(data))

    del two
    assert remote.callRemote("echo", 1).get(timeout=5) == 1

    assert len(sends) == 1
    assert server_connection(server).statistics()["exports"] == 1


def test_what_was_dropped_is_released_though_the_next_call_is_refused(
    pair: Pair,
) -> None:
    server, client = pair(Doing(Two))
    remote = root_of(client)
    two = remote.callRemote("do").get(timeout=5)
    turns()

    del two
    refused = remote.callRemote("echo", object())

    assert isinstance(refused.exception, pb.InsecureJelly)
    eventually(lambda: server_connection(server).statistics()["exports"] == 1)
