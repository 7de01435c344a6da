"""Parts of a method that must not be interrupted. Called by users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geopb.net.running import killing, served_here
from geopb.promise.deadline import until


@contextmanager
def shielded() -> Iterator[None]:
    """Hold off the end of the call that is being served until the block is left.

    A remote method whose call is cancelled, whose deadline passes or whose connection
    ends has `Cancelled` or `DeadlineExceeded` raised in it, wherever it blocks. Inside
    ``with pb.shielded():`` it is not; it is raised at the end of the block. Calls
    made inside do not inherit the deadline. For cleaning up. Elsewhere than in a
    remote method, or a generator that is a stream, it does nothing.
    """
    served = served_here()
    if served is None:
        yield
        return
    _, call = served
    token = until.set(None)
    call.shields += 1
    try:
        yield
    finally:
        call.shields -= 1
        until.reset(token)
        if not call.shields and call.interruption is not None and not call.thrown:
            call.thrown = True
            # A greenlet that the method returned is ended as by a kill.
            late = call.result is not None
            raise killing(call.interruption) if late else call.interruption
