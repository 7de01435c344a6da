"""Frames: a 4-byte big-endian length, then that many bytes.

Owns cutting a byte stream into frames, and telling a peer that speaks something
else by its first bytes. Never decodes a body. Called by the broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from geopb.errors import ProtocolError, over_limit
from geopb.limits import MINIMUM_MESSAGE_BYTES

_LENGTH = Struct(">I")
HEAD_BYTES = 4
#: How every stream begins, behind the first length: a CBOR array of 3 to 23 items,
#: the kind 0 (hello), the text "geopb".
_HELLO_ARRAYS = frozenset(range(0x83, 0x98))
_HELLO_START = b"\x00\x65geopb"
HELLO_PREFIX_BYTES = HEAD_BYTES + 1 + len(_HELLO_START)

_OTHERS = (
    ((b"\x16\x03",), "TLS"),
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


class FrameReader:
    """Cuts received bytes into frame bodies, however they were split.

    Args:
        max_frame_bytes: Bound on one body. Only what has arrived is ever held: a
            length that is announced allocates nothing.
    """

    __slots__ = ("_have", "_hello_seen", "_max", "_need", "_pieces", "_start")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max = max_frame_bytes
        self._hello_seen = False
        self._start = b""
        # The frame that is not whole yet: its pieces, their sum, and what it needs
        # with its head. Joined once, so that a large frame costs linear time.
        self._pieces: list[bytes] = []
        self._have = 0
        self._need = 0

    @property
    def in_the_middle(self) -> bool:
        """Whether the stream would end inside a frame if it ended now."""
        return self._have > 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies that `data` completes.

        Raises:
            ForeignProtocol: The stream's first bytes are not a geopb hello.
            LimitExceeded: A frame announces more than the limit.
            ProtocolError: A frame of length 0.
        """
        if not self._hello_seen:
            self._check_start(data)
        if self._have:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._have = 0
        position, end = 0, len(data)
        while end - position >= HEAD_BYTES:
            (length,) = _LENGTH.unpack_from(data, position)
            if not 0 < length <= self._max:
                raise self._refusal(length)
            stop = position + HEAD_BYTES + length
            if stop > end:
                self._need = HEAD_BYTES + length
                break
            yield data[position + HEAD_BYTES : stop]
            position = stop
        else:
            self._need = HEAD_BYTES
        if position < end:
            self._pieces.append(data[position:] if position else data)
            self._have = end - position

    def _check_start(self, data: bytes) -> None:
        start = self._start = (self._start + data)[:HELLO_PREFIX_BYTES]
        for position, byte in enumerate(start[HEAD_BYTES:]):
            if position == 0:
                right = byte in _HELLO_ARRAYS
            else:
                right = byte == _HELLO_START[position - 1]
            if not right:
                raise ForeignProtocol(identify(start))
        if len(start) >= HEAD_BYTES:
            (length,) = _LENGTH.unpack_from(start)
            if not 0 < length <= MINIMUM_MESSAGE_BYTES:
                raise ForeignProtocol(identify(start))
        self._hello_seen = len(start) == HELLO_PREFIX_BYTES

    def _refusal(self, length: int) -> Exception:
        if length == 0:
            return ProtocolError("a frame of length 0")
        return over_limit("max_structure_size", self._max, "a frame", length)
