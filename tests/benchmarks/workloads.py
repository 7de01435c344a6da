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

from tests.benchmarks.figures import (
    Sample,
    promptness,
    rate,
    round_trips,
    round_trips_from_connect,
)
from tests.benchmarks.values import (
    CONNECTIONS,
    DELAY,
    DICTS,
    FILE,
    ITEMS,
    MEBIBYTE,
    OBSERVERS,
    OUTSTANDING,
    PAIRS,
    SMALL_ITEMS,
    TEXT,
    UPDATES,
)

#: Module of each side.
SIDES = {
    "floor": "tests.benchmarks.side_floor",
    "dicts": "tests.benchmarks.side_dicts",
    "geopb": "tests.benchmarks.side_geopb",
    "polling": "tests.benchmarks.side_polling",
    "tls": "tests.benchmarks.side_tls",
    "whole": "tests.benchmarks.side_whole",
    "each": "tests.benchmarks.side_each",
    "beside": "tests.benchmarks.side_beside",
    "trip": "tests.benchmarks.side_trip",
    "roomy": "tests.benchmarks.side_roomy",
}


class Connection(Protocol):
    """What every side's connection can do."""

    def echo(self, value: Any) -> Any:
        """Send one value and wait until it is back."""

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Send all values before waiting for the first."""

    def close(self) -> None:
        """Hang up."""


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
        figure: What is reported of a run; a larger one is a better one,
        fewer: unless a smaller one is; ``target`` is then the most that is wanted.
        delay: Seconds that a byte is under way, one way, through a relay; 0: no relay.
        times: How many times as many rounds as of others are run, where sides lie close
            together: where processes wait for one another each time, which varies most,
            and where much depends on how memory lies in a process.
    """

    name: str
    run: Callable[[Sequence[Any], int], float | None]
    calls: int = 1
    target: float | None = None
    connections: int = 1
    sides: tuple[str, ...] = ("floor", "geopb")
    unit: str = "calls/s"
    figure: Callable[[Sample], float] = rate
    fewer: bool = False
    delay: float = 0.0
    times: int = 1

    def reached(self, ratio: float) -> bool:
        """Whether this ratio is as good as the target, if there is one."""
        if self.target is None:
            return True
        return ratio <= self.target if self.fewer else ratio >= self.target


def _repeat(connection: Connection, value: object, times: int) -> None:
    for _ in range(times):
        connection.echo(value)


def _median_time(step: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        begun = perf_counter()
        step()
        taken.append(perf_counter() - begun)
    return median(taken)


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
    # Imported here: a peer's environment may have no gevent, and has threads instead.
    import gevent

    greenlets = [gevent.spawn(_repeat, one, TEXT, steps) for one in connections]
    gevent.joinall(greenlets, raise_error=True)


def dicts(connections: Sequence[Connection], steps: int) -> None:
    """A list of a thousand small dicts at a time."""
    _repeat(connections[0], DICTS, steps)


def mebibyte(connections: Sequence[Connection], steps: int) -> None:
    """A mebibyte of bytes at a time."""
    _repeat(connections[0], MEBIBYTE, steps)


def pairs(connections: Sequence[Any], steps: int) -> None:
    """An object at a time: had, called once its reference is there, dropped."""
    for _ in range(steps):
        connections[0].pair()


def pipelined(connections: Sequence[Any], steps: int) -> None:
    """The same, called before its reference is there, a hundred pairs under way."""
    for _ in range(steps):
        connections[0].pairs_at_once(PAIRS)


def chain(connections: Sequence[Any], steps: int) -> float:
    """The same with one pair at a time."""
    return _median_time(connections[0].pair_at_once, steps)


def first_answers(connections: Sequence[Any], steps: int) -> float:
    """A new connection at a time, and one call on it."""
    return _median_time(connections[0].first_answer, steps)


def codec(connections: Sequence[Any], steps: int) -> None:
    """Encode and decode the list of dicts, without sending."""
    for _ in range(steps):
        connections[0].transcode(DICTS)


def batch(connections: Sequence[Any], steps: int) -> None:
    """A thousand short texts in one message, each given to the method by itself."""
    texts = [TEXT] * OUTSTANDING
    for _ in range(steps):
        connections[0].batch(texts)


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
    with connections[0].transferring():
        return _median_time(lambda: connections[0].echo(TEXT), steps)


#: Where the answer to a call is waited for before the next one is made.
_POLLED = ("floor", "geopb", "polling")
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sequential", sequential, target=0.9, sides=_POLLED, times=6),
        Workload("outstanding", outstanding, calls=OUTSTANDING, target=0.45),
        # What those do who cannot have calls under way at once.
        Workload("batch", batch, calls=OUTSTANDING),
        Workload(
            "connections",
            many_connections,
            calls=CONNECTIONS,
            target=1.1,
            connections=CONNECTIONS,
        ),
        Workload("dicts", dicts, target=0.95),
        # What of it is the codec's: the client's side of the floor alone.
        Workload("codec", codec, sides=("floor",)),
        Workload("mebibyte", mebibyte, target=3.5, times=3),
        # Two calls, of which the second needs the first one's answer, are one pair.
        Workload("pairs", pairs, target=0.85, sides=_POLLED, unit="pairs/s", times=3),
        # To the floor's two messages, of which one waits for the other, pair by pair.
        Workload("pipelined", pipelined, calls=PAIRS, target=1.6, unit="pairs/s"),
        Workload("pipelined 1", chain, unit="pairs/s"),
        # The floor's is one echo, which is what a round trip of the link takes.
        Workload(
            "chain",
            chain,
            target=1.15,
            sides=("trip", "geopb"),
            unit="round trips",
            figure=round_trips,
            fewer=True,
            delay=DELAY,
        ),
        Workload(
            "first",
            first_answers,
            target=1.15,
            unit="round trips",
            figure=round_trips_from_connect,
            fewer=True,
            delay=DELAY,
        ),
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
        Workload("tls", sequential, target=0.8, sides=("geopb", "tls"), times=6),
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
