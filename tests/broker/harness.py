"""Two brokers in memory: the core without a socket, a greenlet or a clock of its own.

`Side` is a host and a line that runs the peer's calls inline, `Answer` a promise of the
methods that the broker knows, `Pair` two joined sides. Bytes move when `deliver`
says so: whole, in pieces of a size, or up to a number of bytes. Where users' code would
block, the world goes on meanwhile: `Pair` delivers inside the wait.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from time import thread_time
from typing import Any

from geopb.broker.broker import Broker
from geopb.broker.caches import CacheEntry
from geopb.broker.calls import IncomingCall
from geopb.broker.objects import serving_perspective
from geopb.broker.references import Import, RemoteReference
from geopb.broker.releases import release_dropped
from geopb.broker.state import State
from geopb.errors import LimitExceeded, PBConnectionLost, ProtocolError
from geopb.failure import Failure
from geopb.flavors.referenceable import Referenceable
from geopb.flavors.streamed import Stream
from geopb.jelly.finish import Unfinished
from geopb.jelly.readers import Readers
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from tests.vectors.cbor import frame

Pieces = Callable[[bytes], Iterator[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """Deliver what was taken as it is."""
    yield data


def in_pieces(size: int) -> Pieces:
    """Deliver at most `size` bytes at a time."""

    def cut(data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return cut


byte_by_byte = in_pieces(1)


class Answer:
    """What waits for an answer. It is settled once, and keeps how."""

    #: Errors that are about this call though the peer tells them.
    genuine: tuple[type[Exception], ...] = ()

    def __init__(self) -> None:
        self.settled = False
        self._value: Any = None
        self.failure: Failure | None = None

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """End, once."""
        assert not self.settled, "an answer was settled twice"
        self.settled, self._value, self.failure = True, value, failure

    def ready(self) -> bool:
        """Whether it has ended."""
        return self.settled

    def successful(self) -> bool:
        """Whether it has ended, and not with a failure."""
        return self.settled and self.failure is None

    def get(self) -> Any:
        """Return the value, or raise the failure's exception."""
        assert self.settled, "the answer is not there yet"
        if self.failure is not None:
            self.failure.raiseException()
        return self._value

    def drop(self) -> None:
        """Let go of the value."""
        self._value = None


class Awaited(Answer):
    """A promise whose `get` lets the world go on until it has ended."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self._side = side

    def get(self) -> Any:
        """Return the value, or raise the failure's exception."""
        if not self.settled:
            self._side.let_go_on()
        return super().get()


class Desk(Referenceable):
    """The lobby of a side: does what tests need, and remembers what it was given."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.keywords: dict[str, Any] = {}
        self.objects: dict[str, Any] = {}

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_take(self, *args: Any, **kw: Any) -> None:
        self.taken.extend(args)
        self.keywords.update(kw)

    def remote_get(self, name: str) -> Any:
        return self.objects[name]

    def remote_forget(self) -> None:
        self.taken.clear()
        self.keywords.clear()


class Thing(Referenceable):
    """An object to pass around."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.calls = 0

    def remote_ask(self, *args: Any) -> Any:
        self.calls += 1
        return self.answer


class Produced(Referenceable):
    """Stands for what makes a stream's items; remembers what it was told."""

    called = True

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.told: list[str] = []

    def sent(self) -> None:
        """The stream is on its way."""
        self.told.append("sent")

    def failed(self, *, named: bool) -> None:
        """It was not sent after all."""
        self.told.append("failed")
        self.stream.take_back()

    def released(self, left: int) -> None:
        """The peer does not read it any more."""
        self.told.append(f"released, {left} left")


class Iterated:
    """Stands for what iterates a stream of the peer's."""

    def __init__(self, reference: RemoteReference) -> None:
        self.reference = reference


