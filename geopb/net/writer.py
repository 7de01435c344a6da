"""The one who writes to a socket.

Owns the sending side. A caller's greenlet is never inside a socket call that could
switch: a timeout or kill that struck there would leave half a frame. The hub sends what
the kernel takes at once; for the rest a worker takes the writer's role, which nobody
times out. Called by the connection.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gevent
from gevent import get_hub, socket
from gevent.event import Event

from geopb.net.sockets import raw
from geopb.net.watch import Watch
from geopb.workers import interrupt_main, worker_pool

#: Bytes that the hub sends in one go before it hands over to a worker, so that
#: one connection's bulk does not keep it from the others.
_AT_ONCE = 256 * 1024


class Outgoing(Protocol):
    """What is to be sent: a broker's outbox."""

    def take(self) -> bytes:
        """Return the next bytes, none when nothing waits."""

    def take_pieces(self) -> bytes | list[bytes | memoryview]:
        """Return the same, in pieces where it is large."""

    @property
    def more(self) -> bool:
        """Whether there is more to take; if not yet, `Writer.wake` will be called."""

    @property
    def held(self) -> bool:
        """Whether there is more which the peer does not want yet: likewise."""


class Outlet(Protocol):
    """What a message passes on its way to the socket: a transport."""

    @property
    def outgoing(self) -> Outgoing:
        """What goes to the socket."""

    @property
    def record(self) -> Callable[[bytes], bytes] | None:
        """Return what is sent for a message; no bytes where that is to be queued.

        Called while nothing waits. None in its place: messages are sent as they are.
        """


class Producers(Protocol):
    """Those who wait until bytes have been sent: a connection's gate."""

    #: How many wait.
    waited_for: int

    def let_in(self) -> None:
        """Let go on whom there is room for."""


