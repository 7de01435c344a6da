"""Answers that calls name before they are there.

Owns `NamedAnswer`: one question, what came of it, and the calls that named it and are
not answered. Never sends anything: who was told that a call was not run makes it
again, in a worker, in the order in which that was told. Made by the promises of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gevent import GreenletExit

from geopb.broker.pending import Named, ResultFailed, check_line
from geopb.failure import CopiedFailure, Failure
from geopb.jelly.passing import Instead
from geopb.workers import worker_pool

if TYPE_CHECKING:
    from geopb.promise.promise import Promise


class Namer(Protocol):
    """The promise of a call that names answers."""

    def fail_as(self, failure: Failure) -> None:
        """Fail, as what it names has failed on this side."""


class NamedAnswer(Named):
    """The answer to one question, as calls name it.

    Attributes:
        question: Its id.
        unanswered: Calls that have named it and have no result yet. While there are
            any, further ones name it too: so they cannot overtake those.
        value: What it is.
        failure: What it is instead.
    """

    __slots__ = (
        "_line",
        "_ready",
        "_waiting",
        "failure",
        "question",
        "unanswered",
        "value",
    )

    def __init__(self, question: int, line: object) -> None:
        self.question = question
        self._line = line
        self.unanswered: dict[Namer, None] = {}
        self._ready = False
        self.value: Any = None
        self.failure: Failure | None = None
        self._waiting: deque[Callable[[], object]] | None = None

    def ready(self) -> bool:
        """Whether it is there."""
        return self._ready

    def stand_in(self, line: object) -> Named | Instead:
        """Return what crosses for it in a call."""
        check_line(self._line, line)
        if not self._ready:
            return self
        if self.failure is not None:
            raise ResultFailed(self.failure)
        return Instead(self.value)

    def take(self, promise: Promise[Any], value: Any, failure: Failure | None) -> None:
        """Take note of how the question's promise ends; of the first time alone."""
        if self._ready:
            return
        self._ready = True
        self.value, self.failure = value, failure
        if failure is not None and self.unanswered:
            # It goes on to those that named it.
            promise._looked = failure
            if not isinstance(failure, CopiedFailure):
                # The peer need not know that it failed, or may go on for long.
                worker_pool().submit(NamedAnswer._fail_those, self)
        if self._waiting:
            worker_pool().submit(NamedAnswer._go_on, self)

    def _fail_those(self) -> None:
        if self.failure is not None:
            for each in list(self.unanswered):
                each.fail_as(self.failure)

    def when_ready(self, again: Callable[[], object]) -> None:
        """Have ``again()`` called in a worker when it is there, one after the other."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(again)
        if self._ready and len(self._waiting) == 1:
            worker_pool().submit(NamedAnswer._go_on, self)

    def _go_on(self) -> None:
        waiting = self._waiting
        while waiting:
            again = waiting[0]
            try:
                again()
            except GreenletExit:
                # Who killed this greenlet waits for its end; the next ones go on.
                waiting.popleft()
                if waiting:
                    worker_pool().submit(NamedAnswer._go_on, self)
                raise
            waiting.popleft()

    def __repr__(self) -> str:
        return f"<NamedAnswer {self.question}>"
