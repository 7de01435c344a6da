"""What is done over and over, and what must not grow meanwhile.

Owns the measuring: memory that Python has allotted, descriptors, greenlets, entries of
tables. A part of the work is done before the first look, so that caches are full.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import Greenlet

import geopb as pb
from geopb.net.connection import Connection
from tests.support import eventually, turns


@dataclass(frozen=True)
class Held:
    """What the process holds."""

    memory: int
    descriptors: int
    greenlets: int
    entries: int

    def growth(self, before: Held) -> Held:
        """Return how much more this is than `before`."""
        return Held(
            self.memory - before.memory,
            self.descriptors - before.descriptors,
            self.greenlets - before.greenlets,
            self.entries - before.entries,
        )


def _connections() -> list[Connection]:
    return [each for each in gc.get_objects() if type(each) is Connection]


def _is_busy(connection: Connection) -> bool:
    held = connection.statistics()
    return held["questions"] > 0 or held["running"] > 0


def look() -> Held:
    """Return what the process holds now; tracemalloc must be on."""
    turns(20)
    for _ in range(3):
        gc.collect()
        turns()
    # A call that was cancelled stays open until its peer has answered it.
    eventually(lambda: not any(map(_is_busy, _connections())))
    objects = gc.get_objects()
    connections = _connections()
    return Held(
        memory=tracemalloc.get_traced_memory()[0],
        descriptors=len(os.listdir("/proc/self/fd")),
        greenlets=sum(1 for each in objects if isinstance(each, Greenlet)),
        entries=sum(sum(each.statistics().values()) for each in connections),
    )


class Two(pb.Referenceable):
    """What the root hands out."""

    def remote_three(self, number: int) -> int:
        """Return three times the number."""
        return 3 * number


class Root(pb.Root):
    """What the server offers."""

    def remote_getTwo(self) -> Two:
        """Return a new object."""
        return Two()

    def remote_echo(self, value: object) -> object:
        """Return what was given."""
        return value

    def remote_hold(self) -> None:
        """Wait until the call is stopped."""
        gevent.sleep(60)


def connect_call_disconnect(server: pb.PBServer) -> None:
    """Have a client come, call and go, and one that knows classes of its own."""
    for options in ({}, {"registry": pb.ClassRegistry()}):
        _come_and_go(server, options)


def _come_and_go(server: pb.PBServer, options: dict[str, Any]) -> None:
    with pb.connect(server.address, **options) as client:
        root = client.getRootObject().get(timeout=10)
        assert root.callRemote("echo", 1).get(timeout=10) == 1


def two(root: pb.RemoteReference) -> None:
    """Fetch an object, call it, drop it."""
    assert root.callRemote("getTwo").get(timeout=10).callRemote("three", 2).get() == 6


def cancel(root: pb.RemoteReference) -> None:
    """Cancel one call, and let the time of another pass."""
    call = root.callRemote("hold")
    late = root.options(timeout=0.001).callRemote("hold")
    gevent.sleep(0)
    call.cancel()
    late.wait()
    assert isinstance(call.exception, pb.Cancelled)
    assert isinstance(late.exception, pb.DeadlineExceeded)


def growth_of(times: int, act: Callable[[], object]) -> Held:
    """Do it a tenth as often, look, do it `times` times, and look again."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        for _ in range(max(50, times // 10)):
            act()
        before = look()
        for _ in range(times):
            act()
        return look().growth(before)
    finally:
        if not tracing:
            tracemalloc.stop()


def soak(cycles: int, pairs: int, cancels: int) -> dict[str, tuple[int, Held]]:
    """Do all of it; return how often each was done, and what has grown.

    Each of the `cycles` is two connections.
    """
    with pb.serve(Root(), "127.0.0.1:0") as server:
        found = {
            "connections": (
                cycles,
                growth_of(cycles, lambda: connect_call_disconnect(server)),
            )
        }
        eventually(lambda: not server.connections)
        with pb.connect(server.address) as client:
            root = client.getRootObject().get(timeout=10)
            found["pairs"] = (pairs, growth_of(pairs, lambda: two(root)))
            found["cancels"] = (cancels, growth_of(cancels, lambda: cancel(root)))
    return found


def wrong(times: int, grown: Held) -> list[str]:
    """Say what has grown that should not have."""
    found = []
    # Far below one small object each time, above the noise of a process.
    most = 64 * 1024 + 8 * times
    if grown.memory > most:
        found.append(f"{grown.memory} bytes more than before, {most} are noise")
    if grown.descriptors > 0:
        found.append(f"{grown.descriptors} more descriptors")
    # Workers are kept for the process: as many as ever ran at once.
    if grown.greenlets > 4:
        found.append(f"{grown.greenlets} more greenlets")
    if grown.entries > 0:
        found.append(f"{grown.entries} more table entries")
    return found
