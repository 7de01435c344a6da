"""The rules of a connection: what each message does, in which state.

Owns the state machine and one connection's tables. Deals in bytes, ids and values:
no sockets, no greenlets, no clock; so nothing here can switch greenlets in the middle
of a change, and all of it is tested with two brokers in memory. Both ends run this
same code. Called by the connection (`geopb.net.connection`), its `Host`.

    OPENING --hello--> OPEN --goodbye--> PARTED        and any --close()--> CLOSED
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any, ClassVar, cast

from geopb.broker.answering import Answering
from geopb.broker.asking import Asking
from geopb.broker.brief import take_brief
from geopb.broker.bulk import take_filled, take_part
from geopb.broker.exports import Exports
from geopb.broker.feeds import Feeds
from geopb.broker.following import Following
from geopb.broker.host import Host
from geopb.broker.imports import Imports
from geopb.broker.intake import Intake, Refused, no_values
from geopb.broker.objects import Objects
from geopb.broker.pipeline import Pipeline
from geopb.broker.post import Post
from geopb.broker.releases import take_release
from geopb.broker.serving import pin, take_call
from geopb.broker.state import State
from geopb.errors import ProtocolError
from geopb.jelly.finish import Unfinished
from geopb.jelly.readers import Readers
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.text import printable, safe_repr
from geopb.wire import messages
from geopb.wire.brief import LEAST_READ, MOST_READ
from geopb.wire.framing import ChunkPart

Act = Callable[["Broker", list[Any], "Unfinished | None"], None]


#: For each message that is received: a global is found faster than an Enum's member.
_CLOSED = State.CLOSED
_OPEN = State.OPEN


class Broker:
    """One end of a connection.

    Args:
        host: Who sends the bytes and runs the calls.
        limits: This side's limits.
        lobby: The object under id 0, which answers the peer's first questions.
        readers: The decoders, with these limits and this registry.
        registry: Local classes by qualified name.
    """

    # fmt: off
    __slots__ = (
        "__weakref__", "_act", "_answering", "_asking", "_following", "_objects",
        "_peer_drains", "answer", "call", "exports", "frames", "host", "imports",
        "intake", "limits", "peer_certificate", "peer_limits", "pipeline", "post",
        "questions", "server_certificate", "state"
    )
    # fmt: on

    def __init__(
        self,
        host: Host,
        limits: Limits,
        lobby: object,
        *,
        readers: Readers,
        registry: ClassRegistry,
    ) -> None:
        self.host = host
        self.limits = limits
        #: What the peer's hello told; the least there is, before that.
        self.peer_limits = messages.BEFORE_HELLO
        self.state = State.OPENING
        #: The peer's certificate, as ``getpeercert()`` tells it, or None: the host's.
        self.peer_certificate: dict[str, Any] | None = None
        #: The server's, in DER, as far as this side knows it. Set by the host.
        self.server_certificate: bytes | None = None
        self.exports = Exports(lobby)
        self.imports = Imports(host, limits.max_references)
        objects = self._objects = Objects(
            host, self.exports, self.imports, limits, registry
        )
        self.post = Post(objects, self.exports, host)
        # Until the hello tells: calls on the root may go with this side's own. What
        # passes the peer's is refused by it, as it would be later.
        self.post.peer_limits = replace(
            messages.BEFORE_HELLO,
            max_depth=limits.max_depth,
            max_integer_bits=limits.max_integer_bits,
            max_decimal_digits=limits.max_decimal_digits,
        )
        #: Reads messages, and knows what the last of them weighs.
        self.intake = Intake(objects, self.imports, self.exports, limits, readers)
        #: Cuts the stream: it knows what of a chunk is still to come.
        self.frames = self.intake.frames
        asking = self._asking = Asking(self.post, host, registry)
        self.questions = asking.questions
        objects.make_feeds = self._make_feeds
        #: Send calls: see `Asking`.
        self.call = asking.call
        #: Calls of the peer's that name answers: for the host that runs them.
        self.pipeline = Pipeline(
            host, objects, self.exports, self.imports, readers, self.intake
        )
        self._answering = Answering(self.post, objects, self.pipeline, limits, registry)
        #: Answer calls: see `Answering`.
        self.answer = self._answering.answer
        self.intake.pin = pin
        self._following = Following(self, host, self.imports)
        self._act = self._ACTS[State.OPENING]
        self._peer_drains = False

    # Bound methods that each connection would keep, and most never ask for.
    #: Keep other bounds on messages' sizes.
    bound = property(attrgetter("intake.bound"))
    #: Send calls: see `Asking`.
    call_only = property(attrgetter("_asking.call_only"))
    call_early = property(attrgetter("_asking.call_early"))
    abandon = property(attrgetter("_asking.abandon"))
    #: Answer calls: see `Answering`.
    fail = property(attrgetter("_answering.fail"))
    refuse = property(attrgetter("_answering.refuse"))
    not_run = property(attrgetter("_answering.not_run"))
    check_unread = property(attrgetter("_answering.check_unread"))

    def _make_feeds(self) -> Feeds:
        asking, most = self._asking, self.limits.max_unsent_bytes
        ask, keep = asking.new_question, asking.remember
        return Feeds(self.post, self.host, ask, keep, most)

    def begin(self) -> None:
        """Send the hello; to be called once, first."""
        self.post.send(messages.hello(self.limits.told()))

    # -- sending -------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken."""
        return self.post.outbox.unsent

    # -- ending ---------------------------------------------------------------------

    def say_draining(self) -> None:
        """Tell the peer that no new calls are taken from now on."""
        if self.state in (State.OPENING, State.OPEN):
            self.post.send([messages.DRAINING, False])

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
        self.imports.clear(lost)
        self.post.close()
        self.intake.clear()
        self.pipeline.clear()
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
        intake = self.intake
        for body in intake.frames.feed(data):
            if type(body) is bytes:
                if LEAST_READ <= len(body) <= MOST_READ and take_brief(self, body):
                    continue
                message = intake.read(body)
                if message is not None:
                    unfinished = intake.unfinished and intake.take_unfinished()
                    if type(message) is list and type(message[0]) is int:
                        # What `receive_message` would do: most of the rest pass here.
                        act = self._act.get(message[0])
                        if act is not None:
                            act(self, message, unfinished)
                            continue
                    self.receive_message(message, unfinished)
                elif self.state is not _OPEN:
                    raise ProtocolError(f"bulk while {self.state.value}")
            else:
                take_part(self, cast(ChunkPart, body))
        if intake.frames.refusal is not None:
            raise intake.frames.refusal

    @property
    def in_the_middle(self) -> bool:
        """Whether the stream would end inside a message if it ended now."""
        return self.intake.in_the_middle

    def receive_message(
        self, message: list[Any] | Refused, unfinished: Unfinished | None
    ) -> None:
        """Act on a message, where it is new or its bulk has come."""
        if type(message) is not list:
            self._fail_one(cast(Refused, message))
            return
        kind = message[0]
        act = self._act.get(kind) if type(kind) is int else None
        if act is None:
            raise ProtocolError(
                f"a message of kind {safe_repr(kind, 20)} while {self.state.value}"
            )
        act(self, message, unfinished)

    def room(self) -> memoryview | None:
        """Return where the next bytes of the chunk under way may be read to.

        None where they are to be received, as all else. What was read to there is told
        by `filled`, once, and the room let go before that.
        """
        return self.intake.room()

    def filled(self, count: int) -> None:
        """Take so many bytes of that room, as `receive` does."""
        take_filled(self, count)

    def _fail_one(self, refused: Refused) -> None:
        """Fail the one call that a refused message belongs to."""
        self.post.give_back(refused.theirs)
        kind, question = [*refused.head, None, None][:2]
        if self.state is State.OPEN and type(kind) is int:
            asks = question is None or messages.is_id(question)
            if asks and kind in (messages.CALL, messages.UPDATE, messages.SNAPSHOT):
                self.refuse(question, refused.error)
                return
            if kind in (messages.ANSWER, messages.ERROR) and messages.is_id(question):
                self._asking.refused(question, refused.error)
                return
        raise ProtocolError(f"a message that is refused: {refused.error}")

    def _on_hello(self, message: list[Any], unfinished: Unfinished | None) -> None:
        no_values(unfinished)
        told = self.peer_limits = messages.read_hello(message)
        self._enter(State.OPEN)
        self._objects.opened(told.max_references)
        # A peer that takes deeper values does not make this side's encoder go deeper.
        depth = min(told.max_depth, self.limits.max_depth)
        fits = depth == told.max_depth
        self.post.opened(told if fits else replace(told, max_depth=depth))
        self.questions.bound(told.max_pending_bytes)
        self.host.opened()

    def _on_answer(self, message: list[Any], unfinished: Unfinished | None) -> None:
        self._asking.answered(message, unfinished)

    def _on_chunk(self, message: list[Any], unfinished: Unfinished | None) -> None:
        # One whose bytes are not the plain rest of its frame (see `chunk_head`).
        raise ProtocolError(f"a chunk of the wrong shape: {safe_repr(message)}")

    def _on_cancel(self, message: list[Any], unfinished: Unfinished | None) -> None:
        no_values(unfinished)
        question, late = messages.read_cancel(message)
        if not self.intake.cancel(question, late=late):
            self.host.cancel(question, late=late)

    def _on_draining(self, message: list[Any], unfinished: Unfinished | None) -> None:
        no_values(unfinished)
        if messages.read_draining(message):
            self.host.drain_seen()
        elif not self._peer_drains:
            # Told once: a peer that says it on and on gets no answer each time.
            self._peer_drains = True
            self.host.peer_drains()
            self.post.send([messages.DRAINING, True])

    def _on_goodbye(self, message: list[Any], unfinished: Unfinished | None) -> None:
        no_values(unfinished)
        reason = messages.read_goodbye(message)
        self._enter(State.PARTED)
        self.host.parted(reason)

    def _on_taken(self, message: list[Any], unfinished: Unfinished | None) -> None:
        no_values(unfinished)
        self.post.peer_took(messages.read_taken(message))

    def _enter(self, state: State) -> None:
        self.state = state
        self._act = self._ACTS[state]

    #: What may come in which state, and what it does. All else breaks the protocol.
    _ACTS: ClassVar[dict[State, dict[int, Act]]] = {
        State.OPENING: {messages.HELLO: _on_hello},
        State.OPEN: {
            messages.CALL: take_call,
            messages.ANSWER: _on_answer,
            messages.ERROR: lambda broker, *told: broker._asking.failed(*told),
            messages.RELEASE: take_release,
            messages.CHUNK: _on_chunk,
            messages.GOODBYE: _on_goodbye,
            messages.UPDATE: lambda broker, *told: broker._following.update(*told),
            messages.SNAPSHOT: lambda broker, *told: broker._following.snapshot(*told),
            messages.UPDATES_END: lambda broker, *told: broker._following.updates_end(
                *told
            ),
            messages.CANCEL: _on_cancel,
            messages.NOT_RUN: lambda broker, *told: broker._asking.not_run(*told),
            messages.DRAINING: _on_draining,
            messages.TAKEN: _on_taken,
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
            "waited_for": len(self.pipeline),
            "bulk_in": self.intake.bulk,
            "unsent": self.unsent,
        }

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={n}" for name, n in self.statistics().items())
        return f"<Broker {self.state.value}: {held}>"
