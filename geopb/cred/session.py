"""One login that succeeded: an avatar, and the logout that is run once.

Owns when that is: when the connection has ended, or the peer holds the avatar no more;
and at once, if both are over before the realm has made the avatar. Never runs the
realm's code but in a worker. Made by the logins of a connection.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import Context
from typing import Any

from gevent import GreenletExit

from geopb.cred.portal import awaited
from geopb.finalizers import finalizer_queue
from geopb.flavors.viewable import AvatarReference
from geopb.workers import interrupt_main, worker_pool

_log = logging.getLogger("geopb.cred")


class Session:
    """A login, from when the credentials were found right to its logout.

    Args:
        ended: Called with it once, when it has ended.
    """

    def __init__(self, ended: Callable[[Session], object]) -> None:
        self._ended: Callable[[Session], object] | None = ended
        self._logout: Callable[[], object] | None = None
        self._pool = worker_pool()
        #: For finalizers: they run in any greenlet and thread.
        self.queue = finalizer_queue(self._pool.submit_function)

    def begin(self, avatar: Any, logout: Callable[[], object]) -> Held:
        """Take what the realm returned; return what crosses for the avatar.

        The logout runs at once, where the session has ended meanwhile.
        """
        self._logout = logout
        if self._ended is None:
            self._log_out()
        return Held(avatar, self)

    def end(self) -> None:
        """Log out, in a worker; idempotent. Does not switch greenlets."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self)
            self._log_out()

    def _log_out(self) -> None:
        logout, self._logout = self._logout, None
        if logout is not None:
            self._pool.submit(_run, logout)


class Held(AvatarReference):
    """What crosses for an avatar. When the peer's last reference goes, so does it."""

    def __init__(self, avatar: Any, session: Session) -> None:
        super().__init__(avatar)
        self._session = session

    def __del__(self) -> None:
        # Not where the realm's avatar is none.
        session = getattr(self, "_session", None)
        if session is not None:
            session.queue.put(Session.end, session)


def _run(logout: Callable[[], object]) -> None:
    """Run a logout; what it raises is logged and harms nothing."""
    try:
        Context().run(lambda: awaited(logout()))
    except GreenletExit:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            interrupt_main(error)
            return
        try:
            _log.error("a logout raised", exc_info=error)
        except Exception:
            # A log handler that raises cannot be told so in the log.
            traceback.print_exc()
