"""Clients that do not speak geopb: each causes one readable line, and no harm."""

from __future__ import annotations

import logging
import struct
from typing import Any

import pytest
from gevent import socket

import geopb as pb
from geopb.net.address import parse
from tests.conftest import Serve
from tests.net.roots import Doing, root_of
from tests.support import eventually

TLS_HELLO = bytes.fromhex("16030100c4010000c00303") + b"\x55" * 180


def say(server: pb.PBServer, text: bytes, *, then_close: bool = False) -> bytes:
    """Connect, say something, and return all that the server says until it closes."""
    address = parse(server.address)
    with socket.create_connection((address.host, address.port), timeout=5) as sock:
        sock.sendall(text)
        if then_close:
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            try:
                data = sock.recv(4096)
            except ConnectionResetError:
                return answer
            if not data:
                return answer
            answer += data


def assert_serving(server: pb.PBServer) -> None:
    with pb.connect(server.address) as client:
        assert root_of(client).callRemote("echo", "still here").get(timeout=5)
    eventually(lambda: not server.connections)


def lines(records: list[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP"),
        (b"POST /x HTTP/1.1\r\n\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (TLS_HELLO, "TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b'{"jsonrpc": "2.0", "method": "echo"}\n', "JSON"),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00", "pickle"),
        (b"hello, is anybody there?\r\n", "something else"),
        (b"\x00" * 100, "something else"),
        (b"\xff" * 100, "something else"),
        (bytes(range(256)) * 10, "something else"),
        # The right length, the wrong magic.
        (struct.pack(">I", 20) + b"\x84\x00\x65geopc" + b"\x00" * 13, "something else"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_foreign_client_is_told_in_one_line_and_logged_in_one(
    serve: Serve, geopb_log: list[logging.LogRecord], text: bytes, named: str
) -> None:
    server = serve(Doing())

    answer = say(server, text)

    sentence = f"this is a geopb port, it does not speak {named}"
    assert answer.decode(errors="replace").splitlines()[-1].endswith(sentence)
    (line,) = lines(geopb_log)
    assert line.endswith(f"the peer speaks {named}, not geopb")
    assert "\n" not in line
    assert_serving(server)


def test_a_browser_is_answered_in_http(serve: Serve) -> None:
    answer = say(serve(Doing()), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    start = answer.index(b"HTTP/1.")
    head, _, body = answer[start:].partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    assert status.split(" ", 1)[1] == "400 Bad Request"
    assert f"Content-Length: {len(body)}" in headers


def test_a_foreign_client_is_recognised_byte_by_byte(serve: Serve) -> None:
    server = serve(Doing())
    address = parse(server.address)
    with socket.create_connection((address.host, address.port), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET ":
            sock.sendall(bytes([byte]))
        answer = b""
        while data := sock.recv(4096):
            answer += data

    assert b"it does not speak HTTP" in answer


def test_a_client_that_says_nothing_is_dropped_after_handshake_timeout(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), handshake_timeout=0.05)

    say(server, b"")

    (line,) = lines(geopb_log)
    assert "handshake_timeout" in line
    assert_serving(server)


def test_a_client_that_never_finishes_its_hello_is_dropped_too(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), handshake_timeout=0.05)

    say(server, struct.pack(">I", 64) + b"\x84\x00\x65geopb")

    (line,) = lines(geopb_log)
    assert "handshake_timeout" in line


def test_a_port_scan_is_harmless(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())

    for _ in range(20):
        say(server, b"", then_close=True)

    eventually(lambda: not server.connections)
    # It connected and went: nothing was wrong with what it said.
    assert lines(geopb_log) == []
    assert_serving(server)


def test_a_client_that_resets_the_connection_is_harmless(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())
    address = parse(server.address)
    for text in (b"", b"GET"):
        sock = socket.create_connection((address.host, address.port), timeout=5)
        sock.sendall(text)
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        sock.close()

    eventually(lambda: not server.connections)
    assert [each for each in geopb_log if each.levelno >= logging.ERROR] == []
    assert_serving(server)


def test_foreign_clients_do_not_disturb_those_that_are_connected(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())
    with pb.connect(server.address) as client:
        root: Any = root_of(client)
        for number in range(10):
            pending = [root.callRemote("echo", n) for n in range(10)]
            say(server, b"GET / HTTP/1.0\r\n\r\n" if number % 2 else TLS_HELLO)
            assert pb.gather(pending).get(timeout=5) == list(range(10))

    assert len(lines(geopb_log)) == 10


def test_nothing_of_what_a_foreign_client_says_is_repeated(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    """A log line cannot be forged by what comes in."""
    server = serve(Doing())

    answer = say(server, b"evil\r\nERROR geopb: all is lost\r\n")

    assert b"all is lost" not in answer
    assert all("all is lost" not in line for line in lines(geopb_log))
