"""Frames: a 4-byte big-endian length, then that many bytes.

Owns cutting a byte stream into frames, and telling a peer that speaks something
else by its first bytes. Never decodes a body. Called by the broker.
"""

from __future__ import annotations

from struct import Struct

from geopb.errors import Error, ProtocolError, over_limit
from geopb.limits import MINIMUM_MESSAGE_BYTES
from geopb.wire.chunks import CHUNK_HEAD_BYTES, CHUNK_START, chunk_head

_LENGTH = Struct(">I")
_unpack = _LENGTH.unpack_from
HEAD_BYTES = 4
#: Where the kind of a message stands, and that of a chunk.
_KIND, _CHUNK = HEAD_BYTES + 1, CHUNK_START[1]
#: How every stream begins, behind the first length: a CBOR array of 3 to 23 items,
#: the kind 0 (hello), the text "geopb".
_HELLO_ARRAYS = frozenset(range(0x83, 0x98))
_HELLO_START = b"\x00\x65geopb"
HELLO_PREFIX_BYTES = HEAD_BYTES + 1 + len(_HELLO_START)

_OTHERS = (
    ((b"\x16\x03", b"\x15\x03"), "TLS"),
    ((b"HTTP/", b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE "), "HTTP"),
    ((b"OPTIONS ", b"PATCH ", b"CONNECT ", b"PRI * "), "HTTP"),
    ((b"SSH-",), "SSH"),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "pickle"),
    ((b"{", b"["), "JSON"),
    ((b"220 ", b"220-"), "SMTP or FTP"),
)


class ForeignProtocol(ProtocolError):
    """The stream does not begin as geopb does; `speaks` says what it looks like."""

    __module__ = "geopb"

    def __init__(self, speaks: str) -> None:
        super().__init__(f"the peer speaks {speaks}, not geopb")
        self.speaks = speaks


#: Returns what stands before a body of that length.
frame_head = _LENGTH.pack
#: The same for small ones.
SMALL_HEADS = [frame_head(length) for length in range(256)]
SMALL_BODY = len(SMALL_HEADS)


def frame(body: bytes) -> bytes:
    """Return `body` with its length in front."""
    return _LENGTH.pack(len(body)) + body


def identify(start: bytes) -> str:
    """Name the protocol that a stream beginning with `start` looks like."""
    for beginnings, name in _OTHERS:
        for beginning in beginnings:
            if start[: len(beginning)] == beginning[: len(start)]:
                return name
    return "something else"


#: Pieces below this are put together as they come: a peer may send two bytes at a time.
_SMALL_PIECE = 1024

#: A part of a chunk's bytes: the bulk's id, the bytes, and what of the chunk is left.
ChunkPart = tuple[int, "memoryview[int]", int]


class FrameReader:
    """Cuts received bytes into frame bodies, however they were split.

    The bytes of a chunk are handed on as they come, without a copy.

    Args:
        max_frame_bytes: Bound on one body. Only what has arrived is ever held: a
            length that is announced allocates nothing.
    """

    __slots__ = (
        "_between",
        "_have",
        "_hello_seen",
        "_max",
        "_need",
        "_pieces",
        "_start",
        "bulk",
        "chunk_left",
        "refusal",
    )

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        #: Why the stream cannot be gone on with: `ForeignProtocol` for one that does
        #: not begin with a hello, `LimitExceeded` for a frame that announces too
        #: much, `ProtocolError` for one of length 0. None while it can.
        self.refusal: Error | None = None
        self._hello_seen = False
        self._start = b""
        # The frame that is not whole yet: its pieces, their sum, and what it needs
        # with its head. Joined once, so that a large frame costs linear time.
        self._pieces: list[bytes | bytearray] = []
        self._have = 0
        self._need = 0
        # Whether what is fed next begins a frame, and not the first one.
        self._between = False
        #: The bulk's id of the chunk that is not whole yet.
        self.bulk = 0
        #: Its bytes to come; 0 for none. They begin what is fed next.
        self.chunk_left = 0

    def bound(self, max_frame_bytes: int) -> None:
        """Take bodies of that length from the next frame on."""
        self._max = max_frame_bytes

    @property
    def in_the_middle(self) -> bool:
        """Whether the stream would end inside a frame if it ended now."""
        return self._have > 0 or self.chunk_left > 0

    def feed(self, data: bytes) -> list[bytes | ChunkPart]:
        """Return the bodies that `data` completes, and the parts of chunks in it.

        Where the stream goes wrong behind them, `refusal` says how, and nothing
        more may be fed.
        """
        if self._between and (length := len(data) - HEAD_BYTES) > 1:
            # Most often: one whole frame, and no chunk.
            (told,) = _unpack(data)
            if told == length <= self._max and data[_KIND] != _CHUNK:
                return [data[HEAD_BYTES:]]
            # Next often: two of them, as a release and a call.
            stop = told + HEAD_BYTES
            left = length - stop
            if (
                1 < told <= self._max
                and 1 < left <= self._max
                and _unpack(data, stop)[0] == left
                and data[_KIND] != _CHUNK != data[stop + _KIND]
            ):
                return [data[HEAD_BYTES:stop], data[-left:]]
            bodies = self._cut(data)
        else:
            bodies = self._feed(data)
        self._between = self._hello_seen and not self.in_the_middle
        return bodies

    def skip(self, count: int) -> None:
        """Go on behind bytes of the chunk under way that were read without this."""
        self.chunk_left -= count
        self._between = not self.chunk_left

    def _feed(self, data: bytes) -> list[bytes | ChunkPart]:
        if self.chunk_left:
            bodies: list[bytes | ChunkPart] = []
            position = self._rest_of_chunk(data, 0, bodies)
            if position < len(data):
                bodies += self._cut(data[position:])
            return bodies
        if not self._hello_seen:
            self._check_start(data)
            if self.refusal is not None:
                return []
        if self._have:
            self._keep(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._have = 0
        return self._cut(data)

    def _keep(self, data: bytes) -> None:
        """Keep a further piece of the frame that is not whole yet."""
        if len(data) >= _SMALL_PIECE:
            self._pieces.append(data)
        elif type(last := self._pieces[-1]) is bytearray:
            last += data
        else:
            # One object for a line of small ones: of each of two bytes alone, Python
            # makes an object of 35.
            self._pieces.append(bytearray(data))

    def _cut(self, data: bytes) -> list[bytes | ChunkPart]:
        bodies: list[bytes | ChunkPart] = []
        position, end = 0, len(data)
        self._need, most = HEAD_BYTES, self._max
        while end - position >= HEAD_BYTES:
            (length,) = _unpack(data, position)
            start = position + HEAD_BYTES
            stop = start + length
            if 1 < length <= most and stop <= end and data[start + 1] != _CHUNK:
                bodies.append(data[start:stop])
                position = stop
                continue
            if not 0 < length <= most:
                self.refusal = self._refused(length)
                return bodies
            is_chunk = data.startswith(CHUNK_START, start)
            if is_chunk and (chunk := chunk_head(data, start, stop)) is not None:
                self.bulk, begin = chunk
                self.chunk_left = stop - begin
                position = self._rest_of_chunk(data, begin, bodies)
                continue
            if stop > end:
                self._need = HEAD_BYTES + length
                if is_chunk:
                    # Its bytes need not be waited for, only its head.
                    self._need = min(self._need, HEAD_BYTES + CHUNK_HEAD_BYTES)
                break
            bodies.append(data[start:stop])
            position = stop
        if position < end:
            self._pieces.append(data[position:] if position else data)
            self._have = end - position
        return bodies

    def _rest_of_chunk(
        self, data: bytes, position: int, bodies: list[bytes | ChunkPart]
    ) -> int:
        """Hand on what `data` has of the chunk under way; return where it ends."""
        part = memoryview(data)[position : position + self.chunk_left]
        self.chunk_left -= len(part)
        if part:
            bodies.append((self.bulk, part, self.chunk_left))
        return position + len(part)

    def _check_start(self, data: bytes) -> None:
        start = self._start = (self._start + data)[:HELLO_PREFIX_BYTES]
        for position, byte in enumerate(start[HEAD_BYTES:]):
            if position == 0:
                right = byte in _HELLO_ARRAYS
            else:
                right = byte == _HELLO_START[position - 1]
            if not right:
                self.refusal = ForeignProtocol(identify(start))
        if len(start) >= HEAD_BYTES:
            (length,) = _LENGTH.unpack_from(start)
            if not 0 < length <= MINIMUM_MESSAGE_BYTES:
                self.refusal = ForeignProtocol(identify(start))
        self._hello_seen = len(start) == HELLO_PREFIX_BYTES

    def _refused(self, length: int) -> Error:
        if length == 0:
            return ProtocolError("a frame of length 0")
        return over_limit("max_structure_size", self._max, "a frame", length)
