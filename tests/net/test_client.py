"""Clients: connecting, what cannot be connected to, the root, disconnecting."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
import socket as stdlib_socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.roots import Doing, Holding, root_of
from tests.support import collect, eventually

Handler = Callable[[Any, Any], None]


@pytest.fixture
def foreign() -> Iterator[Callable[[Handler], str]]:
    """Start a server that is none of geopb's; return where it is."""
    servers: list[StreamServer] = []

    def start(handle: Handler) -> str:
        server = StreamServer(("127.0.0.1", 0), handle)
        server.start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.stop(timeout=0)


def closed_port() -> str:
    with stdlib_socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


# -- what cannot be connected to -------------------------------------------------------


def refusals(address: Any, **options: Any) -> list[Exception]:
    """Return the error of each way to connect."""
    errors = []
    for use in (
        lambda: pb.connect(address, **options),
        lambda: (
            pb.PBClientFactory(**options)
            .connect(address)
            .getRootObject()
            .get(timeout=20)
        ),
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 (the caller looks)
            use()
        errors.append(caught.value)
    return errors


def test_a_refused_connection_is_what_the_system_raises() -> None:
    for error in refusals(closed_port()):
        assert isinstance(error, ConnectionRefusedError)
        assert str(error) == "[Errno 111] Connection refused"


def test_a_name_that_is_unknown_is_what_the_system_raises() -> None:
    for error in refusals("no-such-host.invalid:80"):
        assert isinstance(error, stdlib_socket.gaierror)


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    for error in refusals(f"unix://{tmp_path}/nobody"):
        assert isinstance(error, FileNotFoundError)


def test_a_server_that_stays_silent_is_a_TimeoutError(
    foreign: Callable[[Handler], str],
) -> None:
    address = foreign(lambda sock, _: sock.recv(1000) and sock.recv(1))

    started = monotonic()
    errors = refusals(address, handshake_timeout=0.05)

    assert monotonic() - started < 5
    for error in errors:
        assert isinstance(error, TimeoutError)
        assert "handshake_timeout" in str(error)
        assert address in str(error)


def test_connect_ends_after_its_own_timeout(foreign: Callable[[Handler], str]) -> None:
    address = foreign(lambda sock, _: sock.recv(1000) and sock.recv(1))

    with pytest.raises(pb.Timeout, match=address):
        pb.connect(address, timeout=0.05)


def test_a_server_that_stays_silent_does_not_hold_up_who_goes(
    foreign: Callable[[Handler], str],
) -> None:
    over = Event()
    address = foreign(lambda sock, _: over.wait(5))

    started = monotonic()
    with pytest.raises(pb.Timeout):
        pb.connect(address, timeout=0.05)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        pb.connect(address)
    client = pb.PBClientFactory().connect(address)
    gevent.sleep(0.05)
    client.disconnect()
    over.set()

    assert monotonic() - started < 0.9


@pytest.mark.parametrize(
    ("says", "named"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", None),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"220 mail.example.org ESMTP\r\n", "SMTP"),
        (b"garbage, just garbage, and more of it", None),
        (b"\x00" * 64, None),
        (b"\xff" * 64, None),
    ],
)
def test_a_port_that_speaks_something_else_is_a_ProtocolError_that_says_so(
    foreign: Callable[[Handler], str], says: bytes, named: str | None
) -> None:
    address = foreign(lambda sock, _: sock.sendall(says) or sock.recv(1000))

    for error in refusals(address):
        assert isinstance(error, pb.ProtocolError)
        assert address in str(error)
        assert "not geopb" in str(error)
        assert named is None or named in str(error)


@pytest.mark.parametrize("says", [b"", b"\x00\x00\x00\x40"])
def test_a_server_that_closes_at_once_is_an_error(
    foreign: Callable[[Handler], str], says: bytes
) -> None:
    address = foreign(lambda sock, _: sock.sendall(says))

    for error in refusals(address):
        assert isinstance(error, pb.PBConnectionLost)
        assert address in str(error)


def test_a_failed_connect_leaves_one_line_in_the_log_at_most(
    foreign: Callable[[Handler], str], geopb_log: list[logging.LogRecord]
) -> None:
    address = foreign(lambda sock, _: sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n"))

    with pytest.raises(pb.ProtocolError):
        pb.connect(address)
    collect()

    assert len(geopb_log) <= 1


def test_a_getRootObject_that_fails_and_that_nobody_looks_at_is_logged(
    geopb_log: list[logging.LogRecord],
) -> None:
    promise = pb.PBClientFactory().connect(closed_port()).getRootObject()
    promise.wait(timeout=5)
    del promise
    collect()

    (record,) = geopb_log
    assert "ConnectionRefusedError" in record.getMessage()


# -- the root --------------------------------------------------------------------------


def test_the_root_may_be_asked_for_before_connect(serve: Serve) -> None:
    server = serve(Doing())
    with pb.PBClientFactory() as factory:
        promises = [factory.getRootObject() for _ in range(3)]
        gevent.sleep(0)
        assert not any(promise.ready() for promise in promises)

        factory.connect(server.address)

        first, *others = [promise.get(timeout=5) for promise in promises]
        assert all(each is first for each in others)
        assert first.callRemote("echo", 1).get(timeout=5) == 1


def test_each_time_a_new_promise_of_the_same_reference(pair: Pair) -> None:
    _, client = pair(Doing())

    first, second = client.getRootObject(), client.getRootObject()

    assert first is not second
    assert first.get(timeout=5) is second.get(timeout=5)


def test_after_disconnect_the_root_is_a_DeadReferenceError(pair: Pair) -> None:
    _, client = pair(Doing())
    client.disconnect()

    with pytest.raises(pb.DeadReferenceError):
        client.getRootObject().get(timeout=5)


def test_after_the_server_went_the_root_is_a_DeadReferenceError(pair: Pair) -> None:
    server, client = pair(Doing())
    gone = Event()
    root_of(client).notifyOnDisconnect(lambda _: gone.set())
    server.stop()
    assert gone.wait(5)

    with pytest.raises(pb.DeadReferenceError):
        client.getRootObject().get(timeout=5)


def test_waiting_promises_fail_when_the_connection_fails() -> None:
    factory = pb.PBClientFactory()
    promises = [factory.getRootObject() for _ in range(3)]

    factory.connect(closed_port())

    for promise in promises:
        with pytest.raises(ConnectionRefusedError):
            promise.get(timeout=5)


def test_promises_that_wait_for_a_connect_fail_at_disconnect(
    foreign: Callable[[Handler], str], geopb_log: list[logging.LogRecord]
) -> None:
    address = foreign(lambda sock, _: sock.recv(1000) and sock.recv(1))
    factory = pb.PBClientFactory()
    before = factory.getRootObject()
    factory.connect(address)
    after = factory.getRootObject()

    factory.disconnect()

    for promise in (before, after):
        with pytest.raises(pb.PBConnectionLost):
            promise.get(timeout=5)
    assert [each for each in geopb_log if each.levelno >= logging.ERROR] == []


# -- connecting ------------------------------------------------------------------------


def test_connect_while_connected_is_a_RuntimeError(serve: Serve) -> None:
    server = serve(Doing())
    with pb.PBClientFactory() as factory:
        factory.connect(server.address)
        with pytest.raises(RuntimeError, match="connected already"):
            factory.connect(server.address)
        root = root_of(factory)
        with pytest.raises(RuntimeError, match="connected already"):
            factory.connect(server.address)

        assert root.callRemote("echo", 1).get(timeout=5) == 1


def test_a_factory_may_connect_again_after_disconnect(serve: Serve) -> None:
    server = serve(Doing())
    factory = pb.PBClientFactory()
    roots = []
    for number in range(3):
        factory.connect(server.address)
        roots.append(root_of(factory))
        assert roots[-1].callRemote("echo", number).get(timeout=5) == number
        factory.disconnect()

    with pytest.raises(pb.DeadReferenceError):
        roots[0].callRemote("echo", 1)


def test_a_factory_may_connect_again_after_a_failure(serve: Serve) -> None:
    server = serve(Doing())
    factory = pb.PBClientFactory().connect(closed_port())
    with pytest.raises(ConnectionRefusedError):
        factory.getRootObject().get(timeout=5)

    factory.connect(server.address)

    assert root_of(factory).callRemote("echo", 1).get(timeout=5) == 1
    factory.disconnect()


def test_the_factory_is_a_context_manager(serve: Serve) -> None:
    server = serve(Doing())
    with pb.PBClientFactory().connect(server.address) as factory:
        root = root_of(factory)

    with pytest.raises(pb.DeadReferenceError):
        root.callRemote("echo", 1)
    eventually(lambda: not server.connections)


# -- disconnecting ---------------------------------------------------------------------


def test_disconnect_may_be_called_any_number_of_times(pair: Pair) -> None:
    pb.PBClientFactory().disconnect()
    _, client = pair(Doing())

    for _ in range(3):
        client.disconnect()

    gevent.joinall([gevent.spawn(client.disconnect) for _ in range(3)], timeout=5)


def test_several_greenlets_may_disconnect_at_once(pair: Pair) -> None:
    _, client = pair(Doing())

    running = [gevent.spawn(client.disconnect) for _ in range(3)]

    assert len(gevent.joinall(running, timeout=5, raise_error=True)) == 3


def test_calls_pending_at_disconnect_fail_and_are_not_logged(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    root = Holding()
    server = serve(root)
    client = pb.connect(server.address)
    remote = root_of(client)
    kept = [remote.callRemote("hold") for _ in range(3)]
    for _ in range(3):
        remote.callRemote("hold")  # nobody keeps these promises
    eventually(lambda: len(root.started) == 6)

    client.disconnect()

    assert isinstance(kept[0].exception, pb.PBConnectionLost)
    with pytest.raises(pb.PBConnectionLost):
        kept[1].get(timeout=5)
    root.go.set()
    del kept
    collect()
    assert [each for each in geopb_log if each.levelno >= logging.ERROR] == []


def test_disconnect_sends_what_is_queued_first(serve: Serve) -> None:
    seen: list[Any] = []
    server = serve(Doing(seen.append))
    with pb.connect(server.address) as client:
        remote = root_of(client)
        for number in range(100):
            remote.callRemoteOnly("do", number)
        remote.callRemoteOnly("do", b"x" * 1_000_000)

    eventually(lambda: len(seen) == 101)
    assert seen[:100] == list(range(100))
    assert seen[100] == b"x" * 1_000_000


def test_disconnect_within_a_method_that_the_server_calls(pair: Pair) -> None:
    class Quitter(pb.Referenceable):
        def remote_quit(self) -> None:
            client.disconnect()

    def call_quit(quitter: Any) -> str:
        try:
            quitter.callRemote("quit").get(timeout=5)
        except pb.PBConnectionLost:
            ended.set()
        return "never heard"

    ended = Event()
    _, client = pair(Doing(call_quit))

    with pytest.raises(pb.PBConnectionLost):
        root_of(client).callRemote("do", Quitter()).get(timeout=5)
    assert ended.wait(5)


def test_disconnect_in_a_handler(pair: Pair) -> None:
    _, client = pair(Doing())

    promise = client.getRootObject().addCallback(lambda _: client.disconnect())

    assert promise.get(timeout=5) is None
    with pytest.raises(pb.DeadReferenceError):
        client.getRootObject().get(timeout=5)


def test_the_repr_tells_the_state(serve: Serve) -> None:
    server = serve(Doing())
    factory = pb.PBClientFactory()
    assert repr(factory) == "<PBClientFactory disconnected>"
    factory.connect(server.address)
    assert repr(factory) == "<PBClientFactory connecting>"
    root_of(factory)
    assert server.address in repr(factory)
    factory.disconnect()
    assert repr(factory) == "<PBClientFactory disconnected>"


# -- notifyOnDisconnect ----------------------------------------------------------------


def test_disconnect_callbacks_run_once_in_order_with_the_reference(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    seen: list[Any] = []
    remote.notifyOnDisconnect(lambda each: seen.append((1, each)))
    remote.notifyOnDisconnect(lambda each: seen.append((2, each)))

    client.disconnect()
    eventually(lambda: len(seen) == 2)
    client.disconnect()
    collect()

    assert seen == [(1, remote), (2, remote)]


def test_a_disconnect_callback_that_raises_does_not_silence_the_next(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fails(_: Any) -> None:
        raise ValueError("in a callback")

    _, client = pair(Doing())
    remote = root_of(client)
    seen: list[Any] = []
    remote.notifyOnDisconnect(fails)
    remote.notifyOnDisconnect(seen.append)

    client.disconnect()

    eventually(lambda: seen)
    assert sum(each.exc_info is not None for each in geopb_log) == 1


def test_a_disconnect_callback_may_block(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    go, seen = Event(), []
    remote.notifyOnDisconnect(lambda _: go.wait(5) and seen.append("blocked"))

    client.disconnect()
    go.set()

    eventually(lambda: seen)


def test_a_late_disconnect_callback_runs_at_once_but_not_inside(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    client.disconnect()
    seen: list[Any] = []

    remote.notifyOnDisconnect(seen.append)

    assert seen == []
    eventually(lambda: seen)
    assert seen == [remote]


def test_a_registration_is_taken_back(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    seen: list[Any] = []
    remote.dontNotifyOnDisconnect(seen.append)  # unknown: nothing happens
    remote.notifyOnDisconnect(seen.append)
    remote.notifyOnDisconnect(print)
    remote.dontNotifyOnDisconnect(seen.append)
    remote.dontNotifyOnDisconnect(print)
    done: list[Any] = []
    remote.notifyOnDisconnect(done.append)

    client.disconnect()

    eventually(lambda: done)
    assert seen == []


# -- before the server's hello ---------------------------------------------------------


def test_many_calls_on_a_client_that_is_not_up_yet(serve: Serve) -> None:
    server = serve(Doing())
    with pb.PBClientFactory() as factory:
        root = factory.getRootObject()
        promises = [root.callRemote("echo", number) for number in range(100)]
        factory.connect(server.address)

        assert pb.gather(promises).get(timeout=5) == list(range(100))


def test_the_factory_connects_while_the_listener_is_slow(serve: Serve) -> None:
    """A server whose hub is busy is no silent one: it answers late, not never."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    factory = pb.PBClientFactory().connect(f"127.0.0.1:{port}")
    promise = factory.getRootObject()
    gevent.sleep(0)
    server = StreamServer(listener, pb.PBServerFactory(Doing()))
    server.start()

    assert promise.get(timeout=5).callRemote("echo", 1).get(timeout=5) == 1
    factory.disconnect()
    server.stop(timeout=1)
