"""Reaching a server: `PBClientFactory` and `connect`.

Owns the making of a connection and the promises that wait for it. Called by users.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import gevent

from geopb.errors import DeadReferenceError, PBConnectionLost
from geopb.failure import Failure
from geopb.net.address import Address, AddressLike, open_socket, parse
from geopb.net.connection import Connection
from geopb.net.lobby import GET_ROOT, LOBBY
from geopb.net.options import read_options
from geopb.net.server import refuse_tls
from geopb.promise.combine import fail
from geopb.promise.promise import Promise, outcome
from geopb.promise.waiting import Timeout


class PBClientFactory:
    """A client of one server. A context manager that disconnects.

    Args:
        options: See docs/options.md.

    Raises:
        TypeError: There is no such option.
    """

    def __init__(self, **options: Any) -> None:
        self._options = read_options(options)
        self._connection: Connection | None = None
        self._connecting: gevent.Greenlet[[Address], None] | None = None
        #: Why there is no connection to be had; None before and while there is.
        self._over: Exception | None = None
        #: Why the last attempt to connect failed.
        self._failed: Exception | None = None
        self._waiting: list[Promise[Any]] = []
        #: The answer to the first question, while the peer's hello is not in.
        self._first_root: Promise[Any] | None = None
        self._up: Promise[Connection] = Promise()

    def connect(self, address: AddressLike, *, ssl_context: Any = None) -> Self:
        """Begin to connect, and return this factory. Does not block.

        Whether it succeeds is told by what `getRootObject` returns.

        Raises:
            ValueError: `address` is none; the text is repeated.
            RuntimeError: It is connected, or connecting, already.
        """
        parsed = parse(address)
        refuse_tls(parsed, ssl_context)
        if self._connecting is not None:
            raise RuntimeError("this factory is connected already")
        self._failed = self._over = None
        self._up = Promise()
        self._connecting = gevent.spawn(self._run, parsed)
        return self

    def getRootObject(self) -> Promise[Any]:
        """Return a promise of a reference to the server's root object.

        May be asked before `connect`, which it then waits for. Does not block. Each
        time a new promise; of the same reference while that is held.

        The promise fails where there is no connection to be had: with what the
        system raises (``ConnectionRefusedError``, ``socket.gaierror``), with
        ``TimeoutError`` for a server that stays silent past ``handshake_timeout``,
        with `ProtocolError` for one that speaks something else, and with
        `DeadReferenceError` after `disconnect`.
        """
        promise: Promise[Any] = Promise()
        if self._failed is not None:
            promise.set_exception(self._failed)
        elif self._over is not None:
            promise.set_exception(_dead(self._over))
        elif self._connection is None:
            self._waiting.append(promise)
        elif self._connection.up.ready():
            promise.set(self._ask_root(self._connection))
        else:
            # One question until the peer has told how many it takes.
            if self._first_root is None:
                self._first_root = self._ask_root(self._connection)
            promise.set(self._first_root)
        return promise

    def disconnect(self) -> None:
        """Send what is queued, for up to 5 s, and end the connection.

        Blocks until it is done; may be called any number of times. Calls that are
        pending then fail with `PBConnectionLost`, which is not logged.
        """
        connection, connecting = self._connection, self._connecting
        lost = PBConnectionLost("disconnected")
        if connection is not None:
            connection.close()
        else:
            # Before the greenlet is ended: what waits fails with this.
            self._ended(lost, quiet=True)
        if connecting is not None and connecting is not gevent.getcurrent():
            connecting.kill()
        self._failed, self._over = None, lost

    def _run(self, address: Address) -> None:
        """Connect and read to the end: the greenlet of this connection."""
        try:
            sock = open_socket(address)
        except Exception as error:
            self._ended(error)
            self._failed = error
            return
        connection = Connection(sock, str(address), self._options)
        self._connection = connection
        connection.up.rawlink(self._opened)
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._first_root = self._ask_root(connection)
        for promise in waiting:
            promise.set(self._first_root)
        try:
            connection.run()
        finally:
            if self._connection is connection:
                lost = connection.lost or PBConnectionLost("the reader was killed")
                self._ended(lost)
                if connection.up.failed():
                    self._failed = lost

    def _opened(self, up: Promise[Connection]) -> None:
        # Not to be kept: it would keep the root.
        self._first_root = None
        self._up.settle(*outcome(up))

    def _ask_root(self, connection: Connection) -> Promise[Any]:
        try:
            return connection.call(LOBBY, GET_ROOT, (), {})
        except DeadReferenceError as error:
            return fail(error)

    def _ended(self, lost: Exception, *, quiet: bool = False) -> None:
        self._connection = self._connecting = None
        self._over = lost
        waiting, self._waiting = self._waiting, []
        for promise in waiting:
            promise.settle(None, Failure(lost, quiet=quiet))
        if not self._up.ready():
            self._up.settle(None, Failure(lost, quiet=True))

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
        if self._connection is not None:
            return f"<PBClientFactory {self._connection!r}>"
        state = "connecting" if self._connecting is not None else "not connected"
        return f"<PBClientFactory {state}>"


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
        ssl_context: TLS is not there yet: anything but None is refused.
        timeout: Seconds to wait for the server's greeting; None waits until
            ``handshake_timeout``.
        options: As for `PBClientFactory`.

    Raises:
        OSError: What the system raises, ``ConnectionRefusedError`` first.
        ProtocolError: The server speaks something else.
        Timeout: Not within `timeout`.
    """
    client = PBClientFactory(**options)
    client.connect(address, ssl_context=ssl_context)
    try:
        client._wait_until_up(timeout)
    except Timeout:
        client.disconnect()
        raise Timeout(
            timeout, f"no geopb connection to {address} within {timeout} s"
        ) from None
    except BaseException:
        client.disconnect()
        raise
    return client


def _dead(over: Exception) -> DeadReferenceError:
    return DeadReferenceError(f"there is no connection: {over}")
