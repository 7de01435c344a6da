"""Clients that log in at once, again and again, beside one that only calls.

``python -m tests.cred.soak [CLIENTS [SECONDS]]`` does it with the server in a process
of its own; the suite does it for two seconds, in one process.
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import monotonic
from typing import Any

import gevent

import geopb as pb


class Realm:
    """Hands out avatars; counts those that are in."""

    def __init__(self) -> None:
        self.logins = self.logouts = 0

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        self.logins += 1
        return interfaces[0], Echoer(), self._out

    def _out(self) -> None:
        self.logouts += 1


class Echoer(pb.Avatar):
    def perspective_echo(self, value: Any) -> Any:
        return value


def medians(address: str, clients: int, seconds: float) -> tuple[float, float, int]:
    """Return the echo's median latency at rest, and under logins; and their number.

    Raises what the first login raised that failed.
    """
    with pb.connect(address) as quiet:
        echoer = quiet.login(pb.UsernamePassword("quiet", "secret")).get(timeout=10)
        idle = median(_latencies(echoer, 0.2 * seconds))
        until = monotonic() + seconds
        busy = [gevent.spawn(_log_in_until, address, until) for _ in range(clients)]
        under_load = median(_latencies(echoer, seconds))
        gevent.joinall(busy, raise_error=True)
        return idle, under_load, sum(each.value for each in busy)


def _latencies(echoer: Any, seconds: float) -> list[float]:
    until, found = monotonic() + seconds, []
    while monotonic() < until:
        begun = monotonic()
        echoer.callRemote("echo", 1).get(timeout=10)
        found.append(monotonic() - begun)
        gevent.sleep(0.005)
    return found


def _log_in_until(address: str, until: float) -> int:
    done = 0
    while monotonic() < until:
        with pb.connect(address, timeout=30) as client:
            avatar = client.login(pb.UsernamePassword("alice", "sesame")).get(
                timeout=30
            )
            assert avatar.callRemote("echo", done).get(timeout=30) == done
            done += 1
    return done


def portal() -> pb.Portal:
    users = pb.InMemoryUsernamePasswordDatabaseDontUse(alice="sesame", quiet="secret")
    return pb.Portal(Realm(), [users])


def main(clients: int, seconds: float) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cred.soak", "serve"],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        try:
            idle, under_load, logins = medians(address, clients, seconds)
        finally:
            server.terminate()
    print(f"{logins} logins of {clients} clients in {seconds:g} s, none failed")
    print(f"echo: {idle * 1e6:.0f} us at rest, {under_load * 1e6:.0f} us meanwhile")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        with pb.serve(portal(), "127.0.0.1:0") as serving:
            print(serving.address, flush=True)
            serving.serve_forever()
    else:
        given = [*sys.argv[1:], *["50", "10"][len(sys.argv) - 1 :]]
        main(int(given[0]), float(given[1]))
