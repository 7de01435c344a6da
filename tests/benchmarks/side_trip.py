"""The floor with one message where the workload has a pair: what a round trip takes.

Owns nothing but that difference from ``side_floor``.
"""

from tests.benchmarks import side_floor
from tests.benchmarks.values import TWELVE

Server = side_floor.Server


class Connection(side_floor.Connection):
    """The floor's client; its pair is a single echo."""

    def pair_at_once(self) -> None:
        """Send one request and wait for its answer."""
        self.echo(TWELVE)
