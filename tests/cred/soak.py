"""Clients that log in at once, again and again, beside one that only calls."""

from __future__ import annotations

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
