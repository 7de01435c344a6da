"""The one who reads a socket, in turns that leave room for others.

Owns when the socket is looked at and how much is taken at a time. A turn's work is to
decode what came and to answer or queue it: it takes some 5 ms at the most, but for a
single message that takes longer. Never runs users' code, and never stops for long: two
peers that call each other need each other read. Called by the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

import gevent
from gevent import get_hub, getcurrent, socket

from geopb.broker.assembly import LEAST_ROOM
from geopb.broker.broker import Broker
from geopb.broker.state import State
from geopb.net.gate import Gate
from geopb.net.polling import Promptness, poller
from geopb.net.share import Share
from geopb.workers import switch_to

_OPENING, _PARTED = State.OPENING, State.PARTED
#: Bytes read at once: larger buffers are mapped anew each time.
_MOST_BYTES = 65536
#: The least: some thirty of the smallest calls.
_LEAST_BYTES = 1024
#: Seconds of work in one turn that are aimed at.
_TURN = 0.004


class Line(Protocol):
    """What is read: a transport."""

    @property
    def recv(self) -> Callable[[int], bytes]:
        """Return what has come, nothing at the end; never waits."""

    @property
    def recv_into(self) -> Callable[[memoryview], int] | None:
        """Do so into a buffer, return the count; None where that cannot be."""


class Reader:
    """Feeds a broker with what comes.

    Args:
        sock: What is watched.
        line: What is read.
        broker: Acts on it.
        gate: Told when answers may have made room for calls.
        share: What the connection may use of the loop.
        busy_poll: Seconds, at a time, that the loop does not sleep for a prompt peer.
    """

    # fmt: off
    __slots__ = (
        "_broker", "_ended", "_filled", "_gate", "_line", "_opening", "_prompt",
        "_recv_into", "_room", "_share", "_size", "_sock"
    )
    # fmt: on

    def __init__(
        self,
        sock: socket.socket,
        line: Line,
        broker: Broker,
        gate: Gate,
        share: Share,
        busy_poll: float,
    ) -> None:
        self._sock = sock
        self._line = line
        self._broker = broker
        self._gate = gate
        self._share = share
        #: Whether the loop is to sleep before the peer's next bytes; None: it does.
        self._prompt = Promptness(busy_poll, poller().poll) if busy_poll else None
        #: The peer's hello is not in.
        self._opening = True
        #: How much is read at once; and when the last turn was over that was counted:
        #: where `_prompt` wants to know, all are.
        self._size, self._ended = _MOST_BYTES, perf_counter()
        #: What is left of a room of the broker's that is filled in part; and how many
        #: bytes are in it.
        self._room: memoryview | None = None
        self._filled = 0
        self._recv_into: Callable[[memoryview], int] | None = None

    def run(self) -> None:
        """Read until the stream ends or the peer has said goodbye; blocks.

        Raises:
            ProtocolError, LimitExceeded: The peer broke the protocol.
            OSError: The connection broke.
        """
        # Watched all the time and waited for here, and not in recv(), which tries
        # first: that try finds nothing each time a peer waits for our answer, and
        # while bytes keep coming it would not let others have their turn.
        readable = get_hub().loop.io(self._sock.fileno(), 1)
        reader: Any = getcurrent()
        readable.start(reader.switch)
        try:
            self._run(readable, reader)
        finally:
            readable.stop()
            readable.close()

    def _run(self, readable: Any, reader: Any) -> None:
        broker, gate, share = self._broker, self._gate, self._share
        recv = self._line.recv
        wait = switch_to(get_hub())
        frames = broker.frames
        fills = self._line.recv_into is not None
        load, size, usual = share.load, self._size, self._prompt is None
        while True:
            wait()
            try:
                if frames.chunk_left >= LEAST_ROOM and fills:
                    # Reading them is most of the work that they are.
                    begun = perf_counter()
                    data = self._read_chunk(size)
                else:
                    data = recv(size)
                    begun = perf_counter()
            except BlockingIOError:
                continue
            if data:
                broker.receive(data)
            elif data is not None:
                return
            # The wait for more must not keep these alive.
            del data
            if gate.waited_for:
                gate.let_in()
            if broker.state is _PARTED:
                return
            now = perf_counter()
            if load.alone is share and now - begun < _TURN and usual:
                # Most turns, and somebody waits for what they brought: `_count` would
                # come to this.
                load.when = now
                continue
            pause = self._count(begun, now)
            size = self._size
            usual = size == _MOST_BYTES and self._prompt is None
            if pause:
                readable.stop()
                gevent.sleep(pause)
                readable.start(reader.switch)

    def _count(self, begun: float, ended: float) -> float:
        """Count a turn of reading; return the seconds to wait before the next one."""
        pause, took, waited = 0.0, ended - begun, begun - self._ended
        self._ended = ended
        if self._opening:
            # A hello alone makes no active peer: many may come at once.
            self._opening = self._broker.state is _OPENING
        else:
            pause = self._share.read(begun, ended)
        if took > _TURN or self._size < _MOST_BYTES:
            self._size = _next_size(self._size, took)
        if self._prompt is not None and not (pause or self._opening):
            self._prompt.go_on(waited, ended)
        return pause

    def _read_chunk(self, size: int) -> bytes | None:
        """Read what has come of the chunk under way to where it stays.

        None where that is done; bytes where it has no such place, or at the end.
        """
        room = self._room
        if room is None:
            room = self._broker.room()
        if room is None:
            return self._line.recv(size)
        if self._recv_into is None:
            # Kept from here on: most connections never have so large bytes.
            self._recv_into = self._line.recv_into
        count = self._recv_into(room)  # type: ignore[misc]
        filled = self._filled + count
        if count < len(room):
            self._room, self._filled = room[count:], filled
            return None if count else b""
        self._room, self._filled = None, 0
        # The broker has it for itself then.
        del room
        self._broker.filled(filled)
        return None


def _next_size(size: int, took: float) -> int:
    """Return how much to read after so many bytes took so many seconds."""
    if took > _TURN:
        # What many small messages cost depends on what they are: less next time. One
        # that is large is joined at its end, whatever the pieces.
        return max(_LEAST_BYTES, int(size * _TURN / took))
    return min(2 * size, _MOST_BYTES)
