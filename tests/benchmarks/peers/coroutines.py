"""What peers have in common whose calls are awaited.

Their event loop runs in a thread of its own; a whole workload is one coroutine
there, so that threads are crossed once a run and not once a call.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from tests.benchmarks.commands import Client
from tests.benchmarks.values import DICTS, MEBIBYTE, OUTSTANDING, PAIRS, TEXT

#: Runs a coroutine to its end in the peer's loop, and returns its result.
Wait = Callable[[Coroutine[Any, Any, Any]], Any]


class Connection(Protocol):
    """What each such peer's connection can do, in its loop."""

    async def echo(self, value: Any) -> Any:
        """Send one value; return what comes back."""

    async def echo_all(self, values: list[Any]) -> list[Any]:
        """Send all values before awaiting the first."""

    async def gather(self, coroutines: list[Coroutine[Any, Any, Any]]) -> None:
        """Run all of them at once."""

    async def close(self) -> None:
        """Hang up."""


class Waiting:
    """A connection as `check` and closing want it: each call blocks."""

    def __init__(self, connection: Any, wait: Wait) -> None:
        self.inner = connection
        self._wait = wait

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self._wait(self.inner.echo(value))

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        result: list[Any] = self._wait(self.inner.echo_all(values))
        return result

    def close(self) -> None:
        """Hang up."""
        self._wait(self.inner.close())


async def _repeat(connection: Connection, value: Any, steps: int) -> None:
    for _ in range(steps):
        await connection.echo(value)


async def _sequential(connections: Sequence[Any], steps: int) -> None:
    await _repeat(connections[0], TEXT, steps)


async def _outstanding(connections: Sequence[Any], steps: int) -> None:
    texts = [TEXT] * OUTSTANDING
    for _ in range(steps):
        await connections[0].echo_all(texts)


async def _many_connections(connections: Sequence[Any], steps: int) -> None:
    await connections[0].gather([_repeat(each, TEXT, steps) for each in connections])


async def _dicts(connections: Sequence[Any], steps: int) -> None:
    await _repeat(connections[0], DICTS, steps)


async def _mebibyte(connections: Sequence[Any], steps: int) -> None:
    await _repeat(connections[0], MEBIBYTE, steps)


async def _pairs(connections: Sequence[Any], steps: int) -> None:
    for _ in range(steps):
        await connections[0].pair()


async def _pipelined(connections: Sequence[Any], steps: int) -> None:
    one = connections[0]
    for _ in range(steps):
        await one.gather([one.pair_at_once() for _ in range(PAIRS)])


async def _pipelined_alone(connections: Sequence[Any], steps: int) -> None:
    for _ in range(steps):
        await connections[0].pair_at_once()


_RUNS = {
    "sequential": _sequential,
    "outstanding": _outstanding,
    "connections": _many_connections,
    "dicts": _dicts,
    "mebibyte": _mebibyte,
    "pairs": _pairs,
    "pipelined": _pipelined,
    "pipelined 1": _pipelined_alone,
}


def client(connect: Callable[[str], Coroutine[Any, Any, Any]], wait: Wait) -> Client:
    """Return a client whose connections are made so, in the loop that `wait` has."""

    def run_in_loop(run: Callable[..., Coroutine[Any, Any, None]]) -> Any:
        return lambda them, steps: wait(run([each.inner for each in them], steps))

    return Client(
        lambda address: Waiting(wait(connect(address)), wait),
        {name: run_in_loop(run) for name, run in _RUNS.items()},
    )
