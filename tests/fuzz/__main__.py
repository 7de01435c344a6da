"""``python -m tests.fuzz``: a third of the time by chance, two thirds guided.

``SECONDS`` in the environment says how long in all. What the guided part has learnt
stays in ``build/fuzz/corpus``, what it has found in ``build/fuzz/findings``; the exit
status is 1 if anything was found.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from tests.fuzz import ends, seeds
from tests.fuzz.mutants import changes, mutants

BUILD = Path("build/fuzz")
#: Bytes of an input: several messages; and changes of some frames.
LONGEST = {"one_end": 4096, "two_ends": 101}
#: Seconds for one input before it counts as one that never ends; MiB in all.
_TOO_LONG, _TOO_LARGE = 20, 2048

Target = Callable[[bytes], Any]


def main() -> int:
    """Run it; returns the process's exit status."""
    seconds = float(os.environ.get("SECONDS") or 600)
    share = max(1.0, seconds / 3)
    findings = BUILD / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    found = by_chance(share, findings)
    for target, inputs in (
        ("one_end", seeds.one_end()),
        ("two_ends", seeds.two_ends()),
    ):
        found += guided(target, inputs, share, findings)
    if found:
        print(f"*** {found} findings, see {findings} ***", file=sys.stderr)
        return 1
    print("nothing found")
    return 0


def by_chance(share: float, findings: Path) -> int:
    """Change seeds by chance for `share` seconds; return how many findings."""
    # Another part each time, and repeatable all the same: the seed is told.
    seed = int.from_bytes(os.urandom(4), "big")
    streams: tuple[tuple[str, Target, Iterator[bytes]], ...] = (
        ("one_end", ends.check_one_end, mutants(seed, seeds.one_end())),
        ("two_ends", ends.check_two_ends, changes(seed, seeds.two_ends())),
    )
    total = 0
    for name, target, inputs in streams:
        until, count, found = monotonic() + share / 2, 0, 0
        while monotonic() < until:
            data = next(inputs)
            count += 1
            try:
                target(data)
            except Exception:
                found += 1
                path = findings / f"chance-{name}-{seed}-{count}"
                path.write_bytes(data)
                print(f"*** {path}", file=sys.stderr)
                traceback.print_exc()
                if found > 10:
                    break
        print(f"by chance {name}: {count:,} inputs, {found} findings, seed {seed}")
        total += found
    return total


def guided(target: str, inputs: tuple[bytes, ...], share: float, findings: Path) -> int:
    """Have atheris look for what is new for `share` seconds; return how many."""
    learnt, given = BUILD / "corpus" / target, BUILD / "seeds" / target
    for folder in (learnt, given):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (given / str(number)).write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.guided", target]
    command += [
        f"-max_total_time={share:.0f}",
        f"-max_len={LONGEST[target]}",
        f"-timeout={_TOO_LONG}",
        f"-rss_limit_mb={_TOO_LARGE}",
        f"-artifact_prefix={findings}/{target}-",
        "-print_final_stats=1",
        str(learnt),
        str(given),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    output = ran.stdout + ran.stderr
    count = re.search(r"number_of_executed_units: (\d+)", output)
    edges = re.findall(r" cov: (\d+)", output)
    told = f"{int(count[1]):,} inputs" if count else "no input counted"
    print(f"guided {target}: {told}, {edges[-1] if edges else 'no'} edges")
    if ran.returncode:
        print(output[-6000:], file=sys.stderr)
    elif count is None or not edges:
        print("*** atheris has done nothing ***", output[-2000:], file=sys.stderr)
        return 1
    return int(ran.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
