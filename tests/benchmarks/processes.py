"""The parent's end of the child processes: start, ask, end.

Owns every process of the benchmark and leaves none behind, also after Ctrl-C or
an error: each child is ended by closing its stdin, then by its process id. Waits
for nothing without a bound.
"""

import json
import select
import subprocess
import sys
from contextlib import suppress
from typing import Any, Self

from tests.benchmarks import peers
from tests.benchmarks.figures import Sample, Usage
from tests.benchmarks.workloads import Workload

#: What no child outlives, in seconds; it is needed for one round.
LIFE = 600

#: Longest wait for one answer of a child, in seconds: far above any honest run.
REPLY_TIMEOUT = 120.0

#: Longest wait for a child to end by itself, in seconds.
END_TIMEOUT = 5.0


class ChildFailed(Exception):
    """A child process ended, or was silent, where an answer was due."""


def _program(side: str) -> list[str]:
    """Return what runs this side's server and client."""
    if side in peers.PEERS:
        return [peers.python(), "-m", "tests.benchmarks.peers.child"]
    return [sys.executable, "-m", "tests.benchmarks.child"]


class Child:
    """One child process, starting; a context manager that ends it."""

    def __init__(self, side: str, role: str) -> None:
        self._name = f"{side} {role}"
        self._process = subprocess.Popen(
            [*_program(side), side, role, str(LIFE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is the parent's to handle: children end in order.
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def hello(self) -> dict[str, Any]:
        """Wait until the child is ready, once, before anything is asked.

        Raises:
            ChildFailed: As ``ask``.
        """
        return self._reply()

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Give one command and wait for its answer.

        Raises:
            ChildFailed: The child is gone, or silent for ``REPLY_TIMEOUT``.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode())
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        # One answer to one question: nothing can wait in the reader's buffer.
        if not select.select([stdout], [], [], REPLY_TIMEOUT)[0]:
            raise ChildFailed(f"{self._name}: no answer in {REPLY_TIMEOUT:g} s")
        line = stdout.readline()
        if not line:
            raise self._ended()
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _ended(self) -> ChildFailed:
        status = self._process.wait(END_TIMEOUT)
        return ChildFailed(f"{self._name}: ended with status {status}")

    def end(self) -> None:
        """End the process: ask, then terminate, then kill. Idempotent."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # It may be gone already.
            process.stdin.close()
        for insist in (process.terminate, process.kill, lambda: None):
            try:
                process.wait(END_TIMEOUT)
                break
            except subprocess.TimeoutExpired:
                insist()
        process.stdout.close()


class Pair:
    """One side's server and client, starting; a context manager that ends both."""

    def __init__(self, side: str) -> None:
        self._address = ""
        self._server = Child(side, "server")
        self._client = Child(side, "client")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._server, self._client:
            pass

    def open(self, connections: int, delay: float = 0.0) -> None:
        """Wait until both are ready, and connect them; once, before the rest.

        With a delay through a relay: seconds that a byte is under way, one way.
        """
        self._address = self._server.hello()["address"]
        self._client.hello()
        if delay:
            self._address = self._server.ask("relay", seconds=delay)["address"]
        self._client.ask("open", address=self._address, count=connections)

    def growth_with(self, connections: int) -> Usage:
        """Open more connections, and tell what the server has used for them."""
        self._server.ask("collect")
        before = self._server.ask("usage")
        self._client.ask("open", address=self._address, count=connections)
        self._server.ask("collect")
        return _growth(before, self._server.ask("usage"))

    def check(self) -> None:
        """See that values come back unchanged."""
        self._client.ask("check")

    def run(self, workload: Workload, steps: int) -> Sample:
        """Do ``steps`` of a workload and measure them."""
        self._client.ask("collect")
        self._server.ask("collect")
        before = self._server.ask("usage")
        client = self._client.ask("run", workload=workload.name, steps=steps)
        after = self._server.ask("usage")
        return Sample(
            calls=steps * workload.calls,
            seconds=client["seconds"],
            latency=client["latency"],
            client=_growth(client["before"], client["after"]),
            server=_growth(before, after),
        )


def _growth(before: dict[str, Any], after: dict[str, Any]) -> Usage:
    return Usage(**{name: after[name] - before[name] for name in after})
