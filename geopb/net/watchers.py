"""Users' code whose caller is nobody: disconnect callbacks, and hooks.

Never lets one that raises keep the next from running; what it raises is logged. Run in
workers, for the connection, and in a greenlet of its own for a client.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import Context
from typing import Any

from gevent import GreenletExit

from geopb.broker.references import DisconnectCallback, RemoteReference
from geopb.workers import interrupt_main

_log = logging.getLogger("geopb.connection")
_client_log = logging.getLogger("geopb.client")


def tell(watchers: list[tuple[RemoteReference, DisconnectCallback]]) -> None:
    """Run disconnect callbacks; one that raises does not stop the next."""
    killed: BaseException | None = None
    for reference, callback in watchers:
        killed = _run("a disconnect callback", callback, reference) or killed
    if killed is not None:
        raise killed


def run_hook(function: Callable[[], object]) -> None:
    """Run a hook of the user's."""
    killed = _run("a hook of a Cacheable", function)
    if killed is not None:
        raise killed


def run_on_connect(on_connect: Callable[[Any], object], client: object) -> None:
    """Run a client's ``on_connect``; what it raises is logged and harms nothing."""
    try:
        on_connect(client)
    except GreenletExit:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            interrupt_main(error)
        else:
            _client_log.error("on_connect raised", exc_info=error)


def _run(what: str, function: Callable[..., object], *args: Any) -> Any:
    """Run users' code; return what killed the greenlet, None for nothing."""
    try:
        Context().run(function, *args)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            interrupt_main(error)
        elif isinstance(error, GreenletExit):
            return error
        else:
            _log_raised(what, error)
    return None


def _log_raised(what: str, error: BaseException) -> None:
    """Log what a callback raised; a log handler that raises is told on stderr."""
    try:
        _log.error("%s raised", what, exc_info=error)
    except Exception:
        traceback.print_exc()
