"""The calls of one connection that are to begin, in their order.

Owns how many of them stand in the workers' queue, which all connections share: a few,
so that a peer that makes a thousand calls at once does not have the next one wait for
all of them. Called by the service.
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
#: In place of a queue that is empty; never changed.
_EMPTY: deque[Any] = deque(maxlen=0)


class NextCalls:
    """Has calls begin in their order.

    Args:
        serve: Runs a call, in a worker.
        share: Counts what calls take, while others wait for it.
    """

    __slots__ = ("_pool", "_queued", "_serve", "_share", "_waiting")

    def __init__(self, serve: Callable[[IncomingCall], None], share: Share) -> None:
        self._serve = serve
        self._share = share
        self._pool = worker_pool()
        self._queued = 0
        # Made when needed: most connections never have so many.
        self._waiting: deque[IncomingCall] = _EMPTY

    def submit(self, call: IncomingCall) -> None:
        """Have `call` begin soon, behind those that came before it."""
        if self._queued < _AT_ONCE:
            self._queued += 1
            self._pool.submit(self._run, call)
            return
        if self._waiting is _EMPTY:
            self._waiting = deque()
        self._waiting.append(call)

    def _run(self, call: IncomingCall) -> None:
        """Begin a call, in a worker; and have the next one stand in the queue."""
        if self._waiting:
            self._pool.submit(self._run, self._waiting.popleft())
        else:
            self._queued -= 1
        if not self._share.contended:
            self._serve(call)
            return
        begun = perf_counter()
        self._serve(call)
        # One that has blocked has not used the loop all the time.
        if self._pool.running is getcurrent():
            self._share.used(perf_counter() - begun)
