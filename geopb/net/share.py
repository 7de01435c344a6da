"""How much of the loop one connection may use while others want it too.

Owns the accounts. All connections of a server share one loop: what one peer has it do
is time that the others wait. While no other connection is active, a peer may have all
of it; otherwise two fifths, and who has used more is not read for a while. Never a
verdict on a peer: an honest one that sends much is slower beside others, no more. Never
weighs one factory's connections against another's, such as both ends of one in a
process.
Called by the reader, the calls that are to begin (next_calls) and the listener.
"""

from __future__ import annotations

from time import perf_counter

#: The part of the time that one connection may use beside others. What the system does
#: for it, and the writing of its answers, comes on top; and in half of the time a call
#: of another's should find the loop free. A half of it made a small call beside a flood
#: take five times as long; a third left a busy client a third of its calls, and not a
#: half, for one that calls now and then.
_SHARE = 2 / 5
#: Seconds that it may use at once: a small call, or a hundred, never wait.
_BURST = 0.005
#: Seconds that a new connection costs, from being accepted to its hello: about.
_CONNECTION = 0.0006
#: Seconds that another connection counts as active after it was read.
_ACTIVE = 0.1
#: Seconds that a connection is not read at a time, at the most. Whoever sends messages
#: that take longer than that to decode uses more than its share.
_LONGEST = 0.25


class Load:
    """Who was read lately, of one factory's connections."""

    __slots__ = ("alone", "before", "latest", "when")

    def __init__(self) -> None:
        #: Who was alone when it was read last, if nobody else was since. For its short
        #: turns the reader sets `when`, which is all that `Share.read` would do.
        self.alone: Share | None = None
        #: Who was read last; and when, and when another was before: its shares note it.
        self.latest: Share | None = None
        self.when = self.before = -_ACTIVE

    def is_busy(self, now: float) -> bool:
        """Whether anybody was read lately."""
        return now - self.when < _ACTIVE


class Share:
    """One connection's account.

    Args:
        load: Of its factory.

    Attributes:
        load: Likewise.
        contended: Whether others were active when it was read last. Only then is it
            worth the trouble to measure what its calls take.
    """

    __slots__ = ("_debt", "_since", "contended", "load")

    def __init__(self, load: Load) -> None:
        self.load = load
        self._debt = -_BURST
        self._since = 0.0
        self.contended = False

    def used(self, seconds: float) -> None:
        """Count time that the loop has worked for this connection, until now."""
        now = perf_counter()
        rested = max(now - seconds - self._since, 0.0)
        paid = max(self._debt - rested * _SHARE, -_BURST)
        self._debt = paid + seconds * (1 - _SHARE)
        self._since = now

    def read(self, begun: float, now: float) -> float:
        """Count a turn of reading; return the seconds to wait before the next one.

        Args:
            begun: When it began.
            now: When it has ended.
        """
        load = self.load
        if load.latest is not self:
            load.latest, load.before = self, load.when
        load.when = now
        # When it began: meanwhile nobody else could be.
        if begun - load.before < _ACTIVE:
            load.alone = None
            self.contended = True
            return self._wait(now, now - begun)
        load.alone = self
        self.contended = False
        self._debt, self._since = -_BURST, now
        return 0.0

    def accepted(self) -> float:
        """Count a connection that was accepted; return the seconds until the next.

        For the account of a listener.
        """
        now = perf_counter()
        self.contended = self.load.is_busy(now)
        return self._wait(now, _CONNECTION)

    def _wait(self, now: float, seconds: float) -> float:
        if not self.contended:
            self._debt, self._since = -_BURST, now
            return 0.0
        self.used(seconds)
        return min(self._debt / _SHARE, _LONGEST) if self._debt > 0 else 0.0
