"""What waits to be sent to one peer, in order, and bulk in pieces between.

Owns the queue of frames and the sharing of the line between small messages and bulk,
of which no more is sent than the peer's reader can take soon (see `credit`). Never
touches a socket: the connection takes bytes from it. Called by the broker (adds) and
the connection (takes).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from geopb.broker.credit import CHUNK_BYTES, Credit
from geopb.errors import ProtocolError
from geopb.jelly.passing import Bulk, Packed
from geopb.limits import MAX_BULK, MINIMUM_MESSAGE_BYTES
from geopb.wire.chunks import CHUNK_HEAD_BYTES, make_chunk_head
from geopb.wire.framing import frame_head

#: Bulk bytes that go to the kernel in one piece, where chunks are smaller.
_AT_ONCE = 256 * 1024
#: From here on bytes go to the kernel from where they are: less is sooner copied.
_LEFT_IN_PLACE = 64 * 1024

#: In place of queues that are empty; never changed.
_NONE: deque[Any] = deque(maxlen=0)


class _Group:
    """The bulk of one message: it counts as under way until all of it is sent."""

    __slots__ = ("left", "size")

    def __init__(self, packed: Packed) -> None:
        self.left = len(packed.bulk)
        self.size = _size(packed)


class _Sending:
    """Bulk of which a part is not sent yet."""

    __slots__ = ("bulk", "group", "position")

    def __init__(self, bulk: Bulk, group: _Group) -> None:
        self.bulk = bulk
        self.group = group
        self.position = 0

    def next_chunk(self, size: int) -> tuple[bytes, memoryview]:
        """Return the head of the next chunk, and its bytes: not copied yet."""
        piece = memoryview(self.bulk.data)[self.position : self.position + size]
        self.position += len(piece)
        head = make_chunk_head(self.bulk.id, len(piece))
        return frame_head(len(head) + len(piece)) + head, piece


class Outbox:
    """Frames and bulk on their way out.

    Before the peer's hello only `MINIMUM_MESSAGE_BYTES` may leave, and no bulk.

    Args:
        now: The time in seconds, for the window of bulk.
    """

    __slots__ = (
        "_allowance",
        "_bulk_on_the_way",
        "_bulk_unsent",
        "_chunk_bytes",
        "_credit",
        "_frames",
        "_last",
        "_max_bulk",
        "_now",
        "_waiting",
        "more",
        "sending",
        "unsent",
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._frames: list[bytes] = []
        #: Bytes that wait in all.
        self.unsent = 0
        #: Whether the sender knows that there is something to take: it has been
        #: woken, and has not taken all since.
        self.more = False
        self._allowance: int | None = MINIMUM_MESSAGE_BYTES
        # Bulk is announced by its message. The peer bounds the sum of what is
        # announced and not finished, so a message waits here until it fits.
        self._max_bulk = 0
        self._chunk_bytes = CHUNK_BYTES
        self._bulk_on_the_way = 0
        self._last = b""
        # Made when needed: most connections are idle, and send no bulk.
        #: Bulk of which a part is not sent yet.
        self.sending: deque[_Sending] = _NONE
        self._waiting: deque[Packed] = _NONE
        self._credit: Credit | None = None
        #: Bytes of bulk, and of the messages that wait for their turn with it.
        self._bulk_unsent = 0

    @property
    def frames_size(self) -> int:
        """Bytes of the frames that wait."""
        return self.unsent - self._bulk_unsent

    def __bool__(self) -> bool:
        """Whether there is something that may be sent now."""
        if self._allowance is not None:
            return bool(self._frames) and len(self._frames[0]) <= self._allowance
        if self.sending:
            return bool(self._frames) or not self.held
        return bool(self._frames or self._last)

    @property
    def held(self) -> bool:
        """Whether bulk waits until the peer has taken more of what was sent."""
        credit = self._credit
        return bool(self.sending) and credit is not None and not credit.open

    @property
    def taken(self) -> int:
        """Bytes of bulk that the peer has taken in all."""
        return 0 if self._credit is None else self._credit.taken

    def open(self, max_bulk: int, max_frame: int) -> None:
        """The peer's hello is in: all may leave, bulk up to what the peer holds."""
        self._allowance = None
        self._chunk_bytes = min(CHUNK_BYTES, max_frame - CHUNK_HEAD_BYTES)
        self._max_bulk = max_bulk
        self._admit()

    def add(self, body: bytes) -> None:
        """Queue a message without bulk."""
        self.add_framed(frame_head(len(body)) + body)

    def add_framed(self, framed: bytes) -> None:
        """Queue a message without bulk that has its length in front."""
        self._frames.append(framed)
        self.unsent += len(framed)

    def beside_bulk(self) -> None:
        """Take note that a small message is sent: it should not wait for much bulk."""
        if self._credit is not None:
            self._credit.beside()

    def peer_took(self, count: int) -> None:
        """The peer has taken so much bulk off the line: more may be sent.

        Raises:
            ProtocolError: So much was not sent.
        """
        if self._credit is None:
            raise ProtocolError(f"{count} bytes of bulk taken, none were sent")
        self._credit.give(count)

    def add_packed(self, packed: Packed) -> None:
        """Queue a message with bulk."""
        if self._waiting is _NONE:
            self.sending, self._waiting = deque(), deque()
            self._credit = self._credit or Credit(self._now)
        self._waiting.append(packed)
        size = len(packed.body) + _size(packed)
        self._bulk_unsent += size
        self.unsent += size
        self._admit()

    @property
    def ends(self) -> bool:
        """Whether the last message waits to be sent."""
        return bool(self._last)

    def finish(self, body: bytes) -> None:
        """Queue the last message: it goes out behind all bulk."""
        self._last = frame_head(len(body)) + body

    def take(self) -> bytes:
        """Return the bytes to send next: all frames that wait and a piece of bulk.

        None when nothing may be sent. `more` then says whether there is more to take
        at once; where not, whoever adds something wakes the sender again.
        """
        taken = self.take_pieces()
        return taken if isinstance(taken, bytes) else b"".join(taken)

    def take_frames(self) -> bytes:
        """Return the frames that wait, where all may leave and no bulk is sent."""
        frames, self._frames = self._frames, []
        self.unsent = self._bulk_unsent
        return b"".join(frames)

    def take_pieces(self) -> bytes | list[bytes | memoryview]:
        """Return the same; large bytes where they are, and not put together."""
        frames = self._frames
        self._frames = []
        if self.sending or self._last or self._allowance is not None:
            data = self._take_with_rest(frames)
            self.more = bool(self)
            return data
        # Most often: whole messages and nothing else.
        self.more = False
        self.unsent = self._bulk_unsent
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _take_with_rest(self, frames: list[Any]) -> bytes | list[bytes | memoryview]:
        if self._allowance is not None:
            return b"".join(self._within_allowance(frames))
        self.unsent = self._bulk_unsent
        pieces: list[bytes | memoryview] = [b"".join(frames)]
        size = 0
        # A message that a finished bulk has let in goes before its own.
        while self.sending and not self._frames and size < _AT_ONCE and not self.held:
            chunk = self._next_chunk()
            size += len(chunk[1])
            pieces += chunk
        if self._last and not (self._frames or self.sending):
            pieces.append(self._last)
            self._last = b""
        return pieces if size >= _LEFT_IN_PLACE else b"".join(pieces)

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        self._frames.clear()
        self.sending = self._waiting = _NONE
        self._last = b""
        self._bulk_on_the_way = self._bulk_unsent = 0
        self.unsent = 0

    def _within_allowance(self, frames: list[bytes]) -> list[bytes]:
        allowance = self._allowance or 0
        count = 0
        while count < len(frames) and len(frames[count]) <= allowance:
            allowance -= len(frames[count])
            count += 1
        self._allowance = allowance
        self._frames = frames[count:]
        self.unsent = sum(map(len, self._frames)) + self._bulk_unsent
        return frames[:count]

    def _next_chunk(self) -> tuple[bytes, memoryview]:
        # In turns, so that a small bulk does not wait for a large one to end.
        sending = self.sending.popleft()
        credit, size = self._credit, self._chunk_bytes
        if credit is not None:
            size = min(size, credit.chunk)
        chunk = sending.next_chunk(size)
        if credit is not None:
            credit.spend(len(chunk[1]))
        self._bulk_unsent -= len(chunk[1])
        self.unsent -= len(chunk[1])
        if sending.position < len(sending.bulk.data):
            self.sending.append(sending)
            return chunk
        sending.group.left -= 1
        if not sending.group.left:
            self._bulk_on_the_way -= sending.group.size
            self._admit()
        return chunk

    def _admit(self) -> None:
        """Announce the messages with bulk that the peer has room for, in order."""
        while self._waiting and self._allowance is None:
            size = _size(self._waiting[0])
            pieces = len(self.sending) + len(self._waiting[0].bulk)
            if self._bulk_on_the_way + size > self._max_bulk or pieces > MAX_BULK:
                return
            packed = self._waiting.popleft()
            self._bulk_unsent -= len(packed.body)
            self.unsent -= len(packed.body)
            self.add(packed.body)
            if packed.queued is not None:
                packed.queued()
            self._bulk_on_the_way += size
            group = _Group(packed)
            self.sending.extend(_Sending(bulk, group) for bulk in packed.bulk)


def _size(packed: Packed) -> int:
    return sum(len(bulk.data) for bulk in packed.bulk)
