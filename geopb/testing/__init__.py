"""HOW do I test mine? A client and a server in memory, links that misbehave, a clock.

Owns what users' tests, and geopb's own, put between two peers. Never imported by the
rest of geopb, and needs no pytest: the fixtures alone do, in `geopb.testing.plugin`.
See docs/testing.md.
"""

from geopb.testing.clock import Clock, settle
from geopb.testing.lane import Lane
from geopb.testing.link import Link, MemoryLink
from geopb.testing.pair import Pair, connected_pair
from geopb.testing.proxy import FaultProxy

__all__ = [
    "Clock",
    "FaultProxy",
    "Lane",
    "Link",
    "MemoryLink",
    "Pair",
    "connected_pair",
    "settle",
]
