"""zerorpc: greenlets and ZeroMQ, ``async`` where calls are under way at once.

It has no objects. Its client and its server each run in the thread that made them.
"""

from threading import Event, Thread
from typing import Any

import msgpack
import zerorpc
import zmq.green as zmq

from tests.benchmarks.commands import Client
from tests.benchmarks.peers.greenlets import many_connections


class Echoer:
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
        server = zerorpc.Server(Echoer())
        server.bind("tcp://127.0.0.1:*")
        socket = server._events._socket
        self.address = socket.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        self._accepting.set()
        server.run()

    def stop(self) -> None:
        """Nothing: the server ends with its process."""


class Connection:
    """One connection."""

    def __init__(self, address: str) -> None:
        self._client = zerorpc.Client(address)

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self._client.echo(value)

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        later = {"async": True}
        results = [self._client.echo(value, **later) for value in values]
        return [result.get() for result in results]

    def transcode(self, value: Any) -> Any:
        """Encode and decode once, without sending."""
        return msgpack.unpackb(msgpack.packb(value))

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def client() -> Client:
    """Return the client."""
    return Client(Connection, {"connections": many_connections})
