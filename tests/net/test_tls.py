"""TLS: everything works over it, and what fails says so, once and readably."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent import ssl as gevent_ssl
from gevent.event import Event
from gevent.server import StreamServer

import geopb as pb
from geopb.net.address import parse
from tests.conftest import Serve
from tests.net.certificates import Certificates
from tests.net.relay import Relay
from tests.net.roots import Doing, Holding, root_of
from tests.support import SOON, eventually, server_connection, turns

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Asked(Doing):
    """Takes note of who asks for it, and who calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.certificates: list[Any] = []

    def rootObject(self, broker: Any) -> pb.Referenceable:
        self.certificates.append(broker.peer_certificate)
        return self

    def remoteMessageReceived(
        self, broker: Any, message: str, args: Any, kw: Any
    ) -> Any:
        self.certificates.append(broker.peer_certificate)
        return super().remoteMessageReceived(broker, message, args, kw)


@pytest.fixture
def server_context(certificates: Certificates) -> ssl.SSLContext:
    return pb.tls_server_context(certificates.cert, certificates.key)


@pytest.fixture
def client_context(certificates: Certificates) -> ssl.SSLContext:
    return pb.tls_client_context(certificates.ca)


@pytest.fixture
def mutual_context(certificates: Certificates) -> ssl.SSLContext:
    files = certificates
    return pb.tls_server_context(files.cert, files.key, client_ca=files.ca)


