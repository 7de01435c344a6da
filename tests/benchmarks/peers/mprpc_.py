"""mprpc: greenlets, msgpack and Cython.

It has no objects, and one call at a time on a connection. Its sources build on Python
3.8 and earlier only.
"""

from threading import Event, Thread
from typing import Any

from gevent.server import StreamServer
from mprpc import RPCClient, RPCServer

from tests.benchmarks.commands import Client
from tests.benchmarks.peers.greenlets import many_connections


class Echoer(RPCServer):  # type: ignore[misc]
    """What the server offers."""

    def echo(self, value: Any) -> Any:
        """Return the argument."""
        return value


class Server:
    """Accepting from the start, in a thread with a hub of its own."""

    def __init__(self) -> None:
        self._accepting = Event()
        #: Text for clients.
        self.address = ""
        Thread(target=self._serve, daemon=True).start()
        self._accepting.wait(10)

    def _serve(self) -> None:
        server = StreamServer(("127.0.0.1", 0), Echoer())
        server.start()
        self.address = f"127.0.0.1:{server.server_port}"
        self._accepting.set()
        server.serve_forever()

    def stop(self) -> None:
        """Nothing: the server ends with its process."""


class Connection:
    """One connection, used by one greenlet at a time."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        # A call gives up after so many seconds.
        self._client = RPCClient(host, int(port), timeout=30)

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self._client.call("echo", value)

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make one call after the other: for the check alone."""
        return [self.echo(value) for value in values]

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def client() -> Client:
    """Return the client."""
    return Client(Connection, {"connections": many_connections})
