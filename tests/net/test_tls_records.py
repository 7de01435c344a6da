"""A small message over TLS that nothing waits before leaves past the queue."""

from __future__ import annotations

import logging
import signal
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gevent import socket
from gevent.server import StreamServer

import geopb as pb
from geopb.broker.outbox import Outbox
from geopb.net.connection import Connection
from geopb.net.tls import TLS, Secure
from tests.conftest import Serve
from tests.net.certificates import Certificates
from tests.net.roots import Doing, root_of
from tests.support import (
    SOON,
    client_connection,
    eventually,
    server_connection,
    take_once,
    turns,
)

#: What a record begins with that holds data.
DATA = 0x17
#: A message of "echo" is so much longer than the bytes that it takes.
AROUND = 17


class Sends(list[bytes]):
    """Bytes, piece by piece."""


@pytest.fixture
def server(serve: Serve, certificates: Certificates) -> pb.PBServer:
    context = pb.tls_server_context(certificates.cert, certificates.key)
    return serve(Doing(), ssl_context=context)


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client(
    request: Any, server: pb.PBServer, certificates: Certificates
) -> Iterator[pb.PBClientFactory]:
    context = pb.tls_client_context(certificates.ca)
    context.maximum_version = ssl.TLSVersion[request.param]
    with pb.connect(server.address, ssl_context=context) as client:
        yield client


@pytest.fixture
def remote(client: pb.PBClientFactory) -> Any:
    remote = root_of(client)
    assert remote.callRemote("echo", 0).get(timeout=SOON) == 0
    # In a turn of the loop in which nothing was sent yet.
    turns()
    return remote


@pytest.fixture
def sends(
    client: pb.PBClientFactory, remote: Any, monkeypatch: pytest.MonkeyPatch
) -> Sends:
    """What goes to the kernel from now on, which takes all of it."""
    writer = client_connection(client)._writer
    send, sends = writer._send, Sends()
    monkeypatch.setattr(writer, "_send", lambda data: sends.append(data) or send(data))
    return sends


@pytest.fixture
def queued(
    client: pb.PBClientFactory, remote: Any, monkeypatch: pytest.MonkeyPatch
) -> Sends:
    """What the client takes of its queue from now on."""
    return taken(client_connection(client), monkeypatch)


def taken(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Sends:
    """Return what one side takes of its queue from now on."""
    outbox, taken = connection.broker.post.outbox, Sends()
    take = Outbox.take_pieces

    def spy(self: Outbox) -> Any:
        pieces = take(self)
        if self is outbox:
            assert isinstance(pieces, bytes)
            taken.append(pieces)
        return pieces

    monkeypatch.setattr(Outbox, "take_pieces", spy)
    return taken


def transport(client: pb.PBClientFactory) -> TLS:
    found = client_connection(client)._transport
    assert isinstance(found, TLS)
    return found


def test_the_first_message_of_a_turn_leaves_past_the_queue(
    remote: Any, sends: Sends, queued: Sends
) -> None:
    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert [data[0] for data in sends] == [DATA]
    assert queued == []
    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]
    # The others together, from the queue.
    assert len(sends) == 2
    assert len(queued) == 1


def test_so_does_an_answer(
    server: pb.PBServer, remote: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = taken(server_connection(server), monkeypatch)

    assert remote.callRemote("echo", 1).get(timeout=SOON) == 1

    assert queued == []


@pytest.mark.parametrize("more", [-1, 0, 1, 16384])
def test_one_that_is_longer_than_a_record_is_queued_and_leaves_in_the_same_turn(
    remote: Any, sends: Sends, queued: Sends, more: int
) -> None:
    value = bytes(16384 - AROUND + more)

    echoes = [remote.callRemote("echo", each) for each in (value, "behind it")]

    assert [count_records(data) for data in sends] == [1 if more <= 0 else 2]
    assert len(queued) == (more > 0)
    assert [echo.get(timeout=SOON) for echo in echoes] == [value, "behind it"]


def count_records(data: bytes) -> int:
    """Return how many whole records that is."""
    count = 0
    while data:
        assert data[0] == DATA
        data = data[5 + int.from_bytes(data[3:5], "big") :]
        count += 1
    return count


@pytest.mark.parametrize("taken", [None, 0, 1, 10])
def test_a_record_leaves_whole_whatever_the_kernel_takes(
    client: pb.PBClientFactory, remote: Any, taken: int | None
) -> None:
    """None: the kernel would have the writer wait."""
    writer = client_connection(client)._writer
    sent = take_once(writer, taken)

    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert len(sent) == 1
    assert writer._left == sent[0][taken or 0 :]
    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]


