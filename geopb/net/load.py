"""What the calls of one peer weigh that are here and not answered.

Owns that sum, and the bound on it (``max_pending_bytes``). Light calls weigh nothing,
and neither do updates of caches. Called by the service for each call that weighs
something.
"""

from __future__ import annotations

from geopb.broker.calls import IncomingCall
from geopb.errors import LimitExceeded, over_limit

#: An honest peer makes a call while those that are not answered weigh less than the
#: limit. It passes that by nested calls, which never wait, and by what it was packing,
#: by users' code that blocks, when it looked: so it is refused at so many times that.
_TOLERATED = 2


class Load:
    """What is here.

    Args:
        limit: ``max_pending_bytes``.

    Attributes:
        weight: Of all calls together.
    """

    __slots__ = ("_limit", "weight")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.weight = 0

    def refusal(self, call: IncomingCall) -> LimitExceeded | None:
        """Return why a call may not be run with those that are here, if it may not."""
        if self.weight < _TOLERATED * self._limit:
            return None
        weight = self.weight + call.weight
        name = "max_pending_bytes"
        return over_limit(name, self._limit, "the weight of unanswered calls", weight)
