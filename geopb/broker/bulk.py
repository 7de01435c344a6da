"""Bulk off the line, and the message that its last byte completes.

Owns what a part of a chunk does, whether it was read with other things or to where it
stays. Called by the broker alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geopb.broker.state import State
from geopb.errors import ProtocolError
from geopb.wire.framing import ChunkPart

if TYPE_CHECKING:
    from geopb.broker.broker import Broker
    from geopb.broker.intake import Whole

_CLOSED, _OPEN = State.CLOSED, State.OPEN


def take_part(broker: Broker, part: ChunkPart) -> None:
    """Keep a part of a chunk.

    Raises:
        ProtocolError: It is not to come now, or of no bulk that was announced.
    """
    if broker.state is _CLOSED:
        return
    if broker.state is not _OPEN:
        raise ProtocolError(f"bulk while {broker.state.value}")
    whole = broker.intake.add_chunk(part)
    # The end of this chunk may have come with the beginning of the next one.
    broker.post.took(len(part[1]), part[2])
    _complete(broker, whole)


def take_filled(broker: Broker, count: int) -> None:
    """Keep so many bytes that were read to the room that there was for them."""
    if broker.state is _CLOSED:
        return
    whole = broker.intake.filled(count)
    broker.post.took(count, broker.frames.chunk_left)
    _complete(broker, whole)


def _complete(broker: Broker, whole: Whole | None) -> None:
    if whole is None:
        return
    broker.receive_message(whole.message, whole.unfinished)
    if whole.pinned is not None:
        broker.exports.unpin(whole.pinned)
    if whole.cancelled is not None:
        # Before it has begun.
        question, late = whole.cancelled
        broker.host.cancel(question, late=late)
