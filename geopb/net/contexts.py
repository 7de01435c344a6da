"""Contexts for TLS: made here, or given by the user and looked at here.

Owns what geopb thinks of a context. Never opens a connection. Called by users (the two
that make contexts), and by servers and clients when they are given one.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from typing import Any

from gevent import ssl as gevent_ssl
from gevent.monkey import is_module_patched

from geopb.net.address import Address, AddressLike, parse
from geopb.net.tls import Secure

Path = str | os.PathLike[str]


class ServerContext(gevent_ssl.SSLContext):
    """A server's context that knows its certificate, which OpenSSL does not tell.

    Attributes:
        own_certificate: In DER, of what was loaded last: it binds logins to it.
    """

    own_certificate: bytes | None = None

    def load_cert_chain(self, certfile: Any, *args: Any, **kwargs: Any) -> None:
        """Load a certificate, as any context does, and take note of it."""
        super().load_cert_chain(certfile, *args, **kwargs)
        with open(certfile, encoding="ascii", errors="replace") as file:
            _, begin, rest = file.read().partition(ssl.PEM_HEADER)
        first, end, _ = rest.partition(ssl.PEM_FOOTER)
        self.own_certificate = ssl.PEM_cert_to_DER_cert(begin + first + end)


def tls_server_context(
    cert: Path, key: Path, client_ca: Path | None = None
) -> ssl.SSLContext:
    """Make a context for servers: TLS 1.2 or later. Reads the files, and blocks for it.

    Args:
        cert: A PEM file: the server's certificate, with those between it and the
            authority behind it.
        key: A PEM file: its private key, not encrypted.
        client_ca: A PEM file of authorities. Where it is given, each client must have
            a certificate that one of them signed; see ``peer_certificate``.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: One is not what it should be; the text names it.
        ValueError: The key is encrypted.
    """
    context = _new(ServerContext(ssl.PROTOCOL_TLS_SERVER))
    _load_pair(context, cert, key)
    if client_ca is not None:
        _load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_client_context(
    ca: Path | None = None, cert: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Make a context for clients: TLS 1.2 or later, the server's name is checked.

    Reads the files, and blocks for it.

    Args:
        ca: A PEM file of the authorities to trust; None: those of the system.
        cert: A PEM file with this client's own certificate, where servers want one.
        key: A PEM file with its private key, not encrypted; None: it is in `cert`.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: One is not what it should be; the text names it.
        TypeError: `key` without `cert`.
        ValueError: The key is encrypted.
    """
    if key is not None and cert is None:
        raise TypeError("key is the key of a certificate: give cert as well")
    # By its protocol it asks for a certificate and checks the name in it.
    context = _new(gevent_ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, ca)
    if cert is not None:
        _load_pair(context, cert, key)
    return context


def secured(
    address: AddressLike, ssl_context: Any, *, is_server: bool
) -> tuple[Address, Secure | None]:
    """Read an address, and how its connections are to be secured: None, not at all.

    Raises:
        TypeError: `ssl_context` is none of gevent's.
        ValueError: `address` is none, or does not go with `ssl_context`.
    """
    parsed = parse(address)
    if ssl_context is not None:
        _check(ssl_context, is_server=is_server)
        if parsed.scheme == "unix":
            raise ValueError(
                f"{parsed} takes no ssl_context: who may open a Unix socket is for "
                "the file system to say"
            )
        if isinstance(address, str) and address.startswith("tcp://"):
            raise ValueError(
                f"{address!r} is without TLS: write tls://{parsed}, or leave "
                "ssl_context out"
            )
    elif parsed.scheme != "tls":
        return parsed, None
    elif is_server:
        raise ValueError(
            f"a server at {parsed} needs a certificate: give "
            "ssl_context=pb.tls_server_context(cert, key)"
        )
    else:
        ssl_context = tls_client_context()
    hostname = None if is_server else parsed.host.partition("%")[0]
    # Tried once: what it does not take is to be told here, and not at a connection.
    try:
        ssl_context.wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), is_server, server_hostname=hostname
        )
    except ValueError as error:
        raise ValueError(f"{address!r} names no host for TLS: {error}") from None
    return replace(parsed, scheme="tls"), Secure(ssl_context, hostname)


def _check(context: Any, *, is_server: bool) -> None:
    # The class that the process began with, whoever has patched it since. No global:
    # gevent warns a program that patches later of modules that have one.
    plain: Any = gevent_ssl.SSLContext.__mro__[1]
    if not isinstance(context, plain):
        kind = type(context).__name__
        raise TypeError(f"ssl_context takes a gevent.ssl.SSLContext, not {kind}")
    made_by = "pb.tls_server_context" if is_server else "pb.tls_client_context"
    if not isinstance(context, gevent_ssl.SSLContext) and not is_module_patched("ssl"):
        raise TypeError(
            "ssl_context takes a gevent.ssl.SSLContext; the standard library's blocks "
            f"the whole process: make it with {made_by}(...) or "
            "gevent.ssl.SSLContext(...)"
        )
    wrong = ssl.PROTOCOL_TLS_CLIENT if is_server else ssl.PROTOCOL_TLS_SERVER
    if context.protocol == wrong:
        side = "server" if is_server else "client"
        raise ValueError(
            f"this ssl_context is not for a {side}: make one with {made_by}(...)"
        )


def _new(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    for path in (cert, cert if key is None else key):
        _must_be_readable(path)

    def refuse() -> str:
        # Otherwise OpenSSL asks on the terminal, and the process waits for that.
        raise ValueError(f"the key in {key or cert} is encrypted: decrypt it first")

    try:
        context.load_cert_chain(cert, key, refuse)
    except ssl.SSLError as error:
        raise _named(error, f"{cert} and {key}" if key else str(cert)) from None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _must_be_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise _named(error, str(path)) from None


def _must_be_readable(path: Path) -> None:
    # OpenSSL's own error does not say which file.
    with open(path, "rb"):
        return


def _named(error: ssl.SSLError, files: str) -> ssl.SSLError:
    reason = getattr(error, "reason", None) or "no PEM of that kind"
    return ssl.SSLError(error.errno, f"{files} cannot be used: {reason}")
