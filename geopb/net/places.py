"""Who may connect: the places that a server has, and what those are told who get none.

Owns the counts of one factory's connections, in all and by address, and the turning
away. A peer is never left hanging: it is told in the protocol's own words why it is not
served, as far as it can be told anything. Called by the server factory, and by the
listener when the process has no descriptor left.
"""

from __future__ import annotations

import resource
import ssl
from collections import Counter
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent import socket

from geopb.cred.throttle import address_key
from geopb.limits import Limits
from geopb.net.sockets import drain, raw
from geopb.net.tls import Secure
from geopb.wire import messages
from geopb.wire.codec import encode
from geopb.wire.framing import frame

#: Descriptors that connections leave free, if the process may have a thousand: for
#: the program's files, and for those that are being turned away.
_SPARE = 32
#: A smaller process leaves such a part of them free.
_SPARE_SHARE = 16
#: Those that are turned away with time to read why; more only if they are quick.
_TOLD_AT_ONCE = 64
#: Seconds in which they read it.
_LINGER = 1.0


class _TooLate(Exception):
    """The peer has not gone in time."""


class Places:
    """The places of one factory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken = 0
        self._by_address: Counter[str] = Counter()
        #: Those that are being turned away.
        self._leaving = 0

    def take(self, sock: socket.socket, host: str | None) -> str | None:
        """Take a place; return why there is none, or None.

        Args:
            sock: The connection's.
            host: The peer's address; None where it has none.
        """
        limits, key = self._limits, address_key(host)
        refusal = None
        if self._taken >= limits.max_connections:
            refusal = _full(self._taken + 1, "", "max_connections", limits)
        elif is_last(sock.fileno()):
            refusal = out_of_descriptors()
        elif key and self._by_address[key] >= limits.max_connections_per_address:
            count = self._by_address[key] + 1
            name = "max_connections_per_address"
            refusal = _full(count, f" from {key}", name, limits)
        if refusal is None:
            self._taken += 1
            if key:
                self._by_address[key] += 1
        return refusal

    def give_back(self, host: str | None) -> None:
        """Give a place back that was taken."""
        self._taken -= 1
        key = address_key(host)
        if key:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                # Addresses that have gone take no memory.
                del self._by_address[key]

    def turn_away(
        self, sock: socket.socket, secure: Secure | None, refusal: str
    ) -> None:
        """Tell a peer why it is not served, and close. Blocks for a second at most."""
        words = refusal_bytes(self._limits, refusal)
        # Where descriptors are short, these must not take them all.
        most = _spare() // 2 if is_last(sock.fileno()) else _TOLD_AT_ONCE
        if self._leaving >= most:
            # A flood. Over TLS there is nothing that could be said at once.
            say_and_close(sock, b"" if secure is not None else words)
            return
        self._leaving += 1
        try:
            _tell(sock, secure, words)
        finally:
            self._leaving -= 1


def is_last(descriptor: int) -> bool:
    """Whether a new descriptor is one of the last that the process may have.

    The system gives out the lowest number that is free: a high one means that nearly
    all are taken.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most != resource.RLIM_INFINITY and descriptor >= most - _spare()


def _spare() -> int:
    """Return how many descriptors connections leave free."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return _SPARE
    return min(_SPARE, most // _SPARE_SHARE)


def out_of_descriptors() -> str:
    """Say that the process has no descriptor for another connection."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"server full: the process may have {most} descriptors (RLIMIT_NOFILE)"


def refusal_bytes(limits: Limits, refusal: str) -> bytes:
    """Return what to say to a peer that is not served: a hello and a goodbye."""
    hello = encode(messages.hello(limits.told()))
    return frame(hello) + frame(encode([messages.GOODBYE, refusal]))


def say_and_close(sock: socket.socket, words: bytes) -> None:
    """Say what the kernel takes at once, and close. Does not switch greenlets."""
    with suppress(OSError):
        # It may have gone already; that is what was wanted.
        if words:
            raw(sock).send(words)
        sock.shutdown(socket.SHUT_WR)
        # Unread bytes would reset the connection, and the words with it.
        raw(sock).recv(65536)
    sock.close()


def _tell(sock: socket.socket, secure: Secure | None, words: bytes) -> None:
    """Say it and wait until the peer has closed, or the time is over."""
    until = monotonic() + _LINGER
    told: Any = sock
    try:
        # The peer may go at any point; and the socket's own time-out counts anew for
        # each record of a handshake.
        with (
            suppress(OSError, ssl.SSLError, _TooLate),
            gevent.Timeout(_LINGER, _TooLate),
        ):
            if secure is not None:
                told = secure.context.wrap_socket(sock, server_side=True)
            told.sendall(words)
            told.shutdown(socket.SHUT_WR)
            drain(told, max(0.0, until - monotonic()))
    finally:
        told.close()


def _full(count: int, where: str, name: str, limits: Limits) -> str:
    size = getattr(limits, name)
    return f"server full: {count} connections{where} exceed {name}={size}"
