"""The record of a failure that nobody looked at. Called by `Promise` alone."""

from __future__ import annotations

import atexit
import logging
from weakref import WeakSet

from geopb.failure import CopiedFailure, Failure
from geopb.finalizers import finalizer_queue
from geopb.text import printable
from geopb.workers import worker_pool

#: Lines of a traceback in one record.
_MOST_LINES = 500
_log = logging.getLogger("geopb")


class Unhandled:
    """Held by a promise that ended in a failure nobody has looked at yet.

    It is collected with the promise; were ``__del__`` on the promise itself, each
    call would pay for it.
    """

    __slots__ = ("__weakref__", "failure", "queue")

    def __init__(self, failure: Failure) -> None:
        self.failure: Failure | None = failure
        self.queue = finalizer_queue(worker_pool().submit_function)
        _living.add(self)

    def __del__(self) -> None:
        if self.failure is not None:
            self.queue.put(_log_unhandled, self.failure)


_living: WeakSet[Unhandled] = WeakSet()


@atexit.register
def _log_the_living() -> None:
    """Log what is still held at the end of the program: its collection is too late."""
    for unhandled in list(_living):
        failure, unhandled.failure = unhandled.failure, None
        if failure is not None:
            _log_unhandled(failure)


def _log_unhandled(failure: Failure) -> None:
    if failure.quiet:
        # Of another promise that has failed with the same: told already.
        return
    failure.quiet = True
    # A peer may have made the text: its lines must not pass for lines of the log.
    margin = "| " if isinstance(failure, CopiedFailure) else ""
    lines = failure.getTraceback().splitlines()
    _log.error(
        "Unhandled error in Promise: %s: %s\n%s",
        printable(failure.type),
        printable(failure.getErrorMessage(), 1000),
        "\n".join(margin + printable(line, 1000) for line in lines[:_MOST_LINES]),
    )
