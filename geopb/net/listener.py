"""The listening socket's side of accepting, which must not fail.

Owns one spare descriptor. When the process has no other left, the spare is given up for
a moment, so that who connects is told that the server is full: otherwise peers would
wait in the backlog without a word, and each try would leave a traceback. Accepting goes
on as soon as descriptors come back. Called by the server.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

from gevent import get_hub, socket
from gevent.server import StreamServer
from greenlet import greenlet

from geopb.net.share import Load, Share

#: No descriptor in this process, or none in the system.
_NONE_LEFT = (errno.EMFILE, errno.ENFILE)
#: The connection has ended before it was accepted: nothing is wrong here.
_GONE = (errno.ECONNABORTED, errno.EPROTO)
#: Connections that are accepted and not begun yet. The loop accepts faster than it
#: begins them, and what it has to begin stands in one line with all else it has to do:
#: in a storm of connections everybody would wait for all of them.
_AT_ONCE = 16
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
        load: Who of those that are served is active.
    """

    def __init__(
        self,
        sock: socket.socket,
        serve: Callable[[socket.socket, Any], object],
        turn_away: Callable[[socket.socket, Any], object],
        failed: Callable[[OSError], object],
        load: Load,
    ) -> None:
        super().__init__(sock, self._begin)
        self._serve = serve
        self._to_begin = 0
        self._turn_away = turn_away
        self._failed = failed
        self._spare: int | None = _open_spare()
        self._paused: Any = None
        self._share = Share(load)

    # Its stubs forget that gevent's own returns None where nobody waits.
    def do_read(  # type: ignore[override]
        self,
    ) -> tuple[socket.socket, Any] | None:
        """Accept one connection; None if there is none to be served now."""
        if self._paused is not None or self._to_begin >= _AT_ONCE:
            return None
        try:
            accepted = super().do_read()
            if accepted is not None:
                self._to_begin += 1
                # In a storm those that are served have their turn.
                if pause := self._share.accepted():
                    self._pause(pause)
            return accepted
        except OSError as error:
            if error.errno in _NONE_LEFT and self._spare is not None:
                self._accept_with_spare(self._spare)
            elif error.errno in self.fatal_errors:
                raise
            elif error.errno not in _GONE:
                self._fail(error)
        # What else waits in the backlog makes the socket readable again, at once.
        return None

    def do_handle(self, *accepted: Any) -> None:
        """Have one served that was accepted, in a greenlet of its own.

        A raw one: it keeps half as much memory while its connection is at rest, and
        nobody waits for its end. gevent's would note where it was spawned.
        """
        hub: Any = get_hub()
        hub.loop.run_callback(greenlet(self._begin, hub).switch, *accepted)

    def _begin(self, sock: socket.socket, address: Any) -> None:
        self._to_begin -= 1
        try:
            self._serve(sock, address)
        except BaseException:
            # Nobody else would see it; of a raw greenlet it would end the hub.
            get_hub().handle_error(self, *sys.exc_info())
        finally:
            sock.close()

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
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._failed(error)
        self._pause(_PAUSE)

    def _pause(self, seconds: float) -> None:
        """Accept nobody for a moment."""
        self.stop_accepting()
        self._paused = self.loop.timer(seconds)
        self._paused.start(self._go_on)

    def _go_on(self) -> None:
        self._stop_pausing()
        try:
            self._spare = self._spare if self._spare is not None else _open_spare()
        except OSError as error:
            self._fail(error)
            return
        if self.started:
            self.start_accepting()

    def close(self) -> None:
        """Close the listening socket and stop accepting."""
        super().close()
        self._stop_pausing()
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

    def _stop_pausing(self) -> None:
        timer, self._paused = self._paused, None
        if timer is not None:
            timer.close()


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
