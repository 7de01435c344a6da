"""References, calls and time: floods and misuse of what is allowed in small numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.jelly import tags
from geopb.wire import messages
from tests.gauntlet.arena import Arena
from tests.gauntlet.conftest import MakeArena
from tests.gauntlet.corpus import FULL
from tests.net.peers import ROOT, Peer
from tests.net.roots import root_of
from tests.support import eventually, turns
from tests.vectors.cbor import Tag, frame

pytestmark = pytest.mark.slow

#: How many times as much ``make gauntlet`` does.
TIMES = 20 if FULL else 1


class Thing(pb.Referenceable):
    def remote_ask(self) -> str:
        return "answer"


class Busy(pb.Root):
    """What attackers use.

    Attributes:
        running: Methods that wait now; `most` of them at one time.
        go: Lets them go on.
    """

    def __init__(self) -> None:
        self.thing = Thing()
        self.running = self.most = 0
        self.go = Event()

    def remote_echo(self, value: Any = None) -> Any:
        return value

    def remote_thing(self) -> Thing:
        return self.thing

    def remote_things(self, count: int) -> list[Thing]:
        return [Thing() for _ in range(count)]

    def remote_hold(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            self.go.wait()
        finally:
            self.running -= 1

    def remote_call_back(self, callback: Any, depth: int) -> Any:
        return callback.callRemote("again", self, depth - 1) if depth else "deep"

    def remote_again(self, other: Any, depth: int) -> Any:
        return other.callRemote("call_back", self, depth)


def _thing_again_and_again(ring: Arena, root: Any) -> None:
    """80, 84: one object sent and released, thousands of times."""
    with Peer(ring.server) as peer:
        release = b""
        for number in range(2, 1000 * TIMES):
            # At once: the kernel holds a small piece back behind another.
            peer.send(release + frame([1, number, ROOT, "thing", []]))
            (thing,) = peer.read_answer(number)[2]
            # It was sent twice since; the next time it has another id.
            given = frame([messages.RELEASE, thing.value, 2])
            release = given if number % 2 else b""
        assert peer.connection.statistics()["exports"] <= 2


def _references_over_the_limit(ring: Arena, root: Any) -> None:
    """85, 86: more than fit fail their call, and none of them is kept."""
    with Peer(ring.server) as peer:
        many = [Tag(tags.MINE, n) for n in range(1, 10_010)]
        for number in range(2, 5):
            peer.call(number, "echo", many)
            assert peer.read_answer(number)[2] == "geopb.LimitExceeded"
        assert peer.connection.statistics()["imports"] == 0
        peer.call(9, "things", 20_000)
        assert peer.read_answer(9)[2] == "geopb.LimitExceeded"
        assert peer.connection.statistics()["exports"] == 1


def _released_on_the_way(ring: Arena, root: Any) -> None:
    """83: a release and a call that cross each other."""
    with Peer(ring.server) as peer:
        peer.call(2, "thing")
        thing = peer.read_answer(2)[2][0].value
        for number in range(3, 300):
            call = frame([1, number, thing, "ask", []])
            again = frame([1, number + 1000, ROOT, "thing", []])
            peer.send(call + again + frame([messages.RELEASE, thing, 1]))
            assert peer.read_answer(number)[2] == ["answer"]
            thing = peer.read_answer(number + 1000)[2][0].value


def _gone_with_ten_thousand(ring: Arena, root: Any) -> None:
    """89: the connection ends with full tables, of both sides."""
    with Peer(ring.server) as peer:
        peer.call(2, "things", 5000)
        peer.read_answer(2)
        many = [Tag(tags.MINE, n) for n in range(1, 5001)]
        peer.call(3, "echo", many)
        peer.read_answer(3)
        assert peer.connection.statistics()["exports"] == 5001


def _calls_over_the_limit(ring: Arena, root: Busy) -> None:
    """91: so many run, those beyond are refused and reading goes on."""
    with Peer(ring.server) as peer:
        for number in range(2, 2 + 1024 + 50):
            peer.call(number, "hold")
        for number in range(2 + 1024, 2 + 1024 + 50):
            assert peer.read_answer(number)[2] == "geopb.LimitExceeded"
        assert root.running == 1024
        root.go.set()
        for number in range(2, 2 + 1024):
            assert peer.read_answer(number)[2] == [None]


def _started_and_cancelled(ring: Arena, root: Busy) -> None:
    """92: cancelled as soon as begun: no more run at one time than may."""
    with Peer(ring.server) as peer:
        for number in range(2, 1500 * TIMES):
            peer.send(
                frame([1, number, ROOT, "hold", []]) + frame([messages.CANCEL, number])
            )
            if not number % 100:
                peer.read_answer(number)
                # What this side keeps is not what is weighed.
                peer.answers.clear()
        peer.read_answer(1500 * TIMES - 1)
        eventually(lambda: root.running == 0)
        assert root.most <= 1024


def _one_question_twice(ring: Arena, root: Busy) -> None:
    """58: an id that is used again while it is served."""
    raw = ring.raw()
    raw.say(frame([1, 1, 0, "getRootObject", []]))
    raw.hear(b"\x83\x02\x01")
    raw.say(frame([1, 2, ROOT, "hold", []]) * 2)
    assert raw.ends()
    eventually(lambda: root.running == 0)


def _each_other(ring: Arena, root: Busy) -> None:
    """93, 94: they call each other 100 deep, many at once."""
    with pb.connect(ring.server.address) as client:
        remote = root_of(client)
        calls = [remote.callRemote("call_back", Busy(), 50) for _ in range(20)]
        assert pb.gather(calls).get(timeout=30) == ["deep"] * 20
        del remote, calls


def _promises_forgotten(ring: Arena, root: Busy) -> None:
    """100: calls whose promises nobody keeps."""
    with pb.connect(ring.server.address) as client:
        remote = root_of(client)
        for _ in range(2000 * TIMES):
            remote.callRemote("echo", 1)
        assert remote.callRemote("echo", 2).get(timeout=30) == 2
        del remote


def _killed_and_timed_out(ring: Arena, root: Busy) -> None:
    """95, 96, 99: who waits goes, at each moment; the next call is answered."""
    with pb.connect(ring.server.address) as client:
        remote = root_of(client)

        def ask() -> None:
            assert remote.callRemote("echo", b"x" * 40_000).get() is not None

        for wait in range(200):
            with gevent.Timeout(wait / 100_000, False):
                ask()
            waiting = gevent.spawn(ask)
            turns(wait % 5)
            waiting.kill()
        assert remote.callRemote("echo", 3).get(timeout=10) == 3
        waiting = None


def _errors_that_are_large(ring: Arena, root: Busy) -> None:
    """63: an error answer of a mebibyte, with names to import, to a call of ours."""
    with Peer(ring.server) as peer:
        peer.call(2, "call_back", Tag(tags.MINE, 1), 1)
        eventually(lambda: peer.connection.statistics()["questions"] == 1)
        parents = ["os.system", "builtins.SystemExit", *["x" * 100] * 1000]
        told = ["os.system", "m" * 10**6, parents, [[[]]] * 1000, {"__class__": "x"}]
        peer.send(frame([messages.ERROR, 1, *told]))
        answer = peer.read_answer(2)
        assert answer[0] == messages.ERROR
        assert len(str(answer)) < 200_000


SCENES: tuple[Callable[[Arena, Any], None], ...] = (
    _thing_again_and_again,
    _references_over_the_limit,
    _released_on_the_way,
    _gone_with_ten_thousand,
    _calls_over_the_limit,
    _started_and_cancelled,
    _one_question_twice,
    _each_other,
    _promises_forgotten,
    _killed_and_timed_out,
    _errors_that_are_large,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(arena: MakeArena, scene: Callable[[Arena, Any], None]) -> None:
    root = Busy()
    ring = arena(root)
    with ring.case(cpu=60 if FULL else 5, mebibytes=20):
        scene(ring, root)
