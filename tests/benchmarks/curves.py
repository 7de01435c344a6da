"""How cost grows: ``python -m tests.benchmarks.curves``, from the repository root.

Owns the command. Prints a table for each curve, and puts tables and pictures into
docs/benchmarks.md.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TypeVar

from tests.benchmarks import publish, report, svg
from tests.benchmarks.curve_points import (
    CALL,
    CURVES,
    DROP,
    HOLD,
    REFERENCES,
    SIDES,
    Curve,
)
from tests.benchmarks.figures import Sample
from tests.benchmarks.measure import Effort, Result, measure
from tests.benchmarks.processes import ChildFailed, Pair
from tests.benchmarks.program import how, run_program

_FULL = Effort(rounds=5, seconds=0.4)
_QUICK = Effort(rounds=1, seconds=0.1)
#: Calls that are made beside the references; so many warm up.
_CALLS, _WARM = 2000, 500
_NAMES = (*[curve.name for curve in CURVES], "references")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One curve, ready: its table and its picture."""

    name: str
    header: list[str]
    rows: list[list[str]]
    picture: str

    def lines(self) -> list[str]:
        """Lay it out for the page."""
        image = f"![{self.name}](benchmarks/{self.name}.svg)"
        return [image, "", *publish.table(self.header, self.rows), ""]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.curves", description="Measure how cost grows."
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of each side")
    parser.add_argument(
        "--most", type=int, metavar="N", help="leave out points with more than N"
    )
    parser.add_argument(
        "--only", action="append", choices=_NAMES, help="one, may be repeated"
    )
    parser.add_argument(
        "--no-docs", action="store_true", help="leave docs/benchmarks.md as it is"
    )
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


Point = TypeVar("Point")


def attempt(name: str, point: Callable[[], Point]) -> Point | None:
    """Measure one point; None, said loudly, where it cannot be done."""
    try:
        return point()
    except ChildFailed as failure:
        print(f"*** LEFT OUT: {name}: {failure} ***", file=sys.stderr)
        return None


def seconds(result: Result, side: str) -> float:
    """Return the median seconds that a call took."""
    return median(each.seconds / each.calls for each in result.samples[side])


def cpu_seconds(result: Result, side: str) -> float:
    """Return the median CPU seconds of a call, the client's and the server's."""
    return result.client_cpu(side) + result.server_cpu(side)


def cpu_of(sample: Sample) -> float:
    """Return the CPU seconds of a step, the client's and the server's."""
    return (sample.client.cpu_seconds + sample.server.cpu_seconds) / sample.calls


def draw(curve: Curve, effort: Effort, most: int) -> Drawn:
    """Measure one curve."""
    names = ("geopb", "floor", "geopb, CPU of both", "floor, CPU of both")
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    rows = []
    for count, workload in curve.points.items():
        if count > most:
            continue
        result = attempt(workload.name, partial(measure, workload, SIDES, effort))
        if result is None:
            continue
        scale = 1e9 / count if curve.per_byte else 1e6
        floor, ours = (seconds(result, side) * scale for side in SIDES)
        floor_cpu, our_cpu = (cpu_seconds(result, side) * scale for side in SIDES)
        figures = (ours, floor, our_cpu, floor_cpu)
        for name, each in zip(names, figures, strict=True):
            series[name].append((count, each))
        rows.append([f"{count:,}", *map(report.figure, figures)])
        print(f"{curve.name:<12} {'  '.join(rows[-1])}", flush=True)
    unit = "ns a byte" if curve.per_byte else "µs a call"
    header = [f"{curve.across} ({unit})", *names]
    picture = svg.curves(curve.title, curve.across, series)
    return Drawn(curve.name, header, rows, picture)


def hold(count: int) -> tuple[Sample, Sample, Sample]:
    """Have so many references; call beside them; drop them."""
    with Pair("roomy") as pair:
        pair.open(1)
        pair.run(HOLD, 1000)
        pair.run(DROP, 1000)
        pair.run(CALL, _WARM)
        held = pair.run(HOLD, count)
        calls = pair.run(CALL, _CALLS)
        return held, calls, pair.run(DROP, count)


def hold_often(count: int, rounds: int) -> list[tuple[Sample, Sample, Sample]]:
    """Do that in so many rounds."""
    return [hold(count) for _ in range(rounds)]


def draw_references(rounds: int, most: int) -> Drawn:
    """Measure the curve of live references, which has a unit of its own each way."""
    names = ("to have one", "a call beside them", "to drop one")
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    rows = []
    for count in (each for each in REFERENCES if each <= most):
        samples = attempt(f"{count} references", partial(hold_often, count, rounds))
        if samples is None:
            continue
        times = [median(map(cpu_of, step)) * 1e6 for step in zip(*samples, strict=True)]
        for name, each in zip(names, times, strict=True):
            series[name].append((count, each))
        kept = [
            median(getattr(held, end).resident_bytes / count for held, _, _ in samples)
            for end in ("client", "server")
        ]
        # Fewer are lost among the pages that a process has anyway.
        memory = [f"{each:,.0f}" if count >= 1000 else "" for each in kept]
        rows.append([f"{count:,}", *map(report.figure, times), *memory])
        print(f"{'references':<12} {'  '.join(rows[-1])}", flush=True)
    across = "live references (CPU µs of both)"
    header = [across, *names, "client, bytes each", "server, bytes each"]
    title = "CPU µs of both, with more and more references alive"
    return Drawn("references", header, rows, svg.curves(title, header[0], series))


def run(names: Sequence[str], effort: Effort, most: int) -> list[Drawn]:
    """Measure all the curves of these names."""
    drawn = [draw(curve, effort, most) for curve in CURVES if curve.name in names]
    if "references" in names:
        drawn.append(draw_references(min(effort.rounds, 3), most))
    return drawn


def main() -> None:
    """Run it."""
    options = arguments()
    default = _QUICK if options.quick else _FULL
    effort = Effort(options.rounds or default.rounds, default.seconds)
    most = options.most or 1 << 40
    where = report.environment(["python -m tests.benchmarks.curves", *sys.argv[1:]])
    drawn = run(options.only or _NAMES, effort, most)
    if not options.no_docs:
        for each in drawn:
            page = [*publish.facts(where, how(effort)), "", *each.lines()]
            publish.write(each.name, page, {f"{each.name}.svg": each.picture})


if __name__ == "__main__":
    sys.exit(run_program(main))
