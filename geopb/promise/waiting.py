"""Waiting for something to be ready, as gevent's own objects are waited for.

Owns `Waitable` (links, blocking, the thread it belongs to) and `Timeout`. Never runs
user code but raw links, which run in the hub. The base of `Promise`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import gevent
from gevent import get_hub, getcurrent
from gevent.exceptions import InvalidSwitchError

from geopb.finalizers import get_ident

#: What is being handled in this context: it must not wait for itself.
handling: ContextVar[Waitable | None] = ContextVar("handling", default=None)


class Timeout(gevent.Timeout, TimeoutError):
    """A wait that ended by its timeout; what was waited for goes on.

    Both a ``gevent.Timeout`` and a ``TimeoutError``.
    """

    __module__ = "geopb"

    def __init__(self, seconds: float | None = None, text: str | None = None) -> None:
        super().__init__(seconds, ref=False)
        self._text = text

    def __str__(self) -> str:
        return self._text or (
            f"no result within {self.seconds:g} s; what was waited for goes on"
        )


class Waitable:
    """Something that becomes ready, and that greenlets of its thread wait for."""

    _hub: Any
    _ready = False
    _links: list[Callable[[Any], object]] | None = None
    #: Whether it is of what a connection gives, not made by hand.
    _is_result = False
    #: What this one cannot become ready before.
    _waits_for: tuple[Waitable, ...] = ()

    def ready(self) -> bool:
        """Whether the end of the chain is reached; handlers added later run again."""
        return self._ready

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Have ``callback(self)`` called in the hub when the promise is ready.

        It is called once and may not block. For `gevent.wait` and the like.
        """
        if self._links is None:
            self._links = []
        self._links.append(callback)
        if self._ready:
            self._call_links_soon()

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Take a link back; an unknown one is ignored."""
        if self._links and callback in self._links:
            self._links.remove(callback)

    def _wait(self, timeout: float | None) -> bool:
        """Block until ready; False when `timeout` seconds passed before."""
        if get_ident() != self._hub.thread_ident:
            self._check_thread()
        handled = handling.get()
        if handled is None:
            if timeout is None:
                self._block()
                return True
            return self._wait_until_ready(timeout)
        if self._depends_on(handled):
            raise RuntimeError("a handler waits for the promise that waits for it")
        before = handled._waits_for
        handled._waits_for = (*before, self)
        try:
            return self._wait_until_ready(timeout)
        finally:
            handled._waits_for = before

    def _wait_until_ready(self, timeout: float | None) -> bool:
        if timeout is None:
            self._block()
            return True
        timer = gevent.Timeout.start_new(max(timeout, 0))
        try:
            self._block()
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            return self._ready
        finally:
            timer.close()
            # Where it has struck, its traceback holds this frame, and so the promise.
            timer.__traceback__ = None
        return True

    def _block(self) -> None:
        # What a Waiter does, without one.
        switch: Any = getcurrent().switch
        if self._links is None:
            self._links = [switch]
        else:
            self._links.append(switch)
        try:
            if self._hub.switch() is not self:
                raise InvalidSwitchError("a greenlet that waits was switched to")
        except BaseException as error:
            self.unlink(switch)
            call = getattr(getcurrent(), "call", None)
            if call is not None and call.interruption is error and not self._links:
                # The method that waits here is stopped: so is what it waits for,
                # unless others wait for it too.
                self._give_up()
            raise

    def _call_links_soon(self) -> None:
        # Twice is harmless: the second finds no links.
        self._hub.loop.run_callback(self._call_links)

    def _call_links(self) -> None:
        # Not ready any more: a handler was added meanwhile, and its end is waited for.
        while self._links and self._ready:
            link = self._links.pop(0)
            try:
                link(self)
            except Exception as error:
                where = (error.__class__, error, error.__traceback__)
                self._hub.handle_error((link, self), *where)

    def _give_up(self) -> None:
        """Take note that who waited here is stopped: this is not wanted any more."""
        raise NotImplementedError

    def _check_thread(self) -> None:
        if get_hub() is not self._hub:
            raise RuntimeError(
                "a promise can be used in its own thread only; the thread's hub.loop "
                "has run_callback_threadsafe()"
            )

    def _depends_on(self, other: Waitable) -> bool:
        """Whether this one cannot end before `other` has."""
        waiting: list[Waitable] = [self]
        seen: set[int] = set()
        while waiting:
            each = waiting.pop()
            if each is other:
                return True
            if id(each) not in seen and not each._ready:
                seen.add(id(each))
                waiting += each._waits_for
        return False
