"""How much bulk is on its way: enough to keep any line full, and little more."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from geopb.broker.credit import CHUNK_BYTES, LEAST_WINDOW, TOLD_FROM_BYTES, Credit
from geopb.errors import ProtocolError

MEBI = 1024 * 1024


class Line:
    """A line to a peer that tells what it has taken, and a sender that has enough.

    Args:
        rate: Bytes per second that pass.
        delay: Seconds that each way takes.
        busy: Seconds, at the most, by which what is told comes late.
        calls: Whether small messages are sent, too.
    """

    def __init__(
        self, rate: float, delay: float, busy: float = 0.0, *, calls: bool = False
    ) -> None:
        self.calls = calls
        self._busy, self._random = busy, random.Random(1)
        self.rate, self.delay = rate, delay
        self.now = 0.0
        self.credit = Credit(lambda: self.now)
        self.taken = 0
        #: Seconds for which the chunk that was taken last has waited in line.
        self.waited = 0.0
        self._untold = 0
        self._free_at = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def _at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), do))

    def send(self, most: float = float("inf")) -> None:
        """Send what there is room for."""
        while self.credit.open and most > 0:
            size = self.credit.chunk
            most -= size
            self.credit.spend(size)
            begun = max(self.now, self._free_at)
            self._free_at = begun + size / self.rate
            arrive = partial(self._arrive, size, begun - self.now)
            self._at(self._free_at + self.delay, arrive)

    def _arrive(self, size: int, waited: float) -> None:
        self.waited = waited
        self.taken += size
        self._untold += size
        if self._untold >= TOLD_FROM_BYTES:
            told, self._untold = self._untold, 0
            late = self._random.uniform(0, self._busy)
            self._at(self.now + self.delay + late, lambda: self._told(told))

    def _told(self, told: int) -> None:
        if self.calls:
            self.credit.beside()
        self.credit.give(told)
        self.send()

    def run(self, seconds: float) -> float:
        """Let time pass; return the bytes that were taken in each second."""
        until, taken = self.now + seconds, self.taken
        self.send()
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until
        return (self.taken - taken) / seconds


@pytest.mark.parametrize("delay", [0.00005, 0.001, 0.01, 0.05])
@pytest.mark.parametrize("rate", [10e6, 100e6, 1e9])
def test_a_line_is_full_and_its_queue_is_short(rate: float, delay: float) -> None:
    line = Line(rate, delay)
    line.run(2)

    assert line.run(1) > 0.95 * rate
    # About a round trip, and what the least window takes.
    assert line.waited < 2.2 * delay + 1.5 * LEAST_WINDOW / rate


def test_a_far_line_of_busy_processes_is_full() -> None:
    """Most round trips take far longer than the line does."""
    line = Line(200e6, 0.01, busy=0.04)
    line.run(3)

    assert line.run(3) > 0.9 * 200e6


def test_a_far_line_is_full_soon() -> None:
    line = Line(400e6, 0.01)

    # 8 MB fill it: four times the window has to double, once each 20 ms.
    line.run(0.2)
    assert line.run(0.1) > 0.95 * 400e6


def test_a_line_that_becomes_longer_is_full_again() -> None:
    line = Line(100e6, 0.001)
    line.run(3)
    line.delay = 0.05
    line.run(12)

    assert line.run(5) > 0.9 * 100e6


def test_a_line_that_becomes_slower_has_a_short_queue_again() -> None:
    line = Line(400e6, 0.01)
    line.run(1)
    line.rate = 20e6
    line.run(2)

    assert line.run(2) > 0.9 * 20e6
    assert line.waited < 0.05


def test_looking_for_the_shortest_round_trip_costs_little() -> None:
    line = Line(50e6, 0.02)
    line.run(3)

    assert line.run(60) > 0.97 * 50e6


def test_a_line_that_waits_for_the_sender_keeps_its_window() -> None:
    """What is sent now and then tells nothing about what could be."""
    now = 0.0
    credit = Credit(lambda: now)
    for _ in range(20):
        credit.spend(TOLD_FROM_BYTES)
        now += 0.02
        credit.give(TOLD_FROM_BYTES)

    assert credit.window == LEAST_WINDOW


def test_it_is_closed_while_the_window_is_under_way() -> None:
    credit = Credit(lambda: 0.0)
    credit.spend(LEAST_WINDOW - 1)
    assert credit.open

    credit.spend(CHUNK_BYTES)
    assert not credit.open


def test_a_peer_that_takes_nothing_gets_nothing_more() -> None:
    now = 0.0
    credit = Credit(lambda: now)
    credit.spend(LEAST_WINDOW)
    now = 100.0

    assert not credit.open


def test_a_peer_that_takes_bytes_one_by_one_is_sent_more_one_by_one() -> None:
    credit = Credit(lambda: 0.0)
    credit.spend(LEAST_WINDOW)

    credit.give(1)

    assert credit.open
    credit.spend(1)
    assert not credit.open


def test_more_than_was_sent_is_an_error() -> None:
    credit = Credit(lambda: 0.0)
    credit.spend(10)
    credit.give(4)

    with pytest.raises(ProtocolError, match="11 bytes of bulk taken, 10 were sent"):
        credit.give(7)


def test_a_clock_that_stands_still_does_no_harm() -> None:
    credit = Credit(lambda: 5.0)
    for _ in range(10):
        credit.spend(MEBI)
        credit.give(MEBI)

    assert credit.window >= LEAST_WINDOW


def test_a_short_line_has_a_small_window_whatever_the_chunks_take() -> None:
    """A peer that needs 2 ms for a mebibyte: each chunk's own time is no way."""
    line = Line(500e6, 0.00005, calls=True)
    line.run(15)

    assert line.run(1) > 0.95 * 500e6
    assert line.credit.window <= 1.5 * LEAST_WINDOW


def test_a_quick_line_has_a_large_window_while_no_small_message_waits_for_it() -> None:
    line = Line(500e6, 0.00005)
    line.run(1)
    assert line.credit.window == MEBI
    assert line.credit.chunk == CHUNK_BYTES

    line.credit.beside()
    assert line.credit.window <= 1.5 * LEAST_WINDOW
    assert line.credit.chunk == line.credit.window // 2

    line.run(1)
    assert line.credit.window == MEBI


def test_a_slow_line_has_a_small_window_in_any_case() -> None:
    line = Line(10e6, 0.00005)
    line.run(3)

    assert line.credit.window == LEAST_WINDOW


def test_a_round_trip_that_seems_too_quick_makes_no_large_window() -> None:
    """What is told in a bunch was taken before."""
    now = 0.0
    credit = Credit(lambda: now)
    for _ in range(100):
        credit.beside()
        while credit.open:
            credit.spend(credit.chunk)
        now += 0.00001
        credit.give(TOLD_FROM_BYTES)

    assert credit.window <= 2 * LEAST_WINDOW
