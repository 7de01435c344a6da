"""The record of a failure that nobody looked at. Called by `Promise` alone."""

from __future__ import annotations

import logging

from geopb.failure import Failure
from geopb.finalizers import finalizer_queue
from geopb.text import safe_str
from geopb.workers import worker_pool

_log = logging.getLogger("geopb")


class Unhandled:
    """Held by a promise that ended in a failure nobody has looked at yet.

    It is collected with the promise; were ``__del__`` on the promise itself, each
    call would pay for it.
    """

    __slots__ = ("failure", "queue")

    def __init__(self, failure: Failure) -> None:
        self.failure: Failure | None = failure
        self.queue = finalizer_queue(worker_pool().submit_function)

    def __del__(self) -> None:
        if self.failure is not None:
            self.queue.put(_log_unhandled, self.failure)


def _log_unhandled(failure: Failure) -> None:
    message = safe_str(failure.getErrorMessage(), 1000)
    _log.error(
        "Unhandled error in Promise: %s: %s\n%s",
        failure.type,
        message,
        failure.getTraceback(),
    )
