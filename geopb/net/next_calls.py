"""The calls of one connection that are to begin, in their order.

Owns how many of them stand in the workers' queue, which all connections share: a few,
so that a peer that makes a thousand calls at once does not have the next one wait for
all of them. And how many answers may wait until the peer takes bytes, before no more
calls begin: a peer that never reads does not have a thousand answers made. Called by
the service.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from gevent import getcurrent

from geopb.broker.calls import IncomingCall
from geopb.net.share import Share
from geopb.workers import worker_pool

#: Calls of one connection in the workers' queue. Each that begins brings the next.
_AT_ONCE = 16
#: Answers that wait for the peer to take bytes while calls begin: as many large ones
#: as a peer may ask for at a time, and have small calls answered beside them.
_MOST_BLOCKED = 8
#: In place of a queue that is empty; never changed.
_EMPTY: deque[Any] = deque(maxlen=0)


class NextCalls:
    """Has calls begin in their order.

    Args:
        serve: Runs a call, in a worker.
        share: Counts what calls take, while others wait for it.
    """

    __slots__ = (
        "_begin",
        "_blocked",
        "_pool",
        "_put_back",
        "_queued",
        "_serve",
        "_share",
        "_waiting",
    )

    def __init__(self, serve: Callable[[IncomingCall], None], share: Share) -> None:
        self._serve = serve
        self._share = share
        self._pool = worker_pool()
        self._begin = self._run
        self._queued = 0
        # Made when needed: most connections never have so many.
        self._waiting: deque[IncomingCall] = _EMPTY
        #: Those of the workers' queue that could not begin: before all that wait.
        self._put_back: deque[IncomingCall] = _EMPTY
        #: Answers that wait for the peer to take bytes.
        self._blocked = 0

    def submit(self, call: IncomingCall) -> None:
        """Have `call` begin soon, behind those that came before it."""
        if self._queued < _AT_ONCE and not self._put_back:
            self._queued += 1
            self._pool.submit(self._begin, call)
            return
        if self._waiting is _EMPTY:
            self._waiting = deque()
        self._waiting.append(call)

    def answer_waits(self) -> None:
        """An answer waits until the peer takes bytes."""
        self._blocked += 1

    def answer_goes(self) -> None:
        """It waits no more: calls may begin again."""
        self._blocked -= 1
        while self._queued < _AT_ONCE and (self._put_back or self._waiting):
            self._queued += 1
            self._pool.submit(self._begin, self._next())

    def _next(self) -> IncomingCall:
        return (self._put_back or self._waiting).popleft()

    def _run(self, call: IncomingCall) -> None:
        """Begin a call, in a worker; and have the next one stand in the queue."""
        if self._blocked >= _MOST_BLOCKED:
            # It keeps its place, and brings no other, until one of those has gone.
            self._queued -= 1
            if self._put_back is _EMPTY:
                self._put_back = deque()
            self._put_back.append(call)
            return
        if self._put_back or self._waiting:
            self._pool.submit(self._begin, self._next())
        else:
            self._queued -= 1
        serve = self._serve
        if not self._share.contended:
            serve(call)
            return
        begun = perf_counter()
        serve(call)
        # One that has blocked has not used the loop all the time.
        if self._pool.running is getcurrent():
            self._share.used(perf_counter() - begun)
