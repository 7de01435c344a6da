"""Pyro5: a daemon and its proxies, one call at a time on each, and batches.

With the fastest serializer that takes batches. A proxy of another object is another
connection: that is how it has objects.
"""

from threading import Thread
from typing import Any

import msgpack
import Pyro5.api
from Pyro5 import config

from tests.benchmarks.commands import Client
from tests.benchmarks.peers import blocking
from tests.benchmarks.values import THIRTY_SIX, TWELVE

config.SERIALIZER = "msgpack"
config.SOCK_NODELAY = True
# A thread for each connection of the clients, and for those of their objects.
config.THREADPOOL_SIZE = 256


@Pyro5.api.expose
class Two:
    """An object that is asked once."""

    _pyroDaemon: Any  # Pyro's, set when it is registered.

    def three(self, number: int) -> int:
        """Return three times the number."""
        return number * 3

    @Pyro5.api.oneway
    def drop(self) -> None:
        """Be forgotten."""
        self._pyroDaemon.unregister(self)


@Pyro5.api.expose
class Echoer:
    """What the server offers."""

    _pyroDaemon: Any

    def echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    def get_two(self) -> Two:
        """Make an object, which crosses as a proxy."""
        two = Two()
        self._pyroDaemon.register(two)
        return two


class Server:
    """Accepting from the start."""

    def __init__(self) -> None:
        self._daemon = Pyro5.api.Daemon(host="127.0.0.1")
        #: Text for clients.
        self.address = str(self._daemon.register(Echoer()))
        Thread(target=self._daemon.requestLoop, daemon=True).start()

    def stop(self) -> None:
        """Stop accepting."""
        self._daemon.shutdown()


class Connection:
    """One proxy, used by one thread at a time."""

    def __init__(self, address: str) -> None:
        self._proxy = Pyro5.api.Proxy(address)
        self._proxy._pyroBind()

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self._proxy.echo(value)

    def transcode(self, value: Any) -> Any:
        """Encode and decode once, without sending."""
        return msgpack.unpackb(msgpack.packb(value))

    def use_here(self) -> None:
        """Have the proxy belong to the thread that calls this."""
        self._proxy._pyroClaimOwnership()

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls as one batch: for the check alone."""
        return self.batch(values)

    def batch(self, values: list[Any]) -> list[Any]:
        """Make all calls as one batch."""
        batch = Pyro5.api.BatchProxy(self._proxy)
        for value in values:
            batch.echo(value)
        return list(batch())

    def pair(self) -> None:
        """Have an object, call it, drop it."""
        with self._proxy.get_two() as two:
            assert two.three(TWELVE) == THIRTY_SIX
            two.drop()

    def close(self) -> None:
        """Hang up."""
        self.use_here()
        self._proxy._pyroRelease()


def client() -> Client:
    """Return the client."""
    return blocking.client(Connection)
