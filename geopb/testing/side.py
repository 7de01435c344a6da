"""One of the two sockets that a link passes bytes between.

Owns that socket: reading, writing and the ways to end it. Never switches greenlets.
Called by lanes and links.
"""

from __future__ import annotations

import os
import struct

from gevent import socket

#: Close at once, forgetting what is unsent: TCP tells the peer by a reset.
_LINGER = struct.pack("ii", 1, 0)


class Side:
    """A socket of the link's own.

    Args:
        sock: A connected gevent socket, which becomes the side's.
        end: The other end of a socket pair, where `sock` is half of one.
    """

    def __init__(self, sock: socket.socket, end: socket.socket | None = None) -> None:
        self._sock = sock
        self._end = end
        self._is_unix = sock.family == socket.AF_UNIX
        # With this a gevent socket raises BlockingIOError and never waits.
        sock.setblocking(False)
        if not self._is_unix:
            # Pieces leave as pieces.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = sock.fileno()
        self._closed = False

    def recv(self, size: int) -> bytes:
        """Return bytes; raises BlockingIOError when there are none."""
        data: bytes = self._sock.recv(size)
        return data

    def send(self, data: memoryview) -> int:
        """Return how many bytes were taken; raises BlockingIOError for none."""
        return self._sock.send(data)

    def finish(self) -> None:
        """Tell the other end that nothing more will come."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            # It is gone already.
            return

    def reset(self) -> None:
        """Close, so that the other end gets an error and not an end of stream."""
        if self._closed:
            return
        if not self._is_unix:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        elif self._end is not None and self._end.fileno() >= 0:
            # A Unix socket that is closed with bytes unread resets its peer: leave
            # it one, in the peer's name.
            try:
                os.write(self._end.fileno(), b"\0")
            except OSError:
                # Full, then some are unread anyway; or over on that side.
                pass
        self.close()

    def close(self) -> None:
        """Close; the other end gets an end of stream."""
        self._closed = True
        self._sock.close()