def test_what_tls_itself_has_to_say_goes_first(
    client: pb.PBClientFactory, remote: Any
) -> None:
    line = transport(client)

    line._out.write(b"an answer to the peer's handshake")
    assert line.record(b"a message") == b""
    assert line._out.read() == b"an answer to the peer's handshake"

    line._plain = [b"what was taken before"]
    assert line.record(b"a message") == b""
    line._plain = None
    # None of these was encrypted, which would have taken a number of the peer's count.
    assert remote.callRemote("echo", 1).get(timeout=SOON) == 1


def test_nothing_is_encrypted_before_the_handshake_and_after_the_end(
    client: pb.PBClientFactory, certificates: Certificates, remote: Any
) -> None:
    connection, line = client_connection(client), transport(client)
    secure = Secure(pb.tls_client_context(certificates.ca), "localhost")
    here, there = socket.socketpair()
    with here, there:
        unborn = TLS(here, secure, connection.broker.post.outbox)
        assert unborn.record(b"a message") == b""
        assert unborn._out.read() == b""

    line._over = True
    assert line.record(b"a message") == b""
    assert line._out.read() == b""
    line._over = False
    assert remote.callRemote("echo", 1).get(timeout=SOON) == 1


@pytest.mark.parametrize("each", [1, 7, 30])
def test_a_message_leaves_whole_though_it_is_encrypted_in_parts(
    client: pb.PBClientFactory, remote: Any, sends: Sends, queued: Sends, each: int
) -> None:
    """Where OpenSSL is set to write no more than a record, or less."""
    line = transport(client)
    write = line._write
    line._write = lambda data: write(memoryview(data)[:each])

    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert count_records(sends[0]) > 1 or each == 30
    assert queued == []
    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]


def test_what_is_left_of_a_message_goes_before_the_next(
    client: pb.PBClientFactory, remote: Any, sends: Sends
) -> None:
    """Where the peer negotiates anew in the middle of it."""
    line = transport(client)
    write = line._write

    def begin(data: bytes) -> int:
        line._write = failing_once(line, ssl.SSLWantReadError(), write)
        return write(data[:5])

    line._write = begin
    first = remote.callRemote("echo", "first")
    assert count_records(sends[0]) == 1
    assert line.more

    # What has come has the writer go on.
    line._wake_if_owing()
    second = remote.callRemote("echo", "second")

    assert first.get(timeout=SOON) == "first"
    assert second.get(timeout=SOON) == "second"


def failing_once(
    line: TLS, error: BaseException, then: Any = None
) -> Callable[[bytes], int]:
    write = then or line._write

    def fail(data: bytes) -> int:
        line._write = write
        raise error

    return fail


def test_a_message_waits_for_the_peer_that_negotiates_anew(
    client: pb.PBClientFactory, remote: Any, sends: Sends
) -> None:
    line = transport(client)
    line._write = failing_once(line, ssl.SSLWantReadError())

    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]


@pytest.mark.parametrize("before", [0, 5])
def test_where_it_cannot_be_encrypted_the_connection_ends(
    client: pb.PBClientFactory, remote: Any, before: int
) -> None:
    """At its beginning, or in the middle of it."""
    line = transport(client)
    write = line._write
    failing = failing_once(line, ssl.SSLError(1, "no more of this"), write)

    def begin(data: bytes) -> int:
        line._write = failing
        return write(data[:before]) if before else failing(data)

    line._write = begin
    echo = remote.callRemote("echo", 1)

    with pytest.raises(pb.PBConnectionLost, match="no more of this"):
        echo.get(timeout=SOON)
    with pytest.raises(pb.DeadReferenceError, match="no more of this"):
        remote.callRemote("echo", 2)


INTERRUPTED = "interrupted in the middle of a send"


