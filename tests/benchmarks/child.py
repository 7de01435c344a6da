"""One server or one client in a process of its own.

``python -m tests.benchmarks.child SIDE server|client|attacker SECONDS``, started by
``processes``. Reads a JSON command per line from stdin and answers each with a JSON
line on stdout; ends when stdin closes, and after SECONDS whatever happens.
"""

import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.fileobject import FileObjectPosix

from tests.benchmarks import attacks
from tests.benchmarks.workloads import SIDES, TEXT, WORKLOADS, Connection, check

Reply = dict[str, Any]
Command = Callable[..., Reply]


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
    """The client's commands: open connections, run a workload on them."""

    def __init__(self, connect: Callable[[str], Connection]) -> None:
        self._connect = connect
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
        run = WORKLOADS[workload].run
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


class Attacker:
    """The attacker's commands: begin, and end."""

    def __init__(self) -> None:
        self._running: Any = None

    def begin(self, address: str, attack: str) -> Reply:
        """Attack from now on."""
        self._running = gevent.spawn(attacks.attack, address, attack)
        return {}

    def end(self) -> Reply:
        """Attack no more."""
        if self._running is not None:
            self._running.kill()
            self._running = None
        return {}


def obey(commands: dict[str, Command], hello: Reply) -> None:
    """Say hello, then answer commands until stdin closes.

    The wait for a command is gevent's, so that a side's own greenlets can finish
    what they have begun.
    """
    stdin = FileObjectPosix(sys.stdin.fileno(), "rb", closefd=False)
    print(json.dumps(hello), flush=True)
    for line in stdin:
        request = json.loads(line)
        name = request.pop("do")
        print(json.dumps(commands[name](**request)), flush=True)


def main(side: str, role: str, seconds: str) -> None:
    """Be one side's server or client until told to end."""
    # The kernel's alarm, because it also ends a process whose event loop is stuck.
    signal.alarm(int(seconds))
    # A descriptor for each connection: as many as the system lets a process have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    module = importlib.import_module(SIDES[side])
    commands: dict[str, Command] = {"usage": usage, "collect": collect}
    if role == "server":
        server = module.Server()
        try:
            obey(commands, {"address": server.address})
        finally:
            server.stop()
    elif role == "attacker":
        attacker = Attacker()
        commands |= {"begin": attacker.begin, "end": attacker.end}
        try:
            obey(commands, {})
        finally:
            attacker.end()
    else:
        client = Client(module.Connection)
        commands |= {"open": client.open, "check": client.check, "run": client.run}
        commands["latencies"] = client.latencies
        try:
            obey(commands, {})
        finally:
            client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
