"""Objects of this side that the peer may name.

Owns one connection's table of exports with its counts. An object is kept alive by its
entry until the peer has released as many references as it was sent. Ids are never
used twice. Called by the broker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import Any, Protocol

from geopb.errors import ProtocolError, over_limit

#: Questions that are kept with the objects that answered them. By default a caller has
#: far fewer under way; calls that name older ones are sent a second time.
_MOST_ANSWERS = 4096


class Feed(Protocol):
    """What feeds the peer: a copy of an exported object (`observers`), or a stream."""

    @property
    def called(self) -> bool:
        """Whether the peer may call the object."""

    def released(self, left: int) -> None:
        """The peer has dropped it; `left` more references are on the way."""


class _Export:
    __slots__ = ("answers", "count", "feed", "home", "key", "pins", "target")

    def __init__(self, key: Hashable, target: object, home: object) -> None:
        self.key = key
        #: What calls go to, and what the peer sends home.
        self.target = target
        self.home = home
        self.feed: Feed | None = None
        #: References sent and not released: it is made for the first one.
        self.count = 1
        #: Messages that wait for it.
        self.pins = 0
        #: Questions that it was the answer to, the last ones.
        self.answers: list[int] | None = None


class Exports:
    """Id to object, and back.

    Args:
        lobby: The object under id 0, which every peer may call and none releases.
    """

    __slots__ = ("_answers", "_by_id", "_ids", "_lobby", "_next", "streams")

    def __init__(self, lobby: object) -> None:
        self._by_id: dict[int, _Export] = {}
        self._ids: dict[Hashable, int] = {}
        self._next = 1
        self._lobby = lobby
        #: The ids of the objects that were answers, by question.
        self._answers: dict[int, int] = {}
        #: How many exports are streams.
        self.streams = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def export(self, target: object, max_references: int) -> int:
        """Count one more reference to `target`; return its id.

        Raises:
            LimitExceeded: The table is full.
        """
        key = id(target)
        number = self._ids.get(key)
        if number is None:
            return self._add(key, target, target, max_references)
        self._by_id[number].count += 1
        return number

    def export_view(
        self,
        viewed: object,
        perspective: object,
        make: Callable[[], object],
        max_references: int,
    ) -> int:
        """Count one more reference to `viewed` as `perspective` sees it.

        ``make()`` returns what its calls go to, and holds both; home comes `viewed`.
        """
        key = (id(viewed), id(perspective))
        number = self._ids.get(key)
        if number is None:
            return self._add(key, make(), viewed, max_references)
        self._by_id[number].count += 1
        return number

    def export_stream(self, producer: Feed, max_references: int) -> int:
        """Count the one reference to a stream; return its id. It has no home."""
        number = self._add(id(producer), producer, None, max_references)
        self._by_id[number].feed = producer
        self.streams += 1
        return number

    def _add(
        self, key: Hashable, target: object, home: object, max_references: int
    ) -> int:
        by_id = self._by_id
        if len(by_id) >= max_references:
            size = len(by_id) + 1
            raise over_limit("max_references", max_references, "a table", size)
        number = self._next
        self._next = number + 1
        self._ids[key] = number
        by_id[number] = _Export(key, target, home)
        return number

    def feed(self, number: int) -> Any:
        """Return what feeds the peer's copy of an object, None if nothing does."""
        entry = self._by_id.get(number)
        return None if entry is None else entry.feed

    def set_feed(self, number: int, feed: Feed) -> None:
        """Remember what feeds the peer's copy of an object."""
        self._by_id[number].feed = feed

    def pin(self, number: int) -> bool:
        """Keep an object, though it be released, until `unpin`; False if unknown."""
        entry = self._by_id.get(number)
        if entry is not None:
            entry.pins += 1
        return entry is not None

    def unpin(self, number: int) -> None:
        """Take back one `pin`; nothing is left to do for a table that was cleared."""
        entry = self._by_id.get(number)
        if entry is not None:
            entry.pins -= 1
            self._forget_if_free(number, entry)

    def _forget_if_free(self, number: int, entry: _Export) -> None:
        if not entry.count and not entry.pins:
            del self._by_id[number]
            del self._ids[entry.key]
            for question in entry.answers or ():
                del self._answers[question]
            # Of what is fed to the peer, it calls streams alone.
            self.streams -= entry.feed is not None and entry.feed.called

    def rollback(self, numbers: Iterable[int]) -> None:
        """Take the counts back that were made for a message that failed."""
        for number in numbers:
            entry = self._by_id.get(number)
            if entry is not None:
                entry.count -= 1
                self._forget_if_free(number, entry)

    def note_answer(self, question: int, number: int) -> None:
        """Note that an object was the answer to a question of the peer's.

        Its calls may name the question while the answer is on its way: so long the peer
        keeps the object alive. Some numbers are all that is kept for it.
        """
        entry = self._by_id.get(number)
        if entry is None:
            return
        answers = self._answers
        if question in answers:
            # The peer has asked it twice, which it must not; nothing grows by that.
            self._noted(answers.pop(question)).remove(question)
        if entry.answers is None:
            entry.answers = [question]
        else:
            entry.answers.append(question)
        answers[question] = number
        if len(answers) > _MOST_ANSWERS:
            # The oldest, many at a time: a dict finds its first one slowly.
            for oldest in list(islice(answers, max(1, _MOST_ANSWERS // 4))):
                del self._noted(answers.pop(oldest))[0]

    def _noted(self, number: int) -> list[int]:
        """Return the questions that an object was the answer to, the oldest first."""
        return self._by_id[number].answers or []

    def find_answer(self, question: int) -> int | None:
        """Return the id of the object that was the answer, None if it is not known."""
        return self._answers.get(question)

    def find(self, number: int) -> object | None:
        """Return the object under that id; None if it was never given, or released."""
        if number == 0:
            return self._lobby
        entry = self._by_id.get(number)
        if entry is None:
            return None
        # A cache's object, which is fed to the peer, is no object to call.
        return entry.target if entry.feed is None or entry.feed.called else None

    def find_home(self, number: int) -> object | None:
        """Return what the peer sends home under that id; None if there is nothing."""
        entry = self._by_id.get(number)
        return None if entry is None else entry.home

    def release(self, number: int, count: int) -> object | None:
        """Take back `count` references; return the object if it was the last.

        Raises:
            ProtocolError: More than the peer holds.
        """
        entry = self._by_id.get(number)
        if entry is None or entry.count < count:
            held = 0 if entry is None else entry.count
            raise ProtocolError(
                f"release of {count} references to {number}, {held} held"
            )
        entry.count -= count
        self._forget_if_free(number, entry)
        if entry.feed is not None:
            entry.feed.released(entry.count)
        return None if entry.count else entry.target

    def release_some(self, number: int, count: int) -> bool:
        """Take back `count` references if the object is fed to nobody and has them.

        False if nothing was done.
        """
        entry = self._by_id.get(number)
        if entry is None or entry.count < count or entry.feed is not None:
            return False
        left = entry.count = entry.count - count
        if not left and not entry.pins:
            del self._by_id[number]
            del self._ids[entry.key]
            if entry.answers is not None:
                for question in entry.answers:
                    del self._answers[question]
        return True

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        feeds = [entry.feed for entry in self._by_id.values() if entry.feed]
        self._by_id.clear()
        self._ids.clear()
        self._answers.clear()
        self.streams = 0
        for feed in feeds:
            feed.released(0)

    def statistics(self) -> dict[str, int]:
        """Return ``{"objects": ..., "references": ...}``."""
        counts = [entry.count for entry in self._by_id.values()]
        return {"objects": len(counts), "references": sum(counts)}
