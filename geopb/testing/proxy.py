"""A listening port that passes connections on to a real server, through links.

Owns the listening socket and the links that it led to. Never looks at what passes.
Called by users who test against a server in another process, or over TCP.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from geopb.net.address import AddressLike, listen, open_socket, parse
from geopb.testing.clock import Clock
from geopb.testing.link import Link, OnLink
from geopb.testing.side import Side

#: Seconds for greenlets to end whose links are closed.
_PATIENCE = 5.0


class FaultProxy:
    """Passes each connection on to `target`, through a `Link`. A context manager.

    Accepting when it is made. When the target cannot be connected to, the client's
    connection is reset. Over Unix sockets a reset is one only where bytes are unread;
    else it is an end of stream.

    Args:
        target: The server's address, e.g. ``server.address``.
        address: Where to listen; port 0 lets the system choose.
        clock: What the delays of links count on; None for real time. Bytes between
            processes take time that no clock of a test governs.
        on_link: Called with each new link before any bytes pass. May not block.

    Attributes:
        address: Where it listens, as text that `connect` accepts.
        links: All links that were made, the oldest first.
        refusing: Set it to have connections reset as soon as they are accepted.
    """

    def __init__(
        self,
        target: AddressLike,
        *,
        address: AddressLike = "127.0.0.1:0",
        clock: Clock | None = None,
        on_link: OnLink | None = None,
    ) -> None:
        self._target = parse(target)
        self._listener = listen(parse(address))
        self.address = str(self._listener.address)
        self.links: list[Link] = []
        self.refusing = False
        self._clock = clock
        self._on_link = on_link
        self._running = Pool()
        self._server = StreamServer(
            self._listener.socket, self._accepted, spawn=self._running
        )
        self._server.start()

    @property
    def link(self) -> Link:
        """The newest link. There is one once a client has connected."""
        if not self.links:
            raise RuntimeError("nobody has connected through the proxy yet")
        return self.links[-1]

    def reset(self) -> None:
        """Reset all links."""
        for link in self.links:
            link.reset()

    def close(self) -> None:
        """Stop accepting and close all links; idempotent. Blocks."""
        self._server.stop_accepting()
        for link in self.links:
            link.close()
        self._running.kill(timeout=_PATIENCE)
        if not self._server.closed:
            self._server.stop(timeout=0)
            self._listener.unlink()

    def _accepted(self, sock: socket.socket, peer: Any) -> None:
        """Pass one connection on; blocks until it is over."""
        client = Side(sock)
        if self.refusing:
            client.reset()
            return
        try:
            server = Side(open_socket(self._target))
        except OSError:
            client.reset()
            return
        link = Link(client, server, self._clock)
        self.links.append(link)
        if self._on_link is not None:
            self._on_link(link)
        try:
            link.wait_closed()
        finally:
            link.close()

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
        return f"<FaultProxy {self.address} -> {self._target}, {len(self.links)} links>"
