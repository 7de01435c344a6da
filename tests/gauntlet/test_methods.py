"""Methods that misbehave, and a server that is used beyond its means."""

from __future__ import annotations

import collections
import enum
import io
import os
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import pytest

import geopb as pb
from tests.gauntlet.conftest import MakeArena
from tests.gauntlet.corpus import FULL
from tests.net.roots import Doing, root_of
from tests.support import eventually

pytestmark = pytest.mark.slow


class Number(enum.IntEnum):
    ONE = 1


class Lying(collections.UserList[int]):
    def __len__(self) -> int:
        return 2**40


Pair = collections.namedtuple("Pair", "a b")

#: 112: what cbor2 would take and flatten, or never end with; all of it is refused.
TRAPS: dict[str, Callable[[], Any]] = {
    "the environment": lambda: os.environ,
    "a range": lambda: range(10**12),
    "a deque": lambda: collections.deque([1]),
    "a Counter": lambda: collections.Counter("a"),
    "an OrderedDict": lambda: collections.OrderedDict(a=1),
    "a defaultdict": lambda: collections.defaultdict(list),
    "a UserDict": lambda: collections.UserDict(a=1),
    "a list that lies": lambda: Lying([1]),
    "a named tuple": lambda: Pair(1, 2),
    "an IntEnum": lambda: Number.ONE,
    "a view of bytes": lambda: memoryview(b"abc"),
    "an iterator": lambda: iter([1]),
    "a dict's keys": {}.keys,
    "a module": lambda: os,
    "a class": lambda: dict,
    "a function": lambda: os.getpid,
    "a file": lambda: open(os.devnull, "rb"),  # noqa: SIM115 (it is closed below)
    "an object": object,
    "an exception": lambda: ValueError("x"),
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "a lone surrogate": lambda: "\ud800",
    "a surrogate as key": lambda: {"\ud800": 1},
}


def test_results_that_may_not_cross(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    made: list[Any] = []

    def make(name: str) -> Any:
        made.append(TRAPS[name]())
        return made[-1]

    ring = arena(Doing(make))
    for name in TRAPS:
        with (
            subtests.test(name),
            ring.case(),
            pb.connect(ring.server.address) as client,
        ):
            with pytest.raises(pb.InsecureJelly) as raised:
                root_of(client).callRemote("do", name).get(timeout=5)
            assert len(str(raised.value)) < 1000
            del raised
            last = made.pop()
            if isinstance(last, io.IOBase):
                last.close()
            del last


def _nested() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


def _deep_recursion() -> Any:
    def go() -> Any:
        return go()

    return go()


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _cycle() -> Any:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def _raise(error: BaseException) -> Any:
    raise error


#: 104, 105, 109 to 111, 113: what a method does, and what its caller gets.
DEEDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "an exception": (lambda: _raise(ValueError("x")), ValueError),
    "out of memory": (lambda: _raise(MemoryError()), MemoryError),
    "more memory than there is": (lambda: bytes(2**62), MemoryError),
    "recursion": (_deep_recursion, RecursionError),
    "no text": (lambda: _raise(Unsayable()), pb.RemoteError),
    "a MiB of text": (lambda: _raise(ValueError("x" * 2**20)), ValueError),
    "lone surrogates": (lambda: _raise(ValueError("\ud800")), ValueError),
    "causes in a cycle": (_cycle, ValueError),
    "a BaseException": (lambda: _raise(BaseException("x")), pb.RemoteError),
    "GeneratorExit": (lambda: _raise(GeneratorExit()), pb.RemoteError),
    "SystemExit": (lambda: _raise(SystemExit(3)), pb.RemoteError),
    "GreenletExit": (lambda: _raise(gevent.GreenletExit()), pb.RemoteError),
    "a timeout": (lambda: _raise(gevent.Timeout(1)), pb.RemoteError),
    "StopIteration": (lambda: _raise(StopIteration()), pb.RemoteError),
    "a deep result": (_nested, pb.LimitExceeded),
    "a result that is too large": (lambda: ["x"] * 5_000_000, pb.LimitExceeded),
    "bytes that are too large": (lambda: bytes(70_000_000), pb.LimitExceeded),
    "a promise of itself": (lambda: pb.fail(KeyError("x")), KeyError),
}


