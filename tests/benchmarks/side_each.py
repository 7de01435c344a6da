"""geopb with one call an item where the workload has a stream: its measure.

Owns nothing but that difference from ``side_geopb``.
"""

from tests.benchmarks import side_geopb
from tests.benchmarks.values import SMALL_ITEMS

Server = side_geopb.Server


class Connection(side_geopb.Connection):
    """geopb's client; it asks for one item after the other."""

    def take_small_items(self) -> int:
        """Call for each item; return how many."""
        call = self.root.callRemote
        return sum(1 for n in range(SMALL_ITEMS) if call("item", n).get() == n)
