"""What stands between a connection and its socket: nothing, or TLS.

Owns the choice, and the face that both have. Called by the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gevent import socket
from gevent.ssl import SSLSocket

from geopb.errors import PBConnectionLost
from geopb.net.sockets import peer_certificate, raw
from geopb.net.tls import TLS, Secure, own_certificate
from geopb.net.writer import Outgoing, Outlet


class Transport(Outlet, Protocol):
    """How the reader reads, and what the writer sends."""

    @property
    def recv(self) -> Callable[[int], bytes]:
        """Return what has come, nothing at the end; BlockingIOError if nothing yet."""

    @property
    def recv_into(self) -> Callable[[memoryview], int] | None:
        """The same into a buffer, returning the count; None where that cannot be."""

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The peer's, if it has proved to have one. For when its hello is in."""

    @property
    def server_certificate(self) -> bytes | None:
        """The server's, in DER, as far as this side knows it. For then, too."""

    @property
    def up(self) -> bool:
        """Whether messages can pass."""

    def begin(
        self, wake: Callable[[], None], failed: Callable[[OSError], None]
    ) -> None:
        """Begin, in the reader. `wake` tells the writer, `failed` that it is over."""

    def seal(self, text: bytes) -> bytes:
        """Return what to send for `text` that stands in place of the protocol."""

    def farewell(self) -> bytes:
        """Return the last bytes to send; none come after it."""

    def explain(self, error: OSError, peer: str) -> Exception:
        """Return what an error before the peer's hello is told as."""


class Joined:
    """What is to be sent, never in pieces."""

    def __init__(self, inner: Outgoing) -> None:
        self._inner = inner
        self.take = self.take_pieces = inner.take

    @property
    def more(self) -> bool:
        """Whether there is more to take."""
        return self._inner.more

    @property
    def held(self) -> bool:
        """Whether there is more which the peer does not want yet."""
        return self._inner.held


class Clear:
    """A socket as it is: reading and sending pass here without another step."""

    up = True
    #: A message is sent as it is: another server's TLS makes its records in `send`.
    record = None

    def __init__(self, sock: socket.socket, outbox: Outgoing) -> None:
        self.recv: Callable[[int], bytes] = raw(sock).recv
        self.outgoing: Outgoing = outbox
        if isinstance(sock, SSLSocket):
            # It sends no pieces, and its parts of a record do not wait for a buffer.
            self.outgoing = Joined(outbox)
        self._sock = sock
        self.peer_certificate = peer_certificate(sock)
        self.server_certificate = own_certificate(getattr(sock, "context", None))

    @property
    def recv_into(self) -> Callable[[memoryview], int] | None:
        """Made each time: most connections never have so large bytes."""
        return None if isinstance(self._sock, SSLSocket) else raw(self._sock).recv_into

    def begin(
        self, wake: Callable[[], None], failed: Callable[[OSError], None]
    ) -> None:
        """Nothing has to be done before messages pass."""

    def seal(self, text: bytes) -> bytes:
        """Return it as it is."""
        return text

    def farewell(self) -> bytes:
        """Return nothing: the goodbye was the last message."""
        return b""

    def explain(self, error: OSError, peer: str) -> Exception:
        """Return that the connection broke."""
        return PBConnectionLost(f"the connection to {peer} broke: {error}")


def transport(
    sock: socket.socket, secure: Secure | None, outbox: Outgoing
) -> Transport:
    """Return what stands on `sock` and sends what is in `outbox`."""
    return Clear(sock, outbox) if secure is None else TLS(sock, secure, outbox)
