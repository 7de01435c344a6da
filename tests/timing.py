"""Bounds on CPU time that hold on slower machines, and while coverage is measured."""

from __future__ import annotations

import sys
from time import thread_time

#: CPU seconds that `_work` takes where the bounds were chosen.
_REFERENCE = 0.020
#: Tracing slows Python code down by about as much.
_TRACED = 12


def _work() -> float:
    """Return what a fixed piece of work takes, the best of three."""
    times = []
    for _ in range(3):
        begun = thread_time()
        made = {}
        for number in range(100_000):
            made[number] = [number]
        times.append(thread_time() - begun)
    return min(times)


def slowness() -> float:
    """Return how many times slower this machine is, as it runs now."""
    return max(1.0, _work() / _REFERENCE)


_slowness = slowness()


def _is_traced() -> bool:
    if sys.gettrace() is not None:
        return True
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(map(monitoring.get_tool, range(6)))


def seconds(bound: float) -> float:
    """Return `bound`, CPU seconds of a quick machine, for this one as it runs now."""
    return bound * _slowness * (_TRACED if _is_traced() else 1)
