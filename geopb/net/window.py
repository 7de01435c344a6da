"""The items of one stream that were made and are not acknowledged.

Owns how far its iterator may run ahead of the reader, in items and in bytes, and how
many go in one answer. Called by the producer alone.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from geopb.jelly.snapshot import snapshot

#: About so many bytes of items go in one answer: large ones do not gather.
_BATCH_BYTES = 256 * 1024
#: About so many are made and not acknowledged, at which the iterator waits.
_MOST_BYTES = 1024 * 1024


class Window:
    """Items in their order, from the first that is not acknowledged.

    Args:
        size: How many may be made and not be taken by the reader.

    Attributes:
        position: That of the first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        #: With about their bytes.
        self._items: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._taken = 0
        self.position = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Any) -> None:
        """Keep an item as it is now."""
        taken = snapshot(item)
        self._items.append(taken)
        self._bytes += taken[1]

    def is_full(self) -> bool:
        """Whether no more may be made."""
        made = self.position + len(self._items)
        return made - self._taken >= self._size or self._bytes >= _MOST_BYTES

    def reaches(self, position: int) -> bool:
        """Whether the items from there on may be asked for."""
        return self.position <= position <= self.position + len(self._items)

    def move(self, position: int, taken: int) -> None:
        """Forget the items before `position`; the reader has used `taken` in all."""
        while self.position < position:
            self._bytes -= self._items.popleft()[1]
            self.position += 1
        # A reader that has used little of what it was sent waits in vain otherwise.
        least = position - self._size // 2
        self._taken = max(self._taken, least, min(taken, position))

    def batch(self, count: int) -> list[Any]:
        """Return the first items, `count` at most, as many as are good for an answer.

        One at the least, if there is one.
        """
        most = min(count, max(1, self._size // 2))
        batch: list[Any] = []
        size = 0
        for item, its_bytes in self._items:
            size += its_bytes
            if batch and (len(batch) >= most or size > _BATCH_BYTES):
                break
            batch.append(item)
        return batch

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self._bytes = 0
