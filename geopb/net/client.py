"""Reaching a server: `PBClientFactory` and `connect`.

Owns the promises of a root, and what is done after each connect. The making of
connections is the lifecycle's. Called by users.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import gevent

from geopb.cred.credentials import Credentials
from geopb.errors import DeadReferenceError, PBConnectionLost
from geopb.failure import Failure
from geopb.net.address import AddressLike, open_socket
from geopb.net.backoff import Backoff
from geopb.net.connection import Connection
from geopb.net.contexts import secured
from geopb.net.lifecycle import Lifecycle, Listener, State, Target
from geopb.net.lobby import GET_ROOT, LOBBY
from geopb.net.login import Login, Logins
from geopb.net.options import read_client_options
from geopb.net.waiting_roots import WaitingRoots
from geopb.net.watchers import run_on_connect
from geopb.promise.combine import failed_result, result
from geopb.promise.following import outcome
from geopb.promise.promise import Promise
from geopb.promise.waiting import Timeout
from geopb.text import safe_str


class PBClientFactory:
    """A client of one server. A context manager that disconnects.

    Args:
        options: See docs/options.md.

    Raises:
        TypeError: There is no such option.
    """

    #: Makes the waiting times of one `connect`.
    _make_backoff: Callable[[], Backoff] = Backoff

    def __init__(self, **options: Any) -> None:
        self._options, self._own = read_client_options(options)
        #: What followed the last `connect`.
        self._life: Lifecycle | None = None
        #: Why there is no connection to be had; None before and while there is.
        self._over: Exception | None = None
        #: Why the only attempt to connect failed.
        self._failed: Exception | None = None
        self._waiting = WaitingRoots()
        own = self._own
        self._logins = Logins(repeats=own.reconnect and own.on_connect is None)
        #: The answer to the first question, while the peer's hello is not in.
        self._first_root: Promise[Any] | None = None
        self._up: Promise[None] = Promise()

    @property
    def state(self) -> State:
        """``"connecting"``, ``"connected"``, ``"waiting"`` or ``"disconnected"``.

        It is ``"connected"`` from the server's first message on, and ``"waiting"``
        between two attempts of ``reconnect=True``; ``"disconnected"`` before `connect`,
        after `disconnect` and, without ``reconnect``, after a failure.
        """
        return "disconnected" if self._life is None else self._life.state

    @property
    def last_failure(self) -> Exception | None:
        """Why the last attempt failed, or the last connection ended by itself.

        None where that never happened since `connect`. Being connected again does not
        clear it.
        """
        return None if self._life is None else self._life.last_failure

    def connect(self, address: AddressLike, *, ssl_context: Any = None) -> Self:
        """Begin to connect, and return this factory. Does not block.

        Whether it succeeds is told by what `getRootObject` returns, and by `state`.
        With ``reconnect=True`` it goes on until `disconnect`, through any failure.

        Args:
            address: Where the server is.
            ssl_context: Speak TLS with this ``gevent.ssl.SSLContext``, which
                `tls_client_context` makes. None with a ``tls://`` address: trust
                whom the system trusts.

        Raises:
            ValueError: `address` is none (the text is repeated), or does not go with
                `ssl_context`.
            TypeError: `ssl_context` is none of gevent's.
            RuntimeError: It is connected already, or tries to be.
        """
        where, secure = secured(address, ssl_context, is_server=False)
        if self.state != "disconnected":
            raise RuntimeError("this factory is connected already, or tries to be")
        self._failed = self._over = self._first_root = None
        self._up = Promise()
        backoff = self._make_backoff() if self._own.reconnect else None
        target = Target(partial(open_socket, where), str(where), secure)
        listener = Listener(self._opened, self._connected, self._waits, self._over_now)
        self._life = Lifecycle(target, self._options, listener, backoff)
        return self

    def getRootObject(self) -> Promise[Any]:
        """Return a promise of a reference to the server's root object.

        May be asked before `connect`, which it then waits for. Does not block. Each
        time a new promise; of the same reference while that is held.

        The promise fails where there is no connection to be had: with what the
        system raises (``ConnectionRefusedError``, ``socket.gaierror``), with
        ``TimeoutError`` for a server that stays silent past ``handshake_timeout``,
        with `ProtocolError` for one that speaks something else, with ``ssl.SSLError``
        for TLS that fails (``ssl.SSLCertVerificationError``: the server's certificate
        does not verify), and with `DeadReferenceError` after `disconnect`. With
        ``reconnect=True`` none of these but the last ends it: it waits until a
        connection is there.
        """
        promise = result()
        connection = self._connection
        unreachable = self._unreachable()
        if unreachable is not None:
            promise.set_exception(unreachable)
        elif connection is None or (self._own.reconnect and not connection.takes()):
            self._waiting.add(promise)
            if connection is not None and not connection.is_over():
                self._ask_first_root(connection)
        elif connection.up.ready():
            promise.set(self._ask_root(connection))
        else:
            promise.set(self._ask_first_root(connection))
        return promise

    def login(self, credentials: Credentials, mind: object = None) -> Promise[Any]:
        """Return a promise of the avatar that the server has for `credentials`.

        May be asked before `connect`, which it then waits for. Does not block. Several
        logins over one connection are independent. The server logs the user out when
        the connection ends, or the last reference to the avatar is dropped.

        With ``reconnect=True`` and without ``on_connect``, the last login is repeated
        after each reconnect while its avatar is held: see `avatar`.

        The promise fails as that of `getRootObject` does, and with
        `UnauthorizedLogin` where the server does not let these credentials in; with
        ``ImportError`` for a password without the extra ``geopb[login]``.

        Args:
            credentials: `UsernamePassword`, `Token`, `Anonymous`,
                `ClientCertificate`.
            mind: What the server may call for this user: a `Referenceable` of this
                side; or None. With the credentials it is 16 KiB at most.

        Raises:
            TypeError: `credentials` are none.
        """
        login = Login(credentials, mind)
        unreachable = self._unreachable()
        if unreachable is not None:
            login.set_exception(unreachable)
        else:
            connection = self._connection
            up = connection is not None and connection.takes()
            self._logins.begin(login, connection if up else None)
        return login

    @property
    def avatar(self) -> Promise[Any] | None:
        """The promise of the avatar after a reconnect, held here; None before one."""
        return self._logins.repeated

    @property
    def draining(self) -> bool:
        """Whether the server is shutting down: it takes no new calls."""
        return self._connection is not None and self._connection.draining

    def disconnect(self) -> None:
        """Send what is queued, for up to 5 s, and end the connection.

        Blocks until it is done; may be called any number of times, in any state: where
        there is no connection, it ends the attempts at once. Calls that are pending
        then fail with `PBConnectionLost`, which is not logged.
        """
        life = self._life
        if life is not None:
            life.stop()
        if self._life is not life or self.state != "disconnected":
            # Somebody has connected it again meanwhile.
            return
        lost = PBConnectionLost("disconnected")
        self._waiting.fail(Failure(lost, quiet=True))
        self._logins.fail(Failure(lost, quiet=True))
        self._failed, self._over = None, lost

    # -- what the lifecycle tells ------------------------------------------------------

    def _opened(self, life: Lifecycle, connection: Connection) -> None:
        """Ask for the root where it is wanted: the question goes with the hello."""
        if life is self._life and len(self._waiting):
            root = self._ask_first_root(connection)
            if not self._own.reconnect:
                self._waiting.give(root)

    def _connected(self, life: Lifecycle, connection: Connection) -> None:
        """Give the root to those that wait, then go on with what follows a connect."""
        if life is not self._life:
            return
        root, self._first_root = self._first_root, None
        if root is not None:
            # Whoever waits by now has had it asked for.
            self._waiting.give(root)
        if not self._up.ready():
            self._up.settle(None)
        self._after_connect(connection)

    def _waits(self, life: Lifecycle) -> None:
        """Have those that ask for the root wait for the next connection."""
        if life is self._life:
            self._first_root = None
            self._waiting.forget_unwanted()

    def _over_now(self, life: Lifecycle, lost: Exception, reached: bool) -> None:
        """Fail those that wait: there will be no connection."""
        if life is not self._life:
            return
        self._first_root = None
        self._over = lost
        if not reached and not life.stopping:
            self._failed = lost
        self._waiting.fail(Failure(lost, quiet=life.stopping))
        self._logins.fail(Failure(lost, quiet=life.stopping))
        if not self._up.ready():
            self._up.settle(None, Failure(lost, quiet=True))

    def _after_connect(self, connection: Connection) -> None:
        """Begin what is done after each connect; runs in the hub."""
        self._logins.connected(connection)
        if self._own.on_connect is not None:
            gevent.spawn(run_on_connect, self._own.on_connect, self)

    # -- the root ----------------------------------------------------------------------

    def _unreachable(self) -> Exception | None:
        """Return why there is no connection to be had, None if there may be one."""
        if self._failed is not None:
            return self._failed
        if self._over is not None:
            return _dead(self._over)
        if self._life is not None and self._life.is_inherited():
            return _dead("it belongs to the parent process")
        if self._life is not None and self._life.stopping:
            # What is queued is being sent, or the last steps are taken.
            return _dead("disconnected")
        return None

    @property
    def _connection(self) -> Connection | None:
        return None if self._life is None else self._life.connection

    def _ask_first_root(self, connection: Connection) -> Promise[Any]:
        """Ask one question until the peer has told how many it takes."""
        if self._first_root is None:
            self._first_root = self._ask_root(connection)
            # Whoever wants it looks at its failure; perhaps nobody does any more.
            self._first_root.rawlink(outcome)
        return self._first_root

    def _ask_root(self, connection: Connection) -> Promise[Any]:
        try:
            return connection.call(LOBBY, GET_ROOT, (), {})
        except DeadReferenceError as error:
            return failed_result(error)

    def _wait_until_up(self, timeout: float | None) -> None:
        self._up.get(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self.disconnect()

    def __repr__(self) -> str:
        state, failure = self.state, self.last_failure
        if state == "connected":
            return f"<PBClientFactory connected, {self._connection!r}>"
        if failure is None:
            return f"<PBClientFactory {state}>"
        text = safe_str(failure, 200)
        return f"<PBClientFactory {state}, after {type(failure).__name__}: {text}>"


def connect(
    address: AddressLike,
    *,
    ssl_context: Any = None,
    timeout: float | None = 10,
    **options: Any,
) -> PBClientFactory:
    """Connect to a server; return a client that is connected. Blocks.

    Args:
        address: As for `serve`.
        ssl_context: As for `PBClientFactory.connect`.
        timeout: Seconds to wait for the server's greeting; None waits until
            ``handshake_timeout``, and with ``reconnect=True`` for ever.
        options: As for `PBClientFactory`.

    Raises:
        OSError: What the system raises, ``ConnectionRefusedError`` first.
        ssl.SSLError: TLS failed; ``ssl.SSLCertVerificationError`` where the server's
            certificate does not verify.
        ProtocolError: The server speaks something else.
        Timeout: Not within `timeout`. With ``reconnect=True`` this is the only one: it
            goes on trying until then, and the cause is the last attempt's failure.
    """
    client = PBClientFactory(**options)
    client.connect(address, ssl_context=ssl_context)
    try:
        client._wait_until_up(timeout)
    except Timeout:
        failure = client.last_failure
        client.disconnect()
        text = f"no geopb connection to {address} within {timeout} s"
        if failure is not None:
            text += f"; the last attempt failed: {safe_str(failure, 500)}"
        raise Timeout(timeout, text) from failure
    except BaseException:
        client.disconnect()
        raise
    return client


def _dead(over: object) -> DeadReferenceError:
    return DeadReferenceError(f"there is no connection: {over}")
