"""Running what changes the caches of one connection.

Owns that each cache takes its updates one after the other, in their order, and none
before its state. Called by the broker (updates in) and the caches' first steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geopb.broker.caches import CacheEntry
from geopb.broker.calls import IncomingCall
from geopb.errors import over_limit
from geopb.workers import worker_pool

if TYPE_CHECKING:
    from geopb.net.service import Service

#: So many times ``max_pending_calls`` may wait for one cache.
_MOST_WAITING = 2


class Updates:
    """The updates of one connection.

    Args:
        service: Counts them among the running calls.
        serve: Runs a call and answers it; runs in a worker.
        limit: ``max_pending_calls``.
    """

    __slots__ = ("_limit", "_pool", "_serve", "_service")

    def __init__(
        self, service: Service, serve: Callable[[IncomingCall], None], limit: int
    ) -> None:
        self._service = service
        self._serve = serve
        self._limit = limit
        self._pool = worker_pool()

    def start(self, call: IncomingCall, entry: CacheEntry) -> None:
        """Have an update of a cache run, behind those that came before it.

        Raises:
            LimitExceeded: The peer sends them faster than it takes answers.
        """
        limit = _MOST_WAITING * self._limit
        if len(entry.waiting) >= limit:
            waiting = len(entry.waiting) + 1
            raise over_limit("max_pending_calls", limit, "waiting updates", waiting)
        self._service.expect(call)
        entry.waiting.append(call)
        self._run_next(entry)

    def resume(self, entry: CacheEntry) -> None:
        """Let a cache's updates run: the message that it came with is finished."""
        entry.held = False
        self._run_next(entry)

    def _run_next(self, entry: CacheEntry) -> None:
        if entry.waiting and not (entry.held or entry.busy):
            entry.busy = True
            self._service.running += 1
            self._pool.submit(self._run, entry)

    def _run(self, entry: CacheEntry) -> None:
        """Run one update, in a worker, and have the next one run."""
        if not entry.waiting:
            # The connection has ended.
            self._service.running -= 1
            return
        try:
            self._serve(entry.waiting.popleft())
        finally:
            entry.busy = False
            self._run_next(entry)
