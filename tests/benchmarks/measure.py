"""How a workload is measured: calibrated, in rounds of short turns.

A turn is one run of every side, of some 50 ms each, so that what the machine does
meanwhile meets all of them alike; a ratio is of two runs of the same turn. Each turn
has an order by chance, the same ones each time: who comes behind whom may be of
advantage. Each round has fresh processes: how memory happens to lie in one can make it
half as fast as the next, at 1 MiB above all, and a process keeps that for life.

The floor against itself, one call at a time, twelve rounds: 0.94 to 1.08 are the
rounds' medians; with one long turn in each round they were 0.61 to 1.52.

Nor is it left to chance which processor a process runs on, but for the sides that poll
and for attackers (see `commands.place`).
One and the same client took 122 us for a call with both processes on one processor,
234 us with one on each, and anything between where the system placed them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles

from tests.benchmarks.figures import Sample
from tests.benchmarks.processes import Pair
from tests.benchmarks.workloads import Workload

#: Turns of a round: more of them would be too short to be measured.
_TURNS = 8


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: Of most workloads; of some there are several times as many.
        seconds: For each side in one round.
        is_even: Unless there are as many of all.
    """

    rounds: int
    seconds: float
    is_even: bool = False

    def rounds_of(self, workload: Workload) -> int:
        """Return how many rounds of a workload are run."""
        return self.rounds * (1 if self.is_even else workload.times)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One side's figures divided by another's, turn by turn: the quartiles."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Result:
    """One workload's samples: for each side, one per turn."""

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

    def ratio(self, side: str, other: str = "") -> Ratio | None:
        """Compare with another side, most often the workload's first.

        None for that itself, and where one of them has not run.
        """
        other = other or self.workload.sides[0]
        if side == other or not {side, other} <= self.samples.keys():
            return None
        figure = self.workload.figure
        pairs = zip(self.samples[side], self.samples[other], strict=True)
        ratios = [figure(ours) / figure(theirs) for ours, theirs in pairs]
        if len(ratios) == 1:
            return Ratio(*ratios, *ratios, *ratios)
        lower, middle, upper = quantiles(ratios, n=4, method="inclusive")
        return Ratio(middle, lower, upper)


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
    """Run one workload on the given sides, turn by turn."""
    steps: dict[str, int] = {}
    samples: dict[str, list[Sample]] = {side: [] for side in sides}
    orders = Random(0)
    for _ in range(effort.rounds_of(workload)):
        with started(sides, workload.connections, workload.delay) as pairs:
            for side, pair in pairs.items():
                if side in steps:
                    pair.run(workload, 2 * steps[side])
                else:
                    steps[side] = calibrate(pair, workload, effort.seconds / _TURNS)
            for turn in _turns(workload, pairs, steps, effort.seconds, orders):
                for side, sample in turn.items():
                    samples[side].append(sample)
    return Result(workload, samples)


def _turns(
    workload: Workload,
    pairs: dict[str, Pair],
    steps: dict[str, int],
    seconds: float,
    orders: Random,
) -> Iterator[dict[str, Sample]]:
    """Run all in turn, until each had its time."""
    left = dict.fromkeys(pairs, seconds)
    for _ in range(_TURNS):
        order = orders.sample(list(pairs), len(pairs))
        turn = {side: pairs[side].run(workload, steps[side]) for side in order}
        yield {side: turn[side] for side in pairs}
        for side, sample in turn.items():
            left[side] -= sample.seconds
        # A single step of some workloads takes longer than a turn should.
        if max(left.values()) <= 0:
            return
