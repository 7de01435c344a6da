"""One server, client or attacker in a process of its own.

``python -m tests.benchmarks.child SIDE server|client|attacker SECONDS``, started by
``processes``. Reads a JSON command per line from stdin and answers each with a JSON
line on stdout; ends when stdin closes, and after SECONDS whatever happens.
"""

import importlib
import sys
from contextlib import ExitStack
from typing import Any

import gevent
from gevent.fileobject import FileObjectPosix

from geopb.testing import FaultProxy
from tests.benchmarks import attacks
from tests.benchmarks.commands import Client, Reply, bound, obey, place
from tests.benchmarks.curve_points import POINTS
from tests.benchmarks.workloads import SIDES

#: Sides that are left to the system: who may use one processor alone never polls.
_UNPLACED = frozenset(("polling",))


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


def serve(server: Any, lines: FileObjectPosix) -> None:
    """Be a server until told to end, behind a relay if told so."""
    with ExitStack() as stack:
        stack.callback(server.stop)

        def relay(seconds: float) -> Reply:
            proxy = FaultProxy(server.address, on_link=lambda link: link.delay(seconds))
            return {"address": stack.enter_context(proxy).address}

        obey(lines, {"relay": relay}, {"address": server.address})


def attack(lines: FileObjectPosix) -> None:
    """Be an attacker until told to end."""
    attacker = Attacker()
    try:
        obey(lines, {"begin": attacker.begin, "end": attacker.end}, {})
    finally:
        attacker.end()


def call(client: Client, lines: FileObjectPosix) -> None:
    """Be a client until told to end."""
    try:
        obey(lines, client.commands(), {})
    finally:
        client.close()


def main(side: str, role: str, seconds: str) -> None:
    """Be one side's server or client, or its attacker, until told to end."""
    bound(int(seconds))
    if side not in _UNPLACED:
        place(role)
    module = importlib.import_module(SIDES[side])
    # The wait for a command is gevent's, so that a side's own greenlets can finish
    # what they have begun.
    lines = FileObjectPosix(sys.stdin.fileno(), "rb", closefd=False)
    if role == "server":
        serve(module.Server(), lines)
    elif role == "attacker":
        attack(lines)
    else:
        runs = {name: each.run for name, each in POINTS.items()}
        call(Client(module.Connection, runs), lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
