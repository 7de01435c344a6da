"""Time for links: a clock that the test moves, or the real one.

Owns what is due, and when. Never sleeps: `Clock.advance` and `settle` let the loop do
what it can do without time passing. Called by lanes, and by users.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any, Protocol

import gevent
from gevent import get_hub
from gevent.monkey import get_original

from geopb.promise.waiting import Timeout

#: Turns in a row in which the loop has to have nothing to do. With libev one is enough;
#: libuv calls each turn idle, so more are looked at.
_IDLE_TURNS = 5
#: Seconds of real time for the loop to come to rest: far more than it ever takes.
_PATIENCE = 5.0


class Time(Protocol):
    """What a lane wants of a clock."""

    def now(self) -> float:
        """Return the time in seconds, from any beginning."""

    def call_at(
        self, when: float, function: Callable[[], object]
    ) -> Callable[[], None]:
        """Have ``function()`` called at `when`; return what takes that back."""


class RealTime:
    """The time that passes by itself."""

    def now(self) -> float:
        """Return the time in seconds."""
        return monotonic()

    def call_at(
        self, when: float, function: Callable[[], object]
    ) -> Callable[[], None]:
        """Have ``function()`` called in the hub at `when`."""
        # A millisecond is the least that libuv takes.
        timer: Any = get_hub().loop.timer(max(0.001, when - monotonic()))

        def run() -> None:
            timer.close()
            function()

        timer.start(run, update=True)
        close: Callable[[], None] = timer.close
        return close


class Clock:
    """A clock that stands still until `advance` moves it. It begins at 0.

    It governs the links that were made with it, and what `call_at` was given; not the
    timers of gevent, nor those of geopb's options.
    """

    def __init__(self) -> None:
        self._now = 0.0
        #: A heap; the number keeps what is due together in its order.
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        self._advancing = False

    def now(self) -> float:
        """Return the seconds that it has been advanced."""
        return self._now

    def call_at(
        self, when: float, function: Callable[[], object]
    ) -> Callable[[], None]:
        """Have ``function()`` called when the clock reaches `when`.

        It is called in the greenlet that advances the clock; when `when` is past, at
        the next `advance`, which may be one of 0 seconds.

        Returns:
            What takes it back, any number of times.
        """
        entry = (when, next(self._numbers), function)
        heapq.heappush(self._due, entry)

        def cancel() -> None:
            if entry in self._due:
                self._due.remove(entry)
                heapq.heapify(self._due)

        return cancel

    def advance(self, seconds: float) -> None:
        """Move the clock; return when all that is due by then has been done.

        Everything happens at its own time and in its order, and at each time the loop
        comes to rest before the clock goes on: bytes that a peer sends in reply to
        bytes that arrive at 2 s leave at 2 s. Blocks, without sleeping.

        Raises:
            ValueError: `seconds` is negative.
            RuntimeError: It is being advanced, by another greenlet.
            Timeout: See `settle`.
        """
        if not seconds >= 0:
            raise ValueError(f"a clock does not go back: {seconds!r}")
        if self._advancing:
            raise RuntimeError("the clock is being advanced already")
        until = self._now + seconds
        self._advancing = True
        try:
            settle()
            while self._due and self._due[0][0] <= until:
                self._now = max(self._now, self._due[0][0])
                while self._due and self._due[0][0] <= self._now:
                    heapq.heappop(self._due)[2]()
                settle()
            self._now = until
        finally:
            self._advancing = False

    def __repr__(self) -> str:
        return f"<Clock at {self._now:g} s, {len(self._due)} due>"


def settle(timeout: float = _PATIENCE) -> None:
    """Let everything happen that can happen without time passing; blocks.

    Returns when the loop of this thread has nothing to do: each greenlet waits, and
    each byte that can move has moved. So a test can tell that something does *not*
    happen, without a sleep. What other threads and processes do is not waited for.

    Raises:
        Timeout: Something goes on and on, for `timeout` seconds of real time.
    """
    with Timeout(timeout, f"the loop does not come to rest within {timeout:g} s"):
        waiting = _waiting()
        idle = 0
        while idle < _IDLE_TURNS:
            gevent.idle()
            idle = 0 if waiting() else idle + 1


def _waiting() -> Callable[[], object]:
    """Return what tells whether the loop has sockets to look after."""
    number: int | None = get_hub().loop.fileno()
    if number is None or number < 0:
        # A loop that does not tell; its own word for idle has to do.
        return lambda: False
    # The one that does not switch greenlets, also in a process that is patched.
    poll = get_original("select", "poll")()
    poll.register(number, select.POLLIN)
    return lambda: poll.poll(0)