def test_methods_that_fail(arena: MakeArena, subtests: pytest.Subtests) -> None:
    ring = arena(Doing(lambda name: DEEDS[name][0]()))
    for name, (_, error) in DEEDS.items():
        with (
            subtests.test(name),
            ring.case(cpu=3),
            pb.connect(ring.server.address) as client,
            pytest.raises(error),
        ):
            root_of(client).callRemote("do", name).get(timeout=10)


def test_a_result_that_is_changed_while_it_is_sent_arrives_as_it_was(
    arena: MakeArena,
) -> None:
    """114: also one that is too large to be sent at once."""
    results: list[Any] = []

    def do() -> Any:
        result = [list(range(1000)), bytearray(3_000_000), {"a": 1}]
        results.append(result)

        def change() -> None:
            result[0].clear()
            result[1][:] = b"\xff" * 3_000_000
            result[2].clear()

        gevent.spawn(change)
        return result

    ring = arena(Doing(do))
    with ring.case(cpu=2), pb.connect(ring.server.address) as client:
        found = root_of(client).callRemote("do").get(timeout=10)
        assert found == [list(range(1000)), bytearray(3_000_000), {"a": 1}]
        del found
        results.clear()


def test_a_method_that_computes_without_end_for_a_while_costs_no_connection(
    arena: MakeArena,
) -> None:
    """115: nobody is taken for dead who was kept waiting."""

    def compute() -> str:
        until = monotonic() + 0.6
        while monotonic() < until:
            pass
        return "done"

    ring = arena(Doing(compute), keepalive=0.5)
    with ring.case(cpu=3), pb.connect(ring.server.address) as client:
        assert root_of(client).callRemote("do").get(timeout=10) == "done"


def test_a_method_that_swallows_its_end_goes_on_alone(arena: MakeArena) -> None:
    """116, 117: it is interrupted once; what it does then harms nobody."""
    seen: list[str] = []
    started: list[int] = []

    def stubborn() -> str:
        started.append(1)
        for _ in range(2):
            try:
                gevent.sleep(30)
            except BaseException as error:
                seen.append(type(error).__name__)
                return "went on"
        return "was never stopped"

    ring = arena(Doing(stubborn))
    with ring.case(), pb.connect(ring.server.address) as client:
        promise = root_of(client).callRemote("do")
        eventually(
            lambda: any(c.statistics()["running"] for c in ring.server.connections)
        )
        client.disconnect()
        with pytest.raises(pb.PBConnectionLost):
            promise.get(timeout=5)
        eventually(lambda: seen == ["Cancelled"])


def _status(child: int) -> int:
    """Return how a child has ended; 0 as well where the loop has taken that already."""
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:
        # Where gevent watches children, it reaps them all.
        return 0


def test_a_method_that_forks_disturbs_nobody(arena: MakeArena) -> None:
    """108: the child ends, or goes on, and takes nothing from its parent's lines."""
    children: list[int] = []

    def fork() -> str:
        child = os.fork()
        if not child:
            os._exit(0)
        children.append(child)
        return "forked"

    ring = arena(Doing(fork))
    with ring.case(cpu=3), pb.connect(ring.server.address) as client:
        for _ in range(3):
            assert root_of(client).callRemote("do").get(timeout=10) == "forked"
        for child in children:
            assert _status(child) == 0


# -- load ------------------------------------------------------------------------------


def test_many_connects_at_once_and_all_are_served(arena: MakeArena) -> None:
    """118."""
    ring = arena()
    count = 1000 if FULL else 100

    def come() -> Any:
        with pb.connect(ring.server.address, timeout=30) as client:
            return root_of(client).callRemote("echo", 1).get(timeout=30)

    with ring.case(cpu=60 if FULL else 5, mebibytes=20):
        coming = [gevent.spawn(come) for _ in range(count)]
        gevent.joinall(coming, timeout=50, raise_error=True)
        assert [each.value for each in coming] == [1] * count


def test_who_comes_and_goes_leaves_nothing(arena: MakeArena) -> None:
    """119: with and without a hello."""
    ring = arena()
    with ring.case(cpu=60 if FULL else 5):
        for number in range(10_000 if FULL else 300):
            raw = ring.raw(hello=bool(number % 2))
            raw.close()
            ring._raws.clear()