class Side:
    """One end: a broker with its host and line."""

    def __init__(
        self,
        limits: Limits | None = None,
        name: str = "side",
        registry: ClassRegistry | None = None,
    ) -> None:
        self.name = name
        self.desk = Desk()
        self.opened_count = 0
        self.goodbye: str | None = None
        self.error: Exception | None = None
        self.cancelled: list[tuple[int, bool]] = []
        self.peer_is_draining = self.drain_is_seen = False
        #: Calls are kept here instead of run while `holding`.
        self.held: list[IncomingCall] = []
        self.holding = False
        self.nested: list[bool] = []
        #: Questions of the peer's calls that are not run yet.
        self.open: set[int | None] = set()
        #: No update of a cache is run until `catch_up`.
        self.slow = False
        #: What hooks have raised whose caller is nobody.
        self.raised: list[BaseException] = []
        #: Moves what there is to move while users' code waits; a pair's own.
        self.let_go_on: Callable[[], object] = self.run_due
        self.drops: deque[Import] = deque()
        self.watchers: list[Any] = []
        self._due: deque[Callable[[], object]] = deque()
        self._stalled: list[CacheEntry] = []
        self._woken = False
        limits = limits or Limits()
        registry = registry or ClassRegistry()
        self.broker = Broker(
            self,
            limits,
            self.desk,
            readers=Readers(limits, thread_time, registry),
            registry=registry,
        )

    # -- the broker's host

    def wake(self) -> None:
        """There are bytes to take."""
        assert not self._woken, "woken twice before the bytes were taken"
        self._woken = True

    def offer(self, framed: bytes) -> bool:
        """Have every message queued: a test takes them."""
        return False

    def hurry(self) -> None:
        """There are many bytes to take by now."""
        assert self._woken, "hurried without having been woken"

    def now(self) -> float:
        """Return the time, which stands still."""
        return 0.0

    def opened(self) -> None:
        """The peer's hello is in."""
        self.opened_count += 1

    def start(self, call: IncomingCall) -> None:
        """Keep a call of the peer's for `run_due`, or until what it names is given."""
        self.nested.append(call.nested)
        self.open.add(call.question)
        if call.names is not None and self.broker.pipeline.hold(call, call.names):
            call.waits = True
        else:
            self._begin(call)

    def is_open(self, question: int) -> bool:
        """Whether a call of that question is here and not answered."""
        return question in self.open

    def run_waiting(self, call: IncomingCall) -> None:
        """Run a call whose last answer was given."""
        call.waits = False
        self._begin(call)

    def _begin(self, call: IncomingCall) -> None:
        lacking = None
        if call.names is not None:
            lacking = self.broker.pipeline.complete(call, call.names)
        if lacking is None:
            self._due.append(partial(self._run_or_hold, call))
        else:
            self.open.discard(call.question)
            self.broker.not_run(call, lacking)

    def start_update(self, call: IncomingCall, entry: CacheEntry) -> None:
        """Run an update of a cache behind those that came before it."""
        entry.waiting.append(call)
        self._run_next_update(entry)

    def finish(
        self, unfinished: Unfinished, then: Callable[[BaseException | None], object]
    ) -> None:
        """Finish an answer later, where users' code may run."""
        self._due.append(partial(self._finish, unfinished, then))

    def cancel(self, question: int, *, late: bool) -> None:
        """Keep which call is to be stopped, and why."""
        self.cancelled.append((question, late))

    def peer_drains(self) -> None:
        """Keep that the peer takes no new calls."""
        self.peer_is_draining = True

    def drain_seen(self) -> None:
        """Keep that the peer knows that this side takes none."""
        self.drain_is_seen = True

    def parted(self, reason: str) -> None:
        """The peer said goodbye."""
        self.goodbye = reason

    # -- the references' line

    def call(
        self, target: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Answer:
        """Send a call."""
        answer = Answer()
        self.broker.call(target, name, args, kwargs, answer)
        return answer

    def call_only(
        self, target: int, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Send a call that is not answered."""
        self.broker.call_only(target, name, args, kwargs)

    def dropped(self, entry: Import) -> None:
        """Take note that a reference is gone."""
        self.drops.append(entry)

    def promise(self) -> Awaited:
        """Make a promise that is the broker's to settle."""
        return Awaited(self)

    def run_soon(self, function: Callable[[], object]) -> None:
        """Run a hook later; keep what it raises."""
        self._due.append(partial(self._run_hook, function))

    def resume(self, entry: CacheEntry) -> None:
        """Let a cache's updates run."""
        entry.held = False
        self._run_next_update(entry)

    def producer(self, stream: Stream, perspective: Any) -> Produced:
        """Take a stream over."""
        return Produced(stream)

    def iterator(self, reference: RemoteReference) -> Iterated:
        """Stand for what iterates the peer's stream."""
        return Iterated(reference)

    def watch(self, reference: RemoteReference, callback: Any) -> None:
        """Keep a disconnect callback."""
        self.watchers.append((reference, callback))

    def unwatch(self, reference: RemoteReference, callback: Any) -> None:
        """Forget one."""
        self.watchers.remove((reference, callback))

    # -- for tests

    def ask(self, name: str, /, *args: Any, **kwargs: Any) -> Answer:
        """Call a method of the peer's desk."""
        return self.call(0, name, args, kwargs)

    def run_due(self) -> bool:
        """Run what is due: calls, which are answered, updates, hooks."""
        ran = bool(self._due)
        while self._due:
            self._due.popleft()()
        return ran

    def run(self, call: IncomingCall) -> None:
        """Run one call and answer it."""
        context = Context()
        try:
            context.run(serving_perspective.set, call.target.serializing_perspective)
            if call.unfinished is not None:
                context.run(call.unfinished.finish)
            value = context.run(
                call.target.remoteMessageReceived,
                call.broker,
                call.name,
                call.args,
                call.kwargs,
            )
            context.run(self.broker.answer, call, value)
        except Exception as error:
            self.broker.fail(call, error)
        finally:
            self.open.discard(call.question)

    def catch_up(self) -> None:
        """Run the updates that were held back, and no longer hold any."""
        self.slow = False
        stalled, self._stalled = self._stalled, []
        for entry in stalled:
            self._run_next_update(entry)
        self.run_due()

    def _run_or_hold(self, call: IncomingCall) -> None:
        if self.holding:
            self.held.append(call)
        else:
            self.run(call)

    def _run_next_update(self, entry: CacheEntry) -> None:
        if self.slow:
            self._stalled.append(entry)
        elif entry.waiting and not (entry.held or entry.busy):
            entry.busy = True
            self._due.append(partial(self._run_update, entry))

    def _run_update(self, entry: CacheEntry) -> None:
        if entry.waiting:
            self.run(entry.waiting.popleft())
        entry.busy = False
        self._run_next_update(entry)

    def _finish(
        self, unfinished: Unfinished, then: Callable[[BaseException | None], object]
    ) -> None:
        try:
            Context().run(unfinished.finish)
        except Exception as error:
            then(error)
        else:
            then(None)

    def _run_hook(self, function: Callable[[], object]) -> None:
        try:
            Context().run(function)
        except Exception as error:
            self.raised.append(error)

    def release_dropped(self) -> bool:
        """Give back the references that are gone."""
        released = bool(self.drops)
        while self.drops:
            self.broker.imports.dropped.append(self.drops.popleft())
            release_dropped(self.broker)
        return released

    def take(self) -> bytes:
        """Return all that may be sent now; the host must have been told of it."""
        taken = b"".join(iter(self.broker.post.outbox.take, b""))
        if taken:
            assert self._woken, "bytes wait that the host was not told of"
        self._woken = False
        return taken

    def receive(self, data: bytes) -> None:
        """Take bytes off the line, run what they start."""
        self.broker.receive(data)
        # A raw message's effects are complete when its calls have run.
        self.run_due()

    def read(self, data: bytes) -> None:
        """Do so as a reader: bytes of chunks straight to where they stay."""
        while data:
            room = self.broker.room()
            if room is None:
                self.receive(data)
                return
            count = min(len(room), len(data))
            room[:count] = data[:count]
            del room
            self.broker.filled(count)
            self.run_due()
            data = data[count:]

    def tables(self) -> dict[str, int]:
        """Return the sizes of the tables that hold something."""
        return {name: size for name, size in self.broker.statistics().items() if size}

    def close(self, lost: Exception | None = None) -> None:
        """End; hooks that are due then are run."""
        self.broker.close(lost or PBConnectionLost("closed by the test"))
        self.run_due()

    def __repr__(self) -> str:
        return f"<Side {self.name} {self.broker!r}>"


class Pair:
    """Two sides and the bytes between them."""

    def __init__(
        self,
        a_limits: Limits | None = None,
        b_limits: Limits | None = None,
        *,
        a_registry: ClassRegistry | None = None,
        b_registry: ClassRegistry | None = None,
    ) -> None:
        self.a = Side(a_limits, "a", a_registry)
        self.b = Side(b_limits or a_limits, "b", b_registry)
        self.a.let_go_on = self.b.let_go_on = self.deliver
        self.a.broker.begin()
        self.b.broker.begin()

    def deliver(self, pieces: Pieces = whole) -> None:
        """Move bytes and run calls until both sides are at rest."""
        while any(
            [self._move(self.a, self.b, pieces), self._move(self.b, self.a, pieces)]
        ):
            pass

    def _move(self, sender: Side, receiver: Side, pieces: Pieces) -> bool:
        moved = sender.release_dropped()
        data = sender.take()
        for piece in pieces(data):
            self.feed(receiver, piece)
        return receiver.run_due() or sender.run_due() or moved or bool(data)

    def feed(self, receiver: Side, data: bytes) -> None:
        """Have one side receive `data`, as a connection does."""
        sender = self.b if receiver is self.a else self.a
        try:
            receiver.broker.receive(data)
        except (ProtocolError, LimitExceeded) as error:
            receiver.error = error
            receiver.close(ProtocolError(f"the peer broke the protocol: {error}"))
            sender.close(PBConnectionLost("the peer has gone"))

    def close(self) -> None:
        """End both; all tables must be empty and all calls answered then."""
        self.a.close()
        self.b.close()
        for side in (self.a, self.b):
            assert side.broker.state is State.CLOSED
            assert side.tables() == {}, side
            assert side.raised == [], side

    def collect(self) -> None:
        """Collect what nobody holds, and give it back to the peer."""
        gc.collect()
        self.deliver()

    def assert_released(self) -> None:
        """While the connection is open, nothing is held by either side."""
        self.collect()
        assert self.a.error is self.b.error is None, (self.a.error, self.b.error)
        for side in (self.a, self.b):
            assert side.tables() == {}, side


@contextmanager
def joined(
    a_limits: Limits | None = None,
    b_limits: Limits | None = None,
    *,
    a_registry: ClassRegistry | None = None,
    b_registry: ClassRegistry | None = None,
) -> Iterator[Pair]:
    """A pair that has exchanged hellos; its end is checked."""
    pair = Pair(a_limits, b_limits, a_registry=a_registry, b_registry=b_registry)
    pair.deliver()
    yield pair
    pair.close()


HELLO = frame([0, "geopb", {"versions": [1], "limits": Limits().told()}])


def opened(
    limits: Limits | None = None,
    hello: bytes = HELLO,
    *,
    registry: ClassRegistry | None = None,
) -> Side:
    """One side alone that has the peer's hello, for messages written by hand."""
    side = Side(limits, registry=registry)
    side.broker.begin()
    side.broker.receive(hello)
    side.take()
    return side


def refusal(side: Side, *messages: Any) -> str:
    """Receive messages of which one breaks the protocol; return the error's text."""
    try:
        for message in messages:
            data = message if type(message) is bytes else frame(message)
            side.broker.receive(data)
    except (ProtocolError, LimitExceeded) as error:
        return str(error)
    raise AssertionError("the messages were taken")
