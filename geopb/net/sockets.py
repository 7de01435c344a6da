"""What geopb wants of a socket, and what it tells a peer that is none of ours.

Owns the socket options. Called by the connection.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any

from gevent import socket
from gevent.ssl import SSLSocket, SSLWantReadError, SSLWantWriteError

#: Probes that the kernel sends to a silent link before it gives it up.
_PROBES = 3
#: Seconds, the longest `keepalive`: the kernel's numbers end at some 36 hours.
LONGEST = 100_000.0


def prepare(sock: socket.socket, keepalive: float) -> None:
    """Set the options of a connected socket.

    The kernel decides whether the link is dead: its probes are answered by the peer's
    kernel, however busy the peer is. A link that is gone, or a peer that takes no
    bytes while some wait, ends within `keepalive` seconds. The kernel counts whole
    seconds: a silent link that is gone is noticed after two at the earliest.
    """
    if sock.family == socket.AF_UNIX:
        return
    # One small message a turn must not wait for the last one's receipt.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # The last probe is due when `keepalive` is over: the kernel looks at the time that
    # has passed only when it is about to send one.
    keepalive = min(keepalive, LONGEST)
    between = max(1, int(keepalive) // (_PROBES + 1))
    before = max(1, int(keepalive) - _PROBES * between)
    _set_where_known(sock, "TCP_KEEPIDLE", before)
    _set_where_known(sock, "TCP_KEEPINTVL", between)
    _set_where_known(sock, "TCP_KEEPCNT", _PROBES)
    _set_where_known(sock, "TCP_USER_TIMEOUT", max(1, int(keepalive * 1000)))


def _set_where_known(sock: socket.socket, name: str, value: int) -> None:
    option = getattr(socket, name, None)
    if option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def raw(sock: socket.socket) -> Any:
    """Return the non-blocking socket inside a gevent socket.

    Its ``send`` and ``recv`` never switch greenlets: they raise BlockingIOError.
    """
    if isinstance(sock, SSLSocket):
        return _RawTLS(sock)
    return sock._sock  # type: ignore[attr-defined]


class _RawTLS:
    """The same of a socket whose handshake another server has done."""

    def __init__(self, sock: SSLSocket) -> None:
        self._tls: Any = sock._sslobj  # type: ignore[attr-defined]

    def recv(self, count: int) -> bytes:
        """Return all that can be decrypted: a watcher does not fire for the rest."""
        read, pieces = self._tls.read, []
        try:
            while piece := read(count):
                pieces.append(piece)
                if not self._tls.pending():
                    break
        except (SSLWantReadError, SSLWantWriteError):
            if not pieces:
                raise BlockingIOError from None
        return b"".join(pieces)

    def send(self, data: bytes) -> int:
        try:
            return int(self._tls.write(data))
        except (SSLWantReadError, SSLWantWriteError):
            raise BlockingIOError from None


def peer_certificate(sock: socket.socket) -> dict[str, Any] | None:
    """Return what another server has verified in the handshake, None without one."""
    if isinstance(sock, SSLSocket):
        return sock.getpeercert() or None
    return None


def drain(sock: socket.socket, seconds: float) -> None:
    """Read until the peer has closed, for up to `seconds`, and forget what it says.

    A socket that is closed with unread bytes is reset, and the peer may never see
    what was said to it last.
    """
    until = monotonic() + seconds
    with suppress(OSError):
        while (left := until - monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(65536):
                return


def readable_refusal(speaks: str) -> bytes:
    """Return what to tell a peer that speaks something else, in its own words."""
    text = f"this is a geopb port, it does not speak {speaks}\r\n"
    if speaks != "HTTP":
        return text.encode()
    head = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()
