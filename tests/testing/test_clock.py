"""A clock that the test moves, and a loop that comes to rest."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

import geopb as pb
from geopb.testing import Clock, settle
from geopb.testing.clock import RealTime


def test_a_clock_stands_still_until_it_is_advanced() -> None:
    clock = Clock()
    assert clock.now() == 0
    settle()
    assert clock.now() == 0

    clock.advance(2.5)
    clock.advance(0)

    assert clock.now() == 2.5


def test_what_is_due_happens_in_its_order_and_at_its_time() -> None:
    clock = Clock()
    seen: list[Any] = []
    for name, when in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("later", 3.5)):
        clock.call_at(when, lambda name=name: seen.append((name, clock.now())))

    clock.advance(3)

    assert seen == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert repr(clock) == "<Clock at 3 s, 1 due>"


def test_what_is_due_may_make_more_due() -> None:
    clock = Clock()
    seen: list[float] = []

    def tick() -> None:
        seen.append(clock.now())
        clock.call_at(clock.now() + 1, tick)

    clock.call_at(1, tick)
    clock.advance(3)

    assert seen == [1.0, 2.0, 3.0]


def test_what_is_past_is_done_at_the_next_advance() -> None:
    clock = Clock()
    clock.advance(5)
    seen: list[float] = []
    clock.call_at(1, lambda: seen.append(clock.now()))
    assert seen == []

    clock.advance(0)

    assert seen == [5.0]


def test_what_was_taken_back_does_not_happen() -> None:
    clock = Clock()
    seen: list[int] = []
    cancel = clock.call_at(1, lambda: seen.append(1))
    clock.call_at(1, lambda: seen.append(2))

    cancel()
    cancel()
    clock.advance(1)

    assert seen == [2]


def test_greenlets_run_at_each_time_before_the_clock_goes_on() -> None:
    clock = Clock()
    event = Event()
    clock.call_at(1, event.set)
    clock.call_at(2, lambda: None)
    waiting = gevent.spawn(lambda: event.wait(5) and clock.now())

    clock.advance(2)

    assert waiting.get(timeout=5) == 1.0


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_clock_does_not_go_back(seconds: float) -> None:
    with pytest.raises(ValueError, match="does not go back"):
        Clock().advance(seconds)


def test_only_one_greenlet_advances_a_clock_at_a_time() -> None:
    clock = Clock()
    failed: list[Exception] = []

    def advance_too() -> None:
        try:
            clock.advance(1)
        except RuntimeError as error:
            failed.append(error)

    clock.call_at(1, lambda: gevent.spawn(advance_too))
    clock.advance(1)

    assert [str(each) for each in failed] == ["the clock is being advanced already"]
    assert clock.now() == 1.0


def test_settle_returns_when_all_that_can_happen_has_happened() -> None:
    ours, theirs = socket.socketpair()
    seen: list[bytes] = []

    def bounce(sock: Any, times: int) -> None:
        for _ in range(times):
            seen.append(sock.recv(1))
            sock.sendall(b"x")
            gevent.sleep(0)

    running = [gevent.spawn(bounce, sock, 100) for sock in (ours, theirs)]
    ours.sendall(b"x")
    settle()

    assert len(seen) == 200
    assert all(each.ready() for each in running)
    ours.close()
    theirs.close()


def test_settle_does_not_wait_for_time_to_pass() -> None:
    sleeping = gevent.spawn(gevent.sleep, 60)
    started = monotonic()

    settle()

    assert monotonic() - started < 5
    assert not sleeping.ready()
    sleeping.kill()


def test_a_loop_that_never_comes_to_rest_is_a_Timeout() -> None:  # noqa: N802
    ours, theirs = socket.socketpair()

    def bounce(sock: Any) -> None:
        while data := sock.recv(1):
            sock.sendall(data)

    running = [gevent.spawn(bounce, sock) for sock in (ours, theirs)]
    ours.sendall(b"x")

    with pytest.raises(pb.Timeout, match=r"does not come to rest within 0\.05 s"):
        settle(0.05)

    gevent.killall(running)
    ours.close()
    theirs.close()


def test_real_time_passes_by_itself() -> None:
    time = RealTime()
    called = Event()
    never: list[int] = []
    time.call_at(time.now() - 1, called.set)
    cancel = time.call_at(time.now() + 0.001, lambda: never.append(1))
    cancel()
    cancel()

    assert called.wait(5)
    later = Event()
    time.call_at(time.now() + 0.002, later.set)
    assert later.wait(5)
    assert never == []
