"""Calls in: from a message of the peer's to a call that the host runs.

Owns what a call needs before it may be run: its target, and answers that it names.
Never runs it, and never waits. Called by the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.calls import IncomingCall
from geopb.broker.exports import Exports
from geopb.broker.objects import unknown_reference
from geopb.broker.pipeline import Names
from geopb.errors import InsecureJelly, ProtocolError, over_limit
from geopb.jelly.finish import Unfinished, abandon
from geopb.limits import LIGHT_STRUCTURE, STRUCTURE_WEIGHT
from geopb.wire import messages

if TYPE_CHECKING:
    from geopb.broker.broker import Broker


def take_call(
    broker: Broker, message: list[Any], unfinished: Unfinished | None
) -> None:
    """Have a call run by the broker's host, or refuse it."""
    question, number, name, args, kwargs, options = messages.read_call(message)
    target = broker.exports.find(number)
    if target is None and number >= 0:
        abandon(unfinished)
        broker.refuse(question, InsecureJelly(unknown_reference(number)))
        return
    limit = broker.limits.max_name_length
    if len(name) > limit:
        abandon(unfinished)
        error = over_limit("max_name_length", limit, "a method name", len(name))
        broker.refuse(question, error)
        return
    call = IncomingCall(broker, question, target, name, args, kwargs)
    size = broker.intake.size
    if size > LIGHT_STRUCTURE:
        call.weight = size * STRUCTURE_WEIGHT
    if unfinished is not None:
        call.unfinished = unfinished
    if options:
        call.nested = options.get(messages.NESTED) is True
        call.timeout = messages.read_timeout(options)
    if (target is None or unfinished is not None) and not _names(call, number):
        return
    start = broker.host.start
    start(call)


def _names(call: IncomingCall, number: int) -> bool:
    """Note what a call names; refuse it, and return False, if it may not.

    Raises:
        ProtocolError: It wants no answer, and so could not be made again.
    """
    slots = [] if call.unfinished is None else call.unfinished.named
    if number >= 0 and not slots:
        return True
    if call.question is None:
        raise ProtocolError("a call that names an answer and wants none")
    names = call.names = Names(-number if number < 0 else None, slots)
    for question in names.questions():
        if not (0 < question < call.question or _is_here(call, question)):
            # Also what would make calls wait for one another.
            abandon(call.unfinished)
            error = InsecureJelly(
                f"question {question} was not asked before question {call.question}"
            )
            call.broker.refuse(call.question, error)
            return False
    return True


def _is_here(call: IncomingCall, question: int) -> bool:
    """Whether a question was asked before a call, though its number is not below.

    A hook may ask it while the call is packed, whose number is allotted already. It
    came first all the same: so they cannot wait for one another.
    """
    broker = call.broker
    if question == call.question:
        return False
    return broker.host.is_open(question) or (
        broker.exports.find_answer(question) is not None
    )


def pin(exports: Exports, message: list[Any]) -> int | None:
    """Keep the target of a call that waits for bulk: a release may come first.

    Returns the id of what is to be unpinned, None for nothing.
    """
    if type(message[0]) is int and message[0] == messages.CALL and len(message) > 2:
        number = message[2]
        if type(number) is int and number < 0:
            number = exports.find_answer(-number)
        if messages.is_id(number) and exports.pin(number):
            return int(number)
    return None
