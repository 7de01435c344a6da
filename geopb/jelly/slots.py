"""What stands in a decoded message for values that are not known yet.

Owns the placeholders of aliases, bulk, answers, arrays, and of tuples and frozensets
that hold such; and what is salvaged of a refused message. Made by ``contents`` and
``draft``, filled by the broker's inbox (bulk) and pipeline (answers), and by ``finish``
(all else).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from geopb.jelly import tags
from geopb.jelly.elements import Element
from geopb.jelly.steps import Step
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


class Made(Placeholder, Step):
    """Stands for an immutable value, and is the step that makes it of `items`.

    Both in one, and where it stands in its own slots: a peer may send a hundred
    thousand of these in a mebibyte.

    Attributes:
        make: Makes the value.
        items: What of, when that is known.
    """

    __slots__ = ("_container", "_more", "_place", "items", "make", "runs_code")

    def __init__(
        self,
        make: Callable[[list[Any]], Any],
        items: list[Any],
        *,
        runs_code: bool = False,
    ) -> None:
        self.make = make
        self.items = items
        self.runs_code = runs_code
        #: Where it stands: a container and a place in it, None for nowhere yet.
        self._container: Any = None
        self._place: Any = None
        #: Further ones.
        self._more: list[tuple[Any, Any]] | None = None

    # Made when asked for: to keep both would take as much memory as all the rest.
    @property
    def makes(self) -> Sequence[object]:  # type: ignore[override]
        """Itself: whoever uses the value has this in its place."""
        return (self,)

    @property
    def parts(self) -> Sequence[list[Any]]:  # type: ignore[override]
        """What it is made of."""
        return (self.items,)

    def stands_in(self, container: Any, place: Any) -> None:
        """Take note of a place where the value belongs."""
        if self._container is None:
            self._container, self._place = container, place
        elif self._more is None:
            self._more = [(container, place)]
        else:
            self._more.append((container, place))

    def do(self) -> None:
        """Make it once, and put it wherever it belongs."""
        value = self.make(self.items)
        if self._container is not None:
            self._container[self._place] = value
        if self._more is not None:
            for container, place in self._more:
                container[place] = value


class MadeArray(Made):
    """Stands for an array; `items` are its bytes, or the bulk that they will be.

    Attributes:
        element: What they are.
        size: How many.
        shape: Its dimensions, None for one without a shape around it.
        refusal: Why it may not be made as it stands, None where it may.
    """

    __slots__ = ("element", "refusal", "shape", "size")

    def __init__(
        self,
        make: Callable[[list[Any]], Any],
        items: list[Any],
        element: Element,
        size: int,
        *,
        refusal: str | None = None,
    ) -> None:
        super().__init__(make, items)
        self.element = element
        self.size = size
        self.shape: tuple[int, ...] | None = None
        self.refusal = refusal


@dataclass(slots=True)
class Salvaged:
    """What is left of a message that was refused: enough to answer it."""

    head: list[Any]
    #: Ids of the peer's objects in it, one entry for each time; to be released.
    theirs: list[int] = field(default_factory=list)
    #: Bulk that is on its way for it, ``(id, length)``; to be thrown away.
    bulk: list[tuple[int, int]] = field(default_factory=list)
