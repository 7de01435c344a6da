"""What a client logs in with. Owns the four kinds; never shows what is secret.

Made by users, who give them to `PBClientFactory.login`; and by a server, which gives
its checkers what has come of them: the same attributes, and never a password.
"""

from __future__ import annotations

import unicodedata
from hmac import compare_digest
from typing import Any, NoReturn

from geopb.cred.verifiers import derive, read_verifier
from geopb.errors import UnauthorizedLogin

#: The one answer to whoever is not let in, for whatever reason.
REFUSED = "the login was refused"
#: Bytes of a name and of a token: before a login a message has 16 KiB at most.
MAX_NAME_BYTES = 256
MAX_TOKEN_BYTES = 8192


def refused() -> UnauthorizedLogin:
    """Make the one answer."""
    return UnauthorizedLogin(REFUSED)


class Credentials:
    """Base of the kinds of credentials. They do not cross, nor can they be pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


class UsernamePassword(Credentials):
    """A user's name and password, both text; the password never crosses.

    Args:
        username: Who; 256 bytes of UTF-8 at most.
        password: The secret. Composed and decomposed characters are the same.

    Raises:
        TypeError: One of them is no text.
        ValueError: The name is too long.
    """

    __slots__ = ("_password", "username")

    def __init__(self, username: str, password: str) -> None:
        self.username = _checked("a user name", username, MAX_NAME_BYTES)
        self._password = _checked("a password", password, None)

    def checkPassword(self, plain: str) -> bool:
        """Whether the client knows this password: for checkers. May block."""
        return compare_digest(_bytes(self._password), _bytes(plain))

    def checkVerifier(self, verifier: str) -> bool:
        """Whether the client knows the password of this verifier: for checkers.

        Args:
            verifier: What `make_verifier` made. May block.

        Raises:
            ValueError: It is none.
        """
        wanted = read_verifier(verifier)
        found = derive(self._password, wanted.salt, wanted.iterations)
        return compare_digest(found.stored_key, wanted.stored_key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.username!r}>"


class Token(Credentials):
    """A secret text that says who one is. It crosses: use TLS.

    Args:
        token: The secret; 8 KiB of UTF-8 at most.

    Raises:
        TypeError: It is no text.
        ValueError: It is too long.
    """

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = _checked("a token", token, MAX_TOKEN_BYTES)


class Anonymous(Credentials):
    """Nobody in particular."""

    __slots__ = ()


class ClientCertificate(Credentials):
    """Whoever the certificate names that the client has shown for TLS.

    A client makes it without arguments: the certificate is its ``ssl_context``'s.

    Attributes:
        certificate: On the server, what ``getpeercert()`` tells of the certificate.
    """

    __slots__ = ("certificate",)

    def __init__(self, certificate: dict[str, Any] | None = None) -> None:
        self.certificate = certificate

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the certificate is for (``subjectAltName``)."""
        found = (self.certificate or {}).get("subjectAltName", ())
        return tuple(name for _, name in found)


#: What a checker may be for.
KINDS = (UsernamePassword, Token, Anonymous, ClientCertificate)


def _checked(what: str, text: object, most: int | None) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is text, not {type(text).__name__}")
    if most is not None and len(text.encode("utf-8", "surrogatepass")) > most:
        raise ValueError(f"{what} has {most} bytes of UTF-8 at most")
    return str(text)


def _bytes(password: str) -> bytes:
    if not isinstance(password, str):
        raise TypeError(f"a password is text, not {type(password).__name__}")
    text = unicodedata.normalize("NFC", password)
    return text.encode("utf-8", "surrogatepass")
