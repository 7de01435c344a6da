"""TLS between a connection and its socket: records in, records out.

Owns the TLS state of one connection. It stands where the plain socket's ``recv`` and
the outbox stand, and deals in bytes in memory: reading never waits for writing, nor
writing for reading, and what the kernel did not take are bytes like any others, which
the writer keeps. Never looks into a message. Called by the connection's reader (`recv`)
and its writer (`record`, `take`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ref

from gevent import socket

from geopb.net.foreign import NotTLS, explain_ssl
from geopb.net.sockets import raw
from geopb.net.writer import Outgoing

#: Bytes that are encrypted in one go: the peer decrypts them while the next ones are.
_AT_ONCE = 64 * 1024
#: The most that one record holds.
_RECORD_BYTES = 16384
#: First bytes of what begins a TLS stream: a handshake, or an alert instead of one.
_RECORDS = (0x16, 0x15)

PeerCertificate = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Secure:
    """How a connection is to be secured.

    Attributes:
        context: A ``gevent.ssl.SSLContext``.
        hostname: Whom a client wants to reach; None for a server.
    """

    context: ssl.SSLContext
    hostname: str | None = None


class TLS:
    """One end of TLS.

    Args:
        sock: The connected socket under it.
        secure: How.
        inner: What is to be sent, in the clear.
    """

    __slots__ = (
        "_failed",
        "_heard",
        "_in",
        "_inner",
        "_object",
        "_out",
        "_over",
        "_plain",
        "_read",
        "_read_error",
        "_receive",
        "_secure",
        "_sock",
        "_wake",
        "_write",
        "peer_certificate",
        "server_certificate",
        "up",
    )

    def __init__(self, sock: socket.socket, secure: Secure, inner: Outgoing) -> None:
        self._sock = sock
        self._receive = raw(sock).recv
        self._secure = secure
        self._inner = inner
        self._wake: Callable[[], None] = _not_begun
        self._failed: Callable[[OSError], None] | None = None
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object: Any = None
        self._read: Callable[[int], bytes]
        self._write: Callable[[bytes | memoryview], int]
        #: Whether the peer has said anything, and that looked like TLS.
        self._heard = False
        #: Whether the handshake is done, as this side sees it.
        self.up = False
        #: The peer's, if it has one and that was verified: see ``getpeercert()``.
        self.peer_certificate: PeerCertificate | None = None
        #: The server's, in DER: binds logins to this connection.
        self.server_certificate: bytes | None = None
        #: Nothing is encrypted any more.
        self._over = False
        #: What was taken of `_inner` and is not encrypted yet.
        self._plain: Sequence[bytes | memoryview] | None = None
        #: What struck behind bytes that had to be handed on first.
        self._read_error: OSError | None = None

    def begin(
        self, wake: Callable[[], None], failed: Callable[[OSError], None]
    ) -> None:
        """Begin the handshake, if it is for this side to begin.

        Args:
            wake: Called when there is something to take.
            failed: Called when nothing more can be sent.
        """
        self._wake, self._failed = wake, failed
        if self._secure.hostname is not None:
            self._shake_hands()

    # -- in: for the reader ------------------------------------------------------------

    def recv(self, count: int) -> bytes:
        """Return what has come, decrypted; nothing at the end. Never switches.

        All that can be decrypted is returned: the watcher of the socket does not
        fire for what this end would keep.

        Raises:
            BlockingIOError: Nothing to hand on has come yet.
            OSError: The connection, or the handshake, cannot go on.
            NotTLS: The peer does not speak TLS.
        """
        data = self._receive(count)
        if not data:
            if self._read_error is not None:
                raise self._read_error
            if not self.up:
                raise ConnectionAbortedError("it was closed in the TLS handshake")
            # With or without close_notify: a goodbye tells whether it was a clean end.
            return b""
        self._in.write(data)
        if not self.up:
            if not self._heard:
                self._check_start(data)
            self._shake_hands()
            if not self.up:
                raise BlockingIOError
        size = len(data)
        try:
            # No more than can be in it: a large buffer costs as much as the decrypting.
            piece = self._read(size)
        except ssl.SSLWantReadError:
            self._wake_if_owing()
            raise BlockingIOError from None
        except ssl.SSLError:
            # Nothing can be written either, but for an alert: see `farewell`.
            self._over = True
            raise
        # Most often one whole record, which is longer than what is in it. Of one that
        # came in parts there may be more than the last of them has bytes.
        if 0 < len(piece) < size and not (
            self._in.pending or self._out.pending or self._plain
        ):
            return piece
        return self._gather(piece)

    def _gather(self, piece: bytes) -> bytes:
        """Return `piece` with all that can be read behind it."""
        pieces = []
        try:
            while piece:
                pieces.append(piece)
                piece = self._read(_RECORD_BYTES)
            # The peer's close_notify.
            self._stop_reading()
        except ssl.SSLWantReadError:
            # That is all for now.
            pass
        except ssl.SSLError as error:
            self._over = True
            self._read_error = error
            self._stop_reading()
        self._wake_if_owing()
        return b"".join(pieces)

    def _stop_reading(self) -> None:
        """Have the socket read as ended: its watcher fires once more for that."""
        try:
            self._sock.shutdown(socket.SHUT_RD)
        except OSError:
            # Not connected any more: that is what was wanted.
            return

    def _wake_if_owing(self) -> None:
        """Send what TLS itself has to say, and what had to wait for it."""
        if self._out.pending or self._plain is not None:
            self._wake()

    #: What is decrypted is bytes of its own already.
    recv_into = None

    # -- the handshake -----------------------------------------------------------------

    def _check_start(self, data: bytes) -> None:
        """Tell a peer that speaks something else before OpenSSL stumbles over it."""
        if data[0] not in _RECORDS or (len(data) > 1 and data[1] != 3):
            self._over = True
            raise NotTLS(data)
        self._heard = True

    def _shake_hands(self) -> None:
        is_server = self._secure.hostname is None
        if self._object is None:
            # Not before a client has said something: those that only connect cost less.
            self._object = self._secure.context.wrap_bio(
                self._in,
                self._out,
                server_side=is_server,
                server_hostname=self._secure.hostname,
            )
            # What gevent's contexts look for when they call the user's sni_callback.
            self._object._sslsock = ref(self._object)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._wake_if_owing()
            return
        except BaseException:
            # The alert that tells the peer waits in `farewell`.
            self._over = True
            raise
        self.peer_certificate = self._object.getpeercert() or None
        if is_server:
            # Of the context that the user's sni_callback has chosen.
            self.server_certificate = own_certificate(self._object.context)
        else:
            self.server_certificate = self._object.getpeercert(True)
        # What SSLObject's own methods call, a step less for every message.
        self._read, self._write = self._object._sslobj.read, self._object._sslobj.write
        self.up = True
        self._wake()

    def explain(self, error: OSError, peer: str) -> Exception:
        """Say what became of the handshake, in a sentence for people."""
        return explain_ssl(error, peer, is_server=self._secure.hostname is None)

    # -- out: for the writer -----------------------------------------------------------

    @property
    def outgoing(self) -> Outgoing:
        """This: what it is given to send leaves it in records."""
        return self

    @property
    def more(self) -> bool:
        """Whether there is something to take, now or once the handshake is done."""
        # The likelier first: it is asked behind each message.
        more = self._inner.more or self._out.pending > 0 or self._plain is not None
        return more and not self._over

    @property
    def held(self) -> bool:
        """Whether there is more which the peer does not want yet."""
        return self._inner.held and not self._over

    def record(self, framed: bytes) -> bytes:
        """Return a message in records, most often one; no bytes where it is to wait."""
        if (
            not self.up
            or self._over
            or self._plain is not None
            or len(framed) > _RECORD_BYTES
            # TLS itself has something to say first.
            or self._out.pending
        ):
            return b""
        rest = framed
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except OSError as error:
            self._not_written(error)
            if rest is framed:
                return b""
            self._plain = [rest]
        return self._out.read()

    def take(self) -> bytes:
        """Return the next bytes for the socket, none when nothing may be sent now."""
        if self._over:
            return b""
        if self.up:
            plain = self._plain or self._inner.take_pieces()
            if plain:
                self._encrypt([plain] if isinstance(plain, bytes) else plain)
        return self._out.read()

    #: It is one piece in any case: the records.
    take_pieces = take

    def _encrypt(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Make records of `pieces`; what cannot be made now is kept."""
        place, rest = 0, memoryview(b"")
        try:
            while self._out.pending < _AT_ONCE and not self._over:
                if rest:
                    rest = rest[self._write(rest) :]
                elif place < len(pieces):
                    rest = memoryview(pieces[place])
                    place += 1
                else:
                    break
        except OSError as error:
            self._not_written(error)
        self._plain = [each for each in (rest, *pieces[place:]) if each] or None

    def _not_written(self, error: OSError) -> None:
        # A peer that negotiates anew is heard first; then `recv` wakes the writer.
        if not isinstance(error, ssl.SSLWantReadError):
            self._over = True
            if self._failed is not None:
                self._failed(error)

    def seal(self, text: bytes) -> bytes:
        """Return what to send for `text` that stands in place of the protocol."""
        if not self.up or self._over:
            return text
        self._encrypt([text])
        return self._out.read()

    def farewell(self) -> bytes:
        """Return the last bytes: close_notify, or the alert that says what is wrong."""
        if self.up and not self._over:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                # It wants the peer's as well, which nobody waits for.
                self._over = True
        self._over = True
        return self._out.read()


def own_certificate(context: Any) -> bytes | None:
    """Return a server's certificate in DER; None where its context does not tell."""
    found: bytes | None = getattr(context, "own_certificate", None)
    return found


def _not_begun() -> None:
    """There is no writer yet."""
