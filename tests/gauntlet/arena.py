"""A live server, an honest client that is served throughout, and a case's verdict.

Owns what every case of the gauntlet is judged by: the honest client was served while
the attack went on, a fresh one is served behind it, and nothing is left but what was
there: greenlets, descriptors, connections, entries of tables, memory. The log has one
line for each hostile connection at the most.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

import gevent
from gevent import Greenlet, socket

import geopb as pb
from geopb.net.address import parse
from tests.conftest import _is_stray
from tests.net.peers import HELLO
from tests.net.roots import root_of
from tests.support import SOON, eventually, server_connection, turns
from tests.timing import seconds

MEBI = 1024 * 1024
_libc: Any = ctypes.CDLL(None)


class Raw:
    """A hostile client: it says whatever bytes it likes."""

    def __init__(self, server: pb.PBServer, *, hello: bool = True) -> None:
        address = parse(server.address)
        self.sock = socket.create_connection((address.host, address.port), SOON)
        self.sock.settimeout(SOON)
        if hello:
            self.say(HELLO)

    def say(self, data: bytes) -> None:
        """Send it, as far as the server takes it."""
        try:
            self.sock.sendall(data)
        except (ConnectionError, TimeoutError):
            # The server has ended it, which `ends` will tell.
            return

    def hear(self, what: bytes) -> bytes:
        """Read until `what` has come; return all that came. Fails if it does not."""
        heard = b""
        while what not in heard:
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError(f"the end came before {what!r}: {heard[-200:]!r}")
            heard += data
        return heard

    def ends(self) -> bool:
        """Whether the server ends the connection, within a bound."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Go."""
        self.sock.close()


class Arena:
    """Where a case takes place.

    Args:
        server: Attacked by it.
        log: What the server has logged.
    """

    def __init__(self, server: pb.PBServer, log: list[logging.LogRecord]) -> None:
        self.server = server
        #: Seconds that what a case has made has for going.
        self.patience = SOON
        self._log = log
        self._raws: list[Raw] = []
        self._client = pb.connect(server.address)
        self._root = root_of(self._client)
        self._honest = server_connection(server)
        # What a connection makes once is there before the first case.
        self._fresh_client()

    def raw(self, *, hello: bool = True) -> Raw:
        """Return a hostile client; it is closed behind the case."""
        self._raws.append(Raw(self.server, hello=hello))
        return self._raws[-1]

    @contextmanager
    def case(self, *, cpu: float = 0.5, mebibytes: float = 10) -> Iterator[None]:
        """Judge what is done inside.

        Args:
            cpu: Seconds that both sides together may compute.
            mebibytes: Memory that may be left.
        """
        self._log.clear()
        before, begun = self._look(), process_time()
        memory = _memory()
        served = gevent.spawn(self._be_served)
        try:
            yield
        finally:
            spent = process_time() - begun
            answers = self._end(served)
            hostile = len(self._raws)
            for raw in self._raws:
                raw.close()
            self._raws.clear()
        assert answers > 0, "the honest client was not served meanwhile"
        assert spent < seconds(cpu), f"{spent:.2f} s of CPU, the bound is {cpu}"
        self._fresh_client()
        self._await(before)
        self._check_log(max(1, hostile))
        grown = (_memory() - memory) / MEBI
        assert grown < mebibytes, f"{grown:.1f} MiB are left"

    def close(self) -> None:
        """Let the honest client go."""
        del self._root
        self._client.disconnect()

    def _check_log(self, most: int) -> None:
        lines = [each.getMessage() for each in self._log if each.levelno > logging.INFO]
        self._log.clear()
        assert len(lines) <= most, lines
        # But for the one that tells what went wrong in a method of one's own.
        forged = [each for each in lines if "\n" in each and not _is_ours(each)]
        assert not forged, forged

    def _be_served(self) -> int:
        answers = 0
        while True:
            try:
                assert self._root.callRemote("echo", answers).get(SOON) == answers
                answers += 1
                gevent.sleep(0.001)
            except gevent.GreenletExit:
                return answers

    def _end(self, served: Any) -> int:
        """Stop the honest client when it has been answered; return how often it was."""
        turns(2)
        promise = self._root.callRemote("echo", "last")
        assert promise.get(timeout=SOON) == "last"
        served.kill()
        if not isinstance(served.value, int):
            raise AssertionError(f"the honest client has met {served.exception!r}")
        return int(served.value) + 1

    def _fresh_client(self) -> None:
        with pb.connect(self.server.address) as client:
            assert root_of(client).callRemote("echo", 1).get(timeout=SOON) == 1

    def _look(self) -> dict[str, int]:
        held = self._honest.statistics()
        return {
            **{name: held[name] for name in ("exports", "imports", "bulk_in")},
            "connections": len(self.server.connections),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "greenlets": sum(map(_is_at_work, gc.get_objects())),
        }

    def _await(self, before: dict[str, int]) -> None:
        def is_over() -> bool:
            gc.collect(1)
            now = self._look()
            return all(now[name] <= before[name] for name in before)

        try:
            eventually(is_over, self.patience)
        except AssertionError:
            raise AssertionError(f"left behind: {self._look()}, {before}") from None


def _is_at_work(value: object) -> bool:
    """Whether it is a greenlet that has not ended, nor waits for work."""
    return issubclass(type(value), Greenlet) and _is_stray(value)


def _is_ours(line: str) -> bool:
    return line.startswith("Peer will receive following PB traceback:\n")


def _memory() -> int:
    """Return what the process holds, in bytes, without what the allocator keeps."""
    gc.collect()
    _libc.malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
