"""The promise of a call that names answers which were not there when it was made.

Owns making it again where the peer could not run it so. Made and settled by
connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from gevent import GreenletExit

from geopb.errors import Cancelled, DeadlineExceeded
from geopb.failure import Failure, failure_of
from geopb.promise.answer import TimedAnswer
from geopb.promise.deadline import too_late
from geopb.promise.following import follow
from geopb.promise.naming import NamedAnswer
from geopb.promise.promise import Promise, cancelled
from geopb.promise.turns import InTurn, Turn
from geopb.workers import interrupt_main, worker_pool

T_co = TypeVar("T_co", covariant=True)


class EarlyAnswer(TimedAnswer[T_co]):
    """A promise of a call that names answers; it may have no deadline."""

    #: The answers that it names, until it has a result.
    _names: tuple[NamedAnswer, ...] = ()
    #: Makes the call again; None where that is not needed, or not any more. While it
    #: waits here, it was not run and not made again: no question stands for it.
    _again: Callable[[], Promise[Any]] | None = None
    #: Whether it waits for arguments.
    _late = False
    #: What it stays behind, and the question after which the peer was told to begin it.
    _before: Turn | None = None
    _after: int | None = None
    #: Stopped, or made again: that it ends does not tell that it has begun.
    _given_up = False

    def name(
        self,
        names: Iterable[NamedAnswer],
        again: Callable[[], Promise[Any]],
        *,
        before: Turn | None,
        after: int | None,
    ) -> None:
        """Take note of what it names, and of how to make it again with that.

        Args:
            names: The answers.
            again: Makes it again.
            before: What it stays behind.
            after: The question after which the peer was told to begin it.
        """
        if self._ready:
            return
        self._names = tuple(names)
        self._again = again
        self._before, self._after = before, after
        for each in self._names:
            each.unanswered[self] = None

    def waits_for_arguments(self) -> None:
        """Take note that it does: calls on the same promise might overtake it."""
        self._late = True

    def begins_late(self) -> bool:
        """Whether it waits for arguments."""
        return self._late

    def _becomes(self) -> InTurn | None:
        if self._again is None:
            # Answered, or none that had to wait.
            return None
        if self._followed is not None:
            return cast(InTurn, self._followed[0])
        if self._waits_here or self._late:
            return self
        turn = self._turn
        return self if turn is not None and turn.is_held_up() else None

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Those of any call, and that its time is over if it has one."""
        errors = super().genuine
        return errors if self._timer is not None else errors[:-1]

    def _can_be_named(self) -> bool:
        return super()._can_be_named() and not self._waits_here

    def not_run(self, question: int) -> bool:
        """Make the call again as soon as the answer to `question` is there."""
        for each in self._names:
            if each.question == question:
                self._waits_here = True
                each.when_ready(self._go_on)
                return True
        if self._before is not None and self._after == question:
            # That one is not run either, or was stopped before it began.
            self._waits_here = True
            stands: Any = self._before.stands()
            if stands is not None and not stands._waits_here:
                # Perhaps another, that stands for it now: that one is on its way.
                stands = stands if stands.question == question else None
            self._go_on_when_gone(stands)
            return True
        # Ended here already: by its time, or with the connection.
        return self._ready

    def _go_on_when_gone(self, before: InTurn | None) -> None:
        def go_on(_: object = None) -> None:
            worker_pool().submit(EarlyAnswer._go_on, self)

        if before is None:
            go_on()
        else:
            before.gone().rawlink(go_on)

    def _go_on(self) -> None:
        """Make it again, or fail as what it names; in a worker."""
        again = self._again
        if again is None:
            # It has ended: handlers may still be running.
            return
        before = None if self._before is None else self._before.stands()
        if before is not None and before._waits_here:
            self._go_on_when_gone(before)
            return
        self._given_up = True
        for each in self._names:
            if not each.ready():
                each.when_ready(self._go_on)
                return
            if each.failure is not None:
                self.settle(None, each.failure)
                return
        try:
            followed = again()
        except BaseException as error:
            if self._again is not None:
                self.settle(None, failure_of(error))
            if isinstance(error, KeyboardInterrupt):
                interrupt_main(error)
            elif isinstance(error, GreenletExit):
                raise
            return
        if self._again is None:
            # Stopped meanwhile: it waited for room.
            followed._give_up()
            return
        self.was_sent_as(followed)
        follow(self, followed)
        self.went()

    def _cancel(self) -> None:
        self._given_up = True
        if self._waits_here:
            self.settle(None, cancelled())
        else:
            super()._cancel()

    def _expired(self) -> None:
        self._stop(Failure(too_late()), late=True)

    def fail_as(self, failure: Failure) -> None:
        """Fail, as what it names has failed on this side."""
        if self._again is not None:
            self._stop(failure, late=False)

    def _stop(self, failure: Failure, *, late: bool) -> None:
        self._given_up = True
        if self._waits_here or self._followed is not None:
            followed = self._followed
            self._followed = None
            self.settle(None, failure)
            if followed is not None:
                followed[0].unlink(followed[1])
                followed[0]._give_up()
        elif self._abandon(late=late):
            self.settle(None, failure)

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End, and no longer keep what it named."""
        if failure is not None and failure.check(Cancelled, DeadlineExceeded):
            # Stopped, perhaps before it began.
            self._given_up = True
        if failure is None:
            # It was run with an answer that could not be used here.
            for each in self._names:
                if each.failure is not None:
                    value, failure = None, each.failure
                    break
        self._let_go()
        super().settle(value, failure)

    def _end(self, value: Any, failure: Failure | None) -> None:
        self._let_go()
        super()._end(value, failure)

    def _let_go(self) -> None:
        names, self._names = self._names, ()
        self._again = self._before = None
        for each in names:
            each.unanswered.pop(self, None)
        if not self._given_up:
            self.has_begun()
        self.went()
