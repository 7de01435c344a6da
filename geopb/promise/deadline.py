"""How long the calls that are made here may take.

Owns the deadline of the running context. Never ends anything: connections do, for the
calls that were made under it. Called by users (`deadline`), connections (calls out and
in) and promises (handlers keep the deadline of who added them).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from geopb.broker.calls import checked_seconds
from geopb.errors import DeadlineExceeded
from geopb.wire.messages import LONGEST

#: When the calls made here have to be done, by the monotonic clock; None for never.
until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Give every call made inside the ``with`` block this many seconds from now.

    Each such call fails with `DeadlineExceeded` when they have passed, and its method
    is interrupted at the peer. Calls made while serving a call inherit what is left
    of that call's. Of nested deadlines the earliest counts. A greenlet spawned inside
    has none. Waiting itself is not limited: `Promise.get` has its own timeout.

    Args:
        seconds: From now on; 0 or less has passed already. None gives no deadline of
            its own: one that counts here goes on counting.

    Raises:
        TypeError, ValueError: `seconds` is no finite number.
    """
    when = None if seconds is None else monotonic() + checked_seconds(seconds)
    token = until.set(until.get() if when is None else earliest(when))
    try:
        yield
    finally:
        until.reset(token)


def earliest(when: float) -> float:
    """Return `when`, or the deadline that counts here if that is before."""
    present = until.get()
    return when if present is None else min(when, present)


def time_left(timeout: float | None) -> float | None:
    """Return how many seconds a call made here has; None for no deadline.

    Args:
        timeout: Seconds that the call itself was given, None for no limit.
    """
    present = until.get()
    left = timeout
    if present is not None:
        left = present - monotonic()
        left = left if timeout is None else min(left, timeout)
    # No timer takes more, nor does the peer.
    return None if left is not None and left >= LONGEST else left


def too_late() -> DeadlineExceeded:
    """Make the error of a call whose deadline has passed."""
    return DeadlineExceeded("the deadline of the call has passed")
