"""A peer that takes nothing is dropped after `keepalive`; one that is slow is not."""

from __future__ import annotations

import logging
import signal
import socket as stdlib_socket
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket

import geopb as pb
from geopb.net.sockets import LONGEST, prepare
from geopb.net.watch import Watch
from geopb.net.writer import Writer
from tests.conftest import Pair, Serve
from tests.examples.programs import Program, SideBySide
from tests.net.roots import Doing, root_of
from tests.support import client_connection, eventually, server_connection

CLIENT = """
    import gevent
    import geopb as pb

    class Taking(pb.Referenceable):
        def remote_take(self, data):
            pass

    client = pb.connect({address!r})
    client.getRootObject().get(timeout=10).callRemote("do", Taking()).get(timeout=10)
    print("ready", flush=True)
    gevent.sleep(60)
"""

SERVER = """
    import geopb as pb

    class Taking(pb.Root):
        def remote_take(self, data):
            pass

    server = pb.serve(Taking(), {address!r})
    print("listening on", server.address, flush=True)
    server.serve_forever()
"""

#: More than the kernel keeps for one that does not read.
MUCH = b"x" * 16_000_000


#: What to do with an address.
OnOne = Callable[[str], None]


def python(code: str, address: str) -> tuple[str, str]:
    return "-c", textwrap.dedent(code.format(address=address))


@pytest.fixture
def on_each(tmp_path: Path, subtests: pytest.Subtests) -> Callable[[OnOne], None]:
    """Do the same over TCP and over a Unix socket, which wait for it side by side."""

    def do(on_one: OnOne) -> None:
        addresses = {"tcp": "127.0.0.1:0", "unix": f"unix://{tmp_path}/socket"}
        came_to = SideBySide(
            {scheme: partial(on_one, at) for scheme, at in addresses.items()}
        )
        for scheme in addresses:
            with subtests.test(scheme):
                came_to[scheme]

    return do


@contextmanager
def stopped(program: Program) -> Iterator[None]:
    """Have a process take nothing: no signal tells its peer."""
    program.send(signal.SIGSTOP)
    yield
    program.send(signal.SIGCONT)


def of(peer: str, log: list[logging.LogRecord]) -> list[logging.LogRecord]:
    return [each for each in log if peer in each.getMessage()]


def assert_dropped(
    promise: pb.Promise[Any], begun: float, log: list[logging.LogRecord], peer: str
) -> None:
    with pytest.raises(pb.PBConnectionLost, match="not reading"):
        promise.get(timeout=10)
    assert 1 <= monotonic() - begun < 4
    (record,) = eventually(lambda: of(peer, log))
    assert (record.name, record.levelno) == ("geopb.connection", logging.WARNING)
    for part in ("not reading", "1 s (keepalive)"):
        assert part in record.getMessage()


@pytest.mark.slow
def test_a_client_that_takes_no_bytes_is_dropped_and_the_log_says_so(
    serve: Serve,
    on_each: Callable[[OnOne], None],
    geopb_log: list[logging.LogRecord],
) -> None:
    def on_one(address: str) -> None:
        kept: list[Any] = []
        server = serve(Doing(kept.append), address, keepalive=1)
        with Program(*python(CLIENT, server.address)) as program:
            assert program.line() == "ready"
            peer = server_connection(server).peer
            with stopped(program):
                begun = monotonic()
                promise = kept[0].callRemote("take", MUCH)

                assert_dropped(promise, begun, geopb_log, peer)
                eventually(lambda: not server.connections)
        kept.clear()

    on_each(on_one)
    assert len(geopb_log) == 2


