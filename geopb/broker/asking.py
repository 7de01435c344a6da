"""Calls out: asking the peer, and taking its answers.

Owns the questions that are not answered yet, and their ids. Never packs a value: the
post does. Knows promises by the small protocol `Answerable` only. Called by the broker
and, for each call, by the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import methodcaller
from typing import Any

from geopb.broker.calls import Answerable, Ignored, Questions, Repeatable
from geopb.broker.host import Host
from geopb.broker.intake import no_values
from geopb.broker.pending import (
    GoesLater,
    Named,
    NotYet,
    Pending,
    PromiseMet,
    ResultFailed,
)
from geopb.broker.post import Post
from geopb.errors import LimitExceeded, ProtocolError
from geopb.failure import CopiedFailure, Failure, failure_of, raised_failure
from geopb.jelly.census import LIGHT_BYTES, is_small
from geopb.jelly.finish import Unfinished
from geopb.jelly.passing import Packing
from geopb.jelly.registry import ClassRegistry
from geopb.wire import messages
from geopb.wire.short import call_body

_IGNORED = Ignored()

Options = dict[str, object] | None


class Asking:
    """The calls of this side.

    Args:
        post: Sends them.
        host: Finishes answers that hold copies.
        registry: Local exception classes by qualified name.
    """

    __slots__ = ("_finishing", "_host", "_post", "_registry", "questions")

    def __init__(self, post: Post, host: Host, registry: ClassRegistry) -> None:
        self.questions = Questions()
        #: Those whose answer is there, and is being finished.
        self._finishing: dict[int, Answerable] = {}
        self._post = post
        self._host = host
        self._registry = registry

    def call(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        promise: Answerable,
        options: Options = None,
    ) -> int:
        """Send a call; `promise` is settled with its answer. Return its question.

        A value that may not cross settles it at once. The references in the
        arguments stay the caller's.

        ``options`` travel beside the arguments: see `messages.call_options`.
        """
        questions = self.questions
        number = questions.last = questions.last + 1
        # Before it is sent: sending may find the line broken, and end what is pending.
        questions[number] = promise
        try:
            if (
                options is None
                and not kwargs
                and (body := call_body(number, target, name, args))
            ):
                self._post.send_body(body)
            else:
                head: list[object] = [messages.CALL, number, target, name]
                told = kwargs if kwargs or options is not None else None
                tail = () if options is None else (options,)
                weight = self._post.send_values(head, args, told, tail)
                questions.weigh(number, weight)
        except PromiseMet:
            questions.pop(number, None)
            raise
        except Exception as error:
            if questions.pop(number, None) is not None:
                promise.settle(None, failure_of(error.with_traceback(None)))
        except BaseException:
            # A hook of a copy was interrupted: nothing was sent.
            questions.pop(number, None)
            raise
        return number

    def call_early(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        promise: Answerable,
        options: Options,
    ) -> tuple[int, list[tuple[Pending, Any]]]:
        """Send a call that names answers which are not there; see `call`.

        Args:
            target: Below 0 the question whose answer is called.
            name: The method's name.
            args: Promises may stand in them.
            kwargs: Likewise.
            promise: Is settled with the answer, or told that it was not run.
            options: See `messages.call_options`.

        Returns:
            Its question, and the promises that stood in it with what stood for them.

        Raises:
            NotYet: It has to wait for another: that cannot be named, or the call brings
                a stream or a cache, which cannot be sent twice. Nothing was sent.
            GoesLater: It cannot go before the answer that it is made on. Likewise.
        """
        questions = self.questions
        number = questions.last = questions.last + 1
        questions[number] = promise
        head: list[object] = [messages.CALL, number, target, name]
        tail = [] if options is None else [options]
        met: list[tuple[Pending, Any]] = []
        packing = Packing(is_call=True, promises=met)
        try:
            told = kwargs if kwargs or tail else None
            packed = self._post.pack(head, args, told, tail, packing=packing)
            awaited = [each for each, name in met if isinstance(name, Named)]
            if target < 0 and (packed.bulk or packing.begun):
                self._post.undo(packing)
                raise GoesLater
            if packing.begun and awaited:
                self._post.undo(packing)
                raise NotYet(awaited[0])
            self._post.send_packed(packed, packing)
            questions.weigh(number, packed.weight)
        except (NotYet, GoesLater):
            questions.pop(number, None)
            raise
        except LimitExceeded as error:
            questions.pop(number, None)
            if target < 0 and not self._post.opened_by_peer:
                raise GoesLater from None
            promise.settle(None, failure_of(error.with_traceback(None)))
        except ResultFailed as failed:
            if questions.pop(number, None) is not None:
                promise.settle(None, failed.failure)
        except Exception as error:
            if questions.pop(number, None) is not None:
                promise.settle(None, failure_of(error.with_traceback(None)))
        except BaseException:
            questions.pop(number, None)
            raise
        return number, met

    def call_only(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options = None,
    ) -> None:
        """Send a call that is not answered; raises what `call` would settle with.

        One that may be heavy is answered all the same, for the peer to tell when it is
        not there any more: so it counts among what is, and is waited for.
        """
        if self.questions.bounded and not is_small((args, kwargs), LIGHT_BYTES):
            self._call_unheeded(target, name, args, kwargs, options)
            return
        head: list[object] = [messages.CALL, None, target, name]
        if options is not None:
            self._post.send_values(head, args, kwargs, [options])
        elif not kwargs and (body := call_body(None, target, name, args)):
            self._post.send_body(body)
        else:
            self._post.send_values(head, args, kwargs or None)

    def _call_unheeded(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Options,
    ) -> None:
        """Send a call of whose answer nothing is wanted but that it has come."""
        number = self.new_question()
        self.questions[number] = _IGNORED
        head: list[object] = [messages.CALL, number, target, name]
        tail = [] if options is None else [options]
        try:
            weight = self._post.send_values(head, args, kwargs, tail)
        except BaseException:
            self.questions.pop(number, None)
            raise
        self.questions.weigh(number, weight)

    def abandon(self, number: int, promise: Answerable, *, late: bool) -> bool:
        """Have the peer stop a call whose answer is not wanted any more.

        False if it is answered. The question stays open until the peer answers it: so
        long it counts among those that the peer runs.

        Args:
            number: The question.
            promise: What waits for its answer.
            late: The call's time is over.
        """
        if self._finishing.get(number) is promise:
            # The peer has done its part.
            self._finishing[number] = _IGNORED
            return True
        if self.questions.get(number) is not promise:
            return False
        self.questions[number] = _IGNORED
        self._post.send([messages.CANCEL, number, *([True] if late else ())])
        return True

    def new_question(self) -> int:
        """Allot the id of a question; `remember` must follow before it is sent."""
        self.questions.last += 1
        return self.questions.last

    def remember(self, number: int, promise: Answerable) -> None:
        """Have `promise` settled with the answer to a question."""
        self.questions[number] = promise

    def answered(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Take an answer of the peer's."""
        number, values = messages.read_answer(message)
        questions = self.questions
        promise = questions.pop(number, None)
        if promise is None:
            raise _not_asked(number)
        if questions.weights:
            questions.lighten(number)
        if unfinished is None:
            promise.settle(values[0])
        else:
            self._finish(unfinished, number, promise, methodcaller("settle", values[0]))

    def failed(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Take an exception of the peer's in answer to a question."""
        messages.read_report(message)
        promise = self._asked(message[1])

        def settle(promise: Answerable) -> None:
            report = messages.read_report(message)
            if report.attributes and self._registry.find_class(report.type) is None:
                # Only a class that was registered takes what a peer says of it.
                report = replace(report, attributes={})
            find_class = self._registry.find_exception
            promise.settle(None, CopiedFailure(report, find_class, promise.genuine))

        if unfinished is None:
            settle(promise)
        else:
            self._finish(unfinished, message[1], promise, settle)

    def _finish(
        self,
        unfinished: Unfinished,
        number: int,
        promise: Answerable,
        settle: Callable[[Answerable], None],
    ) -> None:
        """Have the message's values finished where users' code may run."""
        self._finishing[number] = promise

        def finished(error: BaseException | None) -> None:
            # Another, if it was abandoned meanwhile.
            promise = self._finishing.pop(number)
            if error is None:
                settle(promise)
            else:
                # A lost connection stays quiet.
                promise.settle(None, raised_failure(error))

        self._host.finish(unfinished, finished)

    def not_run(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Have a call made again that the peer could not run as it was."""
        no_values(unfinished)
        number, question = messages.read_not_run(message)
        promise = self.questions.get(number)
        if promise is None:
            raise _not_asked(number)
        if not isinstance(promise, Repeatable) or not promise.not_run(question):
            raise ProtocolError(
                f"question {number} was not run for {question}, which it does not name"
            )
        del self.questions[number]
        self.questions.lighten(number)

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
        self.questions.lighten(number)
        return promise


def _not_asked(number: int) -> ProtocolError:
    return ProtocolError(f"an answer to question {number}, which is not open")
