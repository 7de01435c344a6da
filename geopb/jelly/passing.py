"""What the encoder and the broker tell each other about a message being packed.

Owns the shapes alone. Made by ``walk`` and the broker's objects, read by both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from geopb.jelly.registry import Record
from geopb.jelly.scalars import NumberLimits
from geopb.limits import STRUCTURE_WEIGHT
from geopb.wire.codec import CBORTag


class SendLimits(NumberLimits, Protocol):
    """The peer's bounds, as its hello told them."""

    @property
    def max_message_size(self) -> int:
        """Bytes of a message with its bulk."""

    @property
    def max_structure_size(self) -> int:
        """Bytes of the structured part."""

    @property
    def max_depth(self) -> int:
        """Nested containers."""


@dataclass(slots=True, eq=False)
class Packing:
    """What packing one message counts, to be given back if it fails.

    Attributes:
        perspective: For whom it is packed: the avatar whose call is answered.
        exported: Ids that were counted, one entry for each time.
        begun: Feeds that are to be told whether the message goes out, with their ids.
        is_call: Whether it is a call, whose arguments may be promises.
        promises: Those that stand in it, each with what stands for it; None where the
            caller has not said that there are any.
    """

    perspective: Any = None
    exported: list[int] = field(default_factory=list)
    begun: list[tuple[Any, int]] = field(default_factory=list)
    is_call: bool = False
    promises: list[tuple[Any, Any]] | None = None


@dataclass(slots=True)
class State:
    """An object that crosses as a tag with state: ``tag([*head, state])``."""

    tag: int
    head: list[Any]
    state: Any
    #: Containers around the user's values in it, which count as none of the user's.
    around: int = 0


@dataclass(slots=True)
class Instead:
    """The value that crosses in the place of an object, as what it is."""

    value: object


class Passer(Protocol):
    """Who knows how objects cross: the broker."""

    def passed(self, value: object, packing: Packing) -> CBORTag | Instead | None:
        """Return the tag for an object that crosses as a reference, None for others.

        Or what crosses in its place: of a promise that is there, its value. Runs no
        users' code.
        """

    def copied(self, value: object, packing: Packing) -> State | CBORTag | None:
        """Return how an object crosses by value, None for one that may not.

        Runs users' hooks, which may block.
        """

    def find_record(self, cls: type) -> Record | None:
        """Return how objects of exactly this class cross as records, if they do."""

    def find_array(self, name: str) -> type | None:
        """Return the class of arrays that is registered under its name, if it is."""

    def new_bulk(self) -> int:
        """Allot an id for bulk bytes."""


@dataclass(slots=True)
class Bulk:
    """Bytes that travel beside a message, in chunks."""

    id: int
    data: bytes


@dataclass(slots=True)
class Packed:
    """A message ready to be framed, with its bulk."""

    body: bytes
    bulk: Sequence[Bulk] = ()
    #: Objects that must stay alive until the body is written: the references in
    #: it, so that no release can overtake it.
    kept: list[object] = field(default_factory=list)
    #: Called when the body is queued: nothing sent later overtakes it.
    queued: Callable[[], None] | None = None

    @property
    def size(self) -> int:
        """Bytes, with those of the bulk."""
        return len(self.body) + sum(len(bulk.data) for bulk in self.bulk)

    @property
    def weight(self) -> int:
        """What it counts in ``max_pending_bytes``, where it is more than light."""
        bulk = sum(len(bulk.data) for bulk in self.bulk) if self.bulk else 0
        return STRUCTURE_WEIGHT * len(self.body) + bulk
