"""The listening socket's side of accepting, which must not fail.

Owns one spare descriptor. When the process has no other left, the spare is given up for
a moment, so that who connects is told that the server is full: otherwise peers would
wait in the backlog without a word, and each try would leave a traceback. Accepting goes
on as soon as descriptors come back. Called by the server.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

from gevent import socket
from gevent.server import StreamServer

#: No descriptor in this process, or none in the system.
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)
#: The connection has ended before it was accepted: nothing is wrong here.
_GONE = (errno.ECONNABORTED, errno.EPROTO)
#: Seconds until it is tried again where the system refuses for long.
_PAUSE = 0.1


class Listener(StreamServer):
    """Accepts as long as the process can have another connection.

    Args:
        sock: Bound and listening.
        serve: Called with a socket and an address, in a greenlet of its own.
        turn_away: Called with those for whom there is no descriptor, in the hub; closes
            the socket at once.
        failed: Called in the hub with what the system says when it lets nobody in.
    """

    def __init__(
        self,
        sock: socket.socket,
        serve: Callable[[socket.socket, Any], object],
        turn_away: Callable[[socket.socket, Any], object],
        failed: Callable[[OSError], object],
    ) -> None:
        super().__init__(sock, serve)
        self._turn_away = turn_away
        self._failed = failed
        self._spare: int | None = _open_spare()
        self._paused: Any = None

    # Its stubs forget that gevent's own returns None where nobody waits.
    def do_read(  # type: ignore[override]
        self,
    ) -> tuple[socket.socket, Any] | None:
        """Accept one connection; None if there is none to be served."""
        try:
            return super().do_read()
        except OSError as error:
            if error.errno in _NONE_LEFT and self._spare is not None:
                self._accept_with_spare(self._spare)
            elif error.errno in self.fatal_errors:
                raise
            elif error.errno not in _GONE:
                self._pause(error)
        # What else waits in the backlog makes the socket readable again, at once.
        return None

    def _accept_with_spare(self, spare: int) -> None:
        """Turn one away with the descriptor that is kept for it."""
        os.close(spare)
        self._spare = None
        try:
            accepted = super().do_read()
            if accepted is not None:
                self._turn_away(*accepted)
            self._spare = _open_spare()
        except OSError as error:
            # Somebody else has taken it: the system's limit, or another thread.
            self._pause(error)

    def _pause(self, error: OSError) -> None:
        """Accept nobody for a moment."""
        self._failed(error)
        self.stop_accepting()
        self._paused = self.loop.timer(_PAUSE)
        self._paused.start(self._go_on)

    def _go_on(self) -> None:
        self._paused.close()
        try:
            self._spare = self._spare if self._spare is not None else _open_spare()
        except OSError as error:
            self._pause(error)
            return
        if self.started:
            self.start_accepting()

    def close(self) -> None:
        """Close the listening socket and stop accepting."""
        super().close()
        if self._paused is not None:
            self._paused.close()
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
