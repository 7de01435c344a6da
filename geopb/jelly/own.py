"""Reading an answer of this side's own, as if its receiver had sent it home.

Owns what a value is that went out and is named as an argument before it was there: what
the peer would have sent, had it waited. So it is read from its bytes, never taken from
the object that was sent: nobody is to share a list with its owner. Refuses what cannot
be told from here, copies above all, which would be the peer's to make. Called by the
broker's pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from geopb.jelly.contents import Contents, Finder
from geopb.jelly.decode import Unjellier
from geopb.jelly.registry import NO_CLASSES
from geopb.jelly.slots import AnswerSlot, BulkSlot
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused


class _OwnContents(Contents):
    """Reads what stands in tags of this side's own."""

    def _mine(self, content: Any, immutable: bool) -> object:
        # An object of this side, whose hash is users' code.
        self._draft.used = self._draft.objects = True
        return self.finder.found_theirs(content)

    def _bulk(self, content: Any, immutable: bool) -> BulkSlot:
        raise DecodeRefused("bulk is not kept")

    def _answer_of(self, content: Any, immutable: bool) -> AnswerSlot:
        raise DecodeRefused("an answer holds no other one")


class OwnReader(Unjellier):
    """Reads messages that this side has sent.

    Args:
        limits: This side's limits.
        clock: CPU seconds of this thread, for the hash budget.
    """

    contents_class = _OwnContents

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        super().__init__(_NOBODY, limits, clock, NO_CLASSES)

    def value(self, finder: Finder, question: int, body: bytes) -> object:
        """Return the value of the answer that `body` is.

        Args:
            question: Whose answer it should be.
            finder: Knows what this side's references are at home (`found_theirs`), and
                those of the peer's that are held (`found_ours`).
            body: A message of the kind ``[ANSWER, question, [value]]``.

        Raises:
            DecodeRefused, LimitExceeded: It is nothing that can be read here, or the
                answer to another question.
        """
        draft = self.draft
        self.contents.finder = finder
        try:
            message = self.read(body)
            if message[1] != question:
                raise DecodeRefused("the answer to another question")
            unfinished = draft.unfinished(message) if draft.used else None
            if unfinished is not None:
                if unfinished.runs_code:
                    raise DecodeRefused("hashing it would run users' code")
                unfinished.finish()
            return message[2][0]
        finally:
            self.contents.finder = _NOBODY
            draft.forget()


_NOBODY: Any = None
