"""Calls in: sending the answers to what the peer has asked.

Never runs a method: the host does. Never fails itself: a value that may not cross
becomes the failure that the peer is told. Called by the broker (refusals) and the host.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from geopb.broker.calls import IncomingCall
from geopb.broker.objects import Objects
from geopb.broker.pipeline import KEPT, KEPT_BYTES, Pipeline
from geopb.broker.post import Post
from geopb.errors import Error, over_limit
from geopb.failure import report_of
from geopb.failure.fresh import told_attributes
from geopb.jelly.census import SCALAR_TYPES
from geopb.jelly.finish import abandon
from geopb.jelly.passing import Packing
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.wire import messages
from geopb.wire.short import answer_body, reference_body

#: Refusals come from the reader, which never waits: so many times the high-water mark
#: of unsent bytes, and the peer is not reading.
_UNREAD_REFUSALS = 2


class Answering:
    """The answers of this side."""

    __slots__ = ("_limits", "_objects", "_pipeline", "_post", "_registry")

    def __init__(
        self,
        post: Post,
        objects: Objects,
        pipeline: Pipeline,
        limits: Limits,
        registry: ClassRegistry,
    ) -> None:
        self._post = post
        self._objects = objects
        self._pipeline = pipeline
        self._registry = registry
        self._limits = limits

    def answer(self, call: IncomingCall, value: object) -> None:
        """Answer a call with a result, or with why that may not cross.

        Raises:
            BaseException: What a hook of a copy raised; no answer was sent.
        """
        question = call.question
        if question is None or self._post.closed:
            return
        body = answer_body(question, value) if type(value) in SCALAR_TYPES else b""
        number: int | None = None
        if body:
            self._post.send_body(body)
            pipeline = self._pipeline
            if pipeline.kept and len(body) <= KEPT_BYTES and not pipeline.waiting:
                # What `answered` would do: most answers pass here.
                pipeline.kept[question % KEPT] = body
                return
        else:
            perspective = call.target.serializing_perspective
            try:
                number = self._answer_reference(question, value, perspective)
                if number is None:
                    body = self._answer_packed(question, value, perspective)
            except Error as error:
                self.fail(call, error)
                return
        self._pipeline.answered(question, number, body)

    def _answer_reference(
        self, question: int, value: object, perspective: Any
    ) -> int | None:
        """Answer with an object of this side; return its id, None if it is none."""
        if self._registry.find_record(type(value)) is not None:
            return None
        number = self._objects.export(value, perspective)
        if number is not None:
            self._post.send_body(reference_body(question, number))
        return number

    def _answer_packed(self, question: int, value: object, perspective: Any) -> bytes:
        """Answer with any other value; return the message if it is to be kept."""
        packing = Packing(perspective)
        head: list[object] = [messages.ANSWER, question]
        packed = self._post.pack(head, (value,), packing=packing)
        self._post.send_packed(packed, packing)
        return b"" if packed.bulk or packing.begun else packed.body

    def fail(
        self, call: IncomingCall, error: BaseException, traceback: str | None = None
    ) -> None:
        """Answer a call with an exception, and a traceback; never fails itself."""
        if call.question is not None and not self._post.closed:
            report = report_of(error, traceback)
            if self._registry.find_name(type(error)) is not None:
                report = replace(report, attributes=told_attributes(error))
            self._post.send_report(call.question, report)
            self._pipeline.failed(call.question)

    def refuse(self, question: int | None, error: Exception) -> None:
        """Answer a call that is not run.

        Raises:
            LimitExceeded: The peer makes them and takes no answers: end it.
        """
        self.check_unread()
        if question is not None:
            self._post.send_report(question, report_of(error))
            self._pipeline.failed(question)

    def not_run(self, call: IncomingCall, question: int) -> None:
        """Have the peer make a call again, with the answer to `question`."""
        abandon(call.unfinished)
        if call.question is not None and not self._post.closed:
            self._post.send([messages.NOT_RUN, call.question, question])
            self._pipeline.failed(call.question)

    def check_unread(self) -> None:
        """Look whether the peer takes the refusals that the reader sends it.

        Raises:
            LimitExceeded: It does not.
        """
        limit = _UNREAD_REFUSALS * self._limits.max_unsent_bytes
        # Bulk that the peer has asked for is no sign of that.
        unsent = self._post.outbox.frames_size
        if unsent > limit:
            raise over_limit("max_unsent_bytes", limit, "answers", unsent)
