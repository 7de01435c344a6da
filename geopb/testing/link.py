"""A line between two peers, with a lane for each direction.

Owns the two sides, and when they are closed. Called by pairs, proxies and users.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from gevent import socket
from gevent.event import Event

from geopb.testing.clock import Clock, RealTime, Time
from geopb.testing.lane import Lane
from geopb.testing.side import Side

#: What the kernel holds of a stalled sender in memory, about; the system's own default
#: differs from one to the next.
_KERNEL_BYTES = 64 * 1024

#: What users pass to be given each new link before bytes pass.
OnLink = Callable[["Link"], object]


class Link:
    """A line that misbehaves on command. A context manager that closes.

    What passes is bytes, whatever they mean: it takes TLS too. It belongs to the
    thread that made it.

    Attributes:
        to_server: The lane from the client to the server.
        to_client: The lane from the server to the client.
    """

    def __init__(self, client: Side, server: Side, clock: Clock | None = None) -> None:
        time: Time = RealTime() if clock is None else clock
        self._closed = Event()
        self._sides = (client, server)
        self.to_server = Lane("to_server", client, server, time, self)
        self.to_client = Lane("to_client", server, client, time, self)
        self._lanes = (self.to_server, self.to_client)

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing passes any more."""
        return self._closed.is_set()

    @property
    def holds_back(self) -> bool:
        """Whether bytes are on their way, or a lane is stalled."""
        return any(lane.stalled or lane.in_flight for lane in self._lanes)

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Block until it is over, for up to `timeout` seconds; whether it is."""
        return bool(self._closed.wait(timeout))

    def delay(self, seconds: float) -> None:
        """Delay both directions: a round trip takes twice as long."""
        for lane in self._lanes:
            lane.delay(seconds)

    def split(self, size: int | None) -> None:
        """Deliver in pieces of at most `size` bytes, in both directions."""
        for lane in self._lanes:
            lane.split(size)

    def stall(self) -> None:
        """Stall both directions, until `resume`."""
        for lane in self._lanes:
            lane.stall()

    def resume(self) -> None:
        """Go on after `stall`, in both directions."""
        for lane in self._lanes:
            lane.resume()

    def lose(self) -> None:
        """Lose all that comes, in both directions: a machine that lost its power."""
        for lane in self._lanes:
            lane.lose()

    def fin(self) -> None:
        """End both streams behind what is on its way: both ends see a clean end."""
        for lane in self._lanes:
            lane.fin()

    def reset(self) -> None:
        """Cut the line: both ends see ``ConnectionResetError`` or a like error.

        What is on its way is lost. Resetting a link that is over does nothing.
        """
        self._close(Side.reset)

    def close(self) -> None:
        """End at once and cleanly: both ends see an end; idempotent.

        What is on its way is lost.
        """
        self._close(Side.close)

    def reset_side(self, side: Side) -> None:
        """Reset one side: for lanes."""
        for lane in self._lanes:
            if lane.source is side:
                lane.source_gone()
            else:
                lane.target_gone()
        side.reset()
        self.close_if_finished()

    def close_if_finished(self) -> None:
        """Close when both directions are finished: for lanes."""
        if all(lane.finished for lane in self._lanes):
            self.close()

    def _close(self, end: Callable[[Side], None]) -> None:
        if not self.closed:
            # First: what follows must not come back here.
            self._closed.set()
            # Before the sockets: a number that is closed may be another's at once.
            for lane in self._lanes:
                lane.close()
            for side in self._sides:
                end(side)

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
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {state}: {self.to_server}, {self.to_client}>"


class MemoryLink(Link):
    """A link that has both ends in this process, without a network or a port.

    The ends are gevent sockets, whose closing is their user's.

    Attributes:
        client_end: Where the client reads and writes.
        server_end: Where the server does.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.client_end, client = _socket_pair()
        self.server_end, server = _socket_pair()
        super().__init__(
            Side(client, self.client_end), Side(server, self.server_end), clock
        )


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
    return ours, theirs
