"""A client and a server in one process, and the link between them.

Owns both and ends them. Only the line is not the real one: the client, the server's
connections and all that they do are those of production. Called by users.
"""

from __future__ import annotations

import errno
import os
from types import TracebackType
from typing import Any, Self, cast

import gevent
from gevent import socket

from geopb.cred.portal import Portal
from geopb.flavors.referenceable import Root
from geopb.net.address import Address
from geopb.net.client import PBClientFactory, connect
from geopb.net.connection import Connection
from geopb.net.server import PBServerFactory
from geopb.promise.waiting import Timeout
from geopb.testing.clock import Clock, settle
from geopb.testing.link import MemoryLink, OnLink

#: Seconds for a connection to end whose line is gone: far more than it ever takes.
_PATIENCE = 5.0


class Pair:
    """A client of a server in memory. Made by `connected_pair`; a context manager.

    Each time that the client connects there is a new link.

    Attributes:
        server: The factory that serves the root; `connections` are its ends.
        client: The client; it may `disconnect` and connect again, to `address`.
        address: What `connect` takes to reach the server, in this process only.
        links: All links that were made, the oldest first.
        refusing: Set it to have attempts to connect refused.
    """

    def __init__(
        self,
        root: Root | Portal,
        server_options: dict[str, Any],
        clock: Clock | None,
        on_link: OnLink | None,
    ) -> None:
        self.server = PBServerFactory(root, **server_options)
        self.client = PBClientFactory()
        opened = Address("memory", path="pair", opener=self._open)
        # Not among the forms that users write: it cannot be written.
        self.address = cast(str, opened)
        self.links: list[MemoryLink] = []
        self.refusing = False
        self._clock = clock
        self._on_link = on_link
        self._serving: list[gevent.Greenlet[..., None]] = []

    @property
    def link(self) -> MemoryLink:
        """The newest link. There is one once the client has begun to connect."""
        if not self.links:
            raise RuntimeError("the client has not connected: there is no link yet")
        return self.links[-1]

    @property
    def server_connection(self) -> Connection:
        """The server's end, when the client is connected."""
        connections = self.server.connections
        if len(connections) != 1:
            raise RuntimeError(f"the server has {len(connections)} connections, not 1")
        return next(iter(connections))

    def close(self) -> None:
        """Disconnect, and end the server's connections; idempotent. Blocks.

        What the client has queued is still delivered, but for what a link holds back:
        that is lost. Calls that still run are not waited for.
        """
        self.refusing = True
        self._settle()
        for link in self.links:
            if link.holds_back:
                link.reset()
            # A clock that stands still would keep the goodbye from the peer, which is
            # then waited for.
            link.delay(0)
        self.client.disconnect()
        self._settle()
        for link in self.links:
            link.close()
        gevent.joinall(self._serving, timeout=_PATIENCE)
        gevent.killall(self._serving, timeout=_PATIENCE)

    def _settle(self) -> None:
        try:
            settle()
        except Timeout:
            # Something calls on and on: that ends with the connection.
            return

    def _open(self) -> socket.socket:
        """Give the client a socket; called each time that it connects."""
        if self.refusing:
            refused = errno.ECONNREFUSED
            raise ConnectionRefusedError(refused, os.strerror(refused))
        link = MemoryLink(self._clock)
        self.links.append(link)
        if self._on_link is not None:
            self._on_link(link)
        self._serving.append(gevent.spawn(self.server, link.server_end, ""))
        return link.client_end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        return f"<Pair {self.client!r} {self.links[-1] if self.links else 'no link'}>"


def connected_pair(
    root: Root | Portal,
    *,
    server_options: dict[str, Any] | None = None,
    client_options: dict[str, Any] | None = None,
    clock: Clock | None = None,
    on_link: OnLink | None = None,
    wait: bool = True,
    **options: Any,
) -> Pair:
    """Serve `root` in memory; return it with a client that is connected. Blocks.

    Without a network, a port or a file.

    Args:
        root: A `Root`, or a `Portal`.
        server_options: Options of the server only; see docs/options.md.
        client_options: Options of the client only.
        clock: What the delays of links count on; None for real time.
        on_link: Called with each new link before any bytes pass. May not block.
        wait: False to return at once, while the client is still connecting: for links
            that keep it from being connected.
        options: Options of both.

    Raises:
        TypeError, ValueError: A wrong root or option.
        Timeout: Not connected within 10 s: the link does not let them.
    """
    pair = Pair(root, {**options, **(server_options or {})}, clock, on_link)
    both = {**options, **(client_options or {})}
    try:
        if wait:
            pair.client = connect(pair.address, **both)
        else:
            pair.client = PBClientFactory(**both).connect(pair.address)
    except BaseException:
        pair.close()
        raise
    return pair
