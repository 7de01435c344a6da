"""geopb with plain dicts where the workload has copies: what copies are compared with.

Owns nothing but that difference from ``side_geopb``.
"""

from typing import Any

from tests.benchmarks import side_geopb
from tests.benchmarks.values import DICTS

Server = side_geopb.Server


class Connection(side_geopb.Connection):
    """geopb's client; its records are dicts."""

    def records(self) -> list[Any]:
        """Return what ``copies`` sends."""
        return DICTS
