"""Whether nothing runs any more for one peer, and who waits until that is so.

Owns the waiting of a server that stops: for calls, streams, and calls that were put off
and will be made again; not for what stops the server itself. Made by the service, which
counts; asked by the server and whatever ends.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from time import monotonic
from typing import Any, Protocol

from gevent import get_hub
from gevent.event import Event

from geopb.broker.calls import IncomingCall
from geopb.broker.pipeline import Pipeline

#: Seconds in which a call that was not run should have been made again. Its caller had
#: the answer before it was told so.
_MADE_AGAIN = 1.0


#: Python makes each empty one anew.
_NOBODY: AbstractSet[object] = frozenset()


class Counts(Protocol):
    """What is under way: the service."""

    @property
    def under_way(self) -> int:
        """Calls that run, are held or wait, and streams that are read."""

    @property
    def waiting(self) -> int:
        """Those of the calls that wait for answers."""


class Quiet:
    """What a server that stops waits for, on one connection.

    Attributes:
        stoppers: Calls, and makings of streams, that stop the server.
    """

    # fmt: off
    __slots__ = (
        "_counts", "_owed", "_owed_until", "_pipeline", "_timer", "stoppers",
        "waited_for"
    )
    # fmt: on

    def __init__(self, counts: Counts, pipeline: Pipeline) -> None:
        self._counts = counts
        self._pipeline = pipeline
        self.stoppers: AbstractSet[object] = _NOBODY
        #: Those that wait, and for what; made when needed, as it seldom is.
        self.waited_for: list[tuple[Callable[[], bool], Event]] | tuple[()] = ()
        #: Calls that were put off and are not here again, and how long they are waited
        #: for.
        self._owed = 0
        self._owed_until = 0.0
        self._timer: Any = None

    def add_stopper(self, stopper: object) -> None:
        """Take note that a call, or the making of a stream, stops its own server."""
        self.stoppers |= {stopper}
        self._changed()

    def left(self, ended: object) -> None:
        """Take note that a call or a stream has ended."""
        if self.waited_for:
            self.stoppers -= {ended}
            self._changed()

    def put_off(self) -> None:
        """Take note of a call that was not run, and that its caller makes again."""
        self._owed += 1
        self._owed_until = monotonic() + _MADE_AGAIN
        self._look_again_then()

    def came(self) -> None:
        """Take note of a call that has come: perhaps one that was put off."""
        if self._owed:
            self._owed -= 1

    def wait_until_quiet(self, timeout: float | None) -> None:
        """Block until nothing runs but what stops the server, or `timeout`."""
        self._wait_until(self._is_quiet, timeout)

    def wait_until_no_stopper(self, timeout: float) -> None:
        """Block until those that stop the server are answered, or `timeout`."""
        self._wait_until(lambda: not self.stoppers, timeout)

    def _is_quiet(self) -> bool:
        if self._owed and monotonic() < self._owed_until:
            # `_time_is_over` looks again.
            return False
        left = self._counts.under_way
        if self._counts.waiting and self.stoppers:
            # What waits for the answer of one that stops the server never runs in time.
            calls = [each for each in self.stoppers if isinstance(each, IncomingCall)]
            asked = [call.question for call in calls if call.question]
            left -= self._pipeline.behind(asked)
        return left <= len(self.stoppers)

    def _wait_until(self, true: Callable[[], bool], timeout: float | None) -> None:
        if not true():
            became_true = Event()
            self.waited_for = [*self.waited_for, (true, became_true)]
            self._look_again_then()
            became_true.wait(timeout)

    def _look_again_then(self) -> None:
        """Have those that wait looked at when what is owed is not waited for any more.

        Its caller may not want it any more, which nothing tells.
        """
        if self.waited_for and self._owed:
            if self._timer is not None:
                self._timer.close()
            self._timer = get_hub().loop.timer(max(self._owed_until - monotonic(), 0))
            self._timer.start(self._time_is_over, update=True)

    def _time_is_over(self) -> None:
        self._timer.close()
        self._timer = None
        self._owed = 0
        self._changed()

    def _changed(self) -> None:
        for true, became_true in self.waited_for:
            if true():
                became_true.set()
        self.waited_for = [each for each in self.waited_for if not each[1].is_set()]
