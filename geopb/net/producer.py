"""Making the items of one stream for one peer, no more than it has room for.

Owns the iterator, the greenlet that runs it from its first item to its end, and the
items that the peer has not acknowledged. The iterator ends once, whatever ends it: its
own end, its error, a peer that reads no more, the end of the connection. Never runs it
before the peer asks for the first item, nor in the reader. Called by the connection
(the peer's calls), the exports (released) and the post (sent).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from gevent import getcurrent
from gevent.event import Event

from geopb.broker.calls import IncomingCall
from geopb.broker.objects import serving_perspective
from geopb.errors import Cancelled, Error, InsecureJelly, NoSuchMethod
from geopb.failure import format_traceback
from geopb.flavors.streamed import Stream
from geopb.jelly.finish import abandon
from geopb.jelly.passing import Packing
from geopb.net.window import Window
from geopb.text import printable
from geopb.wire import messages
from geopb.workers import killed_by, reraise_if_killing

if TYPE_CHECKING:
    from geopb.net.streams import Streams

#: Seconds that an iterator which never blocks runs before others have their turn.
_TURN = 0.005

_MISUSED = "a stream is asked for next(position, taken, count), one after the other"


class Producer:
    """One stream, as its owner sees it; what the peer's calls on it go to."""

    #: A feed that the peer calls: see `exports.Feed`.
    called = True
    #: As of an `IncomingCall`.
    shields, thrown, result = 0, False, None
    interruption: Exception | None = None

    def __init__(self, streams: Streams, stream: Stream, perspective: Any) -> None:
        self._streams = streams
        self._stream = stream
        #: For whom the items are made passable.
        self.serializing_perspective = perspective
        self._items = Window(stream.window)
        #: The peer's question, while it waits, and how many items it wants at most.
        self._call: IncomingCall | None = None
        self._count = 0
        self._answering = False
        #: The reader waits for the end of it, as far as is known.
        self._begun = self._read = False
        #: No more items will be made; the error where there was one, and its traceback.
        self._ended = False
        self._error: BaseException | None = None
        self._trace: str | None = None
        #: Nobody wants any more.
        self._closing = False
        #: The greenlet of the iterator; and whether it is in users' code.
        self._worker: Any = None
        self._inside = False
        self._room = Event()

    # -- the broker's --------------------------------------------------------------

    def sent(self) -> None:
        """The stream is on its way."""

    def failed(self, *, named: bool) -> None:
        """Its message was not sent: whoever passed it still has it."""
        if not self._closing:
            self._closing = self._ended = True
            self._stream.take_back()

    def released(self, left: int) -> None:
        """The peer has dropped it, or is gone: end the iterator. Does not switch."""
        if self._closing:
            return
        self._closing = True
        self._over()
        self._items.clear()
        self._error = None
        if self._call is not None:
            self._answer_end(self._call)
        self._room.set()
        if not self._begun:
            self._begun = True
            self._streams.pool.submit(self._close_unread)
        elif not self._ended:
            self.interruption = Cancelled("nobody reads the stream any more")
            # If it is blocked in users' code. Not from here: this may be the reader.
            self._streams.pool.hub.loop.run_callback(self._interrupt)

    def fetch(self, call: IncomingCall) -> None:
        """Take the peer's call. Does not switch greenlets."""
        abandon(call.unfinished)
        refusal = self._refusal(call)
        if refusal is not None:
            self._streams.broker.refuse(call.question, refusal)
            return
        position, taken, count = call.args
        self._items.move(position, taken)
        self._call, self._count = call, count
        if not self._begun:
            self._begun = self._read = True
            self._streams.service.streams += 1
            self._streams.pool.submit(self._run)
        else:
            self._room.set()
            self._answer_soon()

    def _refusal(self, call: IncomingCall) -> Error | None:
        """Return why a call is not taken, None if it is."""
        if call.name != "next":
            return NoSuchMethod(f"a stream has no method {printable(call.name)}")
        numbers = [each for each in call.args if type(each) is int and each >= 0]
        if len(call.args) != 3 or len(numbers) != 3 or call.kwargs or not numbers[2]:
            return InsecureJelly(_MISUSED)
        if call.question is None or self._call is not None or self._closing:
            return InsecureJelly(_MISUSED)
        if not self._items.reaches(numbers[0]):
            return InsecureJelly(f"position {numbers[0]} of a stream was not reached")
        return None

    # -- making items ----------------------------------------------------------------

    def _run(self, _: object) -> None:
        """Run the iterator from its beginning to its end; in a worker."""
        worker: Any = getcurrent()
        self._worker = worker
        worker.serving, worker.call = self._streams.service, self
        killed = Context().run(self._produce)
        worker.serving = worker.call = None
        self._worker = None
        if killed is not None:
            raise killed

    def _produce(self) -> BaseException | None:
        """Make all items; return what has killed the greenlet."""
        serving_perspective.set(self.serializing_perspective)
        source: Any = self._stream.source
        error: BaseException | None = None
        try:
            try:
                self._inside = True
                # What it iterates may be the generator itself.
                source = self._streams.iterated(source)
                self._make_items(source)
            finally:
                # From here on it is not interrupted any more.
                self._inside, self.thrown = False, True
        except BaseException as raised:
            error = raised
        killed = self._note(error)
        error = self.interruption = None  # Their tracebacks hold this frame.
        killed = self._close(source) or killed
        self._ended = True
        self._stream.source = ()
        if not self._closing:
            self._answer_soon()
        return killed

    def _make_items(self, iterator: Any) -> None:
        until = 0.0
        while not self._closing:
            try:
                item = next(iterator)
            except StopIteration:
                return
            if self._is_wanted():
                self._items.add(item)
            del item
            self._answer_soon()
            self._inside = False
            if self._items.is_full():
                self._wait_for_room()
                until = 0.0
            elif (now := monotonic()) > until:
                if until:
                    gevent.sleep(0)
                    now = monotonic()
                until = now + _TURN
            self._inside = True

    def _is_wanted(self) -> bool:
        return not self._closing

    def _wait_for_room(self) -> None:
        while self._items.is_full() and not self._closing:
            self._room.clear()
            self._room.wait()

    def _interrupt(self) -> None:
        """End an iterator that is blocked in users' code; runs in the hub."""
        if self._inside and not self.shields and not self.thrown:
            self.thrown = True
            self._worker.throw(self.interruption)

    def _note(self, error: BaseException | None) -> BaseException | None:
        """Keep the iterator's error for the peer, and log it; return what killed it."""
        if error is None:
            return None
        killed = killed_by(error)
        self._log_raised(error)
        if not self._closing:
            self._error = error.with_traceback(None)
        return killed

    def _log_raised(self, error: BaseException) -> None:
        """Log what users' code has raised, by the rules for remote methods."""
        unexpected = not isinstance(error, Error)
        unsafe = self._streams.unsafe_tracebacks
        trace = format_traceback(error) if unexpected or unsafe else None
        if unsafe and not self._closing:
            self._trace = trace
        if unexpected:
            self._streams.log_failure(trace, read=not self._closing)

    def _close(self, iterator: Any) -> BaseException | None:
        """Close the iterator; return what killed the greenlet in that."""
        if not hasattr(iterator, "__next__"):
            # It was never begun, and is its owner's.
            return None
        try:
            close: Callable[[], object] | None = getattr(iterator, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            trace = format_traceback(error)
            if not isinstance(error, Error):
                self._streams.log_failure(trace, read=False)
            return killed_by(error)
        return None

    def _close_unread(self, _: object) -> None:
        """End an iterator that was never begun; in a worker."""
        source, self._stream.source = self._stream.source, ()
        killed = Context().run(self._close, source)
        self._ended = True
        if killed is not None:
            raise killed

    # -- answering -------------------------------------------------------------------

    def _answer_soon(self) -> None:
        """Have the peer's question answered, if there is something to say."""
        if self._call is None or self._answering or not (self._items or self._ended):
            return
        self._answering = True
        # In a worker: hooks of copies may run, and the iterator may be blocked.
        self._streams.pool.submit(self._answer)

    def _answer(self, _: object) -> None:
        killed = None
        try:
            self._streams.wait_for_bytes()
            if self._call is not None and not self._closing:
                Context().run(self._send_items)
        except BaseException as error:
            # Of a hook, which has ended this greenlet and not only the stream.
            killed = killed_by(error)
            if killed is None and not isinstance(error, KeyboardInterrupt):
                raise
        finally:
            self._answering = False
        if self._items or self._ended:
            self._answer_soon()
        if killed is not None:
            raise killed

    def _send_items(self) -> None:
        """Answer with as many items as fit; with the first one's error if it does not.

        Hooks may block meanwhile: what has ended is looked at again.
        """
        serving_perspective.set(self.serializing_perspective)
        call = self._call
        if call is None:
            return
        items = self._items.batch(self._count)
        if not items and self._error is not None:
            self._call = None
            self._streams.broker.fail(call, self._error, self._trace)
            self._over()
            return
        while True:
            more = self._error is not None or not (
                self._ended and len(items) == len(self._items)
            )
            try:
                self._send(call, items, more=more)
            except BaseException as error:
                if self._closing:
                    reraise_if_killing(error)
                    return
                if len(items) > 1 and isinstance(error, Exception):
                    # One of them may not cross: those before it do.
                    items = items[: len(items) // 2]
                    continue
                self._call = None
                self._item_failed(call, error)
                reraise_if_killing(error)
                return
            self._call = None
            if not more:
                self._over()
            return

    def _over(self) -> None:
        """The reader has got all, or reads no more: nobody has to wait for it."""
        if self._read:
            self._read = False
            self._streams.service.stream_ended(self)

    def _send(self, call: IncomingCall, items: list[Any], *, more: bool) -> None:
        post = self._streams.broker.post
        packing = Packing(self.serializing_perspective)
        head: list[object] = [messages.ANSWER, call.question]
        packed = post.pack(head, ([items, more],), packing=packing)
        if self._call is call:
            post.send_packed(packed, packing)
        else:
            # It has been answered while a hook blocked: nobody reads any more.
            post.undo(packing)

    def _item_failed(self, call: IncomingCall, error: BaseException) -> None:
        """Tell the peer why an item does not cross; the stream ends there."""
        self._log_raised(error)
        self._streams.broker.fail(call, error, self._trace)
        self.released(0)

    def _answer_end(self, call: IncomingCall) -> None:
        self._call = None
        self._streams.broker.answer(call, [[], False])

    def __repr__(self) -> str:
        state = "ended" if self._ended else "running" if self._begun else "waiting"
        return (
            f"<Producer {state}, {len(self._items)} items from {self._items.position}>"
        )
