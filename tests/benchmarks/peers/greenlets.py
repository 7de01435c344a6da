"""What clients share that call from greenlets: one call after the other, in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent

from tests.benchmarks.values import TEXT


def repeat(connection: Any, steps: int) -> None:
    """Make so many calls over one connection."""
    for _ in range(steps):
        connection.echo(TEXT)


def many_connections(connections: Sequence[Any], steps: int) -> None:
    """Make so many calls over each connection, at the same time."""
    greenlets = [gevent.spawn(repeat, each, steps) for each in connections]
    gevent.joinall(greenlets, raise_error=True)
