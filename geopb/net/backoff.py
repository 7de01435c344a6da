"""How long to wait before the next attempt to connect.

Owns `Backoff`, the growing and random waiting times. Never sleeps and reads no clock.
Called by a client's lifecycle.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import SystemRandom

#: Seconds. A server that is restarted is back soon; one that stays away is asked twice
#: a minute.
_FIRST = 0.25
_LONGEST = 30.0
#: A connection that lasted for so many seconds was a good one: what follows is a new
#: trouble. One that ends sooner may be ended by the very connecting.
_LASTED = 5.0

# Not seeded: the same after a fork, and in clients that start together, it would be no
# use.
_random = SystemRandom()


class Backoff:
    """Waiting times that double with each failure, up to a bound.

    Each is drawn from the upper half of its range, so that the clients of a server that
    was restarted do not all come back in the same moment.

    Args:
        first: Seconds before the second attempt, at the most.
        longest: Seconds that no waiting time passes.
        draw: ``draw(low, high)`` returns a number between them.
    """

    def __init__(
        self,
        first: float = _FIRST,
        longest: float = _LONGEST,
        draw: Callable[[float, float], float] = _random.uniform,
    ) -> None:
        self._first = first
        self._longest = longest
        self._draw = draw
        self._next = first

    def after(self, lasted: float) -> float:
        """Return the seconds to wait, after a connection that lasted so long.

        Args:
            lasted: Seconds; 0 where there was none.
        """
        if lasted >= _LASTED:
            self._next = self._first
        high = min(self._next, self._longest)
        self._next = 2 * high
        return self._draw(high / 2, high)
