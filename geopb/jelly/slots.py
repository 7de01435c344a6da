"""What stands in a decoded message for values that are not known yet.

Owns the placeholders of aliases, bulk, answers, arrays, and of tuples and frozensets
that hold such; and what is salvaged of a refused message. Made by ``decode``, filled by
the broker's inbox (bulk) and pipeline (answers), and by ``finish`` (all else).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from geopb.jelly import tags
from geopb.jelly.elements import Element
from geopb.wire.codec import DecodeRefused


class Placeholder:
    """Stands where a value is not known yet; may be no key and in no set."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]


class Again(Placeholder):
    """Stands for the list, dict or copy that was defined under `number`."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(slots=True, eq=False)
class BulkSlot(Placeholder):
    """Where bytes go that travel beside a message."""

    id: int
    length: int
    kind: int
    value: object = None

    def fill(self, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        """Set the value that the arrived bytes are. Raises DecodeRefused."""
        if self.kind == tags.BULK_BYTEARRAY:
            whole = len(pieces) == 1 and isinstance(pieces[0], bytearray)
            self.value = pieces[0] if whole else bytearray().join(pieces)
        elif self.kind == tags.BULK_BYTES:
            self.value = b"".join(pieces)
        else:
            try:
                self.value = b"".join(pieces).decode()
            except UnicodeDecodeError as error:
                raise DecodeRefused(f"text that is not UTF-8: {error}") from None


@dataclass(slots=True, eq=False)
class AnswerSlot(Placeholder):
    """Where a value goes that is the answer to another question of the sender's."""

    question: int
    value: object = None


@dataclass(slots=True, eq=False)
class Made(Placeholder):
    """Stands for an immutable value, made of `items` when these are known."""

    make: Callable[[list[Any]], Any]
    items: list[Any]


@dataclass(slots=True, eq=False)
class MadeArray(Made):
    """Stands for an array; `items` are its bytes, or the bulk that they will be.

    Attributes:
        element: What they are.
        size: How many.
        shape: Its dimensions, None for one without a shape around it.
        refusal: Why it may not be made as it stands, None where it may.
    """

    element: Element
    size: int
    shape: tuple[int, ...] | None = None
    refusal: str | None = None


@dataclass(slots=True)
class Salvaged:
    """What is left of a message that was refused: enough to answer it."""

    head: list[Any]
    #: Ids of the peer's objects in it, one entry for each time; to be released.
    theirs: list[int] = field(default_factory=list)
    #: Bulk that is on its way for it, ``(id, length)``; to be thrown away.
    bulk: list[tuple[int, int]] = field(default_factory=list)