@pytest.mark.slow
def test_the_kernel_drops_one_whose_window_is_shut_and_the_log_says_so(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    """Nothing is left to wait here: all that it does not take is the kernel's."""
    kept: list[Any] = []
    server = serve(Doing(kept.append), keepalive=1)
    with Program(*python(CLIENT, server.address)) as program:
        assert program.line() == "ready"
        connection = server_connection(server)
        with stopped(program):
            begun = monotonic()
            promise = kept[0].callRemote("take", MUCH[:500_000])
            eventually(lambda: not connection.statistics()["unsent"])
            eventually(lambda: not connection._writer._busy)

            assert_dropped(promise, begun, geopb_log, connection.peer)
    assert len(geopb_log) == 1
    kept.clear()


@pytest.mark.slow
def test_a_server_that_takes_no_bytes_is_dropped_and_the_log_says_so(
    on_each: Callable[[OnOne], None], geopb_log: list[logging.LogRecord]
) -> None:
    def on_one(address: str) -> None:
        with Program(*python(SERVER, address)) as program:
            at = program.address()
            client = pb.connect(at, keepalive=1)
            root = root_of(client)
            with stopped(program):
                begun = monotonic()
                promise = root.callRemote("take", MUCH)

                assert_dropped(promise, begun, geopb_log, at)
                with pytest.raises(pb.DeadReferenceError, match="not reading"):
                    root.callRemote("take", b"")
            client.disconnect()

    on_each(on_one)
    assert len(geopb_log) == 2


@pytest.mark.slow
def test_a_peer_that_answers_nothing_but_takes_its_bytes_is_kept(
    serve: Serve,
    on_each: Callable[[OnOne], None],
    geopb_log: list[logging.LogRecord],
) -> None:
    """What fits into its kernel's buffer was taken: it may be busy."""

    def on_one(address: str) -> None:
        kept: list[Any] = []
        server = serve(Doing(kept.append), address, keepalive=0.5)
        with Program(*python(CLIENT, server.address)) as program:
            assert program.line() == "ready"
            with stopped(program):
                promise = kept[0].callRemote("take", b"x" * 1000)
                promise.wait(timeout=1.25)
                assert not promise.ready()
            assert promise.get(timeout=5) is None
        kept.clear()

    on_each(on_one)
    assert geopb_log == []


class Much:
    """Bytes without end."""

    more = True

    def take_pieces(self) -> bytes:
        return bytes(100_000)


class Plain:
    """Sends all as it is."""

    record = None
    outgoing = Much()


class NoBulk:
    held = False
    taken = 0


class Nobody:
    waited_for = 0

    def let_in(self) -> None:
        pass


@contextmanager
def sending(keepalive: float) -> Iterator[tuple[socket.socket, list[OSError]]]:
    """A writer that sends without end over a Unix socket; what it gave up with."""
    here, there = socket.socketpair()
    errors: list[OSError] = []
    watch = Watch(here, "the peer", keepalive, errors.append, NoBulk())
    writer = Writer(here, Plain(), errors.append, Nobody(), watch)
    writer.send_at_once()
    yield there, errors
    writer.close()
    assert not watch.on
    there.close()
    here.close()


@pytest.mark.slow
def test_a_peer_that_takes_a_little_now_and_then_is_kept() -> None:
    """Never so much that the socket becomes writable, which is when most is taken."""
    with sending(0.5) as (there, errors):
        until = monotonic() + 1.5
        while monotonic() < until:
            there.recv(20_000)
            gevent.sleep(0.05)

        assert errors == []


def test_one_that_takes_nothing_any_more_is_given_up_once() -> None:
    with sending(0.05) as (there, errors):
        there.recv(100_000)

        eventually(lambda: errors)

        (error,) = errors
        assert isinstance(error, TimeoutError)


def test_a_line_at_rest_is_not_watched(pair: Pair) -> None:
    server, client = pair(Doing(), keepalive=0.05)

    assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1

    for connection in (client_connection(client), server_connection(server)):
        eventually(lambda each=connection: not each._watch.on)
        assert connection._watch._timer is None


@pytest.mark.parametrize(
    ("keepalive", "probes"), [(60, (15, 15)), (7, (4, 1)), (2, (1, 1)), (0.1, (1, 1))]
)
def test_the_last_probe_of_a_silent_link_is_due_when_keepalive_is_over(
    keepalive: float, probes: tuple[int, int]
) -> None:
    with stdlib_socket.socket() as sock:
        prepare(sock, keepalive)  # type: ignore[arg-type]

        def read(option: int) -> int:
            return sock.getsockopt(stdlib_socket.IPPROTO_TCP, option)

        assert sock.getsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_KEEPALIVE)
        assert (
            read(stdlib_socket.TCP_KEEPIDLE),
            read(stdlib_socket.TCP_KEEPINTVL),
        ) == probes
        assert read(stdlib_socket.TCP_USER_TIMEOUT) == keepalive * 1000


def test_a_keepalive_without_end_is_the_longest_that_the_kernel_takes(
    pair: Pair,
) -> None:
    _, client = pair(Doing(), keepalive=float("inf"))

    sock: Any = client_connection(client)._sock
    timeout = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert timeout == LONGEST * 1000
    assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1
