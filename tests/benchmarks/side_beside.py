"""geopb with large bytes under way on the same connection: what that costs small calls.

Owns nothing but that difference from ``side_geopb``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import gevent

from tests.benchmarks import side_geopb
from tests.benchmarks.values import MEBIBYTE

Server = side_geopb.Server

#: Bytes of one transfer; the next one follows at once.
_LARGE = MEBIBYTE * 32


class Connection(side_geopb.Connection):
    """geopb's client; while it calls, large bytes go the same way."""

    @contextmanager
    def transferring(self) -> Iterator[None]:
        """Send large bytes, one after the other, until the block is left."""
        going_on = True

        def transfer() -> None:
            while going_on:
                self.root.callRemote("size", _LARGE).get()

        sending = gevent.spawn(transfer)
        try:
            yield
        finally:
            going_on = False
            sending.get()
