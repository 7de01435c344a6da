"""Passwords proved without being sent: SCRAM-SHA-256 (RFC 5802, RFC 7677).

Owns both sides of the exchange, as text. The cryptography is scramp's. Never sends,
never knows users. Called by the logins of a connection (server) and the client.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from geopb.cred.verifiers import (
    MECHANISM,
    MOST_ITERATIONS,
    Malformed,
    NoBinding,
    Verifier,
    library,
    off_the_loop,
    prepared,
    read_name,
    written_name,
)
from geopb.errors import ProtocolError, UnauthorizedLogin, over_limit

#: Binds an exchange to the TLS connection that it runs over (RFC 5929).
BINDING = "tls-server-end-point"
#: Characters of one message of the exchange; honest ones are a few hundred.
MAX_TEXT = 2048

# -- channel binding -------------------------------------------------------------------


@lru_cache(maxsize=64)
def end_point(certificate: bytes | None) -> bytes | None:
    """Return what binds an exchange to a server's certificate (RFC 5929, 4.1).

    None without one, and for those whose signature names no hash.

    Args:
        certificate: The server's, in DER.
    """
    if certificate is None:
        return None
    # A dependency of scramp's.
    from asn1crypto import x509

    try:
        name = x509.Certificate.load(certificate).hash_algo
        if name in ("md5", "sha1"):
            name = "sha256"
        return hashlib.new(name, certificate).digest()
    except ValueError:
        return None


# -- the server ------------------------------------------------------------------------


class ServerExchange:
    """The server's side of one exchange.

    Args:
        first: The client's first message.
        find: Returns the verifier that the challenge is made of, by user name.
        binding: What `end_point` tells; None without TLS.

    Raises:
        Malformed: `first` is none.
        NoBinding: The client binds, and this side cannot.
    """

    def __init__(
        self, first: object, find: Callable[[str], Verifier], binding: bytes | None
    ) -> None:
        self._first = _text(first)
        self._nonce = secrets.token_hex()
        self._binding = None if binding is None else (BINDING, binding)
        self.username = ""
        self.salt = b""
        self.iterations = 0
        #: What the client is answered.
        self.challenge = ""
        failed: list[Exception] = []

        def ask(written: str) -> tuple[bytes, bytes, bytes, int]:
            try:
                self.username = read_name(written)
                found = find(self.username)
            except Exception as error:
                failed.append(error)
                raise
            self.salt, self.iterations = found.salt, found.iterations
            return _fields(found)

        scramp = library()
        server = self._server(ask)
        refusal: Exception | None = None
        try:
            server.set_client_first(self._first)
            self.challenge = server.get_server_first()
        except scramp.ScramException as error:
            refusal = failed[0] if failed else Malformed(str(error))
            reason = getattr(error.server_error, "value", None)
            if reason == "channel-binding-not-supported":
                refusal = NoBinding()
        if refusal is not None:
            raise refusal

    def check(self, verifier: Verifier, final: object) -> str | None:
        """Return this side's own proof if the client proved to know the password.

        It takes the same time if not. May be called again with another verifier.
        """
        scramp = library()
        server = self._server(lambda _: _fields(verifier))
        try:
            server.set_client_first(self._first)
            # Signed by the client: with another salt it cannot be right.
            server.get_server_first()
            server.set_client_final(_text(final))
            proof: str = server.get_server_final()
        except (scramp.ScramException, Malformed):
            return None
        return proof

    def _server(self, ask: Callable[[str], tuple[bytes, bytes, bytes, int]]) -> Any:
        mechanism = library().ScramMechanism(MECHANISM)
        return mechanism.make_server(ask, self._binding, self._nonce)


def _fields(verifier: Verifier) -> tuple[bytes, bytes, bytes, int]:
    return (
        verifier.salt,
        verifier.stored_key,
        verifier.server_key,
        verifier.iterations,
    )


def _text(message: object) -> str:
    if not isinstance(message, str) or len(message) > MAX_TEXT:
        raise Malformed("a message of the exchange is a short text")
    return message


# -- the client ------------------------------------------------------------------------


class ClientExchange:
    """The client's side of one exchange.

    Args:
        username: Who.
        password: Never sent.
        binding: What `end_point` tells; None without TLS.
        bind: Use it. A server that says it cannot is told that this side could: one
            that has been spoken for then finds out.
    """

    def __init__(
        self, username: str, password: str, binding: bytes | None, *, bind: bool
    ) -> None:
        name = MECHANISM + "-PLUS" if bind else MECHANISM
        bound = None if binding is None else (BINDING, binding)
        make = library().ScramClient
        self._client = make([name], written_name(username), prepared(password), bound)
        #: The first message.
        self.first: str = self._client.get_client_first()

    def answer(self, challenge: object) -> str:
        """Return the proof for the server's challenge; blocks the greenlet.

        Raises:
            LimitExceeded: The server wants more work than is done for one.
            ProtocolError: It is no challenge.
        """
        scramp = library()
        try:
            text = _text(challenge)
            found = re.search(r",i=(\d{1,18})(,|$)", text, re.ASCII)
            if found is not None and int(found[1]) > MOST_ITERATIONS:
                most, actual = MOST_ITERATIONS, int(found[1])
                raise over_limit("MOST_ITERATIONS", most, "a login's work", actual)
            self._client.set_server_first(text)
            final: str = off_the_loop(self._client.get_client_final)
        except (scramp.ScramException, Malformed) as error:
            raise ProtocolError(f"the server's challenge is none: {error}") from None
        return final

    def verify(self, proof: object) -> None:
        """Check that the server knows the password's verifier.

        Raises:
            UnauthorizedLogin: It does not: it only claims to be that server.
        """
        scramp = library()
        try:
            self._client.set_server_final(_text(proof))
        except (scramp.ScramException, Malformed):
            text = "the server has not proved that it knows this user: do not trust it"
            raise UnauthorizedLogin(text) from None
