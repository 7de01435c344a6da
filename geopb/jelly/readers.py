"""Decoders that the connections of one factory share.

Owns those that are not in use. One is some 20 KiB, which an idle connection need not
have: it serves whoever has bytes to decode, for that one message. Called by the
broker's intake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geopb.jelly.contents import Finder
from geopb.jelly.decode import Unjellier
from geopb.jelly.own import OwnReader
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits

#: The finder of a decoder that is not in use.
NOBODY: Any = None


class Readers:
    """A pool of decoders; for one thread.

    Two are in use at once only where a finalizer, which may run inside a decoder,
    lets another greenlet read.

    Attributes:
        idle: Those that may be taken, given a `Finder`; they are put back there.
    """

    __slots__ = ("_clock", "_limits", "_own", "_registry", "idle")

    def __init__(
        self, limits: Limits, clock: Callable[[], float], registry: ClassRegistry
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._registry = registry
        self.idle: list[Unjellier] = []
        self._own: OwnReader | None = None

    def make(self, finder: Finder) -> Unjellier:
        """Return a decoder, for when none is idle; to be put there after its use."""
        return Unjellier(finder, self._limits, self._clock, self._registry)

    def read_own(self, finder: Finder, question: int, body: bytes) -> object:
        """Return the value of an answer that was sent: see `OwnReader.value`."""
        if self._own is None:
            self._own = OwnReader(self._limits, self._clock)
        # Taken out meanwhile: a finalizer may run in it, and let another one read.
        reader, self._own = self._own, None
        try:
            return reader.value(finder, question, body)
        finally:
            self._own = reader
