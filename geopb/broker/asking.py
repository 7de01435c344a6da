"""Calls out: asking the peer, and taking its answers.

Owns the questions that are not answered yet, and their ids. Never packs a value: the
post does. Knows promises by the small protocol `Answerable` only. Called by the broker
and, for each call, by the connection.
"""

from __future__ import annotations

from typing import Any

from geopb.broker.calls import Answerable, Questions
from geopb.broker.post import Post
from geopb.errors import ProtocolError
from geopb.failure import ClassFinder, CopiedFailure, Failure, failure_of
from geopb.wire import messages

_NESTED = [{messages.NESTED: True}]


class Asking:
    """The calls of this side.

    Args:
        post: Sends them.
        find_class: Local exception classes by qualified name.
    """

    def __init__(self, post: Post, find_class: ClassFinder) -> None:
        self.questions = Questions()
        self._post = post
        self._find_class = find_class

    def call(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        promise: Answerable,
        *,
        nested: bool = False,
    ) -> None:
        """Send a call; `promise` is settled with its answer.

        A value that may not cross settles it at once. The references in the
        arguments stay the caller's.

        ``nested`` says that the call is made while serving one: the peer takes it in
        although it runs as many as it likes.
        """
        questions = self.questions
        number = questions.last = questions.last + 1
        # Before it is sent: sending may find the line broken, and end what is pending.
        questions[number] = promise
        try:
            if nested:
                head = [messages.CALL, number, target, name]
                self._post.send_values(head, args, kwargs, _NESTED)
            else:
                self._post.send_values(
                    [messages.CALL, number, target, name], args, kwargs or None
                )
        except Exception as error:
            if questions.pop(number, None) is not None:
                promise.settle(None, failure_of(error.with_traceback(None)))

    def call_only(
        self, target: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Send a call that is not answered; raises what `call` would settle with."""
        head: list[object] = [messages.CALL, None, target, name]
        self._post.send_values(head, args, kwargs or None)

    def answered(self, message: list[Any]) -> None:
        """Take an answer of the peer's."""
        number, value = messages.read_answer(message)
        promise = self.questions.pop(number, None)
        if promise is None:
            raise _not_asked(number)
        promise.settle(value)

    def failed(self, message: list[Any]) -> None:
        """Take an exception of the peer's in answer to a question."""
        failure = CopiedFailure(messages.read_report(message), self._find_class)
        self._asked(message[1]).settle(None, failure)

    def refused(self, number: int, error: Exception) -> None:
        """Fail one question: its answer came, and cannot be used."""
        self._asked(number).settle(None, failure_of(error))

    def end(self, lost: Exception, *, quiet: bool) -> None:
        """Fail all that is pending, in the order of the calls."""
        for promise in self.questions.take_all():
            promise.settle(None, Failure(lost, quiet=quiet))

    def _asked(self, number: int) -> Answerable:
        promise = self.questions.pop(number, None)
        if promise is None:
            raise _not_asked(number)
        return promise


def _not_asked(number: int) -> ProtocolError:
    return ProtocolError(f"an answer to question {number}, which is not open")
