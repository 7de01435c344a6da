"""The logins of one connection, on the server.

Owns who has logged in over it, and how often that failed. Whoever fails is answered
late, in one and the same way; the peer's further logins wait for that, and nobody
else's. Never sends. Called by the lobby, in workers, and when the connection ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from time import monotonic
from typing import Any
from weakref import WeakSet

import gevent
from gevent import Timeout
from gevent.lock import BoundedSemaphore

from geopb.cred.credentials import (
    MAX_TOKEN_BYTES,
    Anonymous,
    ClientCertificate,
    Credentials,
    Token,
    UsernamePassword,
    refused,
)
from geopb.cred.portal import Portal
from geopb.cred.scram import ServerExchange, end_point
from geopb.cred.session import Held, Session
from geopb.cred.throttle import MAX_FAILURES, address_key, delay_of
from geopb.cred.verifiers import (
    Malformed,
    NoBinding,
    Verifier,
    derive,
    library,
    read_verifier,
)
from geopb.errors import Cancelled, DeadlineExceeded, Error, UnauthorizedLogin
from geopb.failure import format_traceback
from geopb.flavors.referenceable import Referenceable, find_method
from geopb.workers import worker_pool

_log = logging.getLogger("geopb.cred")

#: Logins of one connection that are looked at, or wait for it, at a time; and
#: challenges that it has not answered.
MAX_WAITING = 64


class Logins:
    """The logins of one connection.

    Args:
        portal: Who checks them, and has the avatars.
        peer: The peer as text, for the log.
        host: Its address, None where that says nothing.
        shielded: Makes a block that the end of the connection does not interrupt.
    """

    def __init__(
        self,
        portal: Portal,
        peer: str,
        host: str | None,
        shielded: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.portal = portal
        #: Called when somebody is let in; and, with the reason, to end the connection.
        self.let_in: Callable[[], object] = _nothing
        self.end: Callable[[str], object] = _nothing
        self._peer = peer
        self._key = address_key(host)
        self._shielded = shielded
        self._sessions: set[Session] = set()
        self._challenges: WeakSet[Challenge] = WeakSet()
        #: One is looked at after the other.
        self._turn = BoundedSemaphore(1)
        self._waiting = 0
        self._failures = 0
        #: When the next one is looked at, and the last failure answered.
        self._not_before = 0.0
        self._closed = False

    def log_in(
        self,
        kind: type[Credentials],
        check: Callable[[], Any],
        mind: object,
        secret: str = "",
    ) -> Held:
        """Return what crosses for an avatar; blocks.

        Args:
            kind: The kind of credentials.
            check: Returns the avatar's id, or raises.
            mind: What the client gave.
            secret: What the log must not show.

        Raises:
            UnauthorizedLogin: They are nobody's.
            BaseException: What the realm raised.
        """
        avatar_id = self._checked(kind, check, secret)
        self.let_in()
        session = Session(self._sessions.discard)
        self._sessions.add(session)
        if self._closed:
            session.end()
        try:
            with self._shielded():
                return session.begin(*self.portal.avatar(avatar_id, mind))
        except BaseException:
            session.end()
            raise

    def anonymous(self, mind: object) -> Held:
        """Log in nobody in particular."""
        return self._simple(Anonymous, Anonymous, mind)

    def token(self, token: object, mind: object) -> Held:
        """Log in who has a token."""
        text = token if isinstance(token, str) else ""

        def make() -> Token:
            if len(text) > MAX_TOKEN_BYTES or text is not token:
                raise refused()
            return Token(text)

        return self._simple(Token, make, mind, text)

    def certificate(self, certificate: dict[str, Any] | None, mind: object) -> Held:
        """Log in whom the client's certificate names."""
        return self._simple(
            ClientCertificate, lambda: _shown(ClientCertificate(certificate)), mind
        )

    def password(
        self, first: object, certificate: bytes | None
    ) -> tuple[str, Challenge] | None:
        """Begin a login with a password; None if the client binds and this side cannot.

        Returns:
            The challenge's text, and what takes its answer.
        """
        self._check_room(len(self._challenges))
        exchange: ServerExchange | None = None
        self._waiting += 1
        try:
            library()
            exchange = ServerExchange(
                first, self.portal.find_verifier, end_point(certificate)
            )
        except NoBinding:
            return None
        except Malformed:
            # Refused as a wrong password is: outside, so that no context is kept.
            pass
        except (Cancelled, DeadlineExceeded):
            raise
        except (Exception, Timeout, SystemExit) as error:
            raise self._broken(error) from None
        finally:
            self._waiting -= 1
        if exchange is None:
            self._checked(UsernamePassword, _refuse, "")
            return None
        challenge = Challenge(self, exchange)
        self._challenges.add(challenge)
        return exchange.challenge, challenge

    def close(self) -> None:
        """Log everybody out: the connection has ended. Does not switch greenlets."""
        self._closed = True
        for session in list(self._sessions):
            session.end()

    # -- checking ----------------------------------------------------------------------

    def _simple(
        self,
        kind: type[Credentials],
        make: Callable[[], Credentials],
        mind: object,
        secret: str = "",
    ) -> Held:
        def check() -> Any:
            return self.portal.avatar_id(kind, make())

        return self.log_in(kind, check, mind, secret)

    def _checked(
        self, kind: type[Credentials], check: Callable[[], Any], secret: str
    ) -> Any:
        """Return the avatar's id; a failure is counted, logged, and answered late."""
        self._check_room(0)
        self._waiting += 1
        try:
            with self._turn:
                self._wait()
                begun = monotonic()
                let_in, avatar_id = self._ask(check, secret)
                if let_in:
                    return avatar_id
                self._failed(kind, begun)
                self._wait()
                if self._failures >= MAX_FAILURES:
                    # Behind the answer to this one.
                    worker_pool().submit(self.end, "too many logins that failed")
        finally:
            self._waiting -= 1
        raise refused()

    def _check_room(self, open_challenges: int) -> None:
        many = self._waiting + open_challenges >= MAX_WAITING
        if many or self._failures >= MAX_FAILURES:
            raise UnauthorizedLogin("too many logins on this connection")

    def _wait(self) -> None:
        # The connection's own time, and that of all who come from its address.
        delay = self.portal.throttle.delay(self._key)
        gevent.sleep(max(self._not_before - monotonic(), delay, 0))

    def _ask(self, check: Callable[[], Any], secret: str) -> tuple[bool, Any]:
        """Return whether the client is let in, and the avatar's id."""
        try:
            return True, check()
        except (Cancelled, DeadlineExceeded):
            # The connection has ended, or the login has taken too long.
            raise
        except UnauthorizedLogin:
            return False, None
        except (Exception, Timeout, SystemExit) as error:
            raise self._broken(error, secret) from None

    def _failed(self, kind: type[Credentials], begun: float) -> None:
        # Counted before the waiting: who goes meanwhile has failed all the same.
        self._failures += 1
        self._not_before = begun + delay_of(self._failures)
        self.portal.throttle.failed(self._key)
        text, rest = "", self._failures - MAX_FAILURES
        if not rest:
            text = f"; after {MAX_FAILURES} of them the connection is ended"
        self.portal.refusals.warning(
            "%s: a login with %s was refused%s", self._peer, kind.__name__, text
        )

    def _broken(self, error: BaseException, secret: str = "") -> Error:
        """Log what a checker raised; return what the client is told of it."""
        text = format_traceback(error)
        if secret:
            for shown in (secret, repr(secret)[1:-1]):
                text = text.replace(shown, "[secret]")
        _log.error("%s: its login could not be checked\n%s", self._peer, text)
        return Error("the login could not be checked: the server's log says why")


