"""The command: ``python -m tests.benchmarks``, from the repository root."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import attacked, memory, publish, report
from tests.benchmarks.measure import Effort, Result, check, measure
from tests.benchmarks.program import how, print_environment, run_program
from tests.benchmarks.workloads import SIDES, WORKLOADS, Workload

_FULL = Effort(rounds=5, seconds=0.4)
_QUICK = Effort(rounds=3, seconds=0.15, is_even=True)
#: What is measured that is no rate.
OTHERS: dict[str, Callable[[Sequence[str], int], Iterable[str]]] = {
    "memory": memory.rows,
    "attacked": attacked.rows,
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Compare geopb with bare messages over gevent and cbor2.",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="runs of each side; some workloads take several times as many",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*WORKLOADS, *OTHERS],
        metavar="NAME",
        help=f"one workload, may be repeated: {', '.join([*WORKLOADS, *OTHERS])}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write raw numbers")
    parser.add_argument(
        "--docs", action="store_true", help="write them into docs/benchmarks.md"
    )
    parser.add_argument("--floor-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def run(workloads: list[Workload], sides: list[str], effort: Effort) -> list[Result]:
    """Measure and print, workload by workload."""
    check(sides)
    results = []
    print(report.HEADER, flush=True)
    for workload in workloads:
        able = [side for side in workload.sides if side in sides]
        if not able:
            continue
        result = measure(workload, able, effort)
        print("\n".join(report.rows(result)), flush=True)
        results.append(result)
    return results


def run_others(others: list[str], sides: list[str], rounds: int) -> list[str]:
    """Measure and print what is no rate; return the lines."""
    lines: list[str] = []
    for name in others:
        print()
        for line in OTHERS[name](sides, rounds):
            print(line, flush=True)
            lines.append(line)
    return lines


def main() -> None:
    """Run the benchmark."""
    options = arguments()
    default = _QUICK if options.quick else _FULL
    effort = replace(default, rounds=options.rounds or default.rounds)
    names = dict.fromkeys(options.only or [*WORKLOADS, *OTHERS])
    others = [each for each in OTHERS if names.pop(each, names) is None]
    sides = ["floor"] if options.floor_only else list(SIDES)
    where = report.environment(["python -m tests.benchmarks", *sys.argv[1:]])
    print_environment(where)
    workloads = [WORKLOADS[name] for name in names]
    manner = how(effort, workloads)
    print(manner, end="\n\n")
    results = run(workloads, sides, effort)
    lines = run_others(others, sides, min(effort.rounds, 1 if options.quick else 3))
    if options.json is not None:
        report.write_json(options.json, where, results)
    if options.docs:
        found = [f"- {line}" for line in lines]
        page = [
            *publish.facts(where, manner),
            "",
            *report.markdown(results),
            "",
            *found,
        ]
        publish.write("floor", page, {})


if __name__ == "__main__":
    sys.exit(run_program(main))
