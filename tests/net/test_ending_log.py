"""What the log says of a connection that has ended: who, why, which limit; once."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket

import geopb as pb
from geopb.net import connection
from geopb.net.address import parse
from geopb.notices import MOST
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.peers import HELLO
from tests.net.roots import Doing, root_of
from tests.support import SOON, eventually, turns
from tests.vectors.cbor import frame

LOG = "geopb.connection"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    """Have normal ends logged as well."""
    caplog.set_level(logging.INFO, LOG)


def of_connections(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    return [each for each in records if each.name == LOG]


class Realm:
    def requestAvatar(self, avatarId: object, mind: object, *_: object) -> object:
        raise NotImplementedError


def a_frame_too_long(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO + struct.pack(">I", 1 << 30))


def no_protocol(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")


def an_unknown_kind(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO + frame([99]))


def nothing(sock: socket.socket, server: pb.PBServer) -> None:
    """Say nothing until the server has enough of it."""


def hello_alone(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO)


def goodbye(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO + frame([messages.GOODBYE, "done here"]))


def half_a_message(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO + b"\x00\x00\x00\x10\x81")
    sock.shutdown(socket.SHUT_WR)


def the_end(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO)
    sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO)
    eventually(lambda: [each for each in server.connections if each.up.ready()])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def a_stop(sock: socket.socket, server: pb.PBServer) -> None:
    sock.sendall(HELLO)
    eventually(lambda: [each for each in server.connections if each.up.ready()])
    gevent.spawn(server.stop, 0)


Do = Callable[[socket.socket, pb.PBServer], None]
BAD, GOOD = logging.WARNING, logging.INFO


@pytest.mark.parametrize(
    ("do", "level", "why"),
    [
        (a_frame_too_long, BAD, "1073741824 exceeds max_structure_size=4194304"),
        (no_protocol, BAD, "the peer speaks HTTP, not geopb"),
        (an_unknown_kind, BAD, "a message of kind 99 while open"),
        (nothing, BAD, "within 0.05 s (handshake_timeout)"),
        (hello_alone, BAD, "no login within 0.1 s (login_timeout)"),
        (goodbye, GOOD, "closed the connection: done here"),
        (half_a_message, GOOD, "went in the middle of a message"),
        (the_end, GOOD, "closed the connection"),
        (reset, GOOD, "Connection reset by peer"),
        (a_stop, GOOD, "the server is stopping"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_record_says_who_and_why(
    serve: Serve,
    geopb_log: list[logging.LogRecord],
    do: Do,
    level: int,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This peer does not close: it need not be waited for as long as others are.
    monkeypatch.setattr(connection, "_LAST_FLUSH", 0.05)
    portal = pb.Portal(Realm(), [pb.AllowAnonymousAccess()])
    root = portal if do is hello_alone else Doing()
    options = {"handshake_timeout": 0.05, "login_timeout": 0.1}
    server = serve(root, **options)
    where = parse(server.address)
    with socket.create_connection((where.host, where.port), timeout=SOON) as sock:
        host, port = sock.getsockname()
        do(sock, server)
        eventually(lambda: of_connections(geopb_log))
        eventually(lambda: not server.connections)
        turns()

    (record,) = of_connections(geopb_log)
    assert record.levelno == level
    assert f"{host}:{port}" in record.getMessage()
    assert why in record.getMessage()


def test_a_clients_own_end_is_logged_once_too(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())

    with pb.connect(server.address):
        pass

    eventually(lambda: len(of_connections(geopb_log)) == 2)
    eventually(lambda: not server.connections)
    turns()
    ours, theirs = sorted(each.getMessage() for each in of_connections(geopb_log))
    assert ours == f"{server.address}: connection ended: closed"
    assert "closed the connection: closed" in theirs


def flood(server: pb.PBServer, count: int) -> Iterator[bytes]:
    where = parse(server.address)
    for _ in range(count):
        with socket.create_connection((where.host, where.port), timeout=SOON) as sock:
            sock.sendall(b"SSH-2.0-x\r\n")
            yield sock.recv(4096)


def test_all_of_a_flood_are_told_and_some_are_logged(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())

    assert all(flood(server, MOST + 50))

    assert len(of_connections(geopb_log)) == MOST
    # Those of another server are not left out for it.
    other = serve(Doing())
    assert all(flood(other, 1))
    assert len(of_connections(geopb_log)) == MOST + 1


def test_calls_that_do_not_fit_are_logged_no_more_often(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())
    with pb.connect(server.address) as client:
        root = root_of(client)
        calls = [root.callRemote("echo", 1, 2, 3) for _ in range(MOST + 50)]
        for call in calls:
            with pytest.raises(TypeError):
                call.get(timeout=SOON)

    refused = [each for each in geopb_log if "refused" in each.getMessage()]
    assert len(refused) == MOST
