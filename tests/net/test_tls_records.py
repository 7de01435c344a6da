"""A message over TLS that nothing waits before leaves at once, as one record."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import geopb as pb
from geopb.net.sockets import raw
from geopb.net.tls import TLS
from tests.conftest import Serve
from tests.net.certificates import Certificates
from tests.net.roots import Doing, root_of
from tests.support import SOON, client_connection, turns

#: What a record begins with that holds data.
DATA = 0x17
#: A message of "echo" is so much longer than the bytes that it takes.
AROUND = 17

Sends = list[bytes]


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
    send, sends = writer._send, []
    monkeypatch.setattr(writer, "_send", lambda data: sends.append(data) or send(data))
    return sends


def transport(client: pb.PBClientFactory) -> TLS:
    found = client_connection(client)._transport
    assert isinstance(found, TLS)
    return found


def test_the_first_message_of_a_turn_leaves_before_its_caller_goes_on(
    remote: Any, sends: Sends
) -> None:
    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert [data[0] for data in sends] == [DATA]
    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]
    # The others together.
    assert len(sends) == 2


@pytest.mark.parametrize("more", [-1, 0, 1, 16384])
def test_one_that_is_longer_than_a_record_leaves_in_the_same_turn_too(
    remote: Any, sends: Sends, more: int
) -> None:
    value = bytes(16384 - AROUND + more)

    echoes = [remote.callRemote("echo", each) for each in (value, "behind it")]

    # From the queue, and before the one behind it.
    assert [count_records(data) for data in sends] == [1 if more <= 0 else 2]
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
    client: pb.PBClientFactory,
    remote: Any,
    taken: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None: the kernel would have the writer wait."""
    writer = client_connection(client)._writer
    send = raw(client_connection(client)._sock).send
    sent: list[bytes] = []

    def take(data: bytes) -> int:
        sent.append(data)
        monkeypatch.undo()
        if taken is None:
            raise BlockingIOError
        return int(send(data[:taken])) if taken else 0

    monkeypatch.setattr(writer, "_send", take)

    echoes = [remote.callRemote("echo", number) for number in range(3)]

    assert len(sent) == 1
    assert writer._left == sent[0][taken or 0 :]
    assert [echo.get(timeout=SOON) for echo in echoes] == [0, 1, 2]


def test_what_tls_itself_has_to_say_goes_first(client: pb.PBClientFactory) -> None:
    line = transport(client)
    root_of(client)

    line._out.write(b"an answer to the peer's handshake")
    assert line.record(b"a message") == b""
    assert line._out.read() == b"an answer to the peer's handshake"

    line._plain = [b"what was taken before"]
    assert line.record(b"a message") == b""
    line._plain = None
    # None of these was encrypted, which would have taken a number of the peer's count.
    assert root_of(client).callRemote("echo", 1).get(timeout=SOON) == 1


def failing_once(line: TLS, error: Exception) -> Callable[[bytes], int]:
    write = line._write

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


def test_where_it_cannot_be_encrypted_the_connection_ends(
    client: pb.PBClientFactory, remote: Any, sends: Sends
) -> None:
    line = transport(client)
    line._write = failing_once(line, ssl.SSLError(1, "no more of this"))

    echo = remote.callRemote("echo", 1)

    with pytest.raises(pb.PBConnectionLost, match="no more of this"):
        echo.get(timeout=SOON)
    with pytest.raises(pb.DeadReferenceError, match="no more of this"):
        remote.callRemote("echo", 2)
    assert sends == []
