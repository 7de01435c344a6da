"""Connecting again: the states, the roots, ``on_connect``, and the end of it."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
import signal
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.net.backoff import Backoff
from tests.conftest import Serve
from tests.examples.programs import Program
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually

Client = Callable[..., pb.PBClientFactory]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a moment only between attempts."""
    made = staticmethod(partial(Backoff, 0.001, 0.002))
    monkeypatch.setattr(pb.PBClientFactory, "_make_backoff", made)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for longer than any test takes."""
    made = staticmethod(partial(Backoff, 1000, 1000))
    monkeypatch.setattr(pb.PBClientFactory, "_make_backoff", made)


@pytest.fixture
def client() -> Iterator[Client]:
    """Make clients that connect again; they are disconnected at the end."""
    made: list[pb.PBClientFactory] = []

    def make(address: Any = None, **options: Any) -> pb.PBClientFactory:
        made.append(pb.PBClientFactory(**{"reconnect": True, **options}))
        if address is not None:
            made[-1].connect(address)
        return made[-1]

    yield make
    for each in made:
        each.disconnect()


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Where a server may be, come and go."""
    return f"unix://{tmp_path}/socket"


def lines(log: list[logging.LogRecord], level: int) -> list[str]:
    return [each.getMessage() for each in log if each.levelno == level]


# -- coming back -----------------------------------------------------------------------


@pytest.mark.usefixtures("quickly")
def test_after_a_reconnect_the_root_is_the_new_one(
    serve: Serve, client: Client, address: str
) -> None:
    first = serve(Doing(lambda: "first"), address)
    factory = client(address)
    old = root_of(factory)
    assert old.callRemote("do").get(timeout=5) == "first"

    first.stop(0)
    waited_for = factory.getRootObject()
    serve(Doing(lambda: "second"), address)

    new = waited_for.get(timeout=5)
    assert new.callRemote("do").get(timeout=5) == "second"
    assert root_of(factory) is new
    with pytest.raises(pb.DeadReferenceError, match="stale reference"):
        old.callRemote("do")


@pytest.mark.slow
@pytest.mark.usefixtures("quickly")
def test_a_server_that_is_killed_is_found_again(client: Client, address: str) -> None:
    code = f"""
        import geopb as pb

        class Root(pb.Root):
            def remote_which(self, number):
                return number

        server = pb.serve(Root(), {address!r})
        print("listening", flush=True)
        server.serve_forever()
    """
    factory = client(address)
    for number in range(3):
        with Program("-c", textwrap.dedent(code)) as program:
            assert program.line() == "listening"
            root = root_of(factory)
            assert root.callRemote("which", number).get(timeout=5) == number
            gone = Event()
            root.notifyOnDisconnect(lambda _, gone=gone: gone.set())
            program.send(signal.SIGKILL)
            assert gone.wait(5)


@pytest.mark.usefixtures("quickly")
def test_what_may_have_run_is_never_called_again(
    serve: Serve, client: Client, address: str
) -> None:
    root = Holding()
    server = serve(root, address)
    factory = client(address)
    promise = root_of(factory).callRemote("hold", "once")
    eventually(lambda: root.started)

    server.stop(0)
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)
    serve(root, address)
    assert root_of(factory).callRemote("echo", 1).get(timeout=5) == 1

    assert root.started == ["once"]
    eventually(lambda: root.interrupted)


@pytest.mark.usefixtures("quickly")
def test_a_root_asked_for_in_a_disconnect_callback_is_the_next_ones(
    serve: Serve, client: Client, address: str
) -> None:
    server = serve(Doing(lambda: "first"), address)
    factory = client(address)
    seen: list[Any] = []

    def ask(_: Any) -> None:
        seen.append(factory.state)
        seen.append(root_of(factory).callRemote("do").get(timeout=5))

    root_of(factory).notifyOnDisconnect(ask)
    server.stop(0)
    serve(Doing(lambda: "second"), address)

    eventually(lambda: len(seen) == 2)
    assert seen == ["waiting", "second"]


