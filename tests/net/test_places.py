"""How many may connect, and what those are told for whom there is no place."""

from __future__ import annotations

import logging
import os
import resource
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import cbor2
import pytest
from gevent import socket
from gevent.server import StreamServer

import geopb as pb
from geopb.limits import Limits
from geopb.net import places as places_module
from geopb.net.address import parse
from geopb.net.places import Places
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.certificates import Certificates
from tests.net.roots import Doing, root_of
from tests.support import SOON, eventually

IN_ALL = "server full: 3 connections exceed max_connections=2"
FROM_ONE = (
    "server full: 3 connections from 127.0.0.1 exceed max_connections_per_address=2"
)


def assert_served(client: pb.PBClientFactory) -> None:
    assert root_of(client).callRemote("echo", "served").get(timeout=SOON) == "served"


def lines(records: list[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records if each.levelno >= logging.WARNING]


def told(sock: socket.socket) -> list[Any]:
    """Return what a server says until it closes."""
    found = []
    with sock.makefile("rb") as stream:
        while head := stream.read(4):
            found.append(cbor2.loads(stream.read(*struct.unpack(">I", head))))
    return found


def new_sockets(count: int) -> list[socket.socket]:
    found = [socket.socket() for _ in range(count)]
    for each in found:
        each.settimeout(SOON)
    return found


def send_fails(sock: socket.socket) -> OSError | None:
    try:
        sock.sendall(b"x")
    except OSError as error:
        return error
    return None


# -- at it, over it, overridden --------------------------------------------------------


@pytest.mark.parametrize("name", ["max_connections", "max_connections_per_address"])
def test_as_many_as_may_be_are_served(serve: Serve, name: str) -> None:
    server = serve(Doing(), **{name: 2})

    with pb.connect(server.address) as one, pb.connect(server.address) as other:
        assert_served(one)
        assert_served(other)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("max_connections", IN_ALL), ("max_connections_per_address", FROM_ONE)],
)
def test_one_more_is_told_why_at_once_and_logged_in_one_line(
    serve: Serve, geopb_log: list[logging.LogRecord], name: str, reason: str
) -> None:
    server = serve(Doing(), **{name: 2})
    with pb.connect(server.address) as one, pb.connect(server.address):
        begun = monotonic()
        with pytest.raises(pb.PBConnectionLost) as caught:
            pb.connect(server.address)

        assert monotonic() - begun < 1
        assert reason in str(caught.value)
        assert_served(one)
        assert len(server.connections) == 2
    (line,) = lines(geopb_log)
    assert line.startswith("127.0.0.1:")
    assert line.endswith(f"turned away: {reason}")


def test_by_default_there_are_places_for_more(serve: Serve) -> None:
    """What two connections are the end of above, a hundred are not here."""
    server = serve(Doing())
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(pb.connect(server.address))

        assert len(server.connections) == 100


# -- who has a place, and until when ---------------------------------------------------


@pytest.mark.parametrize("name", ["max_connections", "max_connections_per_address"])
def test_who_goes_leaves_a_place(serve: Serve, name: str) -> None:
    server = serve(Doing(), **{name: 1})

    for _ in range(5):
        with pb.connect(server.address) as client:
            assert_served(client)
        eventually(lambda: not server.connections)


def test_who_breaks_the_protocol_leaves_a_place(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), max_connections=1)
    where = parse(server.address)
    for _ in range(5):
        with socket.create_connection((where.host, where.port)) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(4096)
        eventually(lambda: not server.connections)

    with pb.connect(server.address) as client:
        assert_served(client)


def test_another_address_has_places_of_its_own(serve: Serve) -> None:
    server = serve(Doing(), max_connections_per_address=1)
    where = parse(server.address)
    with pb.connect(server.address):
        (sock,) = new_sockets(1)
        with sock:
            sock.bind(("127.0.0.2", 0))
            sock.connect((where.host, where.port))

            eventually(lambda: len(server.connections) == 2)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        (None, None, False),
    ],
)
def test_one_machine_is_one_address(
    first: str | None, second: str | None, together: bool
) -> None:
    places = Places(Limits(max_connections_per_address=1))
    with socket.socket() as sock:
        assert places.take(sock, first) is None
        refusal = places.take(sock, second)
        assert (refusal is not None) is together

        places.give_back(first)
        if not together:
            places.give_back(second)
        assert not places._by_address
        assert places.take(sock, first) is None


def test_clients_of_a_unix_socket_have_no_address(serve: Serve, tmp_path: Path) -> None:
    server = serve(
        Doing(), f"unix://{tmp_path}/socket", max_connections_per_address=1,
        max_connections=2,
    )  # fmt: skip
    with pb.connect(server.address) as one, pb.connect(server.address) as other:
        assert_served(one)
        assert_served(other)
        with pytest.raises(pb.PBConnectionLost, match="max_connections=2"):
            pb.connect(server.address)


def test_one_factory_counts_for_all_its_listeners() -> None:
    factory = pb.PBServerFactory(Doing(), max_connections=1)
    servers = [StreamServer(("127.0.0.1", 0), factory) for _ in range(2)]
    for each in servers:
        each.start()
    ports = [each.server_port for each in servers]
    try:
        with pb.connect(("127.0.0.1", ports[0])) as client:
            assert_served(client)
            with pytest.raises(pb.PBConnectionLost, match="max_connections=1"):
                pb.connect(("127.0.0.1", ports[1]))
    finally:
        for each in servers:
            each.stop(timeout=1)


# -- being told ------------------------------------------------------------------------


