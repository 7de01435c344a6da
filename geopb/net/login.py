"""Logging in to a server, from the client's side.

Owns the steps of a login, those that wait for a connection, and what is repeated after
a reconnect. Called by the client.
"""

from __future__ import annotations

import logging
import weakref
from contextvars import Context, copy_context
from typing import Any

import gevent
from gevent import GreenletExit

from geopb.broker.references import RemoteReference
from geopb.cred.credentials import (
    Anonymous,
    ClientCertificate,
    Credentials,
    Token,
    UsernamePassword,
)
from geopb.cred.scram import ClientExchange, end_point
from geopb.cred.verifiers import library
from geopb.errors import ProtocolError, UnauthorizedLogin
from geopb.failure import Failure
from geopb.net import lobby
from geopb.net.connection import Connection
from geopb.net.waiting_roots import WaitingRoots
from geopb.promise.following import outcome
from geopb.promise.promise import Promise
from geopb.workers import interrupt_main

_log = logging.getLogger("geopb.client")


class Login(Promise[Any]):
    """A login, and the promise of its avatar.

    Args:
        credentials: Who.
        mind: What the server gets to call.

    Raises:
        TypeError: `credentials` are none.
    """

    _is_result = True
    #: The answer that it waits for now.
    _asked: Promise[Any] | None = None

    def __init__(self, credentials: Credentials, mind: object) -> None:
        super().__init__()
        if type(credentials) not in _STEPS:
            kind = type(credentials).__name__
            raise TypeError(
                f"login() takes credentials, pb.UsernamePassword or another kind, "
                f"not {kind}"
            )
        self.credentials = credentials
        self.mind = mind
        #: The caller's: its deadline holds for the whole login.
        self.context: Context = copy_context()

    def begin(self, connection: Connection) -> None:
        """Log in over a connection that is up. Does not block."""
        if not self.ready():
            gevent.spawn(self.context.run, self._run, connection)

    def _run(self, connection: Connection) -> None:
        try:
            avatar = _STEPS[type(self.credentials)](self, connection)
        except BaseException as error:
            self.set_exception(error)
            if isinstance(error, KeyboardInterrupt):
                interrupt_main(error)
            elif isinstance(error, GreenletExit):
                raise
        else:
            self.set(avatar)

    def ask(self, connection: Connection, name: str, *args: Any) -> Any:
        """Call the lobby; return its answer. Blocks."""
        return self._answer(connection.call(lobby.LOBBY, name, args, {}))

    def _answer(self, asked: Promise[Any]) -> Any:
        if self._cancelled:
            asked.cancel()
        self._asked = asked
        return asked.get()

    def _cancel(self) -> None:
        asked = self._asked
        super()._cancel()
        if asked is not None:
            asked.cancel()

    def log_in_by_password(self, connection: Connection) -> Any:
        """Prove to know a password, and have the server prove it too; blocks."""
        credentials = self.credentials
        if not isinstance(credentials, UsernamePassword):
            raise TypeError("these credentials have no password")
        library()
        if not credentials.username:
            # Nobody's name, and SCRAM has no way to say it.
            raise UnauthorizedLogin("the login was refused")
        binding = end_point(connection.broker.server_certificate)
        exchange: ClientExchange | None = None
        found: Any = None
        for bind in (True, False) if binding else (False,):
            exchange = ClientExchange(
                credentials.username, credentials._password, binding, bind=bind
            )
            found = self.ask(connection, lobby.LOGIN_PASSWORD, exchange.first)
            if found is not None:
                break
        if exchange is None or not _is_pair(found, RemoteReference):
            raise ProtocolError("the server's answer is no challenge")
        challenge, proving = found
        final = exchange.answer(challenge)
        answer = self._answer(proving.callRemote(lobby.PROVE, final, self.mind))
        if not _is_pair(answer, object):
            raise ProtocolError("the server's answer is no proof")
        proof, avatar = answer
        exchange.verify(proof)
        return avatar

    def __repr__(self) -> str:
        return super().__repr__().replace("<Promise", "<Login", 1)


def _is_pair(found: object, kind: type) -> bool:
    return (
        isinstance(found, tuple)
        and len(found) == 2
        and isinstance(found[0], str)
        and isinstance(found[1], kind)
    )


_STEPS: dict[type, Any] = {
    UsernamePassword: Login.log_in_by_password,
    Token: lambda login, line: login.ask(
        line, lobby.LOGIN_TOKEN, login.credentials.token, login.mind
    ),
    Anonymous: lambda login, line: login.ask(line, lobby.LOGIN_ANONYMOUS, login.mind),
    ClientCertificate: lambda login, line: login.ask(
        line, lobby.LOGIN_CERTIFICATE, login.mind
    ),
}


class Logins:
    """The logins of one client.

    Args:
        repeats: Repeat the last one after each reconnect.
    """

    def __init__(self, *, repeats: bool) -> None:
        #: Those that wait for a connection.
        self._waiting = WaitingRoots()
        self._repeats = repeats
        #: What is to be repeated, and the first avatar that came of it.
        self._last: tuple[Credentials, Any] | None = None
        self._first_avatar: weakref.ref[RemoteReference] | None = None
        #: The promise of the newest repetition's avatar.
        self.repeated: Login | None = None

    def begin(self, login: Login, connection: Connection | None) -> None:
        """Log in now, or when there is a connection."""
        if self._repeats:
            self._last = self._first_avatar = self.repeated = None
        if connection is None:
            self._waiting.add(login)
        else:
            self._start(login, connection)

    def connected(self, connection: Connection) -> None:
        """Go on with those that wait, and repeat the last; runs in the hub."""
        for login in self._waiting.take():
            if isinstance(login, Login):
                self._start(login, connection)
        if self._last is not None and self._is_wanted():
            self.repeated = Login(*self._last)
            self.repeated.context = Context()
            self.repeated.rawlink(self._repetition_ended)
            self.repeated.begin(connection)

    def fail(self, failure: Failure) -> None:
        """End those that wait, and repeat none: there will be no connection."""
        self._waiting.fail(failure)
        self._last = self._first_avatar = self.repeated = None

    def _start(self, login: Login, connection: Connection) -> None:
        if self._repeats:
            # Not held by its own link.
            reference = weakref.ref(login)
            credentials, mind = login.credentials, login.mind
            login.rawlink(lambda _: self._remember(reference(), credentials, mind))
        login.begin(connection)

    def _remember(
        self, login: Login | None, credentials: Credentials, mind: Any
    ) -> None:
        """Take note of a login that has succeeded."""
        if login is None or not isinstance(login.value, RemoteReference):
            return
        self._last = (credentials, mind)
        self._first_avatar = weakref.ref(login.value)

    def _is_wanted(self) -> bool:
        """Whether the program still holds the first avatar, or this a repeated one."""
        if self.repeated is not None:
            return True
        return self._first_avatar is not None and self._first_avatar() is not None

    def _repetition_ended(self, login: Any) -> None:
        if login is not self.repeated:
            return
        _, failure = outcome(login)
        if failure is not None and isinstance(failure.value, UnauthorizedLogin):
            self._last = None
            _log.warning("the login was refused when it was repeated after a reconnect")
