"""Addresses as text: what `serve` binds and `connect` reaches.

Owns the forms of an address, and the opening and binding of sockets for them. Never
speaks the protocol. Called by servers and clients.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from gevent import socket

AddressLike = str | tuple[str, int]

#: Connections that the kernel completes before they are accepted. With gevent's 128
#: a thousand clients at once find some of them unheard for seconds.
BACKLOG = 1024

_HOST_PORT = re.compile(
    r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^\[\]:/@\s\x00-\x1f\x7f]+)):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: a host and port, or the path of a Unix socket.

    ``str()`` of it is text that `parse` accepts.

    Attributes:
        opener: Returns a connected socket, where there is no address to connect to:
            `geopb.testing` has a server in memory. Such a one is made, never parsed.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    opener: Callable[[], socket.socket] | None = None

    def __str__(self) -> str:
        if self.path:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        prefix = "tls://" if self.scheme == "tls" else ""
        return f"{prefix}{host}:{self.port}"

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it."""
        if self.scheme == "unix":
            return False
        try:
            return not ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host != "localhost"


def parse(address: AddressLike | Address) -> Address:
    """Read an address in one of its forms.

    They are ``"host:port"``, ``"tcp://..."``, ``"tls://..."``, ``"unix:///path"`` and
    ``("host", port)``; IPv6 stands in brackets.

    Raises:
        ValueError: It is none of these; the text is repeated.
    """
    if isinstance(address, Address):
        return address
    if isinstance(address, tuple):
        return _parse_pair(address)
    if not isinstance(address, str):
        raise ValueError(f"no address: {address!r}; expected 'host:port'")
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "tcp", address
    if scheme == "unix" and rest.startswith("/") and len(rest) > 1 and "\0" not in rest:
        return Address("unix", path=rest)
    match = _HOST_PORT.fullmatch(rest)
    if scheme not in ("tcp", "tls") or match is None or int(match["port"]) > 65535:
        raise ValueError(
            f"no address: {address!r}; expected 'host:port', '[ipv6]:port', "
            "'tcp://host:port', 'tls://host:port' or 'unix:///path'"
        )
    if match["six"]:
        _check_six(match["six"], address)
    return Address(scheme, match["six"] or match["host"], int(match["port"]))


def _parse_pair(pair: tuple[Any, ...]) -> Address:
    right = (
        len(pair) == 2
        and isinstance(pair[0], str)
        and type(pair[1]) is int
        and 0 <= pair[1] <= 65535
        and bool(pair[0])
        and not _NO_HOST.search(pair[0])
    )
    if not right:
        raise ValueError(f"no address: {pair!r}; expected ('host', port)")
    if ":" in pair[0]:
        _check_six(pair[0], pair)
    return Address("tcp", pair[0], pair[1])


#: What stands in no host's name.
_NO_HOST = re.compile(r"[\[\]/@\s\x00-\x1f\x7f]")


def _check_six(host: str, address: object) -> None:
    try:
        right = ip_address(host).version == 6
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"no address: {address!r}; {host!r} is no IPv6 address")


def open_socket(address: Address) -> socket.socket:
    """Connect to `address`; blocks. Raises what the system raises."""
    if address.opener is not None:
        return address.opener()
    if address.scheme == "unix":
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.connect(address.path)
        except BaseException as error:
            connected.close()
            if isinstance(error, OSError) and error.errno is None:
                raise _named(error, address) from None
            raise
        return connected
    return socket.create_connection((address.host, address.port))


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens, and where it is (port 0 has become a real one)."""

    socket: socket.socket
    address: Address
    #: Device and inode of a Unix socket's file.
    file: tuple[int, int] | None = None
    #: The process that made it.
    pid: int = field(default_factory=os.getpid)

    def unlink(self) -> None:
        """Remove a Unix socket's file, unless a successor has put its own there.

        A child that inherited the listener leaves it to the parent.
        """
        if self.pid != os.getpid() or self.file is None:
            return
        if _file_of(self.address.path) == self.file:
            os.unlink(self.address.path)


def listen(address: Address) -> Listener:
    """Bind and listen. Raises what the system raises, with the address in its text."""
    if address.scheme == "unix":
        _remove_stale(address.path)
        listener = _bound(socket.AF_UNIX, address.path, address)
        return Listener(listener, address, _file_of(address.path))
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=flags
    )
    # "localhost" may name both families; clients try both, so the older one serves.
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    listener = _bound(found[0][0], found[0][4], address)
    port = listener.getsockname()[1]
    return Listener(listener, Address(address.scheme, address.host, port))


def _bound(family: int, where: Any, address: Address) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _named(error, address) from None
    return listener


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove_stale(path: str) -> None:
    """Remove the socket file of a server that is gone: nobody answers there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    finally:
        probe.close()


def _named(error: OSError, address: Address) -> OSError:
    """Return the system's error with the address in its text."""
    if error.errno is None:
        # Python's own: a path that is longer than a socket's may be.
        return OSError(errno.ENAMETOOLONG, f"{error}: {address}")
    return OSError(error.errno, f"{error.strerror}: {address}")
