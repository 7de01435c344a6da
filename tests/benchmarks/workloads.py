"""What is measured: the table of workloads, each a small function.

Called in the client's process with connections that are already open. A new
workload is a function and an entry in ``WORKLOADS``; one that only some sides can
run names them in ``sides``, and takes what it needs from their ``Connection``.
One whose result is not a rate sets ``unit`` and ``figure``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Protocol

import gevent

#: Module of each side.
SIDES = {
    "floor": "tests.benchmarks.side_floor",
    "dicts": "tests.benchmarks.side_dicts",
    "geopb": "tests.benchmarks.side_geopb",
    "tls": "tests.benchmarks.side_tls",
    "whole": "tests.benchmarks.side_whole",
    "each": "tests.benchmarks.side_each",
    "beside": "tests.benchmarks.side_beside",
}

TEXT = "hello network"
OUTSTANDING = 1000
CONNECTIONS = 64
OBSERVERS = 100
UPDATES = 1000
DICTS = [
    {"id": n, "name": f"name {n}", "ok": n % 2 == 0, "score": n / 7}
    for n in range(1000)
]
MEBIBYTE = bytes(range(256)) * 4096
ITEMS = DICTS * 10
SMALL_ITEMS = 2000
#: As much as one message may carry, with some left for the rest of it.
FILE = MEBIBYTE * 60


class Connection(Protocol):
    """What every side's connection can do."""

    def echo(self, value: Any) -> Any:
        """Send one value and wait until it is back."""

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Send all values before waiting for the first."""

    def close(self) -> None:
        """Hang up."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used so far."""

    cpu_seconds: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run of one side; usage is the growth during the run.

    Attributes:
        latency: Median seconds of one call, where the workload takes their times.
    """

    calls: int
    seconds: float
    latency: float | None
    client: Usage
    server: Usage


def rate(sample: Sample) -> float:
    """Calls per second."""
    return sample.calls / sample.seconds


def promptness(sample: Sample) -> float:
    """Calls per second, if each took as long as the median one."""
    if sample.latency is None:
        raise RuntimeError("the workload does not take the calls' times")
    return 1 / sample.latency


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the report.

    Attributes:
        name: What ``--only`` takes.
        run: Does the given number of steps on the given open connections. They are
            ``workloads.Connection``, or a side's own richer class. Returns the
            sample's latency.
        calls: How many calls one step makes.
        target: Least ratio to the first side that is wanted; None: none is set.
        connections: How many connections are opened for it.
        sides: Keys of ``SIDES``; the first is what the others are compared with.
        unit: What ``figure`` is counted in.
        figure: What is reported of a run; a larger one is a better one.
    """

    name: str
    run: Callable[[Sequence[Any], int], float | None]
    calls: int = 1
    target: float | None = None
    connections: int = 1
    sides: tuple[str, ...] = ("floor", "geopb")
    unit: str = "calls/s"
    figure: Callable[[Sample], float] = rate


def _repeat(connection: Connection, value: object, times: int) -> None:
    for _ in range(times):
        connection.echo(value)


def sequential(connections: Sequence[Connection], steps: int) -> None:
    """One short text at a time."""
    _repeat(connections[0], TEXT, steps)


def outstanding(connections: Sequence[Connection], steps: int) -> None:
    """A thousand short texts under way at once on one connection."""
    texts = [TEXT] * OUTSTANDING
    for _ in range(steps):
        connections[0].echo_all(texts)


def many_connections(connections: Sequence[Connection], steps: int) -> None:
    """A greenlet for each connection, each sending one short text at a time."""
    greenlets = [gevent.spawn(_repeat, one, TEXT, steps) for one in connections]
    gevent.joinall(greenlets, raise_error=True)


def dicts(connections: Sequence[Connection], steps: int) -> None:
    """A list of a thousand small dicts at a time."""
    _repeat(connections[0], DICTS, steps)


