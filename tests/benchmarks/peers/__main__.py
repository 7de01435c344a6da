"""The command: ``python -m tests.benchmarks.peers``, from the repository root."""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import publish, report
from tests.benchmarks.measure import Effort, Result, check, measure
from tests.benchmarks.peers import MESSAGES, PEERS, python, tables
from tests.benchmarks.processes import ChildFailed
from tests.benchmarks.program import how, print_environment, run_program
from tests.benchmarks.workloads import WORKLOADS

_FULL = Effort(rounds=5, seconds=0.4)
_QUICK = Effort(rounds=3, seconds=0.15, is_even=True)
#: Seconds in which a peer has to be imported.
_PATIENCE = 60
_ORDER = (*MESSAGES, "batch", "pairs", "pipelined", "pipelined 1", "codec")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers",
        description="Compare geopb with other libraries for remote calls.",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="runs of each side; some workloads take several times as many",
    )
    for name, choices in (("--only", _ORDER), ("--peer", PEERS)):
        parser.add_argument(
            name, action="append", choices=choices, help="one, may be repeated"
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write raw numbers")
    parser.add_argument(
        "--no-docs", action="store_true", help="leave docs/benchmarks.md as it is"
    )
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


def version(peer: str) -> str:
    """Return the version of a peer that can be used.

    Raises:
        ChildFailed: It cannot; the reason.
    """
    program = [python(), "-m", "tests.benchmarks.peers.child", peer, "version"]
    ended = subprocess.run(
        [*program, str(_PATIENCE)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:] or ["it ended without a word"]
        raise ChildFailed(last[0])
    found: str = json.loads(ended.stdout)["version"]
    check([peer])
    return found


def probe(peers: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of those that work, and why the others do not."""
    versions, left_out = {}, {}
    for peer in peers:
        try:
            versions[peer] = version(peer)
        except ChildFailed as failure:
            left_out[peer] = str(failure)
            print(f"*** LEFT OUT: {tables.title(peer)}: {failure} ***", file=sys.stderr)
    return versions, left_out


def run(names: list[str], peers: list[str], effort: Effort) -> list[Result]:
    """Measure and print, workload by workload."""
    check(["floor", "geopb"])
    results = []
    print(report.HEADER, flush=True)
    for name in names:
        able = [peer for peer in peers if name in PEERS[peer].workloads]
        ours = list(WORKLOADS[name].sides)
        workload = replace(WORKLOADS[name], sides=(*ours, *able), target=None)
        result = measure(workload, workload.sides, effort)
        print("\n".join(report.rows(result)), flush=True)
        results.append(result)
    return results


def main() -> None:
    """Run the comparison."""
    options = arguments()
    default = _QUICK if options.quick else _FULL
    effort = replace(default, rounds=options.rounds or default.rounds)
    where = report.environment(["python -m tests.benchmarks.peers", *sys.argv[1:]])
    print_environment(where)
    versions, left_out = probe(options.peer or list(PEERS))
    for peer, found in versions.items():
        print(f"{tables.title(peer) + ':':<11} {found}")
    names = options.only or list(_ORDER)
    manner = how(effort, [WORKLOADS[name] for name in names])
    print(manner, end="\n\n")
    results = run(names, list(versions), effort)
    for line in tables.ahead(results):
        print(f"ahead of geopb: {line}")
    if options.json is not None:
        report.write_json(options.json, where | versions, results)
    if not options.no_docs:
        page = tables.lines(results, versions, left_out)
        page = [*publish.facts(where, manner), "", *page]
        publish.write("peers", page, {"peers.svg": tables.picture(results)})


if __name__ == "__main__":
    sys.exit(run_program(main))
