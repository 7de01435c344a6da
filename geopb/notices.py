"""Log records that peers can cause, so many in a while and no more.

Owns the counting: who can make a line of log can otherwise fill a disk with it. What is
left out is told in one line, by its number. Called by whoever logs what a peer did.
"""

from __future__ import annotations

import atexit
import logging
from time import monotonic
from typing import Any
from weakref import WeakSet

from gevent import get_hub

from geopb.workers import worker_pool

#: Records in one interval. A person reads no more of one kind; a line takes some 100
#: bytes, so an attack that goes on for a day writes 14 MB.
MOST = 100
#: Seconds of one interval, which begins with its first record.
INTERVAL = 60.0


class Notices:
    """One kind of records.

    Args:
        log: Where they go.
        what: The kind, in the plural: ``"connections ended"``.
        most: Records that are let through in one interval.
        interval: Seconds.
    """

    # fmt: off
    __slots__ = (
        "__weakref__", "_interval", "_left_out", "_let_through", "_level", "_log",
        "_most", "_timer", "_until", "_what"
    )
    # fmt: on

    def __init__(
        self,
        log: logging.Logger,
        what: str,
        *,
        most: int = MOST,
        interval: float = INTERVAL,
    ) -> None:
        self._log = log
        self._what = what
        self._most = most
        self._interval = interval
        self._until = 0.0
        self._let_through = 0
        #: Records that were left out, and the worst level among them.
        self._left_out = 0
        self._level = 0
        #: Tells at the interval's end how many were left out.
        self._timer: Any = None

    def warning(self, text: str, *args: object) -> None:
        """Log a warning, or count it. May block, as logging may."""
        self.log(logging.WARNING, text, *args)

    def log(self, level: int, text: str, *args: object) -> None:
        """Log a record, or count it. May block, as logging may."""
        if not self._log.isEnabledFor(level):
            return
        if monotonic() >= self._until:
            self._begin()
        if self._let_through < self._most:
            self._let_through += 1
            self._log.log(level, text, *args)
            return
        self._left_out += 1
        self._level = max(self._level, level)
        if self._timer is None:
            self._tell_later()

    def _begin(self) -> None:
        """Begin an interval; say what the one before has left out."""
        self._until = monotonic() + self._interval
        self._let_through = 0
        # A timer of a thread that has ended meanwhile never fires.
        self._stop_timer()
        self._tell()

    def _tell_later(self) -> None:
        _untold.add(self)
        # It keeps no program going that has nothing else to do.
        self._timer = get_hub().loop.timer(
            max(0.0, self._until - monotonic()), ref=False
        )
        # Not in the hub: logging may block.
        self._timer.start(worker_pool().submit_function, self._tell)

    def _tell(self) -> None:
        self._stop_timer()
        _untold.discard(self)
        left_out, self._left_out = self._left_out, 0
        level, self._level = self._level, 0
        if left_out:
            text = "and %d more %s within %g s, which have no lines of their own"
            self._log.log(level, text, left_out, self._what, self._interval)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.close()


#: Those that have left out records and not told so.
_untold: WeakSet[Notices] = WeakSet()


@atexit.register
def tell_now() -> None:
    """Tell of all that was left out so far: the program ends."""
    for notices in list(_untold):
        notices._tell()