def mebibyte(connections: Sequence[Connection], steps: int) -> None:
    """A mebibyte of bytes at a time."""
    _repeat(connections[0], MEBIBYTE, steps)


def copies(connections: Sequence[Any], steps: int) -> None:
    """A list of a thousand small dataclass objects at a time, or of such dicts."""
    _repeat(connections[0], connections[0].records(), steps)


def caches(connections: Sequence[Any], steps: int) -> None:
    """A thousand updates to an observer on each connection, in order."""
    for _ in range(steps):
        for connection in connections:
            connection.watch_for(UPDATES)
        connections[0].root.callRemote("tick", UPDATES).get()
        for connection in connections:
            connection.wait_for_ticks()


def items(connections: Sequence[Any], steps: int) -> None:
    """Ten thousand small dicts, one by one, or as a list."""
    for _ in range(steps):
        if connections[0].take_items() != len(ITEMS):
            raise RuntimeError("items are missing")


def file(connections: Sequence[Any], steps: int) -> None:
    """Sixty mebibytes, piece by piece, or at once."""
    for _ in range(steps):
        if connections[0].send_file() != len(FILE):
            raise RuntimeError("bytes are missing")


def small_items(connections: Sequence[Any], steps: int) -> None:
    """Two thousand numbers, one by one: as a stream, or with a call for each."""
    for _ in range(steps):
        if connections[0].take_small_items() != SMALL_ITEMS:
            raise RuntimeError("items are missing")


def beside(connections: Sequence[Any], steps: int) -> float:
    """One short text at a time, beside large bytes or without."""
    times = []
    with connections[0].transferring():
        for _ in range(steps):
            begun = perf_counter()
            connections[0].echo(TEXT)
            times.append(perf_counter() - begun)
    return median(times)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sequential", sequential, target=0.8),
        Workload("outstanding", outstanding, calls=OUTSTANDING, target=0.35),
        Workload(
            "connections",
            many_connections,
            calls=CONNECTIONS,
            target=0.9,
            connections=CONNECTIONS,
        ),
        Workload("dicts", dicts, target=0.8),
        Workload("mebibyte", mebibyte, target=1.0),
        # A copy costs four dicts at the most.
        Workload("copies", copies, target=0.25, sides=("dicts", "geopb")),
        Workload(
            "caches",
            caches,
            calls=OBSERVERS * UPDATES,
            connections=OBSERVERS,
            sides=("geopb",),
            unit="updates/s",
        ),
        Workload(
            "items",
            items,
            calls=len(ITEMS),
            sides=("whole", "geopb"),
            unit="items/s",
        ),
        Workload("file", file, calls=60, sides=("whole", "geopb"), unit="MiB/s"),
        Workload(
            "small items",
            small_items,
            calls=SMALL_ITEMS,
            target=5.0,
            sides=("each", "geopb"),
            unit="items/s",
        ),
        # What large bytes on the same connection cost the median small call.
        Workload(
            "beside",
            beside,
            target=0.1,
            sides=("geopb", "beside"),
            unit="1/median",
            figure=promptness,
        ),
        # What TLS costs: against the same without it.
        Workload("tls", sequential, target=0.8, sides=("geopb", "tls")),
        Workload("tls mebibyte", mebibyte, sides=("geopb", "tls")),
    )
}


def check(connection: Connection) -> None:
    """Fail if this side does not bring back what the workloads send.

    Raises:
        RuntimeError: A value came back changed, or answers were mixed up.
    """
    values: list[Any] = [TEXT, DICTS, MEBIBYTE]
    records = getattr(connection, "records", None)
    if records is not None:
        values.append(records())
    for value in values:
        if connection.echo(value) != value:
            raise RuntimeError(f"an echo changed a {type(value).__name__}")
    numbers = list(range(OUTSTANDING))
    if connection.echo_all(numbers) != numbers:
        raise RuntimeError("the answers to calls under way at once were mixed up")
