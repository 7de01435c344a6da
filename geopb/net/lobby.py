"""What every peer may call first, under id 0. Owns its names; see docs/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopb.cred.logins import Logins
from geopb.errors import NoSuchMethod, UnauthorizedLogin
from geopb.flavors.referenceable import Referenceable, Root
from geopb.text import printable

#: The id of the lobby, and its methods.
LOBBY = 0
GET_ROOT = "getRootObject"
LOGIN_ANONYMOUS = "loginAnonymous"
LOGIN_TOKEN = "loginToken"  # noqa: S105 (a name, no secret)
LOGIN_CERTIFICATE = "loginCertificate"
LOGIN_PASSWORD = "loginPassword"  # noqa: S105 (likewise)
#: What a challenge answers to.
PROVE = "prove"

#: How many arguments each login takes.
_LOGINS = {
    LOGIN_ANONYMOUS: 1,
    LOGIN_TOKEN: 2,
    LOGIN_CERTIFICATE: 1,
    LOGIN_PASSWORD: 1,
}


class Lobby(Referenceable):
    """Hands out a server's root."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Answer a peer's first question."""
        if message == GET_ROOT and not args and not kw:
            return self._root.rootObject(broker)
        if message in _LOGINS:
            raise UnauthorizedLogin(
                "this server takes no logins: its root is for everybody, ask for it "
                "with getRootObject()"
            )
        raise _no_method(message)


class PortalLobby(Referenceable):
    """Lets the clients of one connection in."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def remoteMessageReceived(
        self, broker: Any, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Answer a login; blocks."""
        if message == GET_ROOT:
            raise UnauthorizedLogin(
                "this server lets nobody in without a login: call "
                "login(credentials, mind) instead of getRootObject()"
            )
        if kw or len(args) != _LOGINS.get(message):
            raise _no_method(message)
        logins = self._logins
        if message == LOGIN_ANONYMOUS:
            return logins.anonymous(*args)
        if message == LOGIN_TOKEN:
            return logins.token(*args)
        if message == LOGIN_CERTIFICATE:
            return logins.certificate(broker.peer_certificate, *args)
        return logins.password(args[0], broker.server_certificate)


def _no_method(message: str) -> NoSuchMethod:
    return NoSuchMethod(f"the lobby has no method {printable(message)} of that kind")
