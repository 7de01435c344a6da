"""What a connection costs that does nothing: memory of the server's process.

Not a rate, so it is no workload: connections are opened, and what the server's process
has grown by is divided by their number. Called by the command.
"""

from collections.abc import Sequence
from statistics import median

from tests.benchmarks.processes import Pair

#: Connections that are opened; as many descriptors are needed in each process.
CONNECTIONS = 2000
#: Bytes of the server's process for each of geopb's that are wanted at the most.
TARGET = 16 * 1024
#: Opened before, so that what a first connection loads does not count.
_WARM = 50


def measure_idle(side: str) -> float:
    """Return the bytes that the server's process grows by for each connection."""
    with Pair(side) as pair:
        pair.open(_WARM)
        pair.check()
        return pair.growth_with(CONNECTIONS).resident_bytes / CONNECTIONS


def rows(sides: Sequence[str], rounds: int) -> list[str]:
    """Measure each side so often, in a fresh process each time; lay out the lines."""
    lines = []
    # Others are geopb's servers with other calls.
    for side in (each for each in sides if each in ("floor", "geopb", "tls")):
        size = median(measure_idle(side) for _ in range(rounds))
        line = f"idle: {size / 1024:6.1f} KiB of {side}'s server a connection"
        if side == "geopb":
            line += f"; at most {TARGET / 1024:g}: {'ok' if size <= TARGET else 'MORE'}"
        lines.append(line)
    return lines
