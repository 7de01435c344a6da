"""How objects cross: which become references, and what a reference becomes.

Owns the decision, for the encoder (`passed`) and the decoder (`found_*`), over one
connection's tables of exports and imports. Never sends. Made by the broker.
"""

from __future__ import annotations

from geopb.broker.exports import Exports
from geopb.broker.references import Imports, Line, RemoteReference
from geopb.errors import InsecureJelly
from geopb.flavors.referenceable import Referenceable
from geopb.jelly import tags
from geopb.limits import Limits
from geopb.wire import messages
from geopb.wire.codec import CBORTag, DecodeRefused


class Objects:
    """The objects of one connection, as messages see them."""

    def __init__(
        self, line: Line, exports: Exports, imports: Imports, limits: Limits
    ) -> None:
        self._line = line
        self._exports = exports
        self._imports = imports
        self._max_exports = limits.max_references
        self._bulk_ids = 0

    def opened(self, peers_max_references: int) -> None:
        """The peer's hello is in: it holds no more references than that."""
        self._max_exports = min(self._max_exports, peers_max_references)

    def passed(self, value: object) -> CBORTag | None:
        """Return how an object crosses, None if it may not; counts exports."""
        if isinstance(value, RemoteReference):
            if value._line is not self._line:
                raise InsecureJelly(
                    "a reference to an object of another peer may not be sent to a "
                    "third party"
                )
            return CBORTag(tags.YOURS, value._entry.number)
        if isinstance(value, Referenceable):
            return CBORTag(tags.MINE, self._exports.export(value, self._max_exports))
        return None

    def new_bulk(self) -> int:
        """Allot an id for bulk bytes."""
        self._bulk_ids += 1
        return self._bulk_ids

    def found_theirs(self, number: int) -> object:
        """Return the reference to an object of the peer's."""
        if not messages.is_id(number):
            raise DecodeRefused(f"reference {number} is no id")
        return self._imports.find(number)

    def found_ours(self, number: int) -> object:
        """Return an object of this side that the peer names."""
        found = self._exports.find(number) if number else None
        if found is None:
            raise DecodeRefused(unknown_reference(number))
        return found


def unknown_reference(number: int) -> str:
    """Say that an id stands for nothing."""
    return f"reference {number} was never given to you, or has been released"
