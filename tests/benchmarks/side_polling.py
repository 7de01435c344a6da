"""geopb with the option ``busy_poll`` on both sides.

Owns nothing but that difference from ``side_geopb``.
"""

from functools import partial
from typing import Any

import geopb as pb
from tests.benchmarks import side_geopb

#: Seconds, as docs/options.md proposes.
_BUSY_POLL = 0.001


class Server(side_geopb.Server):
    """geopb's server, accepting from the start."""

    serve: Any = partial(pb.serve, busy_poll=_BUSY_POLL)


class Connection(side_geopb.Connection):
    """geopb's client."""

    connect: Any = partial(pb.connect, busy_poll=_BUSY_POLL)