class Interrupting:
    """What TLS has made, with Ctrl-C behind it when it is taken."""

    def __init__(self, line: TLS) -> None:
        self._line, self._out = line, line._out

    @property
    def pending(self) -> int:
        return self._out.pending

    def read(self) -> bytes:
        self._line._out = self._out
        data = self._out.read()
        strike()
        return data


def strike() -> None:
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("Ctrl-C does not raise KeyboardInterrupt")


def interrupt(line: TLS, place: str) -> None:
    """Have Ctrl-C strike where the next message is encrypted."""
    write = line._write

    def struck(data: bytes) -> int:
        line._write = write
        if place == "written":
            write(data)
        strike()
        return 0

    if place == "read":
        out: Any = Interrupting(line)
        line._out = out
    else:
        line._write = struck


PLACES = ["not written", "written", "read"]


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_where_a_call_is_encrypted_ends_the_connection(
    server: pb.PBServer,
    client: pb.PBClientFactory,
    remote: Any,
    place: str,
    geopb_log: list[logging.LogRecord],
) -> None:
    """Else the record would go with the next message, or its number be missing."""
    interrupt(transport(client), place)

    with pytest.raises(KeyboardInterrupt):
        remote.callRemote("echo", "interrupted")

    with pytest.raises(pb.DeadReferenceError, match=INTERRUPTED):
        remote.callRemote("echo", 1)
    eventually(lambda: not server.connections)
    told = " ".join(record.getMessage() for record in geopb_log)
    assert "broke the protocol" not in told
    assert "bad record" not in told


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_where_an_answer_is_encrypted_ends_the_connection(
    server: pb.PBServer, remote: Any, place: str, geopb_log: list[logging.LogRecord]
) -> None:
    """Else it would be answered twice."""
    connection = server_connection(server)
    line = connection._transport
    assert isinstance(line, TLS)
    interrupt(line, place)

    echo = remote.callRemote("echo", 1)
    with pytest.raises(KeyboardInterrupt):
        echo.get(timeout=SOON)

    if place == "written":
        # It is there, and leaves with the end of TLS.
        assert echo.get(timeout=SOON) == 1
    else:
        with pytest.raises(pb.PBConnectionLost):
            echo.get(timeout=SOON)
    assert connection.closed.wait(SOON)
    assert INTERRUPTED in str(connection.lost)
    assert "broke the protocol" not in " ".join(
        record.getMessage() for record in geopb_log
    )


class Noted(Doing):
    """Takes note of the connection that it is asked for by."""

    connection: Any = None

    def rootObject(self, broker: Any) -> pb.Referenceable:
        self.connection = broker.host
        return self


@pytest.fixture
def noted(certificates: Certificates) -> Iterator[tuple[Noted, Any]]:
    """A root, and a reference to it over a socket that gevent's server has secured."""
    root = Noted()
    context = pb.tls_server_context(certificates.cert, certificates.key)
    server = StreamServer(
        ("127.0.0.1", 0), pb.PBServerFactory(root), ssl_context=context
    )
    server.start()
    trusted = pb.tls_client_context(certificates.ca)
    address = f"tls://127.0.0.1:{server.server_port}"
    with pb.connect(address, ssl_context=trusted) as client:
        remote = root_of(client)
        assert remote.callRemote("echo", 0).get(timeout=SOON) == 0
        turns()
        yield root, remote
    server.stop(timeout=1)


def test_an_answer_leaves_past_the_queue_where_another_server_has_secured_the_socket(
    noted: tuple[Noted, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, remote = noted
    queued = taken(root.connection, monkeypatch)

    for value in ("small", b"x" * 20_000):
        assert remote.callRemote("echo", value).get(timeout=SOON) == value

    assert queued == []


@pytest.mark.parametrize("taken", [None, 0, 1000])
def test_it_leaves_whole_there_whatever_the_socket_takes(
    noted: tuple[Noted, Any], taken: int | None
) -> None:
    root, remote = noted
    sent = take_once(root.connection._writer, taken)

    values = [b"x" * 20_000, "behind it"]
    echoes = [remote.callRemote("echo", value) for value in values]

    assert [echo.get(timeout=SOON) for echo in echoes] == values
    assert len(sent) == 1
