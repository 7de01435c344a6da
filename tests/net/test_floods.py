"""Floods: memory, greenlets and descriptors stay within bounds, others are served."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket

import geopb as pb
from geopb.net.address import parse
from geopb.notices import MOST
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.caches import Brief, fetch
from tests.net.floods import Cost, Flooded, call, flood, measured
from tests.net.peers import HELLO, ROOT, Peer
from tests.net.roots import Doing, root_of
from tests.support import SOON, collect, eventually
from tests.vectors.cbor import Tag, frame

MEBI = 1024 * 1024
#: Small enough to be reached in a moment.
LIMITS = {"max_pending_calls": 64, "max_unsent_bytes": MEBI}
pytestmark = pytest.mark.slow


def assert_quiet(records: list[logging.LogRecord]) -> None:
    """The log tells of it, and is not flooded."""
    assert len(records) <= 2 * (MOST + 1)


@contextmanager
def crowd(server: pb.PBServer, count: int, text: bytes) -> Iterator[list[Any]]:
    """Have many connect and say something, and then nothing more."""
    where = parse(server.address)
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sock = socket.create_connection((where.host, where.port), timeout=SOON)
            sockets.append(stack.enter_context(sock))
            sock.sendall(text)
        yield sockets


# -- over one connection ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mebibytes"),
    [
        # 64 running calls, and their answers: some 100 KiB.
        ("calls", 4),
        # Answers of 100 KiB each, 1 MiB of them unsent; and 64 that wait to be sent,
        # which are what the peer has sent with its calls.
        ("unread", 24),
        ("refusals", 6),
        # 64 times max_pending_calls are held: half a KiB each.
        ("one way", 8),
        ("cancels", 4),
        # 16,000 empty lists at a time; eight such messages come at once.
        ("small containers", 24),
        # Messages of 16 MiB, one at a time, and what is under way.
        ("bulk", 80),
        ("roots", 4),
        ("connections", 4),
    ],
)
def test_one_peer_that_floods_has_bounds_and_others_are_served(
    serve: Serve, geopb_log: list[logging.LogRecord], name: str, mebibytes: int
) -> None:
    server = serve(Flooded(), **LIMITS)

    cost = flood(server, name, 0.2)

    assert cost.memory < mebibytes * MEBI
    assert cost.greenlets < 64 * 2 + 20
    assert cost.descriptors < 30
    assert cost.calls >= 3
    assert_quiet(geopb_log)


def test_releases_without_end_are_taken_and_cost_nothing(serve: Serve) -> None:
    """Each gives back what the answer to the call before it has brought."""
    server = serve(Flooded())
    asked = 20
    with pb.connect(server.address) as client, Peer(server) as peer:
        root = root_of(client)
        with measured() as cost:
            for start in range(2, 2002, asked):
                for number in range(start, start + asked):
                    peer.call(number, "getRootObject", target=0)
                peer.read_answer(start + asked - 1)
                peer.send(frame([messages.RELEASE, *(ROOT, 1) * asked]))
                peer.answers.clear()
                call(root, cost)
        peer.call(9000, "echo", "alive")
        assert peer.read_answer(9000) == [messages.ANSWER, 9000, ["alive"]]

    assert cost.memory < MEBI


def test_a_release_of_more_than_there_is_ends_that_connection_alone(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Flooded())
    with pb.connect(server.address) as client, Peer(server) as peer:
        peer.send(frame([messages.RELEASE, *(ROOT, 1) * 5000]))

        eventually(lambda: peer.connection.lost)
        call(root_of(client), Cost())


def test_a_peer_that_watches_and_answers_no_update_costs_a_bounded_queue(
    serve: Serve,
) -> None:
    log = Brief()
    server = serve(Doing(lambda: log), **LIMITS)
    with pb.connect(server.address) as client, Peer(server) as peer:
        root = root_of(client)
        # It gets the state, and answers nothing that follows.
        peer.call(2, "do")
        peer.read_answer(2)
        cache = fetch(root)
        with measured() as cost:
            for number in range(3000):
                log.add(number)
                if number % 100 == 0:
                    call(root, cost)
            eventually(lambda: cache.items == log.items)
    # No more than the class lets wait, and the state of 3,000 numbers.
    assert cost.memory < 12 * MEBI
    collect()


def test_a_peer_that_never_answers_holds_its_own_calls_and_no_others(
    serve: Serve,
) -> None:
    """Methods that call their caller back wait for it: as many as it may have run."""
    interrupted: list[Exception] = []

    def call_back(theirs: Any) -> Any:
        try:
            return theirs.callRemote("never").get()
        except pb.Error as error:
            interrupted.append(error)
            raise

    server = serve(Doing(call_back), **LIMITS)
    with pb.connect(server.address) as client:
        root = root_of(client)
        with Peer(server) as peer:
            with measured() as cost:
                for number in range(2, 302):
                    peer.call(number, "do", Tag(60100, number))
                eventually(lambda: peer.connection.service.running == 64)
                refused = peer.read_answer(301)
                for _ in range(20):
                    call(root, cost)
            assert refused[2] == "geopb.LimitExceeded"
            assert cost.greenlets <= 64 + 20
            assert cost.memory < 4 * MEBI
        # When it goes, so do they.
        eventually(lambda: len(interrupted) == 64)
        call(root, cost)


def test_answers_that_nobody_asked_for_end_that_connection_alone(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Flooded())
    with pb.connect(server.address) as client, Peer(server) as peer:
        peer.send(b"".join(frame([messages.ANSWER, n, [0]]) for n in range(1, 5000)))

        eventually(lambda: peer.connection.lost)
        call(root_of(client), Cost())
    assert_quiet(geopb_log)


def test_promises_that_a_flood_of_calls_returns_have_a_bound(serve: Serve) -> None:
    """A method that returns a promise still counts as running until that ends."""
    promises: list[pb.Promise[Any]] = []

    def promise() -> pb.Promise[Any]:
        promises.append(pb.Promise())
        return promises[-1]

    server = serve(Doing(promise), **LIMITS)
    with pb.connect(server.address) as client, Peer(server) as peer:
        root = root_of(client)
        with measured() as cost:
            for number in range(2, 1002):
                peer.call(number, "do")
            assert peer.read_answer(1001)[2] == "geopb.LimitExceeded"
            call(root, cost)
        assert len(promises) == 64
        assert cost.memory < 4 * MEBI
        for each in promises:
            each.set("ended")
        assert peer.read_answer(2) == [messages.ANSWER, 2, ["ended"]]


# -- over many -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [b"", b"\x00", HELLO[:-1]],
    ids=["nothing", "a byte", "most of a hello"],
)
def test_a_slow_loris_is_let_go_after_its_time(
    serve: Serve, geopb_log: list[logging.LogRecord], text: bytes
) -> None:
    server = serve(Flooded(), handshake_timeout=0.5)
    with pb.connect(server.address) as client:
        root = root_of(client)
        with measured() as cost:
            with crowd(server, 200, text):
                call(root, cost)
                eventually(lambda: len(server.connections) == 1)
            call(root, cost)

    assert cost.memory < 200 * 32 * 1024
    assert cost.descriptors <= 2
    assert_quiet(geopb_log)


def test_messages_that_are_announced_and_do_not_come_take_no_memory(
    serve: Serve,
) -> None:
    server = serve(Flooded())
    begun = HELLO + (4 * MEBI).to_bytes(4, "big") + b"\x85"
    with pb.connect(server.address) as client:
        root = root_of(client)
        with measured() as cost, crowd(server, 200, begun):
            eventually(lambda: len(server.connections) == 201)
            for _ in range(20):
                call(root, cost)

    # 800 MiB were announced.
    assert cost.memory < 200 * 32 * 1024


def test_a_storm_of_connections_is_served_and_leaves_nothing(serve: Serve) -> None:
    server = serve(Flooded())
    with pb.connect(server.address) as client:
        root = root_of(client)
        with measured() as cost:
            coming = [gevent.spawn(_come_and_go, server) for _ in range(150)]
            while not all(each.ready() for each in coming):
                call(root, cost)
            gevent.joinall(coming, raise_error=True)
            eventually(lambda: len(server.connections) == 1)
            collect()

    assert cost.calls >= 3
    assert cost.descriptors <= 2
    assert cost.memory < 150 * 64 * 1024


def _come_and_go(server: pb.PBServer) -> None:
    with pb.connect(server.address, timeout=20) as client:
        assert client.getRootObject().get(timeout=20).callRemote("echo", 1).get() == 1
