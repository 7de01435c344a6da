"""A client's connections, one after the other: connect, read, wait, connect again.

Owns the greenlet that does so from `connect` to the end, the state that it is in and
the last failure. Never asks anything of the server and never repeats a call: that is
for who is told of each connect. Called by the client, which listens.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Literal

import gevent
from gevent import socket

from geopb.errors import PBConnectionLost
from geopb.net.backoff import Backoff
from geopb.net.connection import Connection
from geopb.net.options import Options
from geopb.net.tls import Secure
from geopb.promise.promise import Promise
from geopb.text import safe_str
from geopb.workers import worker_pool

_log = logging.getLogger("geopb.client")

State = Literal["disconnected", "connecting", "connected", "waiting"]


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told, each time with the lifecycle. None of these may switch greenlets.

    Attributes:
        opened: A connection is open; the server's hello is not in.
        connected: The server's hello is in. Called in the hub.
        waits: There is no connection now, and there will be another attempt.
        over: There will be no other connection. Told why, and whether the last attempt
            had reached a server.
    """

    opened: Callable[[Lifecycle, Connection], None]
    connected: Callable[[Lifecycle, Connection], None]
    waits: Callable[[Lifecycle], None]
    over: Callable[[Lifecycle, Exception, bool], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where each attempt goes.

    Attributes:
        open_socket: Returns a connected socket; blocks.
        peer: The server as text.
        secure: How TLS is spoken with it; None for not at all.
    """

    open_socket: Callable[[], socket.socket]
    peer: str
    secure: Secure | None


class Lifecycle:
    """What follows one `connect`: a greenlet, until it ends or is stopped.

    Args:
        target: Where each attempt goes.
        options: The factory's.
        listener: Who is told.
        backoff: How long to wait before each further attempt; None makes one attempt.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        listener: Listener,
        backoff: Backoff | None,
    ) -> None:
        self._open_socket = target.open_socket
        self._peer = target.peer
        self._secure = target.secure
        self._options = options
        self._listener = listener
        self._backoff = backoff
        self._state: State = "connecting"
        self.connection: Connection | None = None
        self._last_failure: Exception | None = None
        #: Whether it was stopped: then its end is no failure.
        self.stopping = False
        #: When the server's hello came in; 0 while it has not.
        self._up_since = 0.0
        self._failures = 0
        self._over = False
        self._pid = os.getpid()
        self._greenlet = gevent.spawn(self._run)

    @property
    def state(self) -> State:
        """The state; a connection that is lost is so from the first moment on."""
        if self.is_inherited():
            return "disconnected"
        connection = self.connection
        if connection is not None and connection.lost is not None:
            ends = self._backoff is None or self._ends()
            return "disconnected" if ends else "waiting"
        return self._state

    @property
    def last_failure(self) -> Exception | None:
        """Why the last attempt failed, or the last connection ended by itself."""
        connection = self.connection
        if connection is not None and connection.lost is not None and not self.stopping:
            return connection.lost
        return self._last_failure

    def is_inherited(self) -> bool:
        """Whether this is a copy, in a child process: the connections are not its."""
        return os.getpid() != self._pid

    def stop(self) -> None:
        """End the connection, sending what is queued for up to 5 s; or the attempts.

        Blocks until it is done; in a state without a connection that is at once.
        """
        # One that is lost already is a failure, though the reader has yet to end.
        self._last_failure = self.last_failure
        self.stopping = True
        if self.connection is not None:
            self.connection.close()
        else:
            # Before the greenlet is ended: what waits fails with this.
            self._end(PBConnectionLost("disconnected"), reached=False)
        if self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()

    def _run(self) -> None:
        lost: Exception = PBConnectionLost(f"the reader of {self._peer} was killed")
        try:
            while True:
                lost = self._attempt()
                if self._backoff is None or self._ends():
                    break
                self._wait(lost, self._backoff)
                if self._ends():
                    break
        finally:
            connection = self.connection
            if connection is not None:
                lost = connection.lost or lost
            reached = connection is not None and connection.up.successful()
            self._end(lost, reached=reached)

    def _attempt(self) -> Exception:
        """Connect and read to the end; return why it ended."""
        try:
            sock = self._open()
        except Exception as error:
            return error
        connection = self.connection = Connection(
            sock, self._peer, self._options, secure=self._secure
        )
        connection.up.rawlink(self._is_up)
        self._listener.opened(self, connection)
        try:
            connection.run()
        except OSError as error:
            return connection.lost or error
        return connection.lost or PBConnectionLost(f"{self._peer} was lost")

    def _open(self) -> socket.socket:
        if self._backoff is None:
            return self._open_socket()
        # The system would try for minutes where nothing answers, not even a refusal.
        limit = self._options.limits.handshake_timeout
        timer = gevent.Timeout.start_new(limit)
        try:
            return self._open_socket()
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            text = f"{self._peer} was not reached within {limit:g} s"
            raise TimeoutError(f"{text} (handshake_timeout)") from None
        finally:
            timer.close()

    def _is_up(self, up: Promise[Any]) -> None:
        """The server's hello is in, or will never be; runs in the hub."""
        connection = self.connection
        # One that has ended in the same turn is a failed attempt.
        if connection is None or connection.up is not up or connection.lost is not None:
            return
        self._state = "connected"
        self._up_since = monotonic()
        if self._failures:
            # Not in the hub: logging may block.
            told = partial(_log.info, "%s: connected again", self._peer)
            worker_pool().submit_function(told)
        self._failures = 0
        self._listener.connected(self, connection)

    def _wait(self, lost: Exception, backoff: Backoff) -> None:
        """Wait before the next attempt."""
        lasted = monotonic() - self._up_since if self._up_since else 0.0
        delay = backoff.after(lasted)
        self._last_failure = lost
        self.connection, self._up_since, self._state = None, 0.0, "waiting"
        self._listener.waits(self)
        # What lasts is told once; who wants to know more looks at INFO.
        level = logging.INFO if self._failures else logging.WARNING
        self._failures += 1
        text = "%s: %s; connecting again in %.2g s"
        _log.log(level, text, self._peer, safe_str(lost, 500), delay)
        gevent.sleep(delay)
        self._state = "connecting"

    def _ends(self) -> bool:
        return self.stopping or self.is_inherited()

    def _end(self, lost: Exception, *, reached: bool) -> None:
        if self._over:
            return
        self._over = True
        self.connection, self._state = None, "disconnected"
        if not self.stopping:
            self._last_failure = lost
        self._listener.over(self, lost, reached)
