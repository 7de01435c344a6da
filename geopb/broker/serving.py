"""Calls in: from a message of the peer's to a call that the host runs.

Owns what a call needs before it may be run: its target, and answers that it names.
Never runs it, and never waits. Called by the broker.
"""

from __future__ import annotations

from typing import Any

from geopb.broker.answering import Answering
from geopb.broker.calls import IncomingCall
from geopb.broker.exports import Exports
from geopb.broker.host import Host
from geopb.broker.objects import unknown_reference
from geopb.broker.pipeline import Names
from geopb.errors import InsecureJelly, ProtocolError, over_limit
from geopb.jelly.finish import Unfinished, abandon
from geopb.limits import Limits
from geopb.wire import messages


class Serving:
    """The calls that come to one side.

    Args:
        broker: Methods get it as theirs.
        host: Runs them.
        exports: What may be called.
        answering: Refuses the others.
        limits: This side's.
    """

    __slots__ = ("_answering", "_broker", "_exports", "_host", "_limits")

    def __init__(
        self,
        broker: object,
        host: Host,
        exports: Exports,
        answering: Answering,
        limits: Limits,
    ) -> None:
        self._broker = broker
        self._host = host
        self._exports = exports
        self._answering = answering
        self._limits = limits

    def call(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Have a call run, or refuse it."""
        question, number, name, args, kwargs, options = messages.read_call(message)
        target = self._exports.find(number)
        early = number < 0 or (unfinished is not None and bool(unfinished.named))
        if target is None and number >= 0:
            abandon(unfinished)
            error: Exception = InsecureJelly(unknown_reference(number))
            self._answering.refuse(question, error)
            return
        if len(name) > self._limits.max_name_length:
            abandon(unfinished)
            limit = self._limits.max_name_length
            error = over_limit("max_name_length", limit, "a method name", len(name))
            self._answering.refuse(question, error)
            return
        nested = False
        call = IncomingCall(self._broker, question, target, name, args, kwargs)
        if unfinished is not None:
            call.unfinished = unfinished
        if options:
            nested = options.get(messages.NESTED) is True
            call.timeout = messages.read_timeout(options)
        if early and not self._names(call, number):
            return
        self._host.start(call, nested=nested)

    def _names(self, call: IncomingCall, number: int) -> bool:
        """Note what a call names; refuse it, and return False, if it may not.

        Raises:
            ProtocolError: It wants no answer, and so could not be made again.
        """
        if call.question is None:
            raise ProtocolError("a call that names an answer and wants none")
        slots = [] if call.unfinished is None else call.unfinished.named
        names = call.names = Names(-number if number < 0 else None, slots)
        for question in names.questions():
            if not 0 < question < call.question:
                # Also what would make calls wait for one another.
                abandon(call.unfinished)
                error = InsecureJelly(
                    f"question {question} was not asked before question {call.question}"
                )
                self._answering.refuse(call.question, error)
                return False
        return True

    def pin(self, message: list[Any]) -> int | None:
        """Keep the target of a call that waits for bulk: a release may come first.

        Returns the id of what is to be unpinned, None for nothing.
        """
        if type(message[0]) is int and message[0] == messages.CALL and len(message) > 2:
            number = message[2]
            if type(number) is int and number < 0:
                number = self._exports.find_answer(-number)
            if messages.is_id(number) and self._exports.pin(number):
                return int(number)
        return None