@pytest.fixture
def tls_pair(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> Iterator[Callable[..., tuple[pb.PBServer, pb.PBClientFactory]]]:
    clients = []

    def start(root: pb.Root, **options: Any) -> tuple[pb.PBServer, pb.PBClientFactory]:
        server = serve(root, ssl_context=server_context, **options)
        address = server.address
        clients.append(pb.connect(address, ssl_context=client_context, **options))
        return server, clients[-1]

    yield start
    for client in clients:
        client.disconnect()


def endpoint(address: str) -> tuple[str, int]:
    parsed = parse(address)
    return parsed.host, parsed.port


def warnings(records: list[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records if each.levelno >= logging.WARNING]


def assert_serving(server: pb.PBServer, context: ssl.SSLContext) -> None:
    with pb.connect(server.address, ssl_context=context) as client:
        assert root_of(client).callRemote("echo", "still here").get(timeout=5)
    eventually(lambda: not server.connections)


# -- it works --------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=lambda each: each.name)
def test_calls_pass_both_ways(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    class Three(pb.Referenceable):
        def remote_three(self, number: int) -> int:
            return number * 3

    server_context.maximum_version = version
    server = serve(
        Doing(lambda three: three.callRemote("three", 12).get(timeout=5)),
        ssl_context=server_context,
    )

    with pb.connect(server.address, ssl_context=client_context) as client:
        root = root_of(client)
        assert root.callRemote("do", Three()).get(timeout=5) == 36
        promises = [root.callRemote("echo", number) for number in range(1000)]
        assert pb.gather(promises).get(timeout=5) == list(range(1000))


def test_the_address_of_a_server_is_text_that_connect_accepts(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    for address in ("127.0.0.1:0", "tls://127.0.0.1:0", ("127.0.0.1", 0), "[::1]:0"):
        server = serve(Doing(), address, ssl_context=server_context)
        assert server.address.startswith("tls://")
        host, port = endpoint(server.address)
        short = server.address.removeprefix("tls://")
        for reached in (server.address, short, (host, port)):
            with pb.connect(reached, ssl_context=client_context) as client:
                assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1


def test_large_values_pass_both_ways(tls_pair: Any) -> None:
    _, client = tls_pair(Doing())
    root = root_of(client)

    for value in (b"x" * 3_000_000, "y" * 1_000_000, list(range(100_000))):
        assert root.callRemote("echo", value).get(timeout=10) == value


def test_records_may_be_cut_anywhere(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    server = serve(Doing(), ssl_context=server_context)

    for piece, size in ((1, 300), (7, 5_000), (1000, 300_000)):
        with (
            Relay(server.address, piece) as relay,
            pb.connect(relay.address, ssl_context=client_context) as client,
        ):
            value = bytes(range(256)) * (size // 256)
            assert root_of(client).callRemote("echo", value).get(timeout=20) == value


def test_a_timeout_of_the_caller_leaves_no_half_record(tls_pair: Any) -> None:
    _, client = tls_pair(Doing())
    root = root_of(client)

    for _ in range(20):
        promise = root.callRemote("echo", b"x" * 1_000_000)
        with pytest.raises(pb.Timeout):
            promise.get(timeout=0)
        killed = gevent.spawn(root.callRemote, "echo", b"y" * 500_000)
        turns(1)
        killed.kill()

    assert root.callRemote("echo", "whole").get(timeout=10) == "whole"


def test_a_name_may_choose_the_context(
    serve: Serve,
    certificates: Certificates,
    client_context: ssl.SSLContext,
) -> None:
    """gevent's contexts look for a socket of gevent's when they call the callback."""
    names = []

    def choose(tls: Any, name: str, _: ssl.SSLContext) -> None:
        names.append(name)
        tls.context = right

    right = pb.tls_server_context(certificates.cert, certificates.key)
    wrong = pb.tls_server_context(certificates.elsewhere, certificates.elsewhere)
    wrong.sni_callback = choose
    server = serve(Doing(), "localhost:0", ssl_context=wrong)

    assert_serving(server, client_context)
    assert names == ["localhost"]


def test_a_renewed_certificate_holds_for_the_connections_to_come(
    serve: Serve, certificates: Certificates, client_context: ssl.SSLContext
) -> None:
    context = pb.tls_server_context(certificates.elsewhere, certificates.elsewhere)
    server = serve(Doing(), ssl_context=context)

    context.load_cert_chain(certificates.cert, certificates.key)

    assert_serving(server, client_context)


def test_the_factory_is_a_handler_of_a_StreamServer_with_TLS(
    mutual_context: ssl.SSLContext, certificates: Certificates
) -> None:
    root = Asked()
    server = StreamServer(
        ("127.0.0.1", 0), pb.PBServerFactory(root), ssl_context=mutual_context
    )
    server.start()
    context = pb.tls_client_context(certificates.ca, certificates.alice)
    address = f"tls://127.0.0.1:{server.server_port}"
    with pb.connect(address, ssl_context=context) as client:
        remote = root_of(client)
        for value in ("hello", b"x" * 3_000_000):
            assert remote.callRemote("echo", value).get(timeout=10) == value
        promises = [remote.callRemote("echo", number) for number in range(1000)]
        assert pb.gather(promises).get(timeout=5) == list(range(1000))
    assert names_in(root.certificates[0]) == ["alice@example.org"]
    server.stop(timeout=1)


def test_a_server_with_TLS_that_others_can_reach_is_not_warned_of(
    serve: Serve, server_context: ssl.SSLContext, geopb_log: list[logging.LogRecord]
) -> None:
    serve(Doing(), "0.0.0.0:0", ssl_context=server_context)

    assert warnings(geopb_log) == []


# -- who is there ----------------------------------------------------------------------


def names_in(certificate: dict[str, Any]) -> list[str]:
    return [value for _, value in certificate["subjectAltName"]]


def test_the_clients_certificate_is_on_the_broker(
    serve: Serve, mutual_context: ssl.SSLContext, certificates: Certificates
) -> None:
    root = Asked()
    server = serve(root, ssl_context=mutual_context)
    context = pb.tls_client_context(certificates.ca, certificates.alice)

    with pb.connect(server.address, ssl_context=context) as client:
        root_of(client).callRemote("echo", 1).get(timeout=5)

        asked, called = root.certificates
        assert names_in(asked) == names_in(called) == ["alice@example.org"]


def test_without_a_certificate_that_was_verified_there_is_none(
    serve: Serve, server_context: ssl.SSLContext, certificates: Certificates
) -> None:
    root = Asked()
    plain = serve(root)
    with pb.connect(plain.address) as client:
        root_of(client)
    # It has one, and nobody asked for it.
    context = pb.tls_client_context(certificates.ca, certificates.alice)
    server = serve(root, ssl_context=server_context)
    with pb.connect(server.address, ssl_context=context) as client:
        root_of(client)

    assert root.certificates == [None, None]


# -- certificates that are refused -----------------------------------------------------


def errors(address: str, **options: Any) -> list[Any]:
    """Return the error of each way to connect."""
    found = []
    with pytest.raises(Exception) as caught:  # noqa: PT011 (the caller looks)
        pb.connect(address, **options)
    found.append(caught.value)
    factory = pb.PBClientFactory().connect(address, **options)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        factory.getRootObject().get(timeout=5)
    found.append(caught.value)
    return found


def test_a_server_that_nobody_vouches_for(
    serve: Serve, server_context: ssl.SSLContext, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), ssl_context=server_context)

    for context in (None, pb.tls_client_context()):
        for error in errors(server.address, ssl_context=context):
            assert type(error) is ssl.SSLCertVerificationError
            assert "unable to get local issuer certificate" in str(error)
            assert error.verify_code == 20

    eventually(lambda: not server.connections)
    lines = warnings(geopb_log)
    assert len(lines) == 4
    assert all("it does not accept our certificate" in line for line in lines)


def test_a_server_of_another_name(
    serve: Serve,
    certificates: Certificates,
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
) -> None:
    both = certificates.elsewhere
    server = serve(Doing(), ssl_context=pb.tls_server_context(both, both))

    for error in errors(server.address, ssl_context=client_context):
        assert type(error) is ssl.SSLCertVerificationError
        assert "127.0.0.1" in str(error)


def test_tls_without_a_context_trusts_whom_the_system_trusts(
    serve: Serve,
    certificates: Certificates,
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(Doing(), ssl_context=server_context)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))

    with pb.connect(server.address) as client:
        assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1


@pytest.mark.parametrize("version", VERSIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("who", ["nobody", "eve"])
def test_a_client_that_is_refused_gets_one_readable_error(
    serve: Serve,
    mutual_context: ssl.SSLContext,
    certificates: Certificates,
    geopb_log: list[logging.LogRecord],
    version: ssl.TLSVersion,
    who: str,
) -> None:
    """With TLS 1.3 it learns that only after its own handshake."""
    mutual_context.maximum_version = version
    server = serve(Doing(), ssl_context=mutual_context)
    cert = certificates.eve if who == "eve" else None
    context = pb.tls_client_context(certificates.ca, cert)

    for _ in range(20):
        for error in errors(server.address, ssl_context=context):
            assert type(error) is ssl.SSLError
            assert "certificate" in str(error)
            assert server.address in str(error)
            assert error.reason in str(error)

    eventually(lambda: not server.connections)
    lines = warnings(geopb_log)
    assert len(lines) == 40
    told = "certificate verify failed" if who == "eve" else "it sent no certificate"
    assert all(told in line for line in lines)


def test_sides_without_a_version_in_common_say_so(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
) -> None:
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_context.minimum_version = ssl.TLSVersion.TLSv1_3
    server = serve(Doing(), ssl_context=server_context)

    for error in errors(server.address, ssl_context=client_context):
        assert type(error) is ssl.SSLError
        assert "no TLS version in common" in str(error)

    eventually(lambda: not server.connections)
    assert len(warnings(geopb_log)) == 2


# -- the wrong port --------------------------------------------------------------------


def test_a_plain_client_on_a_TLS_port(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
) -> None:
    server = serve(Doing(), ssl_context=server_context)
    short = server.address.removeprefix("tls://")

    for _ in range(20):
        geopb_log.clear()
        with pytest.raises(pb.ProtocolError) as caught:
            pb.connect(short)
        assert "speaks TLS" in str(caught.value)
        assert f"connect to {server.address}" in str(caught.value)
        eventually(lambda: not server.connections)
        (line,) = [each for each in warnings(geopb_log) if "without TLS" in each]
        assert "speaks geopb without TLS" in line

    assert_serving(server, client_context)


def test_a_TLS_client_on_a_plain_port(
    serve: Serve, client_context: ssl.SSLContext, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing())

    for error in errors(f"tls://{server.address}", ssl_context=client_context):
        assert type(error) is pb.ProtocolError
        assert "speaks geopb without TLS" in str(error)

    eventually(lambda: not server.connections)
    assert [each for each in warnings(geopb_log) if "speaks TLS" in each]


@pytest.mark.parametrize(
    ("says", "named"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"\x00" * 64, "something else"),
        (b"\xff", "something else"),
    ],
)
def test_a_TLS_client_on_a_port_of_others(
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
    says: bytes,
    named: str,
) -> None:
    server = StreamServer(
        ("127.0.0.1", 0), lambda sock, _: sock.sendall(says) or sock.recv(1000)
    )
    server.start()

    for error in errors(f"127.0.0.1:{server.server_port}", ssl_context=client_context):
        assert type(error) is pb.ProtocolError
        assert f"speaks {named}, neither TLS nor geopb" in str(error)
    server.stop(timeout=1)


def test_a_server_that_closes_in_the_handshake(client_context: ssl.SSLContext) -> None:
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: sock.recv(1000))
    server.start()

    for error in errors(f"127.0.0.1:{server.server_port}", ssl_context=client_context):
        assert type(error) is pb.PBConnectionLost
        assert "TLS handshake" in str(error)
    server.stop(timeout=1)


def test_a_browser_is_answered_in_http_with_TLS_and_without(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
) -> None:
    server = serve(Doing(), ssl_context=server_context)
    where = endpoint(server.address)

    with socket.create_connection(where, timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.0 400")
    browser: Any = client_context
    with browser.wrap_socket(
        socket.create_connection(where, timeout=5), server_hostname="localhost"
    ) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        said = b""
        while data := sock.recv(1000):
            said += data
        assert b"HTTP/1.0 400" in said

    eventually(lambda: not server.connections)
    lines = warnings(geopb_log)
    assert len(lines) == 2
    assert all("speaks HTTP" in line for line in lines)


# -- slow ones, and ends ---------------------------------------------------------------


@pytest.mark.slow
def test_a_thousand_half_open_handshakes_hold_up_nobody(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    server = serve(Doing(), ssl_context=server_context)
    where = endpoint(server.address)
    half_open = []
    hello = client_hello()
    try:
        for number in range(1000):
            sock = socket.create_connection(where)
            # Some say nothing, some begin, some go as far as the server's answer.
            sock.sendall(hello[: (0, 1, len(hello) // 2, len(hello))[number % 4]])
            half_open.append(sock)

        started = monotonic()
        with pb.connect(server.address, ssl_context=client_context) as client:
            assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1
            assert monotonic() - started < 1
        eventually(lambda: len(server.connections) == 1000)
        started = monotonic()
        server.stop()
        assert monotonic() - started < 5
    finally:
        for sock in half_open:
            sock.close()


@cache
def client_hello() -> bytes:
    out = ssl.MemoryBIO()
    client = pb.tls_client_context().wrap_bio(
        ssl.MemoryBIO(), out, server_hostname="localhost"
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_a_handshake_that_does_not_end_is_ended(
    serve: Serve, server_context: ssl.SSLContext, geopb_log: list[logging.LogRecord]
) -> None:
    server = serve(Doing(), ssl_context=server_context, handshake_timeout=0.05)

    for said in (b"", client_hello()[:100], client_hello()):
        geopb_log.clear()
        with socket.create_connection(endpoint(server.address), timeout=5) as sock:
            sock.sendall(said)
            while sock.recv(4096):
                continue
        eventually(lambda: not server.connections)
        (line,) = warnings(geopb_log)
        assert "did not finish the TLS handshake within 0.05 s" in line


def test_a_silent_server_is_a_TimeoutError(client_context: ssl.SSLContext) -> None:
    server = StreamServer(
        ("127.0.0.1", 0), lambda sock, _: sock.recv(1000) and sock.recv(1)
    )
    server.start()
    address = f"127.0.0.1:{server.server_port}"

    started = monotonic()
    with pytest.raises(TimeoutError, match="TLS handshake within 0"):
        pb.connect(address, ssl_context=client_context, handshake_timeout=0.05)
    with pytest.raises(pb.Timeout, match=address):
        pb.connect(address, ssl_context=client_context, timeout=0.05)
    with pb.PBClientFactory() as factory:
        factory.connect(address, ssl_context=client_context)
        waiting = factory.getRootObject()
        gevent.sleep(0.01)
    with pytest.raises(pb.PBConnectionLost):
        waiting.get(timeout=5)

    assert monotonic() - started < 3
    server.stop(timeout=1)


def test_a_port_scan_is_no_line_in_the_log(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    geopb_log: list[logging.LogRecord],
) -> None:
    server = serve(Doing(), ssl_context=server_context)

    for said in (b"", client_hello()[:5], client_hello()) * 5:
        with socket.create_connection(endpoint(server.address)) as sock:
            sock.sendall(said)

    eventually(lambda: not server.connections)
    assert warnings(geopb_log) == []
    assert_serving(server, client_context)


def test_a_line_that_is_cut_is_an_end_like_any_other(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    root = Holding()
    server = serve(root, ssl_context=server_context)
    with Relay(server.address) as relay:
        client = pb.connect(relay.address, ssl_context=client_context)
        remote = root_of(client)
        promise = remote.callRemote("hold")
        eventually(lambda: root.started)

        relay.cut()

        with pytest.raises(pb.PBConnectionLost):
            promise.get(timeout=5)
        with pytest.raises(pb.DeadReferenceError):
            remote.callRemote("echo", 1)
        eventually(lambda: not server.connections)
    eventually(lambda: root.interrupted)


def test_a_byte_changed_on_the_way_ends_the_connection(tls_pair: Any) -> None:
    server, client = tls_pair(Doing())
    remote = root_of(client)
    connection = server_connection(server)

    connection._sock._sock.send(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)

    gone = Event()
    remote.notifyOnDisconnect(lambda _: gone.set())
    assert gone.wait(SOON)
    eventually(lambda: not server.connections, 0.5)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda each: each.name)
def test_the_end_is_told_by_close_notify(
    serve: Serve,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    client_context.maximum_version = version
    server = serve(Doing(), ssl_context=server_context)
    raw: Any = client_context
    with raw.wrap_socket(
        socket.create_connection(endpoint(server.address), timeout=5),
        server_hostname="localhost",
        suppress_ragged_eofs=False,
    ) as sock:
        assert b"geopb" in sock.recv(1000)

        gevent.spawn(server.stop)

        # Without it this raises SSLEOFError.
        while sock.recv(1000):
            continue


def test_a_peer_that_only_says_close_notify_has_ended(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    server = serve(Doing(), ssl_context=server_context)
    raw: Any = client_context
    out, come = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = raw.wrap_bio(come, out, server_hostname="localhost")
    with socket.create_connection(endpoint(server.address), timeout=5) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(out.read())
                come.write(sock.recv(65536))
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        eventually(lambda: server.connections)
        # The end of the handshake and the end, in one piece; the socket stays open.
        sock.sendall(out.read())

        eventually(lambda: not server.connections, SOON)


def test_disconnect_sends_what_is_queued_first(
    serve: Serve, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    seen: list[Any] = []
    server = serve(Doing(seen.append), ssl_context=server_context)
    with pb.connect(server.address, ssl_context=client_context) as client:
        remote = root_of(client)
        for number in range(100):
            remote.callRemoteOnly("do", number)
        remote.callRemoteOnly("do", b"x" * 1_000_000)

    eventually(lambda: len(seen) == 101)
    assert seen == [*range(100), b"x" * 1_000_000]


def test_stop_delivers_the_answers_of_calls_that_run(tls_pair: Any) -> None:
    root = Holding()
    server, client = tls_pair(root)
    promise = root_of(client).callRemote("hold", b"x" * 1_000_000)
    eventually(lambda: root.started)

    stopping = gevent.spawn(server.stop)
    turns()
    root.go.set()

    assert len(promise.get(timeout=5)) == 1_000_000
    stopping.get(timeout=5)


def test_a_context_of_gevents_own_making_works(
    serve: Serve, certificates: Certificates
) -> None:
    server_side = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificates.cert, certificates.key)
    client_side = gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(certificates.ca)

    assert_serving(serve(Doing(), ssl_context=server_side), client_side)
