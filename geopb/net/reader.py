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
from weakref import WeakKeyDictionary

import gevent
from gevent import get_hub, getcurrent, socket

from geopb.broker.broker import Broker
from geopb.broker.state import State
from geopb.net.gate import Gate
from geopb.net.share import Share
from geopb.workers import switch_to

_OPENING, _PARTED = State.OPENING, State.PARTED
#: One for all: each takes some 250 bytes.
_NO_BUFFER = memoryview(b"")
#: Bytes read at once: larger buffers are mapped anew each time.
_MOST_BYTES = 65536
#: Bytes read at once in the middle of a chunk, into a buffer that is kept: it stays in
#: the processor's second cache while they are copied from there.
_CHUNK_BYTES = 128 * 1024
#: Bytes of these that may be behind the chunk, and are copied once more: the head of
#: the next one, most often.
_BEHIND_BYTES = 4096
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
    """

    # fmt: off
    __slots__ = (
        "_broker", "_buffer", "_gate", "_line", "_recv_into", "_share", "_sock"
    )
    # fmt: on

    def __init__(
        self,
        sock: socket.socket,
        line: Line,
        broker: Broker,
        gate: Gate,
        share: Share,
    ) -> None:
        self._sock = sock
        self._line = line
        self._broker = broker
        self._gate = gate
        self._share = share
        #: For parts of chunks, once there are any.
        self._buffer = _NO_BUFFER
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
        has_buffer = self._line.recv_into is not None
        data: bytes | memoryview
        size, opening = _MOST_BYTES, True
        while True:
            wait()
            try:
                if frames.chunk_left > size and has_buffer:
                    data = self._read_chunk()
                else:
                    data = recv(size)
            except BlockingIOError:
                continue
            if not data:
                return
            begun = perf_counter()
            if frames.chunk_left:
                self._receive_chunk(data)
            else:
                broker.receive(data)
            # The wait for more must not keep these alive.
            del data
            if gate.waited_for:
                gate.let_in()
            if broker.state is _PARTED:
                return
            ended, pause = perf_counter(), 0.0
            if opening:
                # A hello alone makes no active peer: many may come at once.
                opening = broker.state is _OPENING
            else:
                pause = share.read(begun, ended)
            took = ended - begun
            if took > _TURN:
                # What many small messages cost depends on what they are: less next
                # time. One that is large is joined at its end, whatever the pieces.
                size = max(_LEAST_BYTES, int(size * _TURN / took))
            elif size < _MOST_BYTES:
                size = min(2 * size, _MOST_BYTES)
            if pause:
                readable.stop()
                gevent.sleep(pause)
                readable.start(reader.switch)

    def _read_chunk(self) -> memoryview:
        """Return what has come of the chunk under way, and a little behind it.

        It is in a buffer of all readers: the broker copies it before anything else.
        """
        if self._recv_into is None:
            # Most connections never have so large bytes.
            self._buffer, self._recv_into = _buffer(), self._line.recv_into
        buffer = self._buffer[: self._broker.frames.chunk_left + _BEHIND_BYTES]
        return buffer[: self._recv_into(buffer)]  # type: ignore[misc]

    def _receive_chunk(self, data: bytes | memoryview) -> None:
        """Have the broker take what has come of the chunk under way.

        And more of it, once, where a full buffer has come.
        """
        broker, frames = self._broker, self._broker.frames
        if not isinstance(data, memoryview) or len(data) > frames.chunk_left:
            broker.receive(data)
            return
        broker.receive_part(frames.rest(data))
        if len(data) < _CHUNK_BYTES or frames.chunk_left <= _CHUNK_BYTES:
            return
        try:
            part = self._read_chunk()
        except BlockingIOError:
            return
        # Nothing at the end of the stream, which is found once more in the next turn.
        if part:
            broker.receive_part(frames.rest(part))


_buffers: WeakKeyDictionary[Any, memoryview] = WeakKeyDictionary()


def _buffer() -> memoryview:
    """Return the buffer of this thread's hub: one at a time reads there."""
    hub = get_hub()
    buffer = _buffers.get(hub)
    if buffer is None:
        buffer = _buffers[hub] = memoryview(bytearray(_CHUNK_BYTES))
    return buffer
