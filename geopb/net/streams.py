"""The streams of one connection, both ways.

Owns what producers and iterators share: the connection, the way to ask and to answer
past the room for calls. Called by the broker's objects (through the connection),
producers and iterators.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from gevent import get_hub
from gevent.event import Event

from geopb.broker.broker import Broker
from geopb.broker.references import RemoteReference
from geopb.failure import Failure
from geopb.flavors.streamed import Pieces, Stream
from geopb.net.gate import Gate
from geopb.net.iterator import RemoteIterator
from geopb.net.producer import Producer
from geopb.workers import worker_pool

if TYPE_CHECKING:
    from geopb.net.connection import Connection

_log = logging.getLogger("geopb")


class Fetch:
    """A question for items: what waits for the answer.

    Attributes:
        done: Set when the answer is here, or is not wanted any more.
        value: The answer.
        failure: Why there is none.
    """

    #: Errors of this connection, though it is the peer that tells them: none.
    genuine: tuple[type[Exception], ...] = ()

    def __init__(self, gate: Gate, count: int) -> None:
        self._gate = gate
        self.count = count
        self.done = Event()
        self.value: object = None
        self.failure: Failure | None = None

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """Take the answer. Does not switch greenlets."""
        self._gate.narrow()
        if not self.done.is_set():
            self.value, self.failure = value, failure
            self.done.set()

    def fail(self, failure: Failure) -> None:
        """End without having asked."""
        self.failure = failure
        self.done.set()

    def give_up(self) -> None:
        """The answer is not wanted any more: wake who waits for it."""
        self.done.set()


class InThread:
    """Reads and closes a file in threads: a disk would stop all greenlets of this one.

    It is never closed while it is read: its number may be another file's at once.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._threads: Any = get_hub().threadpool
        #: The read that was begun last; it goes on when its greenlet is interrupted.
        self._reading: Any = None

    def __iter__(self) -> InThread:
        return self

    def __next__(self) -> bytes:
        self._reading = self._threads.spawn(_outcome, self._pieces.__next__)
        piece, error = self._reading.get()
        if error is not None:
            raise error
        return cast("bytes", piece)

    def close(self) -> None:
        """Close the file; blocks while it is being read."""
        if self._reading is not None:
            self._reading.wait()
        _, error = self._threads.apply(_outcome, (self._pieces.close,))
        if error is not None:
            raise error


def _outcome(do: Callable[[], object]) -> tuple[object, Exception | None]:
    """Return what a function in a thread returned or raised: the pool prints errors."""
    try:
        return do(), None
    except Exception as error:
        return None, error


def iterated(source: Any) -> Any:
    """Return what makes a stream's items, without stopping other greenlets."""
    blocks = isinstance(source, Pieces) and source.blocks
    return InThread(source) if blocks else iter(source)


class Streams:
    """The streams of one connection."""

    #: For producers.
    iterated = staticmethod(iterated)

    def __init__(self, connection: Connection, broker: Broker, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate
        self.broker = broker
        self.pool = worker_pool()
        self.service = connection.service
        self.unsafe_tracebacks = connection.options.unsafe_tracebacks

    def producer(self, stream: Stream, perspective: Any) -> Producer:
        """Return what makes a stream's items for the peer: for the broker."""
        return Producer(self, stream, perspective)

    def iterator(self, reference: RemoteReference) -> RemoteIterator:
        """Return what iterates a stream of the peer's: for the broker."""
        return RemoteIterator(self, reference)

    def fetch(self, number: int, position: int, taken: int, count: int) -> Fetch:
        """Ask for the items of a stream from `position` on. Does not block.

        It may wait long for its answer, and so takes no place among the calls that the
        peer runs. On a connection that is gone it fails as what was pending did.

        Raises:
            RuntimeError: This is another thread than the connection's.
        """
        connection = self._connection
        if not connection.is_ours():
            raise RuntimeError(
                "a stream can be iterated in the thread of its connection only"
            )
        fetch = Fetch(self._gate, count)
        if connection.lost is not None:
            fetch.fail(Failure(connection.lost, quiet=True))
        else:
            self._gate.widen()
            self.broker.call(number, "next", (position, taken, count), {}, fetch)
        return fetch

    def wait_for_bytes(self) -> None:
        """Block while too much waits to be sent."""
        self._gate.wait_for_bytes()

    def log_failure(self, trace: str | None, *, read: bool) -> None:
        """Log what an iterator raised that was not expected; never raises."""
        text = "Peer will receive following PB traceback:\n%s"
        if not read:
            text = "Error in a stream that nobody reads any more:\n%s"
        try:
            _log.error(text, trace)
        except Exception:
            # A handler that raises cannot be told so in the log.
            traceback.print_exc()
