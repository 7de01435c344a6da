"""What is measured for how cost grows: the same calls with more and more of something.

A curve is a row of ordinary workloads, which the children find by their names in
``POINTS``; the references have three of their own, each of which is done once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.values import TEXT
from tests.benchmarks.workloads import Workload, many_connections

SIDES = ("floor", "roomy")
MEBI = 1 << 20
#: Calls that each of many connections makes in a step.
_CALLS_EACH = 10


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve.

    Attributes:
        name: What ``--only`` takes, and what the picture's file is called.
        across: What there is more and more of.
        title: What the picture says.
        points: Workloads by how much there is.
        per_byte: Whether the unit of cost is a byte, and not a call.
    """

    name: str
    across: str
    title: str
    points: dict[int, Workload]
    per_byte: bool = False


def _outstanding(count: int) -> Callable[[Sequence[Any], int], None]:
    texts = [TEXT] * count

    def run(connections: Sequence[Any], steps: int) -> None:
        for _ in range(steps):
            connections[0].echo_all(texts)

    return run


def _on_each(connections: Sequence[Any], steps: int) -> None:
    """Make some calls on each: the greenlet that makes them costs as much as one."""
    many_connections(connections, steps * _CALLS_EACH)


def _payload(size: int) -> Callable[[Sequence[Any], int], None]:
    def run(connections: Sequence[Any], steps: int) -> None:
        # Made where it is sent, because it may be large.
        value = bytes(size)
        for _ in range(steps):
            if len(connections[0].echo(value)) != size:
                raise RuntimeError("bytes are missing")

    return run


def hold(connections: Sequence[Any], steps: int) -> None:
    """Have ``steps`` more references."""
    connections[0].hold(steps)


def drop(connections: Sequence[Any], steps: int) -> None:
    """Drop ``steps`` of them."""
    connections[0].drop(steps)


def call(connections: Sequence[Any], steps: int) -> None:
    """One short text at a time, while they are held."""
    for _ in range(steps):
        connections[0].echo(TEXT)


HOLD, DROP = Workload("hold", hold), Workload("drop", drop)
CALL = Workload("call beside references", call)
#: How many references are held.
REFERENCES = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)

CURVES = (
    Curve(
        "connections",
        "connections, each with one call at a time",
        "µs of a call, with more and more connections",
        {
            count: Workload(
                f"{count} connections",
                _on_each,
                calls=count * _CALLS_EACH,
                connections=count,
                sides=SIDES,
            )
            for count in (1, 10, 100, 1000, 10_000)
        },
    ),
    Curve(
        "outstanding",
        "calls under way at once on one connection",
        "µs of a call, with more and more of them under way",
        {
            count: Workload(
                f"{count} outstanding", _outstanding(count), calls=count, sides=SIDES
            )
            for count in (1, 10, 100, 1000, 10_000)
        },
    ),
    Curve(
        "payload",
        "bytes of the payload, there and back",
        "ns of each byte of a payload, with larger and larger ones",
        {
            size: Workload(f"{size} bytes", _payload(size), sides=SIDES)
            for size in (10, 100, 1000, 10**4, 10**5, MEBI, 10 * MEBI, 64 * MEBI)
        }
        | {256 * MEBI: Workload("256 MiB", _payload(256 * MEBI), sides=SIDES)},
        per_byte=True,
    ),
)

#: All of them by name, for the children.
POINTS = {
    point.name: point
    for point in (
        HOLD,
        DROP,
        CALL,
        *[point for curve in CURVES for point in curve.points.values()],
    )
}
