"""Fuzzing that is guided by what the code does with its inputs: one target.

``python -m tests.fuzz.guided one_end|two_ends [libFuzzer's options] corpus...``. Runs
until its time is over; exits with another status than 0 on a finding. Called by
``make fuzz``.
"""

from __future__ import annotations

import gc
import sys

import atheris

with atheris.instrument_imports(include=["geopb"]):
    import geopb  # noqa: F401 (imported here to be instrumented)

from tests.fuzz import ends

#: Instrumented code, and a full collection, take longer.
ends.MOST_SECONDS = 2.0

TARGETS = {"one_end": ends.check_one_end, "two_ends": ends.check_two_ends}


def main() -> None:
    """Fuzz; does not return."""
    target = TARGETS[sys.argv.pop(1)]
    gc.collect()
    gc.freeze()

    def run(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
