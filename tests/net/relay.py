"""Someone on the way between a client and a server: passes bytes on as it is told."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from geopb.net.address import parse


class Relay:
    """Passes bytes on to `target`; a context manager.

    Args:
        target: A server's address.
        piece: The most bytes that are passed on at once.

    Attributes:
        address: Where clients connect to, as a TLS address.
    """

    def __init__(self, target: str, piece: int = 65536) -> None:
        self._target = parse(target)
        self._piece = piece
        self._sockets: list[Any] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.address = f"tls://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._server.stop(timeout=1)

    def cut(self) -> None:
        """End all connections, without a word of TLS's."""
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _serve(self, client: Any, _: Any) -> None:
        server = socket.create_connection((self._target.host, self._target.port))
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets += [client, server]
        both = [
            gevent.spawn(self._pass_on, client, server),
            gevent.spawn(self._pass_on, server, client),
        ]
        gevent.joinall(both)
        client.close()
        server.close()

    def _pass_on(self, source: Any, target: Any) -> None:
        try:
            while data := source.recv(65536):
                for start in range(0, len(data), self._piece):
                    target.sendall(data[start : start + self._piece])
                    gevent.sleep(0)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
