"""What stays: memory of a connection that does nothing, and of pairs that are over.

Not rates, so they are no workloads: connections are opened, or objects had and dropped,
and what the processes have grown by is divided by their number. Called by the command.
"""

from collections.abc import Sequence
from statistics import median

from tests.benchmarks.processes import Pair
from tests.benchmarks.workloads import WORKLOADS

#: Connections that are opened; as many descriptors are needed in each process.
CONNECTIONS = 2000
#: Bytes of the server's process for each of geopb's that are wanted at the most.
TARGET = 14 * 1024
#: Objects that are had and dropped.
PAIRS = 20_000
#: Bytes of either process for each that count as none: an entry of a table has more.
NONE = 8
#: Connections opened before, so that what a first one loads does not count; and pairs.
_WARM, _WARM_PAIRS = 50, 5000


def measure_idle(side: str) -> float:
    """Return the bytes that the server's process grows by for each connection."""
    with Pair(side) as pair:
        pair.open(_WARM)
        pair.check()
        return pair.growth_with(CONNECTIONS).resident_bytes / CONNECTIONS


def measure_kept() -> tuple[float, float]:
    """Return the bytes that geopb's client and server grow by for each pair."""
    workload = WORKLOADS["pairs"]
    with Pair("geopb") as pair:
        pair.open(1)
        pair.run(workload, _WARM_PAIRS)
        sample = pair.run(workload, PAIRS)
    return sample.client.resident_bytes / PAIRS, sample.server.resident_bytes / PAIRS


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
    if "geopb" in sides:
        kept = [measure_kept() for _ in range(rounds)]
        client, server = (median(each) for each in zip(*kept, strict=True))
        verdict = "ok" if max(client, server) <= NONE else "MORE"
        lines.append(
            f"pairs: {client:.1f} bytes of geopb's client and {server:.1f} of its "
            f"server stay of {PAIRS:,} that are over; at most {NONE}: {verdict}"
        )
    return lines
