"""Shutting down one connection without dropping what runs on it.

Owns when a side takes no new calls any more, its own or the peer's. Calls that belong
to running ones are let in on both. Called by the connection and its server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent import get_hub

from geopb.broker.broker import Broker
from geopb.net.gate import Gate
from geopb.net.service import Service

if TYPE_CHECKING:
    from geopb.net.caller import Caller

#: Seconds in which a peer should have taken note that this side shuts down. What it
#: calls meanwhile is run: it could not know.
_UNSEEN = 5.0


class Drain:
    """Whether one connection is shutting down."""

    __slots__ = ("_broker", "_caller", "_gate", "_service", "_timer", "on")

    def __init__(
        self, broker: Broker, service: Service, caller: Caller, gate: Gate
    ) -> None:
        self._broker = broker
        self._gate = gate
        self._service = service
        self._caller = caller
        self._timer: Any = None
        #: Whether one side takes no new calls any more.
        self.on = False

    def begin(self) -> None:
        """Tell the peer that no new calls are taken, but those that belong to old."""
        if not self.on:
            self.peer_begins()
            self._broker.say_draining()
            self._timer = get_hub().loop.timer(_UNSEEN)
            self._timer.start(self.seen)

    def seen(self) -> None:
        """The peer knows it: what it calls now it should not have."""
        # Not of a peer that acknowledges what it was never told.
        if self._timer is not None:
            self._service.refuses = True
            self.close()

    def peer_begins(self) -> None:
        """The peer takes no new calls from now on: neither does this side."""
        self.on = True
        self._caller.close()
        self._gate.turn_away()

    def close(self) -> None:
        """Stop waiting for the peer to know it."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
