"""The library under test, used as its README tells users to.

Owns nothing clever: a ``Root`` with one method, and a client that calls it with
the default options. Methods for later workloads go here.
"""

from typing import Any

import geopb as pb


class Echoer(pb.Root):
    """What the benchmark's server offers."""

    def remote_echo(self, value: Any) -> Any:
        """Return the argument."""
        return value


class Server:
    """geopb's server, accepting from the start."""

    def __init__(self) -> None:
        self._server = pb.serve(Echoer(), "127.0.0.1:0")
        #: Text for ``Connection``.
        self.address = str(self._server.address)

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(timeout=0)


class Connection:
    """geopb's client: one connection and the reference to its root."""

    def __init__(self, address: str) -> None:
        self._client = pb.connect(address)
        #: For workloads that call more than ``echo``.
        self.root = self._client.getRootObject().get(timeout=5)

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self.root.callRemote("echo", value).get()

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        promises = [self.root.callRemote("echo", value) for value in values]
        return [promise.get() for promise in promises]

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
