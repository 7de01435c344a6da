"""``python -m tests.soak``: the full numbers, which are 10,000 connections. Minutes."""

import sys
from time import monotonic

from tests.soak.soak import soak, wrong

CYCLES, PAIRS, CANCELS = 5_000, 100_000, 10_000


def main() -> int:
    """Run it; returns the process's exit status."""
    begun = monotonic()
    failed = False
    for name, (times, grown) in soak(CYCLES, PAIRS, CANCELS).items():
        found = wrong(times, grown)
        failed = failed or bool(found)
        print(f"{times:7,d} {name}: {'; '.join(found) or 'nothing has grown'}")
        print(f"        {grown}", flush=True)
    print(f"{monotonic() - begun:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
