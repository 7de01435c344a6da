"""Telling those who wait for the end of a connection.

Owns the running of disconnect callbacks. Called by the connection, in a worker.
"""

from __future__ import annotations

import logging
import traceback
from contextvars import Context

from gevent import GreenletExit

from geopb.broker.references import DisconnectCallback, RemoteReference
from geopb.workers import interrupt_main

_log = logging.getLogger("geopb.connection")


def tell(watchers: list[tuple[RemoteReference, DisconnectCallback]]) -> None:
    """Run disconnect callbacks, in a worker; one that raises does not stop the next."""
    killed: BaseException | None = None
    for reference, callback in watchers:
        try:
            Context().run(callback, reference)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                interrupt_main(error)
            elif isinstance(error, GreenletExit):
                killed = error
            else:
                _log_raised(error)
    if killed is not None:
        raise killed


def _log_raised(error: BaseException) -> None:
    """Log what a callback raised; a log handler that raises is told on stderr."""
    try:
        _log.error("a disconnect callback raised", exc_info=error)
    except Exception:
        traceback.print_exc()
