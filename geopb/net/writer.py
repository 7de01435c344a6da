"""The one who writes to a socket.

Owns the sending side. A caller's greenlet is never inside a socket call that could
switch: a timeout or kill that struck there would leave half a frame. The hub sends what
the kernel takes at once; for the rest a worker takes the writer's role, which nobody
times out. Called by the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub, socket
from gevent.event import Event

from geopb.workers import worker_pool

#: Bytes that the hub sends in one go before it hands over to a worker, so that
#: one connection's bulk does not keep it from the others.
_AT_ONCE = 256 * 1024


class Writer:
    """Sends what `take` gives, in order.

    Args:
        sock: The connection's socket.
        take: Returns the next bytes, none when nothing waits.
        failed: Called once with the error when the socket is broken.
    """

    def __init__(
        self,
        sock: socket.socket,
        take: Callable[[], bytes],
        failed: Callable[[OSError], None],
    ) -> None:
        self._sock = sock
        self._take = take
        self._failed = failed
        self._loop = get_hub().loop
        self._pool = worker_pool()
        #: What the kernel did not take of the last bytes.
        self._left: memoryview | None = None
        #: A worker has the role: the hub must not write.
        self._busy = False
        self._closed = False
        self._idle = Event()
        self._idle.set()

    def wake(self) -> None:
        """Send soon: all that is queued in this turn of the loop goes out together."""
        self._idle.clear()
        self._loop.run_callback(self._send_at_once)

    def flush_within(self, timeout: float) -> bool:
        """Wait until all is sent, for up to `timeout` seconds; False if it is not."""
        return bool(self._idle.wait(timeout))

    def say(self, text: bytes) -> None:
        """Send text in place of the protocol, as far as the kernel takes it."""
        if not self._closed and not self._busy:
            try:
                _send_now(self._sock, text)
            except OSError as error:
                self._broken(error)

    def close(self) -> None:
        """Stop sending and end the socket's both directions; the reader closes it."""
        if self._closed:
            return
        self._closed = True
        self._idle.set()
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Not connected any more: that is what was wanted.
            return

    def _send_at_once(self) -> None:
        """Send what the kernel takes without waiting; runs in the hub."""
        sent = 0
        while not (self._busy or self._closed):
            data = self._take()
            if not data:
                self._idle.set()
                return
            try:
                count = _send_now(self._sock, data)
            except BlockingIOError:
                count = 0
            except OSError as error:
                self._broken(error)
                return
            sent += count
            if count < len(data):
                self._left = memoryview(data)[count:]
            if self._left is not None or sent > _AT_ONCE:
                self._busy = True
                self._pool.submit_function(self._send_waiting)

    def _send_waiting(self) -> None:
        """Send all that waits, waiting for the kernel; runs in a worker."""
        sent = 0
        try:
            while not self._closed:
                data = self._left or self._take()
                self._left = None
                if not data:
                    break
                self._sock.sendall(data)
                sent += len(data)
                if sent > _AT_ONCE:
                    sent = 0
                    gevent.sleep(0)
        except OSError as error:
            self._broken(error)
        finally:
            self._busy = False
            self._idle.set()

    def _broken(self, error: OSError) -> None:
        if not self._closed:
            self._failed(error)


def _send_now(sock: Any, data: bytes) -> int:
    """Send what the kernel takes at once; never switches greenlets.

    gevent's ``send`` has a third parameter, its timeout, that the stubs leave out.
    """
    return int(sock.send(data, 0, 0.0))
