"""How much bulk may be on its way to one peer: what its reader has not taken yet.

Owns the window of bulk bytes and its size. All that is on its way stands in line before
the next small message, in two kernels and in what lies between them; so it is to be
little, and yet enough to keep the line full. The peer tells what it has taken. Never
reads a clock: it is given one. Called by the outbox alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from geopb.errors import ProtocolError

#: Bytes of a chunk of which the peer tells at once that it has taken it.
TOLD_FROM_BYTES = 128 * 1024
#: The window at first, and the least: so the peer has a chunk to take while it tells of
#: another.
LEAST_WINDOW = 2 * TOLD_FROM_BYTES
#: Bytes of one chunk, at the most: small messages wait for one such piece.
CHUNK_BYTES = 512 * 1024
#: The window is so many times what would just fill the line. The part above one is the
#: queue that finds room as it grows, and in which a small message waits: for about a
#: round trip.
_FILLING = 2
#: And at least what is usually taken in so many seconds, up to so many bytes: fewer and
#: longer chunks cost both sides less. The first small message waits for so long.
_ALONE_SECONDS = 0.004
_ALONE_BYTES = 1024 * 1024
#: Those behind it wait for so long, until none has come for a while.
_BESIDE_SECONDS = 0.0005
_BESIDE_FOR = 0.1
#: The quickest of so many round trips counts: one that a busy process has made longer
#: says nothing about the line, and the window of a far one would be small for it.
_RECENT = 8
#: Seconds after which the shortest round trip is found out anew: the way may be another
#: by then. It costs one round trip at half the rate.
_KNOWN_FOR = 10.0
#: The window is divided by this then: to less than what fills the line, so that there
#: is no queue. So no waiting is measured, also where there was some in the last one.
_EMPTIED = 4
#: Bytes per second that no peer takes: what seems quicker was told late, in a bunch
#: with more, and would make the window of a short line large.
_MOST_RATE = 1e9
#: Seconds of a round trip, at the least: a clock may stand still.
_LEAST_SECONDS = 1e-6


class _Mark(NamedTuple):
    """A chunk that was sent."""

    #: What had been sent in all with it.
    end: int
    #: When.
    at: float
    #: Its bytes.
    size: int
    #: What was on its way then, if it was all that there may be; else 0.
    filled: int


class Credit:
    """The window of bulk that is on its way.

    Args:
        now: The time in seconds, from any beginning, never going back.

    Attributes:
        taken: Bytes that the peer has taken in all.
        window: Bytes that may be on their way.
    """

    __slots__ = (
        "_beside_until",
        "_filling",
        "_known_since",
        "_marks",
        "_now",
        "_recent",
        "_sent",
        "_shortest",
        "_usual",
        "_valid_from",
        "taken",
        "window",
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self.taken = 0
        self.window = LEAST_WINDOW
        self._now = now
        self._sent = 0
        #: The chunks that are on their way.
        self._marks: deque[_Mark] = deque()
        #: Seconds of the shortest round trip of what was sent behind `_valid_from`;
        #: None while there was none.
        self._shortest: float | None = None
        #: Seconds of the last ones.
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._known_since = 0.0
        self._valid_from = 0
        #: Bytes that fill the line, so many times as they may.
        self._filling = 0
        #: Bytes that are usually taken in a second.
        self._usual = 0.0
        #: When small messages do not count any more that were sent beside bulk.
        self._beside_until = 0.0

    @property
    def open(self) -> bool:
        """Whether more may be sent."""
        return self._sent - self.taken < self.window

    @property
    def chunk(self) -> int:
        """Bytes of the next chunk, at the most: two fill the window."""
        return min(self.window // 2, CHUNK_BYTES)

    def spend(self, count: int) -> None:
        """Send so many bytes: up to a chunk more than there is room for."""
        self._sent += count
        filled = 0 if self.open else self._sent - self.taken
        self._marks.append(_Mark(self._sent, self._now(), count, filled))

    def beside(self) -> None:
        """Take note of a small message that is sent beside bulk."""
        now = self._now()
        begins, self._beside_until = now >= self._beside_until, now + _BESIDE_FOR
        if begins:
            self._set_window(now)

    def give(self, count: int) -> None:
        """Take note that the peer has taken so many bytes more.

        Raises:
            ProtocolError: So many were not sent.
        """
        self.taken += count
        if self.taken > self._sent:
            raise ProtocolError(
                f"{self.taken} bytes of bulk taken, {self._sent} were sent"
            )
        last, filled = None, 0
        while self._marks and self._marks[0].end <= self.taken:
            last = self._marks.popleft()
            filled = last.filled or filled
        if last is not None and last.end > self._valid_from:
            self._learn(self._now(), last, filled)

    def _learn(self, now: float, chunk: _Mark, filled: int) -> None:
        """Adapt to a round trip that has ended: the window was `filled` so far."""
        took = max(now - chunk.at, _LEAST_SECONDS)
        # Without what a long chunk takes on any line: two fill the window, which must
        # not grow with them.
        way = max(took - chunk.size / _MOST_RATE, _LEAST_SECONDS)
        if self._shortest is None:
            self._known_since = now
        if self._shortest is None or way < self._shortest:
            self._shortest = way
        self._recent.append(took)
        if filled:
            recent = sorted(self._recent)
            # What is on its way and does not wait in line, by the part of the time.
            quickest = min(filled / recent[0], _MOST_RATE)
            self._filling = int(self._shortest * quickest * _FILLING)
            self._usual = min(filled / recent[len(recent) // 2], _MOST_RATE)
            self._set_window(now)
        if now - self._known_since > _KNOWN_FOR:
            self._shortest = None
            self._recent.clear()
            self._valid_from = self._sent
            self.window = max(LEAST_WINDOW, self.window // _EMPTIED)

    def _set_window(self, now: float) -> None:
        if now < self._beside_until:
            queue = self._usual * _BESIDE_SECONDS
        else:
            queue = min(self._usual * _ALONE_SECONDS, _ALONE_BYTES)
        self.window = max(LEAST_WINDOW, self._filling, int(queue))
