"""Who runs a broker, as the broker sees it: a connection, or a test."""

from __future__ import annotations

from typing import Protocol

from geopb.broker.calls import IncomingCall
from geopb.broker.references import Line


class Host(Line, Protocol):
    """Who runs a broker: the connection."""

    def wake(self) -> None:
        """There are bytes to take; called again only after all were taken."""

    def hurry(self) -> None:
        """There are many bytes to take by now."""

    def opened(self) -> None:
        """The peer's hello is in."""

    def start(self, call: IncomingCall, *, nested: bool) -> None:
        """Run a call of the peer's, later, in a greenlet of its own."""

    def parted(self, reason: str) -> None:
        """The peer said goodbye: nothing more will come."""
