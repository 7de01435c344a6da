"""Two brief messages, acted on at once: an object is given, and given back.

Owns a second way for an answer that is one reference, and for the release of one
object: they hold ids alone, and need neither the codec nor notes. Whatever is not just
that, or is to be refused, is left to the general way, which says why. Called by the
broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geopb.broker.state import State
from geopb.wire.messages import RELEASE
from geopb.wire.short import read_reference, read_release

if TYPE_CHECKING:
    from geopb.broker.broker import Broker

_OPEN = State.OPEN


def take_brief(broker: Broker, body: bytes) -> bool:
    """Act on a message if it is one of these; False if nothing was done."""
    if broker.state is not _OPEN:
        return False
    if body[1] == RELEASE:
        release = read_release(body)
        return release is not None and broker.exports.release_some(*release)
    given = read_reference(body)
    if given is None:
        return False
    question, number = given
    questions = broker.questions
    promise = questions.get(question)
    if promise is None:
        return False
    held = broker.imports.given(number)
    if held is None:
        return False
    # What `Asking.answered` does with any other value.
    del questions[question]
    if questions.weights:
        questions.lighten(question)
    promise.settle(held)
    return True
