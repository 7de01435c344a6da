"""A connection to a server whose clients log in.

Owns what the peer may do before it has: send small messages, for a while. Called by the
server factory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gevent import get_hub

from geopb.cred.logins import Logins
from geopb.cred.portal import Portal
from geopb.limits import MINIMUM_MESSAGE_BYTES
from geopb.net.connection import Connection
from geopb.net.lobby import PortalLobby
from geopb.net.shield import shielded
from geopb.workers import worker_pool

#: Seconds in which a peer that is to go takes what it was told last.
_FLUSH = 1.0


class Reception:
    """One connection's.

    Args:
        portal: Who lets clients in.
        peer: The peer as text.
        host: Its address, None where that says nothing.
    """

    def __init__(self, portal: Portal, peer: str, host: str | None) -> None:
        self._logins = Logins(portal, peer, host, shielded)
        #: What the peer may call first.
        self.lobby = PortalLobby(self._logins)
        self._connection: Connection | None = None
        self._timer: Any = None

    def open(self, connection: Connection) -> None:
        """Begin: the peer has ``login_timeout`` seconds."""
        self._connection = connection
        limits = connection.options.limits
        # The least that any peer may announce. No bulk: a login has none.
        size = MINIMUM_MESSAGE_BYTES
        connection.broker.bound(
            replace(limits, max_structure_size=size, max_message_size=size)
        )
        self._logins.let_in = self._let_in
        self._logins.end = self._end
        self._timer = get_hub().loop.timer(limits.login_timeout)
        self._timer.start(worker_pool().submit_function, self._too_late)

    def close(self) -> None:
        """Log everybody out: the connection has ended."""
        self._stop_timer()
        self._logins.close()
        # They hold each other.
        self._connection = None

    def _let_in(self) -> None:
        if self._timer is not None and self._connection is not None:
            self._stop_timer()
            self._connection.broker.bound(self._connection.options.limits)

    def _too_late(self) -> None:
        connection = self._connection
        if self._timer is not None and connection is not None:
            limit = connection.options.limits.login_timeout
            text = f"no login within {limit:g} s (login_timeout)"
            self._end(text)

    def _end(self, reason: str) -> None:
        """End the connection of a peer at fault; blocks, in a worker."""
        if self._connection is not None:
            self._connection.close(reason, _FLUSH, at_fault=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None
