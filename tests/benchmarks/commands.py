"""What a child process can be told to do, whichever environment it runs in.

Needs neither gevent nor geopb. Called by ``child`` and by ``peers.child``.
"""

import gc
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.values import TEXT
from tests.benchmarks.workloads import WORKLOADS, Connection, check

Reply = dict[str, Any]
Command = Callable[..., Reply]
Run = Callable[[Sequence[Any], int], float | None]


def bound(seconds: int) -> None:
    """End this process after so long; let it have all the descriptors it may."""
    # The kernel's alarm, because it also ends a process whose event loop is stuck.
    signal.alarm(seconds)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def place(role: str) -> None:
    """Keep a server on one half of the processors, and a client on the other.

    Left to the system, who calls and who answers are often on one processor, where
    nobody has to be woken on another: a call takes half of the time then. What stands
    before a run decides that, and so would decide which side is ahead.
    """
    if not hasattr(os, "sched_setaffinity"):  # Linux alone has it.
        return
    there = sorted(os.sched_getaffinity(0))
    half = len(there) // 2
    mine = {"client": there[:half], "server": there[half:]}.get(role)
    if mine:
        os.sched_setaffinity(0, mine)


def usage() -> Reply:
    """Tell what this process has used, all its threads together."""
    return {"cpu_seconds": time.process_time(), "resident_bytes": _resident_bytes()}


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:  # Only Linux tells the present size without a package.
        return 0


def collect() -> Reply:
    """Collect garbage, so that a run does not pay for the one before it."""
    gc.collect()
    return {}


class Client:
    """The client's commands: open connections, run a workload on them.

    Args:
        connect: Opens one connection.
        runs: What a side does in its own way, by the name of the workload.
    """

    def __init__(
        self, connect: Callable[[str], Connection], runs: Mapping[str, Run]
    ) -> None:
        self._connect = connect
        self._runs = {name: each.run for name, each in WORKLOADS.items()} | dict(runs)
        self._connections: list[Connection] = []

    def open(self, address: str, count: int) -> Reply:
        """Open ``count`` connections."""
        self._connections += [self._connect(address) for _ in range(count)]
        return {}

    def check(self) -> Reply:
        """See that this side's echo is one."""
        check(self._connections[0])
        return {}

    def run(self, workload: str, steps: int) -> Reply:
        """Do ``steps`` of a workload; tell how long it took and what it used."""
        run = self._runs[workload]
        before = usage()
        begun = time.perf_counter()
        latency = run(self._connections, steps)
        seconds = time.perf_counter() - begun
        told = {"seconds": seconds, "latency": latency}
        return {**told, "before": before, "after": usage()}

    def latencies(self, seconds: float, wait: float) -> Reply:
        """Call for so long, after a while; tell what each call took, in seconds."""
        time.sleep(wait)
        connection, taken = self._connections[0], []
        now = time.perf_counter()
        until = now + seconds
        while now < until:
            begun = now
            connection.echo(TEXT)
            now = time.perf_counter()
            taken.append(now - begun)
        return {"seconds": taken}

    def close(self) -> None:
        """Close every connection."""
        while self._connections:
            self._connections.pop().close()

    def commands(self) -> dict[str, Command]:
        """Return what it can be told, by name."""
        names = "open", "check", "run", "latencies"
        return {name: getattr(self, name) for name in names}


def obey(lines: Iterable[bytes], commands: Mapping[str, Command], hello: Reply) -> None:
    """Say hello, then answer commands until the lines end."""
    known = {"usage": usage, "collect": collect, **commands}
    print(json.dumps(hello), flush=True)
    for line in lines:
        request = json.loads(line)
        name = request.pop("do")
        print(json.dumps(known[name](**request)), flush=True)
