"""Giving objects back: the peer's that were dropped here, and ours that it lets go.

Owns when a release goes out, and what one does that comes in. Called by the broker and,
before each call, by the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.intake import no_values
from geopb.broker.state import State
from geopb.jelly.finish import Unfinished
from geopb.wire import messages

if TYPE_CHECKING:
    from geopb.broker.broker import Broker


#: A global is found faster than an Enum's members.
_LIVE = (State.OPENING, State.OPEN)


def release_dropped(broker: Broker, *, wake: bool = True) -> None:
    """Give the peer's objects back that dropped references stood for.

    Not `wake`: with the next message, or the next time that this is called.
    """
    imports = broker.imports
    if imports.dropped:
        numbers = imports.take_dropped()
        if broker.state in _LIVE:
            broker.post.release(numbers)
    if wake and broker.post.outbox.unsent:
        broker.post.wake()


def take_release(
    broker: Broker, message: list[Any], unfinished: Unfinished | None
) -> None:
    """Take references back that the peer has dropped."""
    no_values(unfinished)
    for number, count in messages.read_release(message):
        broker.exports.release(number, count)