@pytest.mark.usefixtures("quickly")
def test_a_root_asked_for_before_connect_waits_through_all_failures(
    serve: Serve, client: Client, address: str
) -> None:
    factory = client()
    promises = [factory.getRootObject() for _ in range(3)]
    chained = factory.getRootObject().callRemote("echo", "chained")

    factory.connect(address)
    eventually(lambda: factory.last_failure)
    serve(Doing(), address)

    first, *others = [promise.get(timeout=5) for promise in promises]
    assert all(each is first for each in others)
    assert chained.get(timeout=5) == "chained"


@pytest.mark.usefixtures("quickly")
def test_a_connection_that_fails_before_its_hello_is_a_failed_attempt(
    client: Client, address: str, serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    """Also one over which the root was asked for already: it is asked for again."""
    from gevent.server import StreamServer

    from geopb.net.address import listen, parse

    listener = listen(parse(address))
    rude = StreamServer(listener.socket, lambda sock, _: sock.recv(10))
    rude.start()
    factory = client()
    promise = factory.getRootObject()
    factory.connect(address)
    eventually(lambda: factory.last_failure)
    assert isinstance(factory.last_failure, pb.PBConnectionLost)
    rude.stop(timeout=1)
    listener.unlink()

    serve(Doing(), address)

    assert promise.get(timeout=5).callRemote("echo", 1).get(timeout=5) == 1
    assert lines(geopb_log, logging.ERROR) == []


@pytest.mark.usefixtures("quickly")
def test_an_attempt_that_finds_nothing_at_all_ends_by_handshake_timeout(
    serve: Serve, client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would go on for minutes where not even a refusal comes back."""
    from geopb.net.address import open_socket

    serve(Doing(), address)
    tries: list[Any] = []

    def swallowed_once(parsed: Any) -> Any:
        tries.append(parsed)
        if len(tries) == 1:
            Event().wait()
        return open_socket(parsed)

    monkeypatch.setattr("geopb.net.client.open_socket", swallowed_once)
    factory = client(address, handshake_timeout=0.05)

    assert root_of(factory).callRemote("echo", 1).get(timeout=5) == 1
    assert isinstance(factory.last_failure, TimeoutError)
    assert "was not reached within 0.05 s" in str(factory.last_failure)


# -- what can be seen ------------------------------------------------------------------


@pytest.mark.usefixtures("never")
def test_the_state_and_the_last_failure_are_told(
    serve: Serve, client: Client, address: str
) -> None:
    factory = client()
    assert (factory.state, factory.last_failure) == ("disconnected", None)
    server = serve(Doing(), address)
    factory.connect(address)
    assert factory.state == "connecting"
    root_of(factory)
    assert (factory.state, factory.last_failure) == ("connected", None)
    assert repr(factory).startswith("<PBClientFactory connected, <Connection ")

    server.stop(0)
    eventually(lambda: factory.state == "waiting")

    assert isinstance(factory.last_failure, pb.PBConnectionLost)
    assert repr(factory) == (
        f"<PBClientFactory waiting, after PBConnectionLost: {factory.last_failure}>"
    )
    factory.disconnect()
    assert factory.state == "disconnected"
    assert isinstance(factory.last_failure, pb.PBConnectionLost)


def test_the_state_is_told_without_reconnect_too(
    serve: Serve, client: Client, address: str
) -> None:
    factory = client(address, reconnect=False)
    with pytest.raises(FileNotFoundError):
        factory.getRootObject().get(timeout=5)
    assert factory.state == "disconnected"
    assert isinstance(factory.last_failure, FileNotFoundError)
    assert "disconnected, after FileNotFoundError" in repr(factory)

    server = serve(Doing(), address)
    factory.connect(address)
    root_of(factory)
    assert (factory.state, factory.last_failure) == ("connected", None)
    server.stop(0)
    eventually(lambda: factory.state == "disconnected")
    assert isinstance(factory.last_failure, pb.PBConnectionLost)


@pytest.mark.usefixtures("quickly")
def test_the_log_warns_once_of_what_lasts(
    serve: Serve,
    client: Client,
    address: str,
    geopb_log: list[logging.LogRecord],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "geopb.client")
    factory = client(address)
    eventually(lambda: len(geopb_log) > 3)
    serve(Doing(), address)
    root_of(factory)

    (warning,) = lines(geopb_log, logging.WARNING)
    assert warning.startswith(f"{address}: [Errno 2] No such file")
    assert "connecting again in 0.00" in warning
    eventually(lambda: lines(geopb_log, logging.INFO)[-1].endswith("connected again"))


def test_connect_while_it_waits_is_a_RuntimeError(
    never: None, client: Client, address: str
) -> None:
    factory = client(address)
    eventually(lambda: factory.state == "waiting")

    with pytest.raises(RuntimeError, match="connected already, or tries to be"):
        factory.connect(address)


# -- the end ---------------------------------------------------------------------------


@pytest.mark.usefixtures("never")
def test_disconnect_ends_the_waiting_at_once(
    client: Client, address: str, geopb_log: list[logging.LogRecord]
) -> None:
    factory = client(address)
    promise = factory.getRootObject()
    unseen = factory.getRootObject().addCallback(print)
    del unseen
    eventually(lambda: factory.state == "waiting")

    begun = monotonic()
    factory.disconnect()

    assert monotonic() - begun < 1
    assert factory.state == "disconnected"
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)
    with pytest.raises(pb.DeadReferenceError):
        factory.getRootObject().get(timeout=5)
    assert lines(geopb_log, logging.ERROR) == []


def test_disconnect_ends_the_connecting_at_once(
    never: None, client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_to = Event()

    def swallowed(_: Any) -> Any:
        begun_to.set()
        Event().wait()

    monkeypatch.setattr("geopb.net.client.open_socket", swallowed)
    factory = client(address)
    promise = factory.getRootObject()
    assert begun_to.wait(5)
    assert factory.state == "connecting"

    begun = monotonic()
    factory.disconnect()

    assert monotonic() - begun < 1
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=5)


def test_disconnect_ends_a_connection_for_good(
    quickly: None, serve: Serve, client: Client, address: str
) -> None:
    connects: list[Any] = []
    server = serve(Doing(), address)
    factory = client(address, on_connect=connects.append)
    root_of(factory)
    eventually(lambda: connects)

    factory.disconnect()
    eventually(lambda: not server.connections)

    assert (factory.state, factory.last_failure) == ("disconnected", None)
    with pytest.raises(pb.DeadReferenceError):
        factory.getRootObject().get(timeout=5)
    factory.connect(address)
    root_of(factory)
    eventually(lambda: len(connects) == 2)


@pytest.mark.usefixtures("never")
def test_questions_that_nobody_waits_for_do_not_heap_up(
    client: Client, address: str
) -> None:
    factory = client(address)
    eventually(lambda: factory.state == "waiting")

    for _ in range(1000):
        with pytest.raises(pb.Timeout):
            factory.getRootObject().get(timeout=0)

    assert len(factory._waiting) <= 64


# -- on_connect ------------------------------------------------------------------------


@pytest.mark.usefixtures("quickly")
def test_on_connect_is_called_after_each_connect_and_may_block(
    serve: Serve, client: Client, address: str
) -> None:
    roots: list[Any] = []

    def derive(factory: pb.PBClientFactory) -> None:
        assert factory.state == "connected"
        roots.append(root_of(factory).callRemote("do").get(timeout=5))

    server = serve(Doing(lambda: "first"), address)
    factory = client(address, on_connect=derive)
    eventually(lambda: roots == ["first"])
    server.stop(0)
    server = serve(Doing(lambda: "second"), address)
    eventually(lambda: roots == ["first", "second"])
    server.stop(0)
    serve(Doing(lambda: "third"), address)

    eventually(lambda: roots == ["first", "second", "third"])
    assert factory.state == "connected"


@pytest.mark.parametrize(
    "error", [ValueError("odd"), gevent.Timeout(1), SystemExit(3), pb.Error("known")]
)
@pytest.mark.usefixtures("quickly")
def test_an_on_connect_that_raises_is_logged_once_and_harms_nothing(
    serve: Serve,
    client: Client,
    address: str,
    geopb_log: list[logging.LogRecord],
    error: BaseException,
) -> None:
    def fails(_: Any) -> None:
        raise error

    serve(Doing(), address)
    factory = client(address, on_connect=fails)

    assert root_of(factory).callRemote("echo", 1).get(timeout=5) == 1
    (record,) = eventually(lambda: geopb_log)
    assert (record.name, record.levelno) == ("geopb.client", logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_on_connect_needs_no_reconnect(serve: Serve) -> None:
    server = serve(Doing())
    seen: list[Any] = []

    with pb.connect(server.address, on_connect=seen.append) as factory:
        eventually(lambda: seen)

    assert seen == [factory]


def test_disconnect_in_on_connect(serve: Serve, client: Client, address: str) -> None:
    serve(Doing(), address)
    factory = client(address, on_connect=pb.PBClientFactory.disconnect)

    eventually(lambda: factory.state == "disconnected")
    with pytest.raises(pb.DeadReferenceError):
        factory.getRootObject().get(timeout=5)


@pytest.mark.slow
def test_a_forked_child_does_not_connect_again(address: str, serve: Serve) -> None:
    """Its copy says so, and another `connect` makes a client of the child's own."""
    server = serve(Doing(), address)
    code = f"""
        import os
        import gevent
        import geopb as pb

        for at in ({address!r}, "unix:///nowhere/at/all"):
            client = pb.PBClientFactory(reconnect=True).connect(at)
            while client.state == "connecting":
                gevent.sleep(0.001)
            print(client.state, flush=True)
            if not (pid := gevent.os.fork()):
                try:
                    client.getRootObject().get(timeout=5)
                except pb.DeadReferenceError as error:
                    print(client.state, error, flush=True)
                client.connect({address!r})
                root = client.getRootObject().get(timeout=5)
                print(root.callRemote("echo", client.state).get(timeout=5), flush=True)
                os._exit(0)
            gevent.os.waitpid(pid, 0)
            client.disconnect()
    """
    with Program("-W", "error", "-c", textwrap.dedent(code)) as program:
        ended = program.wait()

    dead = "disconnected there is no connection: it belongs to the parent process"
    assert ended.stdout.splitlines() == [
        *("connected", dead, "connected"),
        *("waiting", dead, "connected"),
    ]
    eventually(lambda: not server.connections)


@pytest.mark.usefixtures("quickly")
def test_many_ask_for_the_root_of_a_server_that_takes_one_call(
    serve: Serve, client: Client, address: str
) -> None:
    serve(Doing(), address, max_pending_calls=1)
    factory = client()
    promises = [factory.getRootObject() for _ in range(10)]
    factory.connect(address)
    while factory.state == "connecting":
        promises.append(factory.getRootObject())
        gevent.sleep(0)
    promises.append(factory.getRootObject())

    assert len(set(pb.gather(promises).get(timeout=5))) == 1


# -- pb.connect ------------------------------------------------------------------------


def test_pb_connect_keeps_trying_until_the_server_is_there(
    quickly: None, serve: Serve, address: str
) -> None:
    connecting = gevent.spawn(pb.connect, address, reconnect=True)
    gevent.sleep(0.01)
    serve(Doing(), address)

    with connecting.get(timeout=5) as factory:
        assert isinstance(factory.last_failure, FileNotFoundError)
        assert root_of(factory).callRemote("echo", 1).get(timeout=5) == 1


def test_pb_connect_raises_at_its_timeout_with_the_last_failure_as_cause(
    quickly: None, address: str
) -> None:
    with pytest.raises(pb.Timeout, match="the last attempt failed") as caught:
        pb.connect(address, reconnect=True, timeout=0.05)

    assert address in str(caught.value)
    assert "No such file" in str(caught.value)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reconnect": 1}, "reconnect takes a bool, not int"),
        ({"reconnect": None}, "reconnect takes a bool, not NoneType"),
        ({"on_connect": "f"}, "on_connect takes a function of the client, not str"),
    ],
)
def test_a_clients_options_are_checked(options: dict[str, Any], text: str) -> None:
    for use in (pb.PBClientFactory, partial(pb.connect, "127.0.0.1:1")):
        with pytest.raises(TypeError, match=text):
            use(**options)


@pytest.mark.parametrize("name", ["reconnect", "on_connect"])
def test_a_server_has_no_such_option(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} is an option of clients"):
        pb.PBServerFactory(pb.Root(), **{name: None})
