"""Whether what is sent is taken: the verdict on a peer that takes nothing.

Owns `Watch` and the two verdicts 'not reading' and 'gone'. The kernel reaches most of
them by itself (see `prepare`); this one watches what it has no option for: a Unix
socket whose peer stops reading, bulk of which the peer has taken nothing though its
kernel has, and bytes that were sent only after the link was cut. Nothing is asked of
the peer's process, which may be busy. Called by the writer
(while bytes are on their way) and the connection (to tell what an error means).
"""

from __future__ import annotations

import errno
import fcntl
import struct
import sys
import termios
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple, Protocol

from gevent import get_hub, socket

from geopb.errors import PBConnectionLost
from geopb.net.sockets import LONGEST
from geopb.workers import worker_pool

#: Looks at a line in `keepalive` seconds; a peer is dropped later by so much at most.
_LOOKS = 8
#: The least seconds between two looks.
_SHORTEST = 0.01
#: A peer heard from within this share of `keepalive` is there.
_LATELY = 0.9
#: The head of Linux's ``struct tcp_info``: retransmissions and probes that are not
#: answered, and the milliseconds since data and since an acknowledgement came in.
_INFO = struct.Struct("=2xBB48xII")
#: Where the peer's window is, since Linux 5.4, and how far to read for it.
_WINDOW = struct.Struct("=228xI")


class Heard(NamedTuple):
    """What the kernel knows of the peer's."""

    #: Seconds since anything came from it.
    silent: float
    #: Messages to it since then that it should have answered.
    tries: int
    #: Whether it has no room for more bytes, as its process does not read. The kernel
    #: asks it at growing intervals then, and it answers twice a second at most.
    shut: bool


class NotReading(TimeoutError):
    """The peer took no bytes while some waited for it."""


class Held(Protocol):
    """What waits until the peer has taken what was sent: a broker's outbox."""

    @property
    def held(self) -> bool:
        """Whether something does."""

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far."""


class Watch:
    """Watches one socket as long as bytes are not taken.

    Args:
        sock: A connected socket.
        peer: The other end as text.
        keepalive: Seconds without progress after which the peer is given up.
        give_up: Called, in a worker, with an error that `explain` knows.
        bulk: What waits for the peer.
    """

    __slots__ = (
        "_bulk",
        "_give_up",
        "_keepalive",
        "_loop",
        "_peer",
        "_pool",
        "_seen",
        "_since",
        "_sock",
        "_tcp",
        "_timer",
        "blocked",
        "on",
        "taken",
    )

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        keepalive: float,
        give_up: Callable[[OSError], object],
        bulk: Held,
    ) -> None:
        self._sock = sock
        self._peer = peer
        self._keepalive = min(keepalive, LONGEST)
        self._give_up = give_up
        self._bulk = bulk
        self._tcp = sock.family != socket.AF_UNIX
        self._loop: Any = get_hub().loop
        self._pool = worker_pool()
        self._timer: Any = None
        #: Whether it looks at the line now: where not, who sends calls `begin`.
        self.on = False
        #: The writer's: whether bytes wait for the kernel to take them, and how many
        #: it has taken from those that waited.
        self.blocked = False
        self.taken = 0
        #: What was seen last, and since when that has not changed.
        self._seen = (0, 0)
        self._since = 0.0

    def begin(self) -> None:
        """Look at the line until all is taken. Does not switch greenlets."""
        self.on = True
        self._seen = (-1, -1)
        self._look_in(self._keepalive / _LOOKS)

    def stop(self) -> None:
        """Look no more; `begin` may follow."""
        self.on = False
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def explain(self, error: OSError) -> tuple[PBConnectionLost, bool]:
        """Return what the end of the line is to be called; True if 'not reading'.

        The kernel gives up a peer that is gone and one whose window stays shut with
        the same error: what it heard last tells them apart.
        """
        limit = self._keepalive
        if isinstance(error, NotReading):
            reading = False
        elif error.errno == errno.ETIMEDOUT:
            heard = self._heard()
            reading = heard is None or not (
                heard.shut or heard.silent < _LATELY * limit
            )
        else:
            text = f"the connection to {self._peer} broke: {error}"
            return PBConnectionLost(text), False
        if reading:
            text = (
                f"the connection to {self._peer} broke: no sign of its machine for "
                f"{limit:g} s (keepalive)"
            )
            return PBConnectionLost(text), False
        text = (
            f"{self._peer} is not reading: it took none of the bytes that wait for it "
            f"within {limit:g} s (keepalive)"
        )
        return PBConnectionLost(text), True

    def _look_in(self, seconds: float) -> None:
        # A timer of its own each time: a line at rest keeps none.
        self._timer = self._loop.timer(max(seconds, _SHORTEST))
        self._timer.start(self._look)

    def _look(self) -> None:
        """Look at the line; runs in the hub.

        What the kernel is asked is true now: that this process may have been busy for
        long is no fault of the peer's.
        """
        self.stop()
        waiting = self._waiting()
        stopped = self.blocked or self._bulk.held
        if not stopped and not (self._tcp and waiting):
            return
        self.on = True
        now, seen = monotonic(), (self.taken + self._bulk.taken, waiting)
        if seen != self._seen:
            self._seen, self._since = seen, now
        heard = self._heard()
        left = self._keepalive
        if heard is not None and waiting and not heard.shut:
            left -= heard.silent
            if left <= 0 and heard.tries:
                self._end(TimeoutError(errno.ETIMEDOUT, "keepalive"))
                return
        stuck = now - self._since
        # What the peer has taken of bulk it tells: that may wait to be read here.
        if (
            stopped
            and stuck >= self._keepalive
            and (self.blocked or not self._asked(termios.FIONREAD))
        ):
            self._end(NotReading(errno.ETIMEDOUT, "keepalive"))
            return
        if stopped:
            left = min(left, self._keepalive - stuck)
        # Due already, but the kernel has not tried again yet: it soon has.
        usual = self._keepalive / _LOOKS
        self._look_in(min(left, usual) if left > 0 else usual)

    def _end(self, error: OSError) -> None:
        # `on` stays: nobody begins again.
        self._pool.submit(lambda _: self._give_up(error))

    def _waiting(self) -> int:
        """Return the bytes sent that the peer's kernel, or process, has not taken."""
        return self._asked(termios.TIOCOUTQ)

    def _asked(self, what: int) -> int:
        """Return a number of bytes that the kernel knows."""
        try:
            found = fcntl.ioctl(self._sock.fileno(), what, bytes(4))
        except OSError:
            # Not known on this system.
            return 0
        return int.from_bytes(found, sys.byteorder, signed=True)

    def _heard(self) -> Heard | None:
        """Return what is known of the peer's kernel; None where that is nothing."""
        option = getattr(socket, "TCP_INFO", None)
        if option is None or not self._tcp:
            return None
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, option, _WINDOW.size)
        except OSError:
            return None
        if len(info) < _INFO.size:
            return None
        retransmits, probes, data, acknowledged = _INFO.unpack_from(info)
        told = len(info) == _WINDOW.size
        shut = told and not _WINDOW.unpack(info)[0]
        return Heard(min(data, acknowledged) / 1000, retransmits + probes, shut)
