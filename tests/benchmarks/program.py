"""What the three programs that measure have in common: how they end.

Called by ``python -m tests.benchmarks`` and its like.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable

from tests.benchmarks.measure import Effort
from tests.benchmarks.processes import ChildFailed
from tests.benchmarks.workloads import Workload


def run_program(work: Callable[[], object]) -> int:
    """Do the work of a program; return its exit status.

    SIGTERM ends it as Ctrl-C does: its children are ended on the way out.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work()
    except ChildFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def how(effort: Effort, workloads: Iterable[Workload] = ()) -> str:
    """Say how often, and for how long, each side is measured."""
    often = {each.name: effort.rounds_of(each) for each in workloads}
    more = [
        f", of {name} {count}" for name, count in often.items() if count > effort.rounds
    ]
    return f"medians of {effort.rounds} rounds of {effort.seconds:g} s{''.join(more)}"


def print_environment(where: dict[str, str]) -> None:
    """Say where it is measured."""
    for name, value in where.items():
        print(f"{name + ':':<9} {value}")
