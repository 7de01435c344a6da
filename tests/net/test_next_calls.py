"""The order in which calls begin: their own, and each connection in its turn."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.event import Event

from geopb.net.next_calls import _AT_ONCE, NextCalls
from geopb.net.share import Load, Share
from geopb.workers import worker_pool
from tests.support import eventually, turns


class Begun:
    """What has begun, in order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.load = Load()

    def next_calls(self) -> NextCalls:
        return NextCalls(self.calls.append, Share(self.load))


def test_calls_begin_in_their_order() -> None:
    begun = Begun()
    line: Any = begun.next_calls()

    for number in range(1000):
        line.submit(number)
    eventually(lambda: len(begun.calls) == 1000)

    assert begun.calls == list(range(1000))


def test_calls_that_come_while_others_begin_keep_their_order() -> None:
    begun = Begun()
    line: Any = begun.next_calls()

    for start in range(0, 1000, 100):
        for number in range(start, start + 100):
            line.submit(number)
        turns(1)
    eventually(lambda: len(begun.calls) == 1000)

    assert begun.calls == list(range(1000))


def test_one_connections_call_does_not_wait_for_all_of_anothers() -> None:
    begun = Begun()
    flood: Any = begun.next_calls()
    honest: Any = begun.next_calls()

    for number in range(1000):
        flood.submit(number)
    honest.submit("honest")
    eventually(lambda: len(begun.calls) == 1001)

    assert begun.calls.index("honest") == _AT_ONCE


def test_nothing_else_waits_for_them_either() -> None:
    begun = Begun()
    flood: Any = begun.next_calls()
    for number in range(1000):
        flood.submit(number)

    worker_pool().submit(begun.calls.append, "handler")
    eventually(lambda: len(begun.calls) == 1001)

    assert begun.calls.index("handler") == _AT_ONCE


def test_one_that_blocks_does_not_hold_up_the_next() -> None:
    go, begun = Event(), Begun()

    def serve(call: Any) -> None:
        begun.calls.append(call)
        go.wait()

    line: Any = NextCalls(serve, Share(begun.load))
    for number in range(100):
        line.submit(number)

    eventually(lambda: len(begun.calls) == 100)
    go.set()


def test_one_that_kills_its_worker_does_not_hold_up_the_next() -> None:
    begun = Begun()

    def serve(call: Any) -> None:
        begun.calls.append(call)
        raise gevent.GreenletExit

    line: Any = NextCalls(serve, Share(begun.load))
    for number in range(100):
        line.submit(number)

    eventually(lambda: len(begun.calls) == 100)
    assert line._queued == 0


@pytest.mark.parametrize("blocks", [False, True])
def test_what_a_call_takes_is_counted_while_it_runs(blocks: bool) -> None:
    used: list[float] = []

    class Counting:
        contended = True

        def used(self, seconds: float) -> None:
            used.append(seconds)

    line: Any = NextCalls(lambda _: gevent.sleep(0) if blocks else None, Counting())  # type: ignore[arg-type]
    line.submit(1)
    turns(10)

    # One that has waited has not worked all that time.
    assert len(used) == (not blocks)
