"""Helpers that tests in every folder share. Deadlines, never sleeps."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, TypeVar, cast

import gevent
from gevent._hub_local import get_hub_if_exists

import geopb as pb
from geopb.net.connection import Connection
from geopb.net.writer import Writer

T = TypeVar("T")

#: Seconds that a test waits for what must happen: far more than it ever takes.
SOON = 5.0
#: Tables that are empty once a connection has ended.
TABLES = (
    "exports",
    "imports",
    "questions",
    "waited_for",
    "bulk_in",
    "unsent",
    "running",
)


def eventually(predicate: Callable[[], T], timeout: float = SOON) -> T:
    """Let the loop turn until ``predicate()`` is true; return what it returned.

    Fails the test after `timeout` seconds. The first turns are free of waiting; after
    these the loop sleeps for a millisecond at a time, so that sockets and timers move.
    """
    until = monotonic() + timeout
    turns = 0
    while True:
        found = predicate()
        if found:
            return found
        if monotonic() > until:
            name = getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"not within {timeout:g} s: {name}")
        gevent.sleep(0 if turns < 50 else 0.001)
        turns += 1


def turns(count: int = 5) -> None:
    """Let the loop turn a few times: callbacks and jobs that are due run."""
    for _ in range(count):
        gevent.sleep(0)


def collect() -> None:
    """Collect garbage, and let what finalizers have queued run."""
    # The hub holds what it was last switched with until it is switched to again.
    turns(2)
    gc.collect()
    turns()


def collected(reference: weakref.ref[Any]) -> bool:
    """Whether the object is gone after a collection, within a bound."""
    until = monotonic() + SOON
    while reference() is not None and monotonic() < until:
        collect()
    return reference() is None


def client_connection(client: pb.PBClientFactory) -> Connection:
    """Return the connection of a connected client."""
    connection = client._connection
    assert connection is not None
    return connection


def server_connection(server: pb.PBServer) -> Connection:
    """Return the one connection of a server that has one."""
    (connection,) = server.connections
    return connection


def take_once(writer: Writer, taken: int | None) -> list[bytes]:
    """Have the kernel take so many bytes of what is sent next; return what that is.

    None: it would have the writer wait. What comes behind is sent as ever.
    """
    send, sent = writer._send, []

    def take(data: bytes) -> int:
        sent.append(data)
        writer._send = send
        if taken is None:
            raise BlockingIOError
        return int(send(data[:taken])) if taken else 0

    writer._send = take
    return sent


def assert_released(connections: Iterable[Connection], timeout: float = SOON) -> None:
    """Wait until connections that are open hold no reference and no question.

    The caller drops its references first; garbage is collected here.
    """
    connections = list(connections)

    def released() -> bool:
        gc.collect()
        return all(
            not each.statistics()[name]
            for each in connections
            for name in ("exports", "imports", "questions")
        )

    try:
        eventually(released, timeout)
    except AssertionError:
        held = ", ".join(repr(each.statistics()) for each in connections)
        raise AssertionError(f"still held after {timeout:g} s: {held}") from None


def named(value: object) -> str:
    """Return a test's id for a value: its text, the same in each run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def run_python(code: str, *, timeout: float = 20.0) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own; return what it printed.

    Warnings are errors there too.
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )


def in_thread(function: Callable[[], T]) -> T:
    """Call ``function()`` in another OS thread; return or raise what it did.

    The loop of this thread turns meanwhile; the other's hub, if it made one, is
    destroyed.
    """
    ended: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            ended.append((True, function()))
        except BaseException as error:
            ended.append((False, error))
        finally:
            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy(destroy_loop=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: not thread.is_alive())
    returned, value = ended[0]
    if not returned:
        raise value
    return cast(T, value)
