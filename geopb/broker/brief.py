"""Brief messages, acted on at once: calls, answers, and objects that are given back.

Owns a second way for a call of a few small scalars, an answer that is one of them or a
reference, one of both whose only value is large bytes, and the release of one object:
they need neither the codec nor notes. And for what the peer tells of bulk. Whatever is
not just that, or is to be refused, is left to the general way, which says why. Called
by the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.calls import IncomingCall
from geopb.broker.state import State
from geopb.wire.brief import (
    read_answer,
    read_bulk,
    read_call,
    read_release,
    read_taken,
)
from geopb.wire.messages import ANSWER, CALL, TAKEN

if TYPE_CHECKING:
    from geopb.broker.broker import Broker

_OPEN = State.OPEN


def take_brief(broker: Broker, body: bytes) -> bool:
    """Act on a message if it is one of these; False if nothing was done.

    Raises:
        ProtocolError, LimitExceeded: It is a call that may not be made now, or of bulk
            that may not come, or that was not sent.
    """
    if broker.state is not _OPEN:
        return False
    kind = body[1]
    if kind == CALL:
        return _take_call(broker, body) or _take_bulk(broker, body)
    if kind == TAKEN:
        count = read_taken(body)
        if count is None:
            return False
        broker.post.peer_took(count)
        return True
    if kind != ANSWER:
        release = read_release(body)
        return release is not None and broker.exports.release_some(*release)
    told = read_answer(body)
    if told is None:
        return _take_bulk(broker, body)
    value: Any
    question, value, is_reference = told
    questions = broker.questions
    promise = questions.get(question)
    if promise is None:
        return False
    if is_reference and (value := broker.imports.given(value)) is None:
        return False
    # What `Asking.answered` does with any other value.
    del questions[question]
    if questions.weights:
        questions.lighten(question)
    promise.settle(value)
    return True


def _take_call(broker: Broker, body: bytes) -> bool:
    told = read_call(body)
    if told is None:
        return False
    question, number, name, args = told
    target = broker.exports.find(number)
    if target is None or len(name) > broker.limits.max_name_length:
        return False
    # What `take_call` does with any other call; this one is light.
    start = broker.host.start
    start(IncomingCall(broker, question, target, name, args, {}))
    return True


def _take_bulk(broker: Broker, body: bytes) -> bool:
    told = read_bulk(body)
    if told is None:
        return False
    broker.intake.expect_bytes(*told, len(body))
    return True
