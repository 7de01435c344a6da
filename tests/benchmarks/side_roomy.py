"""geopb with its limits raised, for what the defaults refuse.

Owns nothing but that difference from ``side_geopb``, and the references that its client
holds.
"""

from typing import Any

import geopb as pb
from tests.benchmarks import side_geopb

#: For both sides.
OPTIONS = {
    "max_connections": 50_000,
    "max_connections_per_address": 50_000,
    "max_message_size": 1 << 30,
    "max_references": 2_000_000,
    "max_pending_calls": 20_000,
}
#: References that cross in one message: their tags are far from `max_structure_size`.
_BATCH = 1000


class Echoer(side_geopb.Echoer):
    """What the server offers."""

    def remote_getMany(self, count: int) -> list[Any]:
        """Make objects."""
        return [side_geopb.Two() for _ in range(count)]


class Server:
    """geopb's server, accepting from the start."""

    def __init__(self) -> None:
        self._server = pb.serve(Echoer(), "127.0.0.1:0", **OPTIONS)
        #: Text for ``Connection``.
        self.address = str(self._server.address)

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(timeout=0)


class Connection(side_geopb.Connection):
    """geopb's client, which may hold many references."""

    def __init__(self, address: str) -> None:
        self._more = []
        self._client = pb.connect(address, **OPTIONS)
        self.root = self._client.getRootObject().get(timeout=5)
        self._held: list[Any] = []

    def hold(self, count: int) -> None:
        """Have so many more references."""
        while count:
            batch = min(count, _BATCH)
            self._held += self.root.callRemote("getMany", batch).get()
            count -= batch

    def drop(self, count: int) -> None:
        """Drop so many, and wait until what tells the server is on its way."""
        del self._held[-count:]
        self.echo(None)
