"""Objects of this side that the peer may name.

Owns one connection's table of exports with its counts. An object is kept alive by its
entry until the peer has released as many references as it was sent. Ids are never
used twice. Called by the broker alone.
"""

from __future__ import annotations

from geopb.errors import ProtocolError, over_limit


class _Export:
    __slots__ = ("count", "pins", "target")

    def __init__(self, target: object) -> None:
        self.target = target
        #: References sent and not released.
        self.count = 0
        #: Messages that wait for it.
        self.pins = 0


class Exports:
    """Id to object, and back.

    Args:
        lobby: The object under id 0, which every peer may call and none releases.
    """

    __slots__ = ("_by_id", "_ids", "_lobby", "_next", "_unsure")

    def __init__(self, lobby: object) -> None:
        self._by_id: dict[int, _Export] = {}
        self._ids: dict[int, int] = {}
        self._next = 1
        self._lobby = lobby
        #: Ids counted for a message that may still fail, one entry for each time.
        self._unsure: list[int] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def export(self, target: object, max_references: int) -> int:
        """Count one more reference to `target`; `settle` or `rollback` must follow.

        Raises:
            LimitExceeded: The table is full.
        """
        number = self._ids.get(id(target))
        if number is None:
            if len(self._by_id) >= max_references:
                size = len(self._by_id) + 1
                raise over_limit("max_references", max_references, "a table", size)
            number = self._next
            self._next += 1
            self._ids[id(target)] = number
            self._by_id[number] = _Export(target)
        self._by_id[number].count += 1
        self._unsure.append(number)
        return number

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
            del self._ids[id(entry.target)]

    def settle(self) -> None:
        """Keep the counts made since the last time: their message goes out."""
        if self._unsure:
            self._unsure.clear()

    def rollback(self) -> None:
        """Take the counts back that were made for a message that failed."""
        for number in self._unsure:
            self.release(number, 1)
        self._unsure.clear()

    def find(self, number: int) -> object | None:
        """Return the object under that id; None if it was never given, or released."""
        if number == 0:
            return self._lobby
        entry = self._by_id.get(number)
        return None if entry is None else entry.target

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
        return None if entry.count else entry.target

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        self._by_id.clear()
        self._ids.clear()
        self._unsure.clear()

    def statistics(self) -> dict[str, int]:
        """Return ``{"objects": ..., "references": ...}``."""
        counts = [entry.count for entry in self._by_id.values()]
        return {"objects": len(counts), "references": sum(counts)}
