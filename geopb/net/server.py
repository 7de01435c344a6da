"""Serving objects: `PBServerFactory`, `PBServer` and `serve`.

Owns the listening socket and the set of connections that it led to. Called by users.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Self

import gevent
from gevent import socket
from gevent.event import Event

from geopb.cred.portal import Portal
from geopb.flavors.referenceable import Referenceable, Root
from geopb.net.address import Address, AddressLike, listen
from geopb.net.connection import Connection
from geopb.net.contexts import secured
from geopb.net.listener import Listener
from geopb.net.lobby import Lobby
from geopb.net.options import read_options
from geopb.net.places import Places, out_of_descriptors, refusal_bytes, say_and_close
from geopb.net.reception import Reception
from geopb.net.running import served_here
from geopb.net.share import Load
from geopb.net.tls import Secure
from geopb.workers import worker_pool

#: Seconds in which a client takes the last answers; the least with any timeout.
_FLUSH = 5.0
_LEAST_FLUSH = 0.25

_log = logging.getLogger("geopb.server")


class PBServerFactory:
    """Serves `root` on each socket that it is called with.

    ``factory(socket, address)`` runs that connection to its end, so that it is a
    handler for any ``gevent.server.StreamServer``, one that speaks TLS as well.

    Args:
        root: A `Root`: what clients get from ``getRootObject()``; or a `Portal`:
            clients get an avatar each, from ``login()``.
        options: See docs/options.md.

    Raises:
        TypeError: `root` is neither, or there is no such option.
    """

    def __init__(self, root: Root | Portal, **options: Any) -> None:
        given: object = root
        if not isinstance(given, Root | Portal):
            kind = type(given).__name__
            raise TypeError(
                f"the root of a server is a pb.Portal or a pb.Root, not {kind}"
            )
        self._root = root
        #: That of all connections, where it knows none of them.
        self._lobby: Lobby | None = None
        self._options = read_options(options)
        self._connections: set[Connection] = set()
        self._places = Places(self._options.limits)

    @property
    def connections(self) -> frozenset[Connection]:
        """The connections that are open now."""
        return frozenset(self._connections)

    @property
    def load(self) -> Load:
        """Which of them are active: for its listeners."""
        return self._options.load

    def __call__(self, sock: socket.socket, address: Any) -> None:
        """Run one connection; blocks until it ends."""
        self.run(sock, address, None)

    def run(self, sock: socket.socket, address: Any, secure: Secure | None) -> None:
        """Do as a call of the factory, with TLS on the socket if `secure` says how."""
        host = None if sock.family == socket.AF_UNIX else address[0]
        refusal = self._places.take(sock, host)
        if refusal is not None:
            self._log_refusal(_peer_text(sock, address), refusal)
            self._places.turn_away(sock, secure, refusal)
            return
        try:
            self._serve(sock, _peer_text(sock, address), host, secure)
        finally:
            self._places.give_back(host)

    def _serve(
        self, sock: socket.socket, peer: str, host: str | None, secure: Secure | None
    ) -> None:
        """Run a connection that has its place."""
        reception: Reception | None = None
        lobby: Referenceable
        if isinstance(self._root, Portal):
            reception = Reception(self._root, peer, host)
            lobby = reception.lobby
        else:
            lobby = self._lobby = self._lobby or Lobby(self._root)
        connection = Connection(
            sock, peer, self._options, lobby, secure, tell_foreign=True
        )
        self._connections.add(connection)
        try:
            if reception is not None:
                reception.open(connection)
            connection.run()
        finally:
            self._connections.discard(connection)
            if reception is not None:
                reception.close()

    # -- when the process has no descriptor left, in the hub ---------------------------

    def turn_away(
        self, sock: socket.socket, address: Any, *, in_clear: bool = True
    ) -> None:
        """Close a connection for which there is no descriptor; say why `in_clear`."""
        refusal = out_of_descriptors()
        words = refusal_bytes(self._options.limits, refusal) if in_clear else b""
        peer = _peer_text(sock, address)
        say_and_close(sock, words)
        # Not here: logging may block.
        worker_pool().submit_function(partial(self._log_refusal, peer, refusal))

    def accept_failed(self, error: OSError) -> None:
        """Log that the system lets nobody in."""
        text = "nobody can be accepted now: %s"
        logged = partial(self._options.told.refused.warning, text, error)
        worker_pool().submit_function(logged)

    def _log_refusal(self, peer: str, refusal: str) -> None:
        self._options.told.refused.warning("%s: turned away: %s", peer, refusal)


class PBServer:
    """A server that is accepting. Made by `serve`; a context manager.

    Attributes:
        address: Where it is, as text that `connect` accepts.
    """

    def __init__(
        self, factory: PBServerFactory, address: Address, secure: Secure | None
    ) -> None:
        self._factory = factory
        self._listener = listen(address)
        self.address = str(self._listener.address)
        self._stopped = Event()
        #: Greenlets that close connections, once their calls are done.
        self._closing: set[gevent.Greenlet[..., None]] = set()
        self._server = Listener(
            self._listener.socket,
            # No partial: that would be a C frame in each connection's stack.
            lambda sock, address: factory.run(sock, address, secure),
            partial(factory.turn_away, in_clear=secure is None),
            factory.accept_failed,
            factory.load,
        )
        self._server.start()
        if secure is None and self._listener.address.is_public:
            _log.warning(
                "%s can be reached from other machines, and without TLS anybody on "
                "the way reads and changes what is sent",
                self.address,
            )

    @property
    def connections(self) -> frozenset[Connection]:
        """The connections that are open now; a snapshot."""
        return self._factory.connections

    def serve_forever(self, stop_timeout: float | None = 0) -> None:
        """Block until the server has been stopped, and all that it ran is answered.

        Args:
            stop_timeout: An exception out of it, Ctrl-C first, stops the server and
                lets running calls finish for that many seconds.
        """
        try:
            self._stopped.wait()
            gevent.joinall(list(self._closing))
        except BaseException:
            self.stop(stop_timeout)
            raise

    def stop(self, timeout: float | None = None) -> None:
        """Stop accepting, let running calls finish, send their answers, close.

        Streams that are being read are let go on to their end as well.

        Blocks. A method that stops its own server is not waited for, by itself or by
        others who stop it, and its answer is still delivered. Stopping again is
        harmless.

        Args:
            timeout: Seconds for calls and streams; None waits without bound.
        """
        until = None if timeout is None else monotonic() + timeout
        self._server.stop()
        if not self._stopped.is_set():
            self._listener.unlink()
        self._stopped.set()
        own = served_here()
        if own is not None:
            service, call = own
            service.quiet.add_stopper(call)
        waited_for = []
        for connection in self.connections:
            connection.drain()
            closing = gevent.spawn(_close, connection, until)
            self._closing.add(closing)
            closing.rawlink(self._closing.discard)
            if own is None or not connection.service.quiet.stoppers:
                waited_for.append(closing)
            else:
                waited_for.append(gevent.spawn(_wait_until_quiet, connection, until))
        gevent.joinall(waited_for)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop with a timeout of 0."""
        self.stop(0)

    def __repr__(self) -> str:
        state = "stopped" if self._stopped.is_set() else "accepting"
        return f"<PBServer {self.address} {state}, {len(self.connections)} connections>"


