"""Addresses: their forms, what is none, and serving at each of them."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import geopb as pb
from geopb.net.address import Address, open_socket, parse
from tests.conftest import Serve
from tests.net.roots import Doing, root_of


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# A matter of the machine: many containers have none, and nothing can be bound there.
needs_ipv6 = pytest.mark.skipif(
    not has_ipv6(), reason="this machine has no IPv6: serving on it is NOT tested"
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:8789", Address("tcp", "127.0.0.1", 8789)),
        ("localhost:0", Address("tcp", "localhost", 0)),
        ("db-1.example.org:65535", Address("tcp", "db-1.example.org", 65535)),
        ("tcp://127.0.0.1:1", Address("tcp", "127.0.0.1", 1)),
        ("tls://example.org:443", Address("tls", "example.org", 443)),
        ("[::1]:80", Address("tcp", "::1", 80)),
        ("tcp://[2001:db8::1]:80", Address("tcp", "2001:db8::1", 80)),
        ("[fe80::1%eth0]:80", Address("tcp", "fe80::1%eth0", 80)),
        ("tls://[::1]:80", Address("tls", "::1", 80)),
        ("unix:///run/x.sock", Address("unix", path="/run/x.sock")),
        ("unix:///with space", Address("unix", path="/with space")),
        (("127.0.0.1", 80), Address("tcp", "127.0.0.1", 80)),
        (("::1", 0), Address("tcp", "::1", 0)),
        (("localhost", 65535), Address("tcp", "localhost", 65535)),
    ],
)
def test_an_address_is_read(text: Any, parsed: Address) -> None:
    assert parse(text) == parsed
    assert parse(str(parsed)) == parsed


BAD = [
    "",
    "localhost",
    "localhost:",
    ":80",
    "localhost:http",
    "localhost:-1",
    "localhost:65536",
    "localhost:99999999999999999999",
    "localhost:8 0",
    "local host:80",
    "localhost:80 ",
    " localhost:80",
    "localhost:80/path",
    "localhost:80\n",
    "::1:80",
    "[::1]",
    "[::1]80",
    "[]:80",
    "[::1:80",
    "[localhost]:80",
    "[127.0.0.1]:80",
    "user@[::1]:80",
    "user@localhost:80",
    "local\0host:80",
    "tcp://local\x7fhost:80",
    "http://localhost:80",
    "tcp:localhost:80",
    "TCP//localhost:80",
    "://localhost:80",
    "tcp://",
    "unix://",
    "unix:///",
    "unix://relative",
    "unix:/path",
    "unix:///nul\0",
    "/run/x.sock",
    "localhost:٨٠",
    80,
    None,
    b"localhost:80",
    ["localhost", 80],
    (),
    ("localhost",),
    ("localhost", "80"),
    ("localhost", 80, 0),
    ("localhost", -1),
    ("localhost", 65536),
    ("localhost", True),
    ("localhost", 80.0),
    ("", 80),
    (None, 80),
    (b"localhost", 80),
    ("local host", 80),
    ("[::1]", 80),
    ("a:b", 80),
    ("user@localhost", 80),
    ("local\nhost", 80),
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_anything_else_is_a_ValueError_that_repeats_it(bad: Any) -> None:
    for use in (
        parse,
        pb.connect,
        pb.PBClientFactory().connect,
        lambda address: pb.serve(pb.Root(), address),
    ):
        with pytest.raises(ValueError, match="no address") as caught:
            use(bad)
        assert repr(bad) in str(caught.value)


def echo(address: Any) -> Any:
    with pb.connect(address) as client:
        return root_of(client).callRemote("echo", "hello").get(timeout=5)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:0",
        "tcp://127.0.0.1:0",
        "localhost:0",
        ("127.0.0.1", 0),
        ("localhost", 0),
    ],
)
def test_port_0_lets_the_system_choose(serve: Serve, address: Any) -> None:
    server = serve(Doing(), address)

    assert isinstance(server.address, str)
    assert parse(server.address).port > 0
    assert echo(server.address) == "hello"
    assert echo((parse(server.address).host, parse(server.address).port)) == "hello"


@needs_ipv6
@pytest.mark.parametrize("address", ["[::1]:0", "tcp://[::1]:0", ("::1", 0)])
def test_serving_over_ipv6(serve: Serve, address: Any) -> None:
    server = serve(Doing(), address)

    assert server.address.startswith("[::1]:")
    assert echo(server.address) == "hello"


def test_serving_on_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    server = serve(Doing(), f"unix://{tmp_path}/socket")

    assert server.address == f"unix://{tmp_path}/socket"
    assert echo(server.address) == "hello"
    server.stop()
    assert not (tmp_path / "socket").exists()


def test_a_stale_socket_file_is_replaced(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.is_socket()

    server = serve(Doing(), f"unix://{path}")

    assert echo(server.address) == "hello"


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(OSError, match=str(path)) as caught:
        pb.serve(Doing(), f"unix://{path}")

    assert caught.value.errno == errno.EADDRINUSE
    assert path.read_text() == "data"


def test_a_server_that_lives_keeps_its_unix_socket(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(Doing(), f"unix://{tmp_path}/socket")

    with pytest.raises(OSError, match="unix://") as caught:
        pb.serve(Doing(), server.address)

    assert caught.value.errno == errno.EADDRINUSE
    assert echo(server.address) == "hello"


def test_a_server_that_stopped_leaves_its_successors_socket(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    first = serve(Doing(), f"unix://{path}")
    os.unlink(path)
    second = serve(Doing(), f"unix://{path}")

    first.stop()

    assert echo(second.address) == "hello"


def test_a_port_that_is_taken_is_told_with_its_address(serve: Serve) -> None:
    server = serve(Doing())

    with pytest.raises(OSError, match=server.address) as caught:
        pb.serve(Doing(), server.address)

    assert caught.value.errno == errno.EADDRINUSE


def test_a_host_that_is_not_ours_cannot_be_bound() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        pb.serve(Doing(), "192.0.2.1:0")


def test_a_port_is_free_again_at_once(serve: Serve) -> None:
    server = serve(Doing())
    address = server.address
    assert echo(address) == "hello"
    server.stop()

    again = serve(Doing(), address)

    assert again.address == address
    assert echo(address) == "hello"


@pytest.mark.parametrize("address", ["0.0.0.0:0", ("0.0.0.0", 0)])  # noqa: S104
def test_an_address_that_others_can_reach_is_warned_of_once(
    serve: Serve, geopb_log: list[logging.LogRecord], address: Any
) -> None:
    server = serve(Doing(), address)
    assert echo(("127.0.0.1", parse(server.address).port)) == "hello"

    (warning,) = [each for each in geopb_log if each.levelno >= logging.WARNING]
    assert warning.levelno == logging.WARNING
    assert server.address in warning.getMessage()
    assert "TLS" in warning.getMessage()


def test_loopback_and_unix_sockets_are_not_warned_of(
    serve: Serve, geopb_log: list[logging.LogRecord], tmp_path: Path
) -> None:
    for address in ("127.0.0.1:0", "127.8.7.6:0", f"unix://{tmp_path}/socket"):
        assert echo(serve(Doing(), address).address) == "hello"

    assert [each for each in geopb_log if each.levelno >= logging.WARNING] == []


def test_an_address_may_bring_its_own_way_to_a_socket() -> None:
    ours, theirs = socket.socketpair()
    address = Address("memory", path="here", opener=lambda: ours)

    assert parse(address) is address
    assert open_socket(address) is ours
    assert str(address) == "memory://here"
    with pytest.raises(ValueError, match="no address"):
        parse(str(address))
    ours.close()
    theirs.close()


def test_a_path_that_is_too_long_is_said_to_be_so(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/{'x' * 200}"

    for use in (lambda: pb.serve(Doing(), address), lambda: pb.connect(address)):
        with pytest.raises(OSError, match="path too long: unix:///"):
            use()
