"""Who runs a broker, as the broker sees it: a connection, or a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from geopb.broker.caches import CacheEntry
from geopb.broker.calls import IncomingCall
from geopb.broker.references import Line
from geopb.jelly.finish import Unfinished


class Host(Line, Protocol):
    """Who runs a broker: the connection."""

    def wake(self) -> None:
        """There are bytes to take; called again only after all were taken."""

    def offer(self, framed: bytes) -> bool:
        """Send a message now, as nothing waits; False if it is to be queued."""

    def hurry(self) -> None:
        """There are many bytes to take by now."""

    def now(self) -> float:
        """Return the time in seconds, from any beginning; it never goes back."""

    def opened(self) -> None:
        """The peer's hello is in."""

    def start(self, call: IncomingCall) -> None:
        """Run a call of the peer's, later, in a greenlet of its own."""

    def start_update(self, call: IncomingCall, entry: CacheEntry) -> None:
        """Run an update of a cache, later, behind those that came before it."""

    def is_open(self, question: int) -> bool:
        """Whether a call of the peer's is here and not answered."""

    def run_waiting(self, call: IncomingCall) -> None:
        """The last answer was given that a call waited for which names answers."""

    def finish(
        self, unfinished: Unfinished, then: Callable[[BaseException | None], object]
    ) -> None:
        """Finish a message in a greenlet of its own; tell `then` what went wrong."""

    def cancel(self, question: int, *, late: bool) -> None:
        """Stop a call of the peer's, if it still runs; `late`: its time is over."""

    def peer_drains(self) -> None:
        """The peer takes no new calls from now on."""

    def drain_seen(self) -> None:
        """The peer knows that this side takes no new calls."""

    def parted(self, reason: str) -> None:
        """The peer said goodbye: nothing more will come."""
