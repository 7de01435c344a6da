"""Programs run as processes of their own.

Owns each process that it starts: a program's output is read within a bound, and it is
ended by its process id, also when the test fails. Waiting lets the loop turn, so that
the test's own servers and clients go on meanwhile.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import gevent
from gevent import subprocess
from gevent.pool import Pool

K = TypeVar("K")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
#: Seconds for a program to start, to answer, to end: far more than it ever takes.
PATIENCE = 20.0


@dataclass(frozen=True)
class Ended:
    """What a program printed, and its exit status."""

    stdout: str
    stderr: str
    status: int


class Program:
    """A Python program that runs; a context manager that kills it at the end.

    Args:
        arguments: A script and its arguments, or ``-c`` and code.
        prefix: A command that runs it, by replacing itself.
    """

    def __init__(
        self, *arguments: str | Path, cwd: Path = ROOT, prefix: Sequence[str] = ()
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            [*prefix, sys.executable, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=cwd,
            # What the tests send to one program reaches that one only.
            process_group=0,
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def line(self) -> str:
        """Return the next line that it prints, without its end."""
        assert self._process.stdout is not None
        with gevent.Timeout(PATIENCE, AssertionError(f"no line in {PATIENCE:g} s")):
            line: bytes = self._process.stdout.readline()
        if not line:
            self._process.wait(PATIENCE)
            raise AssertionError(f"it ended instead: {self._read_stderr()}")
        return line.decode().rstrip("\n")

    def address(self) -> str:
        """Return the address that a server's first line tells."""
        return self.line().removeprefix("listening on ")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait until it ends by itself; return what it printed since."""
        assert self._process.stdout is not None
        with gevent.Timeout(PATIENCE, AssertionError(f"no end in {PATIENCE:g} s")):
            stdout: bytes = self._process.stdout.read()
        status = self._process.wait(PATIENCE)
        return Ended(stdout.decode(), self._read_stderr(), status)

    def end(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send it a signal, and wait until it has ended."""
        self.send(number)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._stderr.close()

    def _read_stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode()


def run(*arguments: str | Path, cwd: Path = ROOT) -> Ended:
    """Run a program to its end."""
    with Program(*arguments, cwd=cwd) as program:
        return program.wait()


class SideBySide(Generic[K, T]):
    """What jobs have come to that mostly wait for programs; all done when it is made.

    As many at a time as there are processors. One that fails does so for who asks for
    it, and for nobody else.

    Args:
        jobs: By the name that each is asked for by.
    """

    def __init__(self, jobs: Mapping[K, Callable[[], T]]) -> None:
        self._came_to: dict[K, T] = {}
        self._failed: dict[K, Exception] = {}

        def do(name: K) -> None:
            try:
                self._came_to[name] = jobs[name]()
            except Exception as error:
                self._failed[name] = error

        Pool(os.cpu_count()).map(do, jobs)

    def __getitem__(self, name: K) -> T:
        """Return what a job returned, or raise what it raised."""
        if name in self._failed:
            raise self._failed[name]
        return self._came_to[name]


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in `language`, in order."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
    return list(found)
