"""The door: `Portal` brings together who checks credentials and who has the avatars.

Owns which checker is asked, and the shapes of what users write for it: `Checker`,
`Realm`, `IPerspective`. Never knows a connection. Called by the logins of one.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gevent import Greenlet
from gevent.event import AsyncResult

from geopb.cred.credentials import KINDS, Credentials, UsernamePassword, refused
from geopb.cred.throttle import Throttle
from geopb.cred.verifiers import ITERATIONS, Verifier, made_up, read_verifier
from geopb.errors import qualified_name
from geopb.notices import Notices
from geopb.promise.promise import Promise

_log = logging.getLogger("geopb.cred")


@runtime_checkable
class IPerspective(Protocol):
    """What a realm is asked for: an avatar whose ``perspective_*`` methods are called.

    `Avatar` is one.
    """

    def perspectiveMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Run the method that the user called."""


class Realm(Protocol):
    """Who has the avatars: the application."""

    def requestAvatar(
        self, avatarId: Any, mind: Any, *interfaces: Any
    ) -> tuple[Any, Any, Callable[[], object]] | Any:
        """Return ``(interface, avatar, logout)``, or a promise of it; may block.

        It is always run to its end, also when the connection ends meanwhile: then
        `logout` is called at once.

        Args:
            avatarId: What the checker returned.
            mind: What the client gave to ``login``: a reference to an object of its
                own that may be called at once, None, or any value.
            interfaces: What the avatar is to be: `IPerspective`, so far always.
        """


@runtime_checkable
class Checker(Protocol):
    """Who says whose credentials these are.

    A checker of passwords may have ``getVerifier(username)`` as well, which returns
    what `make_verifier` made for the user, None for nobody, or a promise of it; and
    ``iterations``, which those of its verifiers take.
    """

    @property
    def credentialInterfaces(self) -> Sequence[type[Credentials]]:
        """The kinds of credentials that it checks."""

    def requestAvatarId(self, credentials: Any) -> Any:
        """Return the avatar's id, or a promise of it; may block.

        Raises:
            UnauthorizedLogin: They are nobody's. The client is told in geopb's words.
        """


class Portal:
    """What a server has as its root when clients are to log in.

    Args:
        realm: Who has the avatars: see `Realm`.
        checkers: Who checks credentials: see `Checker`; one for each kind.

    Raises:
        TypeError: One of them is not what it should be.
        ValueError: Two checkers for one kind.
    """

    def __init__(self, realm: Realm, checkers: Iterable[Checker]) -> None:
        if not callable(getattr(realm, "requestAvatar", None)):
            kind = type(realm).__name__
            raise TypeError(f"a realm has requestAvatar(), {kind} has not")
        self.realm = realm
        self.checkers = _by_kind(checkers)
        #: What logins that failed cost, by the address that they came from.
        self.throttle = Throttle()
        #: What the log says of them, so much in a while.
        self.refusals = Notices(_log, "logins were refused")
        self._secret = secrets.token_bytes(32)

    def find_verifier(self, username: str) -> Verifier:
        """Return what a password is to be proved against; may block.

        Of nobody, and with a checker that has none: made up, always the same.
        """
        checker: Any = self.checkers.get(UsernamePassword)
        get = getattr(checker, "getVerifier", None)
        found = None if get is None else awaited(get(username))
        if found is not None:
            return read_verifier(found)
        iterations = getattr(checker, "iterations", ITERATIONS)
        secret = getattr(checker, "secret", None) or self._secret
        return made_up(secret, username, iterations)

    def avatar_id(self, kind: type[Credentials], credentials: Credentials) -> Any:
        """Return whom these credentials stand for; may block.

        Raises:
            UnauthorizedLogin: Nobody, or nobody checks them.
            BaseException: What the checker raised.
        """
        checker = self.checkers.get(kind)
        if checker is None:
            raise refused()
        return awaited(checker.requestAvatarId(credentials))

    def avatar(self, avatar_id: Any, mind: Any) -> tuple[Any, Callable[[], object]]:
        """Return an avatar and its logout; may block."""
        found = awaited(self.realm.requestAvatar(avatar_id, mind, IPerspective))
        if not isinstance(found, tuple) or len(found) != 3:
            kind = type(found).__name__
            raise TypeError(
                f"requestAvatar() returns (interface, avatar, logout), not {kind}"
            )
        _, avatar, logout = found
        if not callable(logout):
            raise TypeError("the logout that requestAvatar() returned is no function")
        return avatar, logout

    def __repr__(self) -> str:
        kinds = ", ".join(kind.__name__ for kind in self.checkers)
        return f"<Portal for {kinds or 'nobody'}>"


def awaited(value: Any) -> Any:
    """Return `value`, or what it will be: a promise's, a greenlet's. May block."""
    if isinstance(value, Promise | AsyncResult | Greenlet):
        promise: Promise[Any] = Promise()
        promise.set(value)
        return promise.get()
    return value


def _by_kind(checkers: Iterable[Checker]) -> dict[type[Credentials], Checker]:
    found: dict[type[Credentials], Checker] = {}
    if hasattr(checkers, "requestAvatarId"):
        raise TypeError("checkers are a list: put the checker into one")
    for checker in checkers:
        name = type(checker).__name__
        if not isinstance(checker, Checker):
            raise TypeError(
                f"a checker has credentialInterfaces and requestAvatarId(), {name} "
                "has not"
            )
        kinds: Any = checker.credentialInterfaces
        if not isinstance(kinds, tuple | list | set | frozenset):
            raise TypeError(f"credentialInterfaces of {name} is no tuple of classes")
        for kind in kinds:
            if kind not in KINDS:
                text = qualified_name(kind) if isinstance(kind, type) else repr(kind)
                raise TypeError(f"{text} is no kind of credentials")
            if kind in found:
                raise ValueError(f"two checkers for {kind.__name__}")
            found[kind] = checker
    return found
