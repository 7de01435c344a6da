"""Every test is a leak test: see `guard`. Also a server and a connected pair."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub

import geopb as pb
from geopb import notices
from geopb.net.connection import Connection

# pytest finds them by itself where geopb is installed, and here also where it is not.
from geopb.testing.plugin import (  # noqa: F401 (fixtures)
    pb_clock,
    pb_link,
    pb_pair,
    pb_proxy,
    pb_server,
)
from geopb.workers import Worker
from tests.support import SOON, TABLES, collect, eventually, turns

_FAILED = pytest.StashKey[bool]()


class Guard:
    """What a test is checked for at its end.

    Attributes:
        greenlet_errors: ``(context, exception)`` of greenlets and callbacks that died.
        records: What was logged to ``geopb`` and below.
        expects_greenlet_errors: The test looks at `greenlet_errors` itself.
        expects_log: The test looks at `records` itself.
    """

    def __init__(self) -> None:
        self.greenlet_errors: list[tuple[Any, BaseException]] = []
        self.records: list[logging.LogRecord] = []
        self.expects_greenlet_errors = False
        self.expects_log = False


class _Recorder(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what importing has made out of the collector's sight: it stays anyway.

    Otherwise a collection after each test looks at all modules again.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest) -> Iterator[Guard]:
    """Fail a test that leaves something behind.

    That is: a greenlet or callback that died of an error, a greenlet that has not
    ended, a connection that is open or whose tables are not empty, a promise's failure
    that nobody looked at.
    """
    guard = Guard()
    hub: Any = get_hub()
    handle_error = hub.handle_error

    def record_error(context: Any, kind: Any, value: Any, tb: Any) -> None:
        if issubclass(kind, hub.SYSTEM_ERROR):
            handle_error(context, kind, value, tb)
        elif not issubclass(kind, hub.NOT_ERROR):
            error = value if isinstance(value, BaseException) else kind(value)
            guard.greenlet_errors.append((context, error))

    before = {id(each) for each in _living()}
    log = logging.getLogger("geopb")
    recorder = _Recorder(guard.records)
    log.addHandler(recorder)
    hub.handle_error = record_error
    failed = True
    try:
        yield guard
        failed = request.node.stash.get(_FAILED, False)
        if failed:
            # Their frames hold what the test had until the next failure.
            for name in ("last_type", "last_value", "last_traceback", "last_exc"):
                sys.__dict__.pop(name, None)
        collect()
        found = [] if failed else _found(guard, before)
    finally:
        # What was left out of the log is told now, and not in another test's.
        notices.tell_now()
        del hub.handle_error
        log.removeHandler(recorder)
    if not found and not failed:
        # What is still there is pytest's own: the next collection need not look at
        # it. Without this a test of the whole suite takes five times as long.
        gc.freeze()
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def _found(guard: Guard, before: set[int]) -> list[str]:
    """Say what a test has left behind."""

    def left() -> list[Any]:
        return [each for each in _living() if id(each) not in before]

    if left():
        try:
            eventually(lambda: not left(), 1.0)
        except AssertionError:
            pass
    found = [_story(each) for each in left()]
    if not guard.expects_greenlet_errors:
        found += [
            f"died in {context!r}:\n{''.join(traceback.format_exception(error))}"
            for context, error in guard.greenlet_errors
        ]
    if not guard.expects_log:
        found += [
            f"logged: {record.getMessage()}"
            for record in guard.records
            if record.levelno >= logging.ERROR
            and record.getMessage().startswith("Unhandled error in Promise")
        ]
    return found


def _living() -> list[Any]:
    """Return the greenlets that have not ended and connections that hold something."""
    # The type is asked, not the object: a test's own may raise at any attribute.
    return [
        each
        for each in gc.get_objects()
        if (issubclass(type(each), gevent.Greenlet) and _is_stray(each))
        or (type(each) is Connection and _is_open(each))
    ]


def _is_stray(greenlet: Any) -> bool:
    if greenlet.dead or greenlet is gevent.getcurrent():
        return False
    return type(greenlet) is not Worker or greenlet not in greenlet._pool._idle


def _is_open(connection: Connection) -> bool:
    if not connection.closed.is_set():
        return True
    held = connection.statistics()
    return any(held.get(name) for name in TABLES)


def _story(left: Any) -> str:
    if isinstance(left, Connection):
        return f"left behind: {left!r}, {left.statistics()}"
    stack = "".join(traceback.format_stack(left.gr_frame)) if left.gr_frame else ""
    return f"left behind: {left!r}\n{stack}"


@pytest.fixture
def geopb_log(guard: Guard) -> list[logging.LogRecord]:
    """What is logged to ``geopb`` and below it; 'Unhandled error' is expected."""
    guard.expects_log = True
    return guard.records


@pytest.fixture
def greenlet_errors(guard: Guard) -> list[tuple[Any, BaseException]]:
    """``(context, exception)`` of what died in the hub or a greenlet; is expected."""
    guard.expects_greenlet_errors = True
    return guard.greenlet_errors


Serve = Callable[..., pb.PBServer]
Pair = Callable[..., tuple[pb.PBServer, pb.PBClientFactory]]


@pytest.fixture
def serve(guard: Guard) -> Iterator[Serve]:
    """Serve a root on loopback: ``serve(root, **options)``, stopped at the end.

    The tables of all its connections are then checked to be empty.
    """
    servers: list[pb.PBServer] = []

    def start(root: Any, address: Any = "127.0.0.1:0", **options: Any) -> pb.PBServer:
        servers.append(pb.serve(root, address, **options))
        return servers[-1]

    yield start
    for server in servers:
        _stop(server)


@pytest.fixture
def pair(serve: Serve) -> Iterator[Pair]:
    """A server and a connected client over loopback: ``pair(root, **options)``.

    `options` are both sides'; ``server_options=`` and ``client_options=`` are for one.
    """
    clients: list[pb.PBClientFactory] = []

    def start(
        root: Any,
        *,
        server_options: dict[str, Any] | None = None,
        client_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> tuple[pb.PBServer, pb.PBClientFactory]:
        server = serve(root, **{**options, **(server_options or {})})
        client = pb.connect(server.address, **{**options, **(client_options or {})})
        clients.append(client)
        eventually(lambda: server.connections)
        return server, client

    yield start
    for client in clients:
        connection = client._connection
        client.disconnect()
        if connection is not None:
            _assert_empty(connection)


def _stop(server: pb.PBServer) -> None:
    connections = server.connections
    server.stop(0)
    for connection in connections:
        assert connection.closed.wait(SOON), f"{connection!r} does not end"
        turns()
        _assert_empty(connection)
    eventually(lambda: not server.connections)


def _assert_empty(connection: Connection) -> None:
    """The ended connection holds nothing; calls that it ran have been told to end."""

    def empty() -> bool:
        held = connection.statistics()
        return not any(held.get(name) for name in TABLES if name != "running")

    try:
        eventually(empty, 1.0)
    except AssertionError:
        raise AssertionError(
            f"{connection!r} holds {connection.statistics()}"
        ) from None