class Writer:
    """Sends what `outgoing` gives, in order.

    Args:
        sock: The connection's socket.
        outlet: What is to be sent, and in which form.
        failed: Called once with the error when the socket is broken.
        producers: Told when bytes that waited have been sent.
        watch: Told when bytes are on their way, and whether the kernel takes them.
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_failed",
        "_flushed",
        "_left",
        "_loop",
        "_outgoing",
        "_pool",
        "_producers",
        "_record",
        "_send",
        "_sock",
        "_watch",
        "callback",
        "deaf",
    )

    def __init__(
        self,
        sock: socket.socket,
        outlet: Outlet,
        failed: Callable[[OSError], object],
        producers: Producers,
        watch: Watch,
    ) -> None:
        self._sock = sock
        self._send = raw(sock).send
        self._outgoing, self._record = outlet.outgoing, outlet.record
        self._failed = failed
        self._producers = producers
        self._watch = watch
        self._loop: Any = get_hub().loop
        #: `send_at_once`: one object for all who keep it.
        self.callback = self.send_at_once
        self._pool = worker_pool()
        #: What the kernel did not take of the last bytes.
        self._left: memoryview | list[bytes | memoryview] | None = None
        #: A worker has the role: nobody else may write.
        self._busy = False
        self._closed = False
        #: Nothing is read any more, so that what the peer would have to take first is
        #: never sent.
        self.deaf = False
        #: Those that wait until all is sent.
        self._flushed: Sequence[Event] = ()

    def wake(self) -> None:
        """Send a turn's first message now, and what follows together at its end.

        So the peer begins with a single call while its caller goes on. The first of
        all connections' messages, not of each one's: a busy peer is woken once.
        """
        pool, turn = self._pool, self._loop.iteration
        if pool.turn != turn:
            pool.turn = turn
            self.send_at_once()
        else:
            self._loop.run_callback(self.callback)

    def offer(self, framed: bytes) -> bool:
        """Send a turn's first message, which nothing waits before: see `wake`.

        False where it is to be queued. Never switches greenlets.
        """
        pool, turn = self._pool, self._loop.iteration
        if pool.turn == turn or self._busy or self._closed:
            return False
        record, send = self._record, self._send
        try:
            if record is not None:
                framed = record(framed)
                if not framed:
                    # Nothing is queued behind a line that has failed.
                    return self._closed
            pool.turn = turn
            count = send(framed)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._broken(error)
            return True
        except BaseException:
            # Also where a record was made and not sent: the peer would miss it.
            self._broken(_interrupted())
            raise
        if not self._watch.on:
            self._watch.begin()
        if count < len(framed):
            self._left = memoryview(framed)[count:]
            self._busy = True
            pool.submit_function(self._send_waiting)
        return True

    def flush_within(self, timeout: float) -> bool:
        """Wait until all is sent, for up to `timeout` seconds; False if it is not."""
        if self._closed or self._is_all_sent():
            return True
        flushed = Event()
        self._flushed = [*self._flushed, flushed]
        return bool(flushed.wait(timeout))

    def say(self, text: bytes) -> None:
        """Send text in place of the protocol, as far as the kernel takes it."""
        if text and not self._closed and not self._busy:
            try:
                self._send(text)
            except OSError as error:
                self._broken(error)

    def close(self, *, read_on: bool = False) -> None:
        """Stop sending and end the socket's directions; the reader closes it.

        Both of them, but for `read_on`: then the reader may go on.
        """
        if self._closed:
            return
        self._closed = True
        self._watch.stop()
        self._all_sent()
        self._shut_down(socket.SHUT_WR if read_on else socket.SHUT_RDWR)

    def disown(self) -> None:
        """Stop sending, and leave the socket as it is: it is another process's."""
        self._closed = True
        self._watch.stop()

    def close_both_ways(self) -> None:
        """End what the reader may have gone on to read."""
        self._shut_down(socket.SHUT_RDWR)

    def _shut_down(self, how: int) -> None:
        try:
            self._sock.shutdown(how)
        except OSError:
            # Not connected any more: that is what was wanted.
            return

    def send_at_once(self) -> None:
        """Send what the kernel takes without waiting. Never switches greenlets.

        Runs in the hub, at the end of a turn; or in the greenlet that has just queued
        so much that the peer should begin with it: it cannot be interrupted here.
        """
        sent = 0
        watch, outgoing = self._watch, self._outgoing
        try:
            while not (self._busy or self._closed):
                data = outgoing.take_pieces()
                if not data:
                    break
                whole = type(data) is bytes
                send = self._send if whole else raw(self._sock).sendmsg
                try:
                    count = send(data)
                except BlockingIOError:
                    count = 0
                if not watch.on:
                    watch.begin()
                if not whole or count < len(data):
                    self._left = _rest(data, count)
                if self._left is None and not outgoing.more:
                    break
                sent += count
                if self._left is not None or sent > _AT_ONCE:
                    self._busy = True
                    self._pool.submit_function(self._send_waiting)
        except OSError as error:
            self._broken(error)
            return
        except BaseException:
            # Ctrl-C: bytes were taken, and perhaps some of them sent.
            self._broken(_interrupted())
            raise
        if self._producers.waited_for and not self._closed:
            self._producers.let_in()
        if self._flushed and self._is_all_sent():
            self._all_sent()

    def _send_waiting(self) -> None:
        """Send all that waits, waiting for the kernel; runs in a worker."""
        sent = 0
        try:
            while not self._closed:
                data = self._left or self._outgoing.take_pieces()
                self._left = None
                if not data:
                    break
                sent += self._send_all(data)
                self._producers.let_in()
                if sent > _AT_ONCE:
                    sent = 0
                    gevent.sleep(0)
        except OSError as error:
            self._broken(error)
        except BaseException as error:
            # Ctrl-C has struck in the middle of a frame: this stream is over.
            self._broken(_interrupted())
            if not isinstance(error, KeyboardInterrupt):
                raise
            interrupt_main(error)
        finally:
            self._busy = False
            if self._is_all_sent():
                self._all_sent()

    def _send_all(self, rest: bytes | memoryview | list[bytes | memoryview]) -> int:
        """Send all of it, waiting for the kernel; return its length."""
        watch = self._watch
        sent = 0
        watch.blocked = True
        if not watch.on:
            watch.begin()
        left: bytes | memoryview | list[bytes | memoryview] | None = rest
        try:
            while left:
                if isinstance(left, list):
                    count = self._sock.sendmsg(left)
                else:
                    count = self._sock.send(left)
                watch.taken += count
                sent += count
                left = _rest(left, count)
        finally:
            watch.blocked = False
        return sent

    def _is_all_sent(self) -> bool:
        if self._busy or self._outgoing.more:
            return False
        return self.deaf or not self._outgoing.held

    def _all_sent(self) -> None:
        flushed, self._flushed = self._flushed, ()
        for event in flushed:
            event.set()

    def _broken(self, error: OSError) -> None:
        if not self._closed:
            self._failed(error)


def _rest(data: Any, count: int) -> Any:
    """Return what is left of bytes, or of pieces, when `count` were sent."""
    if type(data) is not list:
        return memoryview(data)[count:] if count < len(data) else None
    for place, piece in enumerate(data):
        if count < len(piece):
            return [memoryview(piece)[count:], *data[place + 1 :]]
        count -= len(piece)
    return None


def _interrupted() -> OSError:
    return OSError(errno.EINTR, "interrupted in the middle of a send")
