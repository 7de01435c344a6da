"""The rules of a connection: what each message does, in which state.

Owns the state machine and one connection's tables. Deals in bytes, ids and values:
no sockets, no greenlets, no clock; so nothing here can switch greenlets in the middle
of a change, and all of it is tested with two brokers in memory. Both ends run this
same code. Called by the connection (`geopb.net.connection`), its `Host`.

    OPENING --hello--> OPEN --goodbye--> PARTED        and any --close()--> CLOSED
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from itertools import chain
from typing import Any, ClassVar

from geopb.broker.answering import Answering
from geopb.broker.asking import Asking
from geopb.broker.calls import IncomingCall
from geopb.broker.exports import Exports
from geopb.broker.host import Host
from geopb.broker.intake import Intake, Refused
from geopb.broker.objects import Objects, unknown_reference
from geopb.broker.post import Post
from geopb.broker.references import Import, Imports
from geopb.errors import (
    InsecureJelly,
    ProtocolError,
    over_limit,
)
from geopb.failure import ClassFinder
from geopb.limits import Limits
from geopb.text import printable, safe_repr
from geopb.wire import messages

#: Ids in one release message: some 12 KiB at the most, below every peer's limit.
_RELEASES_EACH = 700

Act = Callable[["Broker", list[Any]], None]


class State(Enum):
    """Where a connection stands, as this side sees it."""

    OPENING = "opening"
    OPEN = "open"
    PARTED = "parted"
    CLOSED = "closed"


#: For each message that is received: a global is found faster than an Enum's member.
_CLOSED = State.CLOSED
_OPEN = State.OPEN


class Broker:
    """One end of a connection.

    Args:
        host: Who sends the bytes and runs the calls.
        limits: This side's limits.
        lobby: The object under id 0, which answers the peer's first questions.
        clock: CPU seconds of this thread, for the hash budget.
        find_class: Local exception classes by qualified name.
    """

    def __init__(
        self,
        host: Host,
        limits: Limits,
        lobby: object,
        *,
        clock: Callable[[], float],
        find_class: ClassFinder,
    ) -> None:
        self._host = host
        self.limits = limits
        #: What the peer's hello told; the least there is, before that.
        self.peer_limits = messages.BEFORE_HELLO
        self.state = State.OPENING
        #: The certificate that the peer has proved to have, as ``getpeercert()``
        #: tells it; None without TLS, or without one. Set by the host.
        self.peer_certificate: dict[str, Any] | None = None
        self.exports = Exports(lobby)
        self.imports = Imports(host, limits.max_references)
        self._objects = Objects(host, self.exports, self.imports, limits)
        self.post = Post(self._objects, self.exports, host)
        self._intake = Intake(self._objects, self.imports, limits, clock)
        self._intake.pin = self._pin
        self._asking = Asking(self.post, find_class)
        self.questions = self._asking.questions
        #: Send calls: see `Asking`.
        self.call = self._asking.call
        self.call_only = self._asking.call_only
        answering = Answering(self.post, limits)
        #: Answer calls: see `Answering`.
        self.answer = answering.answer
        self.fail = answering.fail
        self.refuse = answering.refuse
        self._act = self._ACTS[State.OPENING]

    def begin(self) -> None:
        """Send the hello; to be called once, first."""
        self.post.send(messages.hello(self.limits.told()))

    # -- sending -------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken."""
        return self.post.outbox.unsent

    # -- ending ---------------------------------------------------------------------

    def release(self, entry: Import) -> None:
        """Give the peer's object back that a dropped reference stood for."""
        count = self.imports.forget(entry)
        if count and self.state in (State.OPENING, State.OPEN):
            self.post.send([messages.RELEASE, entry.number, count])

    def say_goodbye(self, reason: str) -> None:
        """Tell the peer that nothing more will come, and why; once."""
        if self.state is not State.CLOSED:
            self.post.finish([messages.GOODBYE, printable(reason, 1000)])

    def close(self, lost: Exception, *, quiet: bool = False) -> None:
        """End: fail all that is pending with `lost`, forget all tables.

        Settles promises in the order of their calls. Idempotent.
        """
        if self.state is State.CLOSED:
            return
        self._enter(State.CLOSED)
        self.exports.clear()
        self.imports.clear()
        self.post.close()
        self._intake.clear()
        self._asking.end(lost, quiet=quiet)

    # -- messages in ---------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes off the line and act on the messages that they complete.

        Raises:
            ProtocolError, LimitExceeded: The peer broke the protocol; what was
                pending is to be failed by `close`. The text says how.
        """
        if self.state is _CLOSED:
            return
        intake = self._intake
        for body in intake.cut(data):
            if type(body) is bytes:
                message = intake.read(body)
                if message is not None:
                    self._receive_message(message)
                elif self.state is not _OPEN:
                    raise ProtocolError(f"bulk while {self.state.value}")
            else:
                self._receive_part(body)
        if intake.frames.refusal is not None:
            raise intake.frames.refusal

    @property
    def in_the_middle(self) -> bool:
        """Whether the stream would end inside a message if it ended now."""
        return self._intake.in_the_middle

    def _receive_message(self, message: list[Any] | Refused) -> None:
        if isinstance(message, Refused):
            self._fail_one(message)
            return
        kind = message[0]
        act = self._act.get(kind) if type(kind) is int else None
        if act is None:
            raise ProtocolError(
                f"a message of kind {safe_repr(kind, 20)} while {self.state.value}"
            )
        act(self, message)

    def _receive_part(self, part: Any) -> None:
        if self.state is not State.OPEN:
            raise ProtocolError(f"bulk while {self.state.value}")
        whole = self._intake.add_chunk(part)
        if whole is not None:
            self._receive_message(whole.message)
            if whole.pinned is not None:
                self.exports.unpin(whole.pinned)

    def _pin(self, message: list[Any]) -> int | None:
        """Keep the target of a call that waits for bulk: a release may come first."""
        if type(message[0]) is int and message[0] == messages.CALL and len(message) > 2:
            number = message[2]
            if messages.is_id(number) and self.exports.pin(number):
                return int(number)
        return None

    def _fail_one(self, refused: Refused) -> None:
        """Fail the one call that a refused message belongs to."""
        self._give_back(refused.theirs)
        kind, question = [*refused.head, None, None][:2]
        if self.state is State.OPEN and type(kind) is int:
            if kind == messages.CALL and (question is None or messages.is_id(question)):
                self.refuse(question, refused.error)
                return
            if kind in (messages.ANSWER, messages.ERROR) and messages.is_id(question):
                self._asking.refused(question, refused.error)
                return
        raise ProtocolError(f"a message that is refused: {refused.error}")

    def _give_back(self, numbers: list[int]) -> None:
        """Release references that came with a message which is not used."""
        counts = list(Counter(filter(messages.is_id, numbers)).items())
        for start in range(0, len(counts), _RELEASES_EACH):
            some = counts[start : start + _RELEASES_EACH]
            self.post.send([messages.RELEASE, *chain.from_iterable(some)])

    def _on_hello(self, message: list[Any]) -> None:
        told = self.peer_limits = messages.read_hello(message)
        self._enter(State.OPEN)
        self._objects.opened(told.max_references)
        # A peer that takes deeper values does not make this side's encoder go deeper.
        depth = min(told.max_depth, self.limits.max_depth)
        self.post.opened(replace(told, max_depth=depth))
        self._host.opened()

    def _on_call(self, message: list[Any]) -> None:
        question, number, name, args, kwargs, options = messages.read_call(message)
        target = self.exports.find(number)
        if target is None:
            self.refuse(question, InsecureJelly(unknown_reference(number)))
        elif len(name) > self.limits.max_name_length:
            limit = self.limits.max_name_length
            error = over_limit("max_name_length", limit, "a method name", len(name))
            self.refuse(question, error)
        else:
            nested = bool(options) and options.get(messages.NESTED) is True
            call = IncomingCall(self, question, target, name, args, kwargs)
            self._host.start(call, nested=nested)

    def _on_answer(self, message: list[Any]) -> None:
        self._asking.answered(message)

    def _on_error(self, message: list[Any]) -> None:
        self._asking.failed(message)

    def _on_release(self, message: list[Any]) -> None:
        for number, count in messages.read_release(message):
            self.exports.release(number, count)

    def _on_chunk(self, message: list[Any]) -> None:
        # One whose bytes are not the plain rest of its frame (see `chunk_head`).
        raise ProtocolError(f"a chunk of the wrong shape: {safe_repr(message)}")

    def _on_goodbye(self, message: list[Any]) -> None:
        reason = messages.read_goodbye(message)
        self._enter(State.PARTED)
        self._host.parted(reason)

    def _enter(self, state: State) -> None:
        self.state = state
        self._act = self._ACTS[state]

    #: What may come in which state, and what it does. All else breaks the protocol.
    _ACTS: ClassVar[dict[State, dict[int, Act]]] = {
        State.OPENING: {messages.HELLO: _on_hello},
        State.OPEN: {
            messages.CALL: _on_call,
            messages.ANSWER: _on_answer,
            messages.ERROR: _on_error,
            messages.RELEASE: _on_release,
            messages.CHUNK: _on_chunk,
            messages.GOODBYE: _on_goodbye,
        },
        State.PARTED: {},
        State.CLOSED: {},
    }

    def statistics(self) -> dict[str, int]:
        """Return how full the tables are, by name."""
        return {
            "exports": len(self.exports),
            "imports": len(self.imports),
            "questions": len(self.questions),
            "bulk_in": self._intake.bulk,
            "unsent": self.unsent,
        }

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={n}" for name, n in self.statistics().items())
        return f"<Broker {self.state.value}: {held}>"
