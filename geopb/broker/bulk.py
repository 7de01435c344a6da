"""Bulk off the line, and the message that its last byte completes.

Owns what a part of a chunk does, whether it was read with other things or straight to
where it belongs. Called by the broker alone.
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
    _took(broker, broker.intake.add_chunk(part), len(part[1]))


def find_room(broker: Broker) -> memoryview | None:
    """Return where the next bytes of the chunk under way belong.

    None where they are to be received as all else: there are none, or they are wrong,
    or thrown away.
    """
    return broker.intake.room() if broker.state is _OPEN else None


def take_filled(broker: Broker, count: int) -> None:
    """Keep so many bytes that were read to there."""
    if broker.state is not _CLOSED:
        _took(broker, broker.intake.filled(count), count)


def _took(broker: Broker, whole: Whole | None, count: int) -> None:
    broker.post.took(count, broker.frames.chunk_left)
    if whole is None:
        return
    broker.receive_message(whole.message, whole.unfinished)
    if whole.pinned is not None:
        broker.exports.unpin(whole.pinned)
    if whole.cancelled is not None:
        # Before it has begun.
        question, late = whole.cancelled
        broker.host.cancel(question, late=late)
