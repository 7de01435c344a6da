"""``python -m tests.soak``: the full numbers, which are 10,000 connections. Minutes."""

import logging
import sys
from time import monotonic

import geopb as pb
from tests.benchmarks.attacks import ATTACKS
from tests.net.floods import Flooded, flood
from tests.soak.soak import soak, wrong

CYCLES, PAIRS, CANCELS = 5_000, 100_000, 10_000
#: Seconds of each flood, and the MiB that it may cost, the attacker's own among them.
FLOOD, MOST = 20.0, 512


def floods() -> bool:
    """Have each flood go on for a while; return whether one cost too much."""
    failed = False
    # A million refusals are of no use here.
    logging.getLogger("geopb").setLevel(logging.CRITICAL)
    for name in ATTACKS:
        with pb.serve(Flooded(), "127.0.0.1:0") as server:
            cost = flood(server, name, FLOOD)
        memory = cost.memory / 2**20
        failed = failed or memory > MOST
        print(f"{memory:7.0f} MiB at most, flooded with {name}: {cost}", flush=True)
    return failed


def main() -> int:
    """Run it; returns the process's exit status."""
    begun = monotonic()
    failed = False
    for name, (times, grown) in soak(CYCLES, PAIRS, CANCELS).items():
        found = wrong(times, grown)
        failed = failed or bool(found)
        print(f"{times:7,d} {name}: {'; '.join(found) or 'nothing has grown'}")
        print(f"        {grown}", flush=True)
    failed = floods() or failed
    print(f"{monotonic() - begun:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
