"""Asking whether bytes have come, again and again, in place of sleeping until they do.

Owns when, and for how long. A process that sleeps has to be woken, by a processor that
may sleep as well: under a hypervisor that takes longer than all else that a small call
costs, of both processes' time. So each connection tries whether its peer's messages
come much sooner while the loop does not sleep, and only while they do, it does not.
Never holds up other work: the loop asks only while it has nothing else to do. Never
where one processor is all there is: the peer could not work meanwhile. Called by the
reader.

    SLEEPS --prompt for a while--> TRIES --much sooner--> POLLS
    TRIES --no sooner, or late--> SLEEPS, each time for longer
    POLLS --late, or after long--> SLEEPS
"""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub

#: Seconds. Who lets more pass between two messages is not in a hurry.
_PROMPT = 0.002
#: Waits that a peer has to be prompt for, before it is tried for so many others.
_LEAST, _TRIED = 16, 8
#: For each wait that was too long, so many more have to be prompt.
_SLOW = 8
#: Polls in vain that are too many: so many in a row, or half of all for a while.
_TOO_LATE = 4
#: What a wait may take of the time that it took asleep, for the trouble to pay.
_SOONER = 0.85
#: After each try in vain twice as many waits pass before the next, up to so many; and
#: after so many that were polled, sleeping is looked at again.
_MOST = 2048
#: Turns of the loop in a row, at the most: in some tests the clock stands still.
_MOST_TURNS = 10_000


class Promptness:
    """Whether one connection's peer answers so soon that polling pays.

    Args:
        most: Seconds that are polled at a time; 0 for never.

    Attributes:
        polls: Seconds that the next wait is to be polled, 0 for none.
    """

    # fmt: off
    __slots__ = (
        "_asleep", "_awake", "_late", "_left", "_most", "_pause", "_tries", "polls"
    )
    # fmt: on

    def __init__(self, most: float) -> None:
        self._most = most
        self.polls = 0.0
        self._tries = False
        #: Waits that are left in this state; and how many there are between two tries.
        self._left = self._pause = _LEAST
        #: How many waits were polled in vain, less those that were not.
        self._late = 0
        #: What a wait takes, about: asleep, and polled.
        self._asleep = self._awake = 0.0

    def waited(self, seconds: float) -> None:
        """Take note of how long the last bytes took to come."""
        if self.polls:
            if seconds > self.polls:
                self._late += 1
                if self._late >= _TOO_LATE:
                    # It has something else to do now.
                    self._sleep(_LEAST if not self._tries else self._longer())
                return
            if self._late:
                self._late -= 1
            self._awake += (seconds - self._awake) / 4
            self._left -= 1
            if not self._left:
                self._judge()
        elif seconds > _PROMPT:
            self._left = min(self._left + _SLOW, self._pause)
        else:
            self._asleep += (seconds - self._asleep) / 8
            self._left -= 1
            if not self._left and self._most > 0:
                self._try()

    def _try(self) -> None:
        self._tries, self._left, self._late = True, _TRIED, 0
        self._awake = self._asleep
        self.polls = self._most

    def _judge(self) -> None:
        """Look what the waits that were polled have brought."""
        if not self._tries:
            # Long ago: sleeping may do as well by now.
            self._sleep(_LEAST)
        elif self._awake < self._asleep * _SOONER:
            self._tries, self._left, self._pause = False, _MOST, _LEAST
            # Longer than that it might as well have slept.
            self.polls = min(self._asleep, self._most)
        else:
            self._sleep(self._longer())

    def _longer(self) -> int:
        return min(2 * self._pause, _MOST)

    def _sleep(self, pause: int) -> None:
        self.polls = 0.0
        self._tries = False
        self._left = self._pause = pause


class Poller:
    """Keeps one hub's loop from sleeping."""

    def __init__(self) -> None:
        # Called in each turn of the loop that has nothing else to do, and while it is
        # started, there is no other kind of turn.
        self._idle: Any = get_hub().loop.idle(ref=False)
        self._started = False
        self._until = 0.0
        self._turns = 0
        self._alone = _processors() < 2

    def poll(self, until: float) -> None:
        """Have the loop not sleep before `until`, by the performance counter."""
        self._until = until
        self._turns = 0
        if not (self._started or self._alone):
            self._started = True
            self._idle.start(self._look)

    def _look(self) -> None:
        self._turns += 1
        if perf_counter() > self._until or self._turns > _MOST_TURNS:
            self._started = False
            self._idle.stop()


def _processors() -> int:
    """Return how many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone tells.
        return os.cpu_count() or 1


_pollers: WeakKeyDictionary[Any, Poller] = WeakKeyDictionary()


def poller() -> Poller:
    """Return the poller of this thread's hub."""
    hub = get_hub()
    found = _pollers.get(hub)
    if found is None:
        found = _pollers[hub] = Poller()
    return found
