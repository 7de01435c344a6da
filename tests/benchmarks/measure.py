"""How a workload is measured: calibrated, alternating, in rounds.

Each round runs every side once, in turn, so that what the machine does meanwhile
meets all sides alike; a ratio is of two runs of the same round. Each round has
fresh processes: how memory happens to lie in one can make it half as fast as the
next, at 1 MiB above all, and a process keeps that for life.

Even so a median ratio is good to a twentieth: the floor against itself gave 0.95 to
1.05, with single rounds from 0.7 to 1.5.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.figures import Sample
from tests.benchmarks.processes import Pair
from tests.benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: rounds, and seconds for each side's run."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """One side's figures divided by the first side's, round by round."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Result:
    """One workload's samples: for each side, one per round."""

    workload: Workload
    samples: dict[str, list[Sample]]

    def figure(self, side: str) -> float:
        """Median of what the workload reports."""
        return median(map(self.workload.figure, self.samples[side]))

    def client_cpu(self, side: str) -> float:
        """Median CPU seconds of a call in the client's process."""
        return median(s.client.cpu_seconds / s.calls for s in self.samples[side])

    def server_cpu(self, side: str) -> float:
        """Median CPU seconds of a call in the server's process."""
        return median(s.server.cpu_seconds / s.calls for s in self.samples[side])

    def ratio(self, side: str) -> Ratio | None:
        """Compare with the workload's first side; None for that, or without it."""
        first = self.workload.sides[0]
        if side == first or first not in self.samples:
            return None
        figure = self.workload.figure
        pairs = zip(self.samples[side], self.samples[first], strict=True)
        ratios = [figure(ours) / figure(theirs) for ours, theirs in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))


@contextmanager
def started(
    sides: Iterable[str], connections: int, delay: float = 0.0
) -> Iterator[dict[str, Pair]]:
    """Have a fresh server and client for each side, connected; end them after."""
    with ExitStack() as stack:
        # All are started before the first is waited for: they load side by side.
        pairs = {side: stack.enter_context(Pair(side)) for side in sides}
        for pair in pairs.values():
            pair.open(connections, delay)
        yield pairs


def check(sides: Iterable[str]) -> None:
    """Fail unless every side brings back what it is sent."""
    with started(sides, connections=1) as pairs:
        for pair in pairs.values():
            pair.check()


def calibrate(pair: Pair, workload: Workload, seconds: float) -> int:
    """Warm up, and find how many steps take about ``seconds``."""
    steps = 1
    while (taken := pair.run(workload, steps).seconds) < seconds / 2:
        # At most eightfold at a time: the first runs are slower than the later.
        steps = max(steps + 1, round(steps * min(8.0, seconds / taken)))
    return max(1, round(steps * seconds / taken))


def measure(workload: Workload, sides: Sequence[str], effort: Effort) -> Result:
    """Run one workload on the given sides, in alternating order."""
    steps: dict[str, int] = {}
    samples: dict[str, list[Sample]] = {side: [] for side in sides}
    for number in range(effort.rounds):
        with started(sides, workload.connections, workload.delay) as pairs:
            for side, pair in pairs.items():
                if side in steps:
                    pair.run(workload, steps[side] // 4 + 1)
                else:
                    steps[side] = calibrate(pair, workload, effort.seconds)
            for side in sides if number % 2 == 0 else reversed(sides):
                samples[side].append(pairs[side].run(workload, steps[side]))
    return Result(workload, samples)
