"""What peers have in common whose calls block a thread.

Most workloads are the table's own; many connections have a thread each.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from tests.benchmarks.commands import Client
from tests.benchmarks.values import TEXT


class Connection(Protocol):
    """What each such peer's connection can do."""

    def echo(self, value: Any) -> Any:
        """Send one value and wait until it is back."""

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Send all values before waiting for the first."""

    def use_here(self) -> None:
        """Be told that the thread that calls this is the one that uses it now."""

    def close(self) -> None:
        """Hang up."""


class Threads:
    """A thread for each connection, for as long as the client lives."""

    def __init__(self) -> None:
        self._pools: list[ThreadPoolExecutor] = []

    def many_connections(self, connections: Sequence[Connection], steps: int) -> None:
        """Send one short text at a time on each, from its thread."""
        while len(self._pools) < len(connections):
            self._pools.append(ThreadPoolExecutor(1))
        running = [
            pool.submit(_repeat, connection, steps)
            for pool, connection in zip(self._pools, connections, strict=True)
        ]
        for each in running:
            each.result()


def _repeat(connection: Connection, steps: int) -> None:
    connection.use_here()
    for _ in range(steps):
        connection.echo(TEXT)


def client(connect: Callable[[str], Connection]) -> Client:
    """Return a client whose connections are made so."""
    return Client(connect, {"connections": Threads().many_connections})
