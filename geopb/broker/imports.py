"""The table of the peer's objects that this side holds.

Owns id to reference or cache, while one is held. An entry does not keep its object
alive: when that is collected, the entry goes to the line, which releases it. Called by
the broker.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from geopb.broker.caches import CacheEntry
from geopb.broker.references import Import, Line, RemoteReference
from geopb.errors import over_limit
from geopb.wire.codec import DecodeRefused


class Imports:
    """Id to object, while it is held."""

    __slots__ = ("_by_id", "_first", "_fresh", "_line", "_max_references", "dropped")

    def __init__(self, line: Line, max_references: int) -> None:
        self._line = line
        self._max_references = max_references
        self._by_id: dict[int, Import] = {}
        #: Entries whose objects are gone. Finalizers append, in any thread.
        self.dropped: list[Import] = []
        #: Made for the message being read; not in the table until it is accepted.
        self._fresh: dict[int, tuple[Import, Any]] = {}
        #: Caches whose first state the message being read brings.
        self._first: list[CacheEntry] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, number: int) -> RemoteReference:
        """Return the reference to the peer's object, the held one or a new one.

        Nothing is counted: `accept` or `refuse` must follow.

        Raises:
            LimitExceeded: The table would be over full.
            DecodeRefused: It is a cache.
        """
        entry, held = self._held(number)
        if held is None:
            entry = Import(number)
            held = RemoteReference(self._line, entry)
            self._add(entry, held)
        elif isinstance(entry, CacheEntry):
            raise DecodeRefused(f"reference {number} is a cache")
        return held  # type: ignore[no-any-return]

    def find_new(self, number: int) -> RemoteReference:
        """Return the reference to an object that the peer may give once, a stream.

        Raises:
            LimitExceeded: The table would be over full.
            DecodeRefused: It has been given before.
        """
        if number in self._by_id or number in self._fresh:
            raise DecodeRefused(f"reference {number} is known already")
        return self.find(number)

    def find_cache(
        self, number: int, cls: type, *, with_state: bool
    ) -> tuple[object, CacheEntry]:
        """Return the cache of the peer's object, the held one or a new one; its entry.

        Raises:
            LimitExceeded: The table would be over full.
            DecodeRefused: It is a reference, or came with its state twice.
        """
        known, held = self._held(number)
        if held is None:
            entry = CacheEntry(number, self._line)
            held = entry.make(cls)
            self._add(entry, held)
        elif isinstance(known, CacheEntry):
            entry = known
        else:
            raise DecodeRefused(f"reference {number} is known as something else")
        if with_state:
            # Its name may have come first, also with another message.
            if entry.current or entry in self._first:
                raise DecodeRefused(f"cache {number} came with its state twice")
            self._first.append(entry)
        return held, entry

    def held(self, number: int) -> Any:
        """Return the reference or cache that is held under an id, None if none is."""
        entry = self._by_id.get(number)
        return None if entry is None or entry.reference is None else entry.reference()

    def cache_entry(self, number: int) -> CacheEntry | None:
        """Return the entry of a cache that is held, None if there is none."""
        entry = self._by_id.get(number)
        return entry if isinstance(entry, CacheEntry) else None

    def _held(self, number: int) -> tuple[Import | None, Any]:
        """Return an entry and its object; the object is not touched, but by type."""
        entry = self._by_id.get(number)
        if entry is not None and entry.reference is not None:
            held = entry.reference()
            if held is not None:
                return entry, held
        return self._fresh.get(number, (None, None))

    def _add(self, entry: Import, held: object) -> None:
        size = len(self._by_id) + len(self._fresh) + 1
        if size > self._max_references:
            raise over_limit("max_references", self._max_references, "a table", size)
        self._fresh[entry.number] = (entry, held)

    def given(self, number: int) -> RemoteReference | None:
        """Return the reference to the peer's object that a good message is, counted.

        None for a cache, or where the table is full or the entry is to be made anew:
        nothing is done then, and `find` knows the rest.
        """
        entry = self._by_id.get(number)
        if entry is None:
            if len(self._by_id) >= self._max_references:
                return None
            entry = self._by_id[number] = Import(number)
            held = RemoteReference(self._line, entry)
            entry.reference = ref(held)
            entry.count = 1
            return held
        if type(entry) is not Import or entry.reference is None:
            return None
        known: RemoteReference | None = entry.reference()
        if known is not None:
            entry.count += 1
        return known

    def accept(self, numbers: list[int]) -> None:
        """Count the references of a message that is good."""
        for number, (entry, held) in self._fresh.items():
            if isinstance(entry, CacheEntry):
                entry.watch(held)
            else:
                entry.reference = ref(held)
            self._by_id[number] = entry
        for number in numbers:
            self._by_id[number].count += 1
        for first in self._first:
            first.current = first.held = True
        self._fresh.clear()
        self._first.clear()

    def refuse(self) -> None:
        """Forget what was made for a message that is not good."""
        self._fresh.clear()
        self._first.clear()

    def forget(self, entry: Import) -> int:
        """Drop the entry of an object that is gone; return the count to release.

        Received again in the meantime, the object has a new entry, which stays.
        """
        if self._by_id.get(entry.number) is entry:
            del self._by_id[entry.number]
        count, entry.count = entry.count, 0
        return count

    def take_dropped(self) -> list[int]:
        """Forget what was dropped; return ids, each with the count to release."""
        numbers: list[int] = []
        dropped = self.dropped
        while dropped:
            # One at a time: others append meanwhile.
            entry = dropped.pop()
            if count := self.forget(entry):
                numbers += (entry.number, count)
        return numbers

    def clear(self, lost: Exception) -> None:
        """Forget all: the connection has ended, nothing is owed any more."""
        entries = list(self._by_id.values())
        self._by_id.clear()
        self.refuse()
        for entry in entries:
            entry.count = 0
            if isinstance(entry, CacheEntry):
                entry.end(lost)
