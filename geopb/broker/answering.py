"""Calls in: sending the answers to what the peer has asked.

Never runs a method: the host does. Never fails itself: a value that may not cross
becomes the failure that the peer is told. Called by the broker (refusals) and the host.
"""

from __future__ import annotations

from dataclasses import replace

from geopb.broker.calls import IncomingCall
from geopb.broker.post import Post
from geopb.errors import Error, over_limit
from geopb.failure import report_of
from geopb.failure.fresh import told_attributes
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.wire import messages

#: Refusals come from the reader, which never waits: so many times the high-water mark
#: of unsent bytes, and the peer is not reading.
_UNREAD_REFUSALS = 2


class Answering:
    """The answers of this side."""

    __slots__ = ("_limits", "_post", "_registry")

    def __init__(self, post: Post, limits: Limits, registry: ClassRegistry) -> None:
        self._post = post
        self._registry = registry
        self._limits = limits

    def answer(self, call: IncomingCall, value: object) -> None:
        """Answer a call with a result, or with why that may not cross.

        Raises:
            BaseException: What a hook of a copy raised; no answer was sent.
        """
        if call.question is None or self._post.closed:
            return
        head: list[object] = [messages.ANSWER, call.question]
        try:
            self._post.send_values(
                head, (value,), perspective=call.target.serializing_perspective
            )
        except Error as error:
            self.fail(call, error)

    def fail(
        self, call: IncomingCall, error: BaseException, traceback: str | None = None
    ) -> None:
        """Answer a call with an exception, and a traceback; never fails itself."""
        if call.question is not None and not self._post.closed:
            report = report_of(error, traceback)
            if self._registry.find_name(type(error)) is not None:
                report = replace(report, attributes=told_attributes(error))
            self._post.send_report(call.question, report)

    def refuse(self, question: int | None, error: Exception) -> None:
        """Answer a call that is not run.

        Raises:
            LimitExceeded: The peer makes them and takes no answers: end it.
        """
        limit = _UNREAD_REFUSALS * self._limits.max_unsent_bytes
        # Bulk that the peer has asked for is no sign of that.
        unsent = self._post.outbox.frames_size
        if unsent > limit:
            raise over_limit("max_unsent_bytes", limit, "answers", unsent)
        if question is not None:
            self._post.send_report(question, report_of(error))