class Challenge(Referenceable):
    """One login with a password that waits for the client's proof."""

    def __init__(self, logins: Logins, exchange: ServerExchange) -> None:
        self._logins = logins
        self._exchange: ServerExchange | None = exchange

    def remote_prove(self, final: object, mind: object = None) -> tuple[str, Held]:
        """Check the client's proof; return this side's own, and the avatar. Once."""
        exchange, self._exchange = self._exchange, None
        proofs: list[str] = []

        def check() -> Any:
            if exchange is None:
                raise refused()
            credentials = Proof(exchange, final, proofs.append)
            avatar_id = self._logins.portal.avatar_id(UsernamePassword, credentials)
            if not proofs:
                raise RuntimeError(
                    "the checker has accepted a user whose password is not proved: "
                    "it has to ask checkPassword() or checkVerifier()"
                )
            return avatar_id

        held = self._logins.log_in(UsernamePassword, check, mind)
        return proofs[-1], held

    def remoteMessageReceived(
        self, broker: object, message: str, args: Any, kw: Any
    ) -> Any:
        """Run ``prove``; with other arguments than its own it is a wrong proof."""
        method = find_method(self, "remote_", message)
        if kw or not 1 <= len(args) <= 2:
            return self.remote_prove(None)
        return method(*args)


class Proof(UsernamePassword):
    """What has come of a client's `UsernamePassword`: the name, and a proof."""

    __slots__ = ("_exchange", "_final", "_proved")

    def __init__(
        self, exchange: ServerExchange, final: object, proved: Callable[[str], object]
    ) -> None:
        self.username = exchange.username
        self._exchange, self._final, self._proved = exchange, final, proved

    def checkPassword(self, plain: str) -> bool:
        """Whether the client has proved to know this password; blocks."""
        salt, iterations = self._exchange.salt, self._exchange.iterations
        return self.checkVerifier(str(_derive_once(plain, salt, iterations)))

    def checkVerifier(self, verifier: str) -> bool:
        """Whether the client has proved to know the password of this verifier."""
        proof = self._exchange.check(read_verifier(verifier), self._final)
        if proof is not None:
            self._proved(proof)
        return proof is not None


@lru_cache(maxsize=1024)
def _derive_once(plain: str, salt: bytes, iterations: int) -> Verifier:
    """Derive what a checker of plain passwords asks for again at each login.

    A name has the same salt each time. That it is quicker the second time shows in no
    answer: those to failures come after a fixed time.
    """
    return derive(plain, salt, iterations)


def _shown(credentials: ClientCertificate) -> ClientCertificate:
    if credentials.certificate is None:
        raise refused()
    return credentials


def _refuse() -> Any:
    raise refused()


def _nothing(*_: object) -> None:
    """There is no connection yet."""
