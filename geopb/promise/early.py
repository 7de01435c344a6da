"""The promise of a call that names answers which were not there when it was made.

Owns making it again where the peer could not run it so. Made and settled by
connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gevent import GreenletExit

from geopb.failure import Failure, failure_of
from geopb.promise.answer import TimedAnswer
from geopb.promise.deadline import too_late
from geopb.promise.following import follow
from geopb.promise.naming import NamedAnswer
from geopb.promise.promise import Promise, cancelled
from geopb.workers import interrupt_main

T_co = TypeVar("T_co", covariant=True)


class EarlyAnswer(TimedAnswer[T_co]):
    """A promise of a call that names answers; it may have no deadline."""

    #: The answers that it names, until it has a result.
    _names: tuple[NamedAnswer, ...] = ()
    #: Makes the call again.
    _again: Callable[[], Promise[Any]] | None = None
    #: Not run, and not made again yet: no question of the peer's stands for it.
    _put_off = False

    def name(
        self, names: Iterable[NamedAnswer], again: Callable[[], Promise[Any]]
    ) -> None:
        """Take note of what it names, and of how to make it again with that."""
        if self._ready:
            return
        self._names = tuple(names)
        self._again = again
        for each in self._names:
            each.unanswered[self] = None

    @property
    def genuine(self) -> tuple[type[Exception], ...]:
        """Those of any call, and that its time is over if it has one."""
        errors = super().genuine
        return errors if self._timer is not None else errors[:-1]

    def _can_be_named(self) -> bool:
        return super()._can_be_named() and not self._put_off

    def not_run(self, question: int) -> bool:
        """Make the call again as soon as the answer to `question` is there."""
        for each in self._names:
            if each.question == question:
                self._put_off = True
                each.when_ready(self._go_on)
                return True
        # Ended here already: by its time, or with the connection.
        return self._ready

    def _go_on(self) -> None:
        """Make it again, or fail as what it names; in a worker."""
        again = self._again
        if again is None:
            # It has ended: handlers may still be running.
            return
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
        self._put_off = False
        follow(self, followed)

    def _cancel(self) -> None:
        if self._put_off:
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
        if self._put_off or self._followed is not None:
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
        self._again = None
        for each in names:
            each.unanswered.pop(self, None)
