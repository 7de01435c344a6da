"""geopb with one list or one piece where the workload has streams: their measure.

Owns nothing but that difference from ``side_geopb``.
"""

from tests.benchmarks import side_geopb
from tests.benchmarks.values import FILE

Server = side_geopb.Server


class Connection(side_geopb.Connection):
    """geopb's client; it takes and sends all at once."""

    def take_items(self) -> int:
        """Have all items made and take them as one list; return how many."""
        return len(self.root.callRemote("list").get())

    def send_file(self) -> int:
        """Send a file's content as one value; return its size there."""
        return int(self.root.callRemote("size", FILE).get())
