"""In what a call is made: a remote method, a handler, or outside of both.

Owns the answer to that, also for calls that are sent later than they are made. Called
by whoever makes calls wait, or lets them pass.
"""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context
from typing import Any

from gevent import getcurrent

from geopb.promise.waiting import handling
from geopb.workers import Worker


class Job:
    """What has no other name that calls made in it could be told by."""

    __slots__ = ("__weakref__",)


#: All that is neither a remote method nor a handler or another hook.
OUTSIDE = Job()

#: In what a call was made that is sent in this context: it had to wait, or is made
#: again. None for what is made here and now.
_made_in: ContextVar[object | None] = ContextVar("made_in", default=None)


def job_here() -> object:
    """Return in what a call made here is made, `OUTSIDE` for nothing that ends.

    The same for all calls of one remote method, and for those of one chain's handlers;
    one of its own for what other hooks call.
    """
    before = _made_in.get()
    if before is not None:
        return before
    worker: Any = getcurrent()
    if type(worker) is not Worker:
        return OUTSIDE
    return worker.call or handling.get() or Job()


def in_worker() -> bool:
    """Whether a call made here is made in a job: in a remote method or a handler."""
    return job_here() is not OUTSIDE


def context_for_later() -> Context:
    """Copy the context, for a call that is made here and sent later, in a job."""
    context = copy_context()
    context.run(_made_in.set, job_here())
    return context
