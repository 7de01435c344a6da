"""Where users' code begins and ends: before a method runs, and after it has raised.

Owns what is set up for a method and what becomes of errors that are no method's answer
alone. Called by the service, in workers.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from types import TracebackType

from gevent import GreenletExit

from geopb.broker.calls import IncomingCall
from geopb.broker.objects import serving_perspective
from geopb.flavors.referenceable import Referenceable
from geopb.jelly.finish import Unfinished
from geopb.notices import Notices
from geopb.promise.deadline import until
from geopb.text import printable, safe_str
from geopb.workers import interrupt_main

_log = logging.getLogger("geopb")
_traceback: Callable[[BaseException], TracebackType | None]
_traceback = BaseException.__dict__["__traceback__"].__get__
_DISPATCH = Referenceable.remoteMessageReceived.__code__


def prepare(call: IncomingCall) -> None:
    """Set up a call's context, and finish its arguments: users' code may run."""
    until.set(call.until)
    serving_perspective.set(call.target.serializing_perspective)
    if call.unfinished is not None:
        call.unfinished.finish()


def finish(
    job: tuple[Unfinished, Callable[[BaseException | None], object]],
) -> None:
    """Finish an answer, in a worker, and tell how that went."""
    unfinished, then = job
    try:
        Context().run(unfinished.finish)
    except BaseException as error:
        then(error)
        pass_on(error)
    else:
        then(None)


def pass_on(error: BaseException | None) -> None:
    """Go on with what a call was hit by, now that it is answered."""
    if error is None:
        return
    kind = type(error)
    if issubclass(kind, KeyboardInterrupt):
        interrupt_main(error)
    elif issubclass(kind, GreenletExit):
        # Whoever killed this greenlet waits for its end.
        raise error


def is_misfit(error: BaseException) -> bool:
    """Whether a method was called with arguments that it does not take."""
    # Its type is asked, and not the error: its attributes may be users' code.
    if not issubclass(type(error), TypeError):
        return False
    last = _traceback(error)
    if last is None:
        return False
    while last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_code is _DISPATCH


def log_unexpected(trace: str | None) -> None:
    """Log the traceback of an exception that a method was not expected to raise."""
    with _safely():
        _log.error("Peer will receive following PB traceback:\n%s", trace)


def log_misfit(notices: Notices, call: IncomingCall, error: BaseException) -> None:
    """Log the peer's mistake: a traceback would say nothing more."""
    with _safely():
        text = printable(safe_str(error), 500)
        notices.warning("call of %s refused: %s", printable(call.name), text)


@contextmanager
def _safely() -> Iterator[None]:
    try:
        yield
    except Exception:
        # A handler that raises cannot be told so in the log.
        traceback.print_exc()
