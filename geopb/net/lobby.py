"""What every peer may call first, under id 0. Owns its names; see docs/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geopb.errors import NoSuchMethod
from geopb.flavors.referenceable import Referenceable, Root
from geopb.text import printable

#: The id of the lobby, and its one method.
LOBBY = 0
GET_ROOT = "getRootObject"


class Lobby(Referenceable):
    """Hands out a server's root."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Answer a peer's first question."""
        if message == GET_ROOT and not args and not kw:
            return self._root.rootObject(broker)
        raise NoSuchMethod(f"the lobby has no method {printable(message)}")
