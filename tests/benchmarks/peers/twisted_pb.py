"""Twisted's Perspective Broker: Deferreds, gathered where calls are under way at once.

Banana takes no string above 640 KiB, so large bytes go as a list of pieces.
"""

from collections.abc import Coroutine
from threading import Thread
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import blockingCallFromThread
from twisted.spread import pb

from tests.benchmarks.commands import Client
from tests.benchmarks.peers import coroutines
from tests.benchmarks.values import THIRTY_SIX, TWELVE

reactor: Any = _reactor
#: Bytes of one piece.
_PIECE = 512 * 1024


class Two(pb.Referenceable):
    """An object that is asked once."""

    def remote_three(self, number: int) -> int:
        """Return three times the number."""
        return number * 3


class Echoer(pb.Root):
    """What the server offers."""

    def remote_echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    def remote_getTwo(self) -> Two:
        """Make an object."""
        return Two()


def _start() -> None:
    """Run the reactor in a thread of its own, until the process ends."""
    Thread(target=reactor.run, args=(False,), daemon=True).start()


class Server:
    """Accepting from the start."""

    def __init__(self) -> None:
        _start()
        self._port = blockingCallFromThread(
            reactor,
            reactor.listenTCP,
            0,
            pb.PBServerFactory(Echoer()),
            interface="127.0.0.1",
        )
        #: Text for clients.
        self.address = f"127.0.0.1:{self._port.getHost().port}"

    def stop(self) -> None:
        """Stop accepting."""
        blockingCallFromThread(reactor, self._port.stopListening)


class Connection:
    """One connection, and the reference to its root."""

    def __init__(self, factory: pb.PBClientFactory, root: Any) -> None:
        self._factory = factory
        self._root = root

    async def echo(self, value: Any) -> Any:
        """Make one call."""
        if isinstance(value, bytes):
            pieces = [value[n : n + _PIECE] for n in range(0, len(value), _PIECE)]
            return b"".join(await self._root.callRemote("echo", pieces))
        return await self._root.callRemote("echo", value)

    async def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        call = self._root.callRemote
        results: list[Any] = await gatherResults([call("echo", v) for v in values])
        return results

    async def pair(self) -> None:
        """Have an object, call it, drop it."""
        two = await self._root.callRemote("getTwo")
        assert await two.callRemote("three", TWELVE) == THIRTY_SIX

    async def gather(self, each: list[Coroutine[Any, Any, Any]]) -> None:
        """Run all of them at once."""
        await gatherResults([Deferred.fromCoroutine(one) for one in each])

    async def close(self) -> None:
        """Hang up."""
        self._factory.disconnect()


async def _connect(address: str) -> Connection:
    host, _, port = address.rpartition(":")
    factory = pb.PBClientFactory()
    reactor.connectTCP(host, int(port), factory)
    return Connection(factory, await factory.getRootObject())


def client() -> Client:
    """Return the client."""
    _start()
    return coroutines.client(
        _connect,
        lambda each: blockingCallFromThread(reactor, Deferred.fromCoroutine, each),
    )
