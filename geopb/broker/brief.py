"""Brief messages, acted on at once: an answer, and an object that is given back.

Owns a second way for an answer that is one reference or one small scalar, and for the
release of one object: they need neither the codec nor notes. Whatever is not just that,
or is to be refused, is left to the general way, which says why. Called by the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.state import State
from geopb.wire.messages import RELEASE
from geopb.wire.short import read_reference, read_release, read_scalar

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
    value: Any
    given = read_reference(body)
    told = given or read_scalar(body)
    if told is None:
        return False
    question, value = told
    questions = broker.questions
    promise = questions.get(question)
    if promise is None:
        return False
    if given is not None and (value := broker.imports.given(value)) is None:
        return False
    # What `Asking.answered` does with any other value.
    del questions[question]
    if questions.weights:
        questions.lighten(question)
    promise.settle(value)
    return True
