"""RPyC: a service, netrefs, and ``async_`` where calls are under way at once.

Lists and dicts would stay where they are and be read item by item, so they cross as a
pickle, which is what its users do. Nothing is compressed: the line is a fast one.
"""

import pickle
import time
from socket import IPPROTO_TCP, TCP_NODELAY
from threading import Thread
from typing import Any

import rpyc
from rpyc.core.channel import Channel
from rpyc.core.stream import SocketStream
from rpyc.utils.server import ThreadedServer

from tests.benchmarks.commands import Client
from tests.benchmarks.peers import blocking
from tests.benchmarks.values import THIRTY_SIX, TWELVE

# For both sides: servers make their channels themselves.
Channel.COMPRESSION_THRESHOLD = 1 << 40


class Two:
    """An object that is asked once."""

    def exposed_three(self, number: int) -> int:
        """Return three times the number."""
        return number * 3


@rpyc.service
class Echoer(rpyc.Service):
    """What the server offers."""

    @rpyc.exposed
    def echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    @rpyc.exposed
    def echo_pickled(self, pickled: bytes) -> bytes:
        """Return the argument, which is some Python value."""
        return pickle.dumps(pickle.loads(pickled))

    @rpyc.exposed
    def get_two(self) -> Two:
        """Make an object."""
        return Two()


class Server:
    """Accepting from the start, with a thread for each connection."""

    def __init__(self) -> None:
        self._server = ThreadedServer(Echoer, hostname="127.0.0.1", port=0)
        # Those that are accepted inherit it.
        self._server.listener.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        Thread(target=self._server.start, daemon=True).start()
        while not self._server.active:
            time.sleep(0.01)
        #: Text for clients.
        self.address = f"127.0.0.1:{self._server.port}"

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.close()


class Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        stream = SocketStream.connect(host, int(port), nodelay=True)
        self._connection = rpyc.connect_stream(stream)
        self._root = self._connection.root
        self._echo = self._root.echo
        self._later = rpyc.async_(self._root.echo)

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        if isinstance(value, list):
            answer = self._root.echo_pickled(pickle.dumps(value))
            return pickle.loads(answer)
        return self._echo(value)

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        results = [self._later(value) for value in values]
        return [result.value for result in results]

    def pair(self) -> None:
        """Have an object, call it, drop it."""
        assert self._root.get_two().three(TWELVE) == THIRTY_SIX

    def transcode(self, value: Any) -> Any:
        """Encode and decode once, without sending."""
        return pickle.loads(pickle.dumps(value))

    def use_here(self) -> None:
        """Nothing: any thread may use it."""

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def client() -> Client:
    """Return the client."""
    return blocking.client(Connection)