def serve(
    root: Root | Portal,
    address: AddressLike,
    *,
    ssl_context: Any = None,
    **options: Any,
) -> PBServer:
    """Serve `root` at `address`; return when it is bound and accepting.

    Args:
        root: A `Root`, or a `Portal` where clients are to log in.
        address: ``"host:port"``, ``"unix:///path"``, ``("host", port)``; port 0 lets
            the system choose, see ``PBServer.address``.
        ssl_context: Speak TLS with this ``gevent.ssl.SSLContext``, which
            `tls_server_context` makes. Not for Unix sockets.
        options: As for `PBServerFactory`.

    Raises:
        OSError: The address cannot be bound.
        TypeError, ValueError: A wrong root, option, address or context.
    """
    where, secure = secured(address, ssl_context, is_server=True)
    return PBServer(PBServerFactory(root, **options), where, secure)


def _close(connection: Connection, until: float | None) -> None:
    """Close a connection when its calls are done, or `until` has passed."""
    _wait_until_quiet(connection, until)
    # Those that stop the server are answered in any case, if their client reads.
    connection.service.quiet.wait_until_no_stopper(_FLUSH)
    left = _FLUSH if until is None else max(_LEAST_FLUSH, until - monotonic())
    connection.close("the server is stopping", min(left, _FLUSH))


def _wait_until_quiet(connection: Connection, until: float | None) -> None:
    left = None if until is None else max(0.0, until - monotonic())
    connection.service.quiet.wait_until_quiet(left)


def _peer_text(sock: socket.socket, address: Any) -> str:
    if sock.family == socket.AF_UNIX:
        return f"a client of unix://{sock.getsockname()}"
    return str(Address("tcp", address[0], address[1]))
