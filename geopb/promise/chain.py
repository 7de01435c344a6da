"""What a promise does with its value: steps of its chain, calls on it.

Called by `Promise` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any, cast

from geopb.failure import Failure
from geopb.promise.waiting import Waitable, handling

Handler = Callable[..., Any]


class Step:
    """One step of a chain: two handlers, what they are called with, and where."""

    __slots__ = ("callback", "context", "errback", "for_callback", "for_errback")

    def __init__(
        self,
        callback: Handler | None,
        errback: Handler | None,
        for_callback: tuple[tuple[Any, ...], dict[str, Any]],
        for_errback: tuple[tuple[Any, ...], dict[str, Any]],
        context: Context,
    ) -> None:
        self.callback = callback
        self.errback = errback
        self.for_callback = for_callback
        self.for_errback = for_errback
        self.context = context

    def call(self, handled: Waitable, value: Any, failure: Failure | None) -> Any:
        """Run the handler that fits, inside `context`."""
        handling.set(handled)
        if failure is not None:
            args, kwargs = self.for_errback
            return cast(Handler, self.errback)(failure, *args, **kwargs)
        args, kwargs = self.for_callback
        return cast(Handler, self.callback)(value, *args, **kwargs)


def call_value(value: Any, method: Any, args: Any, kwargs: Any) -> Any:
    """Call a method of what a promise has become. Raises TypeError if it has none."""
    call = getattr(value, "callRemote", None)
    if call is None:
        kind = type(value).__name__
        raise TypeError(f"a result of type {kind} has no remote methods to call")
    return call(method, *args, **kwargs)
