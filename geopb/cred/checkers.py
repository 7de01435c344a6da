"""Checkers that geopb brings along. Owns none of the users. Called by a portal."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from geopb.cred.credentials import (
    Anonymous,
    ClientCertificate,
    Token,
    UsernamePassword,
    refused,
)


class InMemoryUsernamePasswordDatabaseDontUse:
    """Users and their plain passwords, for examples and tests.

    The avatar's id is the user's name.

    Args:
        users: Passwords by name. Use `VerifierFile` for real ones.
    """

    credentialInterfaces = (UsernamePassword,)

    def __init__(self, **users: str) -> None:
        self._users: dict[str, str] = {}
        for name, password in users.items():
            self.addUser(name, password)

    def addUser(self, username: str, password: str) -> None:
        """Add a user, or change the password of one.

        Raises:
            TypeError: One of them is no text.
        """
        given: tuple[object, ...] = (username, password)
        for text in given:
            if not isinstance(text, str):
                kind = type(text).__name__
                raise TypeError(f"names and passwords are text, not {kind}")
        self._users[str(username)] = str(password)

    def requestAvatarId(self, credentials: UsernamePassword) -> str:
        """Return the user's name if the password is right; blocks for milliseconds."""
        password = self._users.get(credentials.username)
        # The same work for nobody.
        right = credentials.checkPassword("" if password is None else password)
        if password is None or not right:
            raise refused()
        return credentials.username

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._users)} users>"


class AllowAnonymousAccess:
    """Lets everybody in who wants to be nobody; the avatar's id is ``()``."""

    credentialInterfaces = (Anonymous,)

    def requestAvatarId(self, credentials: Anonymous) -> tuple[()]:
        """Return ``()``."""
        return ()


class TokenChecker:
    """Knows some tokens.

    Args:
        tokens: Avatar ids by token. Make tokens with ``secrets.token_urlsafe()``.

    Raises:
        TypeError: A token is no text.
        ValueError: A token is empty.
    """

    credentialInterfaces = (Token,)

    def __init__(self, tokens: Mapping[str, Any]) -> None:
        # Of a key of its own: how long a look into the table takes tells nothing.
        self._key = secrets.token_bytes(32)
        self._ids: dict[bytes, tuple[bytes, Any]] = {}
        for token, avatar_id in tokens.items():
            if not isinstance(token, str):
                raise TypeError(f"a token is text, not {type(token).__name__}")
            if not token:
                raise ValueError("an empty text is no token")
            digest = self._digest(token)
            self._ids[digest] = (digest, avatar_id)

    def requestAvatarId(self, credentials: Token) -> Any:
        """Return the avatar's id of a token; in the same time for any."""
        digest = self._digest(credentials.token)
        known, avatar_id = self._ids.get(digest, (b"", None))
        if not compare_digest(known, digest):
            raise refused()
        return avatar_id

    def _digest(self, token: str) -> bytes:
        raw = token.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, key=self._key, digest_size=32).digest()

    def __repr__(self) -> str:
        return f"<TokenChecker of {len(self._ids)} tokens>"


class CertificateChecker:
    """Knows some clients by the certificates that they show for TLS.

    The server's ``ssl_context`` says whose certificates are taken at all:
    ``pb.tls_server_context(cert, key, client_ca=...)``.

    Args:
        names: Avatar ids by a name that the certificate is for
            (``subjectAltName``: an e-mail address, a host's name, a URI).
    """

    credentialInterfaces = (ClientCertificate,)

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._ids = dict(names)

    def requestAvatarId(self, credentials: ClientCertificate) -> Any:
        """Return the avatar's id for the first name that is known."""
        for name in credentials.names:
            if name in self._ids:
                return self._ids[name]
        raise refused()

    def __repr__(self) -> str:
        return f"<CertificateChecker of {len(self._ids)} names>"
