"""Asking whether bytes have come, again and again, in place of sleeping until they do.

Owns when, and for how long. A process that sleeps has to be woken, by a processor that
may sleep as well: under a hypervisor that takes longer than all else that a small call
costs, of both processes' time. So, where an option asks for it, each connection tries
whether its peer's messages come much sooner while the loop does not sleep, and only
while they do, it does not. Never holds up other work: the loop asks only while it has
nothing else to do. Never where one processor is all there is: the peer could not work
meanwhile. Called by the reader.

    SLEEPS --prompt for a while--> TRIES --much sooner--> POLLS
    TRIES --no sooner, or late--> SLEEPS, each time for longer
    POLLS --late, no sooner, or after long--> SLEEPS
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from pathlib import Path
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
_MOST_TURNS = 20_000
#: Seconds after which the number of processors is asked for again.
_LOOK_AGAIN = 1.0
#: Where control groups, of version 2 and 1, tell a quota of time and its period.
_QUOTAS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)


class Promptness:
    """Whether one connection's peer answers so soon that polling pays.

    Args:
        most: Seconds that are polled at a time.
        poll: Polls until then, by the performance counter: see `Poller`.

    Attributes:
        polls: Seconds that the next wait is to be polled, 0 for none.
    """

    # fmt: off
    __slots__ = (
        "_asleep", "_awake", "_late", "_left", "_most", "_pause", "_poll", "_tries",
        "polls"
    )
    # fmt: on

    def __init__(self, most: float, poll: Callable[[float], object]) -> None:
        self._most = most
        self._poll = poll
        self.polls = 0.0
        self._tries = False
        #: Waits that are left in this state; and how many there are between two tries.
        self._left = self._pause = _LEAST
        #: How many waits were polled in vain, less those that were not.
        self._late = 0
        #: What a wait takes, about: asleep, and polled.
        self._asleep = self._awake = 0.0

    def go_on(self, waited: float, now: float) -> None:
        """Poll for the next bytes if it pays; the last ones took so many seconds."""
        self.waited(waited)
        if self.polls:
            self._poll(now + self.polls)

    def waited(self, seconds: float) -> None:
        """Take note of how long the last bytes took to come."""
        if self.polls:
            if seconds <= self.polls:
                self._awake += (seconds - self._awake) / 4
                self._late -= self._late > 0
            else:
                self._late += 1
            self._left -= 1
            if self._late >= _TOO_LATE:
                # It has something else to do now.
                self._sleep(self._longer() if self._tries else _LEAST)
            elif not self._left:
                self._judge()
            elif not (self._tries or self._is_sooner()):
                self._sleep(self._longer())
        elif seconds > _PROMPT:
            self._left = min(self._left + _SLOW, self._pause)
        else:
            self._asleep += (seconds - self._asleep) / 8
            self._left -= 1
            if not self._left:
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
        elif self._is_sooner():
            self._tries, self._left, self._pause = False, _MOST, _LEAST
            # Longer than that it might as well have slept.
            self.polls = min(self._asleep, self._most)
        else:
            self._sleep(self._longer())

    def _is_sooner(self) -> bool:
        return self._awake < self._asleep * _SOONER

    def _longer(self) -> int:
        return min(2 * self._pause, _MOST)

    def _sleep(self, pause: int) -> None:
        self.polls = 0.0
        self._tries = False
        self._left = self._pause = pause


class Poller:
    """Keeps one hub's loop from sleeping."""

    def __init__(self) -> None:
        loop: Any = get_hub().loop
        # Called in each turn of the loop that has nothing else to do, and while it is
        # started, there is no other kind of turn. Last of its kind: others come first.
        self._idle: Any = loop.idle(ref=False, priority=loop.MINPRI)
        self._until = 0.0
        self._turns = 0
        self._alone = True
        self._look_again = 0.0

    def poll(self, until: float) -> None:
        """Have the loop not sleep before `until`, by the performance counter."""
        if until > self._look_again:
            # A process may be bound to a processor later, or have been forked.
            self._alone = processors() < 2
            self._look_again = until + _LOOK_AGAIN
        if self._alone:
            return
        if until > self._until:
            self._until = until
        self._turns = 0
        if not self._idle.active:
            self._idle.start(self._look)

    def _look(self) -> None:
        self._turns += 1
        if perf_counter() > self._until or self._turns > _MOST_TURNS:
            self._until = 0.0
            self._idle.stop()


def processors() -> float:
    """Return how many this process may use, by its affinity and its group's quota."""
    try:
        usable = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # Linux alone tells.
        usable = float(os.cpu_count() or 1)
    return min(usable, _quota())


def _quota() -> float:
    """Return how many processors' time a container may use; infinite for no bound."""
    for names in _QUOTAS:
        try:
            told = " ".join(Path(name).read_text(encoding="ascii") for name in names)
            quota, period = map(float, told.replace("max", "inf").split())
        except (OSError, ValueError):
            # Another version of control groups, or none.
            continue
        return quota / period if quota > 0 < period else inf
    return inf


_pollers: WeakKeyDictionary[Any, Poller] = WeakKeyDictionary()


def poller() -> Poller:
    """Return the poller of this thread's hub."""
    hub = get_hub()
    found = _pollers.get(hub)
    if found is None:
        found = _pollers[hub] = Poller()
    return found