def test_what_is_told_is_a_hello_and_a_goodbye(serve: Serve) -> None:
    server = serve(Doing(), max_connections=1)
    where = parse(server.address)
    with pb.connect(server.address), new_sockets(1)[0] as sock:
        sock.connect((where.host, where.port))

        hello, goodbye = told(sock)

    assert hello[:2] == [messages.HELLO, "geopb"]
    reason = "server full: 2 connections exceed max_connections=1"
    assert goodbye == [messages.GOODBYE, reason]


def test_over_TLS_they_are_told_as_well(  # noqa: N802 (TLS)
    serve: Serve, certificates: Certificates
) -> None:
    server_side = pb.tls_server_context(certificates.cert, certificates.key)
    client_side = pb.tls_client_context(certificates.ca)
    server = serve(Doing(), ssl_context=server_side, max_connections=1)
    with pb.connect(server.address, ssl_context=client_side) as client:
        with pytest.raises(pb.PBConnectionLost, match="max_connections=1"):
            pb.connect(server.address, ssl_context=client_side)

        assert_served(client)


def test_one_that_connects_again_is_served_when_there_is_a_place(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), max_connections=1)
    first = pb.connect(server.address)
    with pb.PBClientFactory(reconnect=True).connect(server.address) as waiting:
        eventually(lambda: waiting.last_failure)
        assert "server full" in str(waiting.last_failure)

        first.disconnect()

        assert_served(waiting)


def test_those_that_do_not_go_are_closed_in_time(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places_module, "_LINGER", 0.05)
    server = serve(Doing(), max_connections=1)
    where = parse(server.address)
    with pb.connect(server.address), new_sockets(1)[0] as sock:
        sock.connect((where.host, where.port))
        # It goes on sending, and reads nothing.
        ended = eventually(lambda: send_fails(sock))

    assert isinstance(ended, BrokenPipeError | ConnectionResetError)


def test_a_flood_of_them_is_told_without_waiting(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    """No more than a few are waited for at a time, and the log is short."""
    server = serve(Doing(), max_connections=1)
    where = parse(server.address)
    with pb.connect(server.address) as client, ExitStack() as stack:
        flood = [stack.enter_context(each) for each in new_sockets(300)]
        for each in flood:
            # They say nothing, and do not go by themselves.
            each.connect((where.host, where.port))
        assert_served(client)

        reasons = [told(each)[-1] for each in flood]

        assert len(reasons) == 300
        assert all("max_connections=1" in reason for _, reason in reasons)
        assert len(lines(geopb_log)) <= 101


# -- no descriptors --------------------------------------------------------------------


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """Let this process have so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def all_taken() -> Iterator[None]:
    """Take every descriptor that is left."""
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for each in taken:
            os.close(each)


@dataclass
class Process:
    """What this process has used."""

    seconds: float

    @staticmethod
    def now() -> Process:
        used = os.times()
        return Process(used.user + used.system)


def next_descriptor() -> int:
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_connections_leave_some_descriptors_free(serve: Serve) -> None:
    server = serve(Doing())
    where = parse(server.address)
    flood = new_sockets(40)
    # Half of them find a descriptor; and the rest is kept.
    most = 16 * (next_descriptor() + 20) // 15
    with ExitStack() as stack, descriptors(most):
        for each in flood:
            stack.enter_context(each).connect((where.host, where.port))
        refused = told(flood[-1])[-1]
        assert f"{most} descriptors (RLIMIT_NOFILE)" in refused[1]
        with open(os.devnull, encoding="ascii"):
            # The program's files can still be opened.
            assert 0 < len(server.connections) < 40

    eventually(lambda: not server.connections)
    with pb.connect(server.address) as client:
        assert_served(client)


def test_without_descriptors_who_comes_is_told_and_the_server_recovers(
    serve: Serve, geopb_log: list[logging.LogRecord], greenlet_errors: list[Any]
) -> None:
    server = serve(Doing())
    where = parse(server.address)
    with pb.connect(server.address) as client, ExitStack() as stack:
        flood = [stack.enter_context(each) for each in new_sockets(200)]
        late = stack.enter_context(new_sockets(1)[0])
        eventually(lambda: server.connections)
        with descriptors(next_descriptor() + 50), all_taken():
            before = Process.now()
            for each in flood:
                each.connect((where.host, where.port))
            for each in flood:
                *_, goodbye = told(each)
                assert "RLIMIT_NOFILE" in goodbye[1]
            # Nothing turns round and round meanwhile.
            assert Process.now().seconds - before.seconds < 1
            assert_served(client)

        late.connect((where.host, where.port))
        eventually(lambda: len(server.connections) == 2)

    assert greenlet_errors == []
    assert len(lines(geopb_log)) <= 101
    with pb.connect(server.address) as client:
        assert_served(client)


def test_without_even_the_spare_one_they_wait_and_are_served_later(
    serve: Serve, geopb_log: list[logging.LogRecord], greenlet_errors: list[Any]
) -> None:
    server = serve(Doing())
    listener = server._server
    where = parse(server.address)
    with ExitStack() as stack:
        waiting = [stack.enter_context(each) for each in new_sockets(20)]
        assert listener._spare is not None
        os.close(listener._spare)
        listener._spare = None
        with descriptors(next_descriptor() + 50), all_taken():
            before = Process.now()
            for each in waiting:
                each.connect((where.host, where.port))
            eventually(lambda: len(lines(geopb_log)) >= 2)
            assert not server.connections
            assert Process.now().seconds - before.seconds < 0.5

        eventually(lambda: len(server.connections) == 20)
        assert listener._spare is not None

    assert greenlet_errors == []
    for line in lines(geopb_log):
        assert line.startswith("nobody can be accepted now: ")
        assert "Too many open files" in line
