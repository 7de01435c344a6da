"""What an honest client waits for an answer while another connection attacks.

Owns the measuring: the median latency of one client's calls, alone and beside each
attack. Not a rate, so it is no workload. Server, client and attacker are a process
each, which on two cores is part of what is measured. Called by the command.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.attacks import ATTACKS
from tests.benchmarks.processes import Child

#: Times the idle latency that an honest client may wait beside one attacker.
TARGET = 3.0
#: Seconds that an attack lasts before it is looked at.
_BEFORE = 0.5
#: Seconds of calls for each figure.
_SECONDS = 2.0


def rows(sides: Sequence[str], rounds: int) -> Iterator[str]:
    """Measure each attack so often; yield a line for each, if geopb is looked at."""
    if "geopb" not in sides:
        return
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ATTACKS}
    idles = []
    for _ in range(rounds):
        for name in ATTACKS:
            idle, attacked = _measure(name)
            idles.append(idle)
            found[name].append((idle, attacked))
    yield f"attacked: {median(idles) * 1e6:6.0f} us a call without an attack"
    for name, pairs in found.items():
        middle = median(attacked for _, attacked in pairs)
        ratio = median(attacked / idle for idle, attacked in pairs)
        verdict = "ok" if ratio <= TARGET else "MORE"
        yield (
            f"attacked: {middle * 1e6:6.0f} us, {ratio:5.2f} times that, by {name}; "
            f"at most {TARGET:g}: {verdict}"
        )


def _measure(name: str) -> tuple[float, float]:
    """Return the median latency alone and beside an attack."""
    with ExitStack() as stack:
        server, client, attacker = (
            stack.enter_context(Child("geopb", role))
            for role in ("server", "client", "attacker")
        )
        address = server.hello()["address"]
        client.hello()
        attacker.hello()
        client.ask("open", address=address, count=1)
        client.ask("latencies", seconds=0.2, wait=0)
        idle = client.ask("latencies", seconds=_SECONDS / 2, wait=0)["seconds"]
        attacker.ask("begin", address=address, attack=name)
        # The attacker may be slow to answer: it is busy.
        attacked = client.ask("latencies", seconds=_SECONDS, wait=_BEFORE)["seconds"]
        return median(idle), median(attacked)
