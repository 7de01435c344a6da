"""What a flood costs a server, and an honest client beside it.

Owns the measuring: one process has the server, the attacker and the honest client, so
what is measured is an upper bound. Called by tests, for a moment, and by ``make soak``.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gevent
from gevent import Greenlet

import geopb as pb
from tests.benchmarks import attacks
from tests.net.roots import root_of
from tests.support import SOON


class Flooded(pb.Root):
    """What attacks call."""

    def remote_echo(self, value: Any = None) -> Any:
        return value

    def remote_size(self, value: bytes) -> int:
        return len(value)


@dataclass
class Cost:
    """What was the most while it lasted.

    Attributes:
        memory: Bytes that Python has allotted beyond what was before.
        greenlets: How many more there were.
        descriptors: How many more were open.
        calls: How many calls of the honest client were answered.
        longest: Seconds that the longest of these took.
    """

    memory: int = 0
    greenlets: int = 0
    descriptors: int = 0
    calls: int = 0
    longest: float = 0.0


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _greenlets() -> int:
    return sum(isinstance(each, Greenlet) for each in gc.get_objects())


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure what is done in the block; memory is the peak, the rest is looked at."""
    gc.collect()
    tracemalloc.start()
    cost = Cost()
    cost.greenlets, cost.descriptors = -_greenlets(), -_descriptors()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield cost
        cost.memory = tracemalloc.get_traced_memory()[1] - before
        cost.greenlets += _greenlets()
        cost.descriptors += _descriptors()
    finally:
        tracemalloc.stop()


def call(root: Any, cost: Cost) -> None:
    """Have the honest client make one call, which must be answered."""
    begun = monotonic()
    assert root.callRemote("echo", "honest").get(timeout=SOON) == "honest"
    cost.calls += 1
    cost.longest = max(cost.longest, monotonic() - begun)


def flood(server: pb.PBServer, name: str, seconds: float) -> Cost:
    """Have one connection attack for so long, and an honest client call meanwhile."""
    with pb.connect(server.address) as client:
        root = root_of(client)
        with measured() as cost:
            attacking = gevent.spawn(attacks.attack, server.address, name)
            try:
                _call_for(root, cost, seconds, attacking)
            finally:
                attacking.kill()
    return cost


def _call_for(root: Any, cost: Cost, seconds: float, attacking: Any) -> None:
    until = monotonic() + seconds
    # Whatever the machine does meanwhile, a few calls.
    while monotonic() < until or cost.calls < 3:
        call(root, cost)
        assert not attacking.ready(), attacking.exception
