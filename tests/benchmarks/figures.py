"""What a run has cost, and the figures that are reported of it.

Called by ``workloads``, which says which figure is whose; knows no side.
"""

from dataclasses import dataclass

from tests.benchmarks.values import DELAY


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


def _latency(sample: Sample) -> float:
    if sample.latency is None:
        raise RuntimeError("the workload does not take the calls' times")
    return sample.latency


def promptness(sample: Sample) -> float:
    """Calls per second, if each took as long as the median one."""
    return 1 / _latency(sample)


def round_trips(sample: Sample) -> float:
    """Round trips of the long link that the median call took."""
    return _latency(sample) / (2 * DELAY)


def round_trips_from_connect(sample: Sample) -> float:
    """Return the same with TCP's own: a relay accepts at once and cannot delay it."""
    return round_trips(sample) + 1
