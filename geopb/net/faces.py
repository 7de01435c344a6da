"""What a connection is to others: its broker's host, its references' line, a server's.

Owns the passing on of what these ask for to whoever does it. A mixin of the connection
alone; it keeps nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from geopb.broker.broker import Broker
from geopb.broker.caches import CacheEntry
from geopb.broker.calls import IncomingCall
from geopb.broker.references import DisconnectCallback, Import, RemoteReference
from geopb.broker.releases import release_dropped
from geopb.finalizers import FinalizerQueue
from geopb.flavors.streamed import Stream
from geopb.jelly.finish import Unfinished
from geopb.net.caller import Caller
from geopb.net.drain import Drain
from geopb.net.gate import Gate
from geopb.net.iterator import RemoteIterator
from geopb.net.producer import Producer
from geopb.net.service import Service
from geopb.net.streams import Streams
from geopb.net.transport import Transport
from geopb.net.watchers import run_hook, tell
from geopb.promise.answer import Answer
from geopb.promise.promise import Promise
from geopb.workers import WorkerPool

if TYPE_CHECKING:
    from geopb.net.connection import Connection


class Faces:
    """The part of a connection that others call."""

    __slots__ = ()

    broker: Broker
    service: Service
    lost: Exception | None
    up: Promise[Any]
    _caller: Caller
    _drain: Drain
    _finalizers: FinalizerQueue
    _gate: Gate
    _hub: Any
    _pool: WorkerPool
    _transport: Transport
    _watchers: list[tuple[RemoteReference, DisconnectCallback]]

    # -- the broker's host -------------------------------------------------------------

    #: The time in seconds.
    now = staticmethod(monotonic)

    def opened(self) -> None:
        """The peer's hello is in."""
        self.broker.peer_certificate = self._transport.peer_certificate
        self.broker.server_certificate = self._transport.server_certificate
        self._gate.opened()
        self.up.settle(self)

    def promise(self) -> Promise[Any]:
        """Make a promise that is the broker's to settle."""
        return Answer(self._hub)

    def run_soon(self, function: Callable[[], object]) -> None:
        """Run a hook of the user's in a worker; log what it raises."""
        self._pool.submit(run_hook, function)

    def start_update(self, call: IncomingCall, entry: CacheEntry) -> None:
        """Run an update of a cache, later, behind those that came before it."""
        self.service.updates.start(call, entry)

    def is_open(self, question: int) -> bool:
        """Whether a call of the peer's is here and not answered."""
        return bool(self.service.is_open(question))

    def run_waiting(self, call: IncomingCall) -> None:
        """The last answer was given that a call waited for which names answers."""
        self.service.run_waiting(call)

    def resume(self, entry: CacheEntry) -> None:
        """Let a cache's updates run: its state has been taken."""
        self.service.updates.resume(entry)

    def finish(
        self, unfinished: Unfinished, then: Callable[[BaseException | None], object]
    ) -> None:
        """Finish a message in a worker, where users' code may run; then go on."""
        self.service.finish(unfinished, then)

    def cancel(self, question: int, *, late: bool) -> None:
        """Stop a call of the peer's, if it still runs; `late`: its time is over."""
        self.service.cancel(question, late=late)

    def producer(self, stream: Stream, perspective: Any) -> Producer:
        """Return what makes a stream's items for the peer."""
        return self._streams().producer(stream, perspective)

    def iterator(self, reference: RemoteReference) -> RemoteIterator:
        """Return what iterates the peer's stream."""
        return self._streams().iterator(reference)

    def _streams(self) -> Streams:
        # Made when needed: most connections have none.
        return Streams(cast("Connection", self), self.broker, self._gate)

    def peer_drains(self) -> None:
        """The peer takes no new calls from now on."""
        self._drain.peer_begins()

    def drain_seen(self) -> None:
        """The peer knows that this side takes no new calls."""
        self._drain.seen()

    # -- its client's ------------------------------------------------------------------

    def takes(self) -> bool:
        """Whether it takes new calls: it is up and not over."""
        return self.up.successful() and not self.is_over()

    def is_over(self) -> bool:
        """Whether it takes no new calls: the next one may."""
        return self.lost is not None or self.draining

    # -- the server's ------------------------------------------------------------------

    def drain(self) -> None:
        """Tell the peer that no new calls are taken, but those that belong to old."""
        if self.lost is None:
            self._drain.begin()

    @property
    def draining(self) -> bool:
        """Whether one side takes no new calls any more, as it is shutting down."""
        return self._drain.on

    # -- the references' line ----------------------------------------------------------

    def call_only(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
    ) -> None:
        """Send a call that is not answered."""
        self._caller.call_only(target, name, args, kwargs, timeout)

    def dropped(self, entry: Import) -> None:
        """Take note, from any greenlet or thread, that a reference is gone."""
        if self.lost is None:
            # The next call takes it with it, if one comes before that.
            self.broker.imports.dropped.append(entry)
            self._finalizers.put_quick(release_dropped, self.broker)

    def watch(self, reference: RemoteReference, callback: DisconnectCallback) -> None:
        """Have ``callback(reference)`` called when the connection has ended."""
        if self.lost is not None:
            self._pool.submit(tell, [(reference, callback)])
        else:
            self._watchers.append((reference, callback))

    def unwatch(self, reference: RemoteReference, callback: DisconnectCallback) -> None:
        """Take one such registration back."""
        if (reference, callback) in self._watchers:
            self._watchers.remove((reference, callback))
