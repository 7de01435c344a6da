"""Keeping the peer's copies of this side's `Cacheable` objects current.

Owns, for each one that a connection shows, the observer that its class was given, and
the updates that wait for a slow peer. Never blocks whoever changes the object. Users'
hooks run in greenlets of their own (`Line.run_soon`). Called by the objects (first
sending), the exports (releases), users (`Observer.callRemote`) and answers.

    PACKING --sent--> LIVE --too many wait--> BEHIND --caught up--> PACKING
    any --released, dropped--> ENDED
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

from geopb.broker.feeds import Feeds
from geopb.broker.observer import Observer, Update
from geopb.failure import Failure
from geopb.flavors.cacheable import Cacheable
from geopb.jelly.passing import Packed, Packing
from geopb.wire import messages

#: Bytes that an update takes in the queue beside its message: some of what its objects
#: do, so that tiny ones count as well.
_EACH = 128


class _State(Enum):
    PACKING = "packing"
    LIVE = "live"
    BEHIND = "behind"
    ENDED = "ended"


class Feed:
    """Keeps one peer's copy of one object current."""

    #: The peer does not call the object, it is told its changes.
    called = False

    def __init__(
        self, feeds: Feeds, cacheable: Cacheable, number: int, perspective: Any
    ) -> None:
        self._feeds = feeds
        self._cacheable = cacheable
        self._number = number
        self._perspective = perspective
        self._state = _State.PACKING
        self._observer: Observer | None = None
        #: Whether so much waited for the state to be sent that fresh state must follow.
        self._overflowed = False
        #: Whether the class is being asked for the state: its hook may block.
        self._asked = False
        self._queue: deque[Update] = deque()
        #: Bytes of those among them that are packed.
        self.queued_bytes = 0
        self._on_the_way = 0
        #: Hooks that are still to run before fresh state may be asked for.
        self._stopping = 0
        #: Whether what is on the way has to be answered before more may follow.
        self._alone = False
        #: Whether it stands in the connection's line of those with something to send.
        self.in_line = False

    def begin(self) -> Any:
        """Make an observer and return the state, by the class's hook. May block."""
        observer = Observer(self)
        self._observer = observer
        self._state = _State.PACKING
        self._overflowed = False
        self._asked = True
        try:
            state = self._cacheable.getStateToCacheAndObserveFor(
                self._perspective, observer
            )
        except BaseException:
            # It was never given out.
            self._observer = None
            self._state = _State.ENDED
            self._drop_queue()
            raise
        finally:
            self._asked = False
        if self._observer is not observer:
            # It ended meanwhile: now the class can forget what it has been given.
            self._have_forgotten(observer)
        return state

    def sent(self) -> None:
        """The state is on its way: so may updates be."""
        if self._state is _State.PACKING:
            self._state = _State.LIVE
            self._feeds.pump(self)
            self._look_at_queue()

    def restart(self) -> None:
        """Go on with fresh state: the peer asked for what its class had dropped."""
        if self.ended:
            self._start_anew()

    @property
    def ended(self) -> bool:
        """Whether it tells nothing any more."""
        return self._state is _State.ENDED

    def failed(self, *, named: bool) -> None:
        """The state was not sent after all; `named`: but another message names it."""
        if not named:
            self._end()
        elif self._state is _State.ENDED:
            self._tell_end()
        else:
            self._start_anew()

    def update(self, observer: Observer, name: str, args: Any, kwargs: Any) -> Any:
        """Queue an update; return its promise."""
        promise = self._feeds.line.promise()
        if observer is not self._observer or self.ended or self._overflowed:
            # Fresh state tells it, or there is nobody to be told.
            promise.settle(None)
            return promise
        feeds = self._feeds
        packing = Packing(self._perspective)
        update = Update(self, promise, packing, feeds.new_question())
        head = [messages.UPDATE, update.question, self._number, name]
        # In its place before it is packed: that may block, in a hook of a copy.
        self._queue.append(update)
        try:
            packed = feeds.post.pack(head, args, kwargs or None, packing=packing)
        except BaseException as error:
            if update in self._queue:
                self._queue.remove(update)
            if not isinstance(error, Exception):
                raise
            promise.settle(None, Failure(error))
            return promise
        if observer is not self._observer:
            # Dropped meanwhile.
            feeds.post.undo(packing)
            return promise
        update.packed = packed
        self._count(packed.size + _EACH)
        if self._state is _State.LIVE:
            feeds.pump(self)
        self._look_at_queue()
        return promise

    def send_one(self) -> bool:
        """Send the next update; False if there is none to send now."""
        if self._state is not _State.LIVE or not self._queue:
            return False
        packed = self._queue[0].packed
        if packed is None or self._alone:
            return False
        update = self._queue.popleft()
        self._count(-packed.size - _EACH)
        self._send(update, packed)
        return True

    def _send(self, update: Update, packed: Packed) -> None:
        update.packed = None
        self._on_the_way += 1
        # Bulk starts when its last byte is there: what follows would overtake it.
        self._alone = bool(packed.bulk)
        self._feeds.ask(update.question, update, packed, update.packing)

    def answered(self, failure: Failure | None) -> Failure | None:
        """An update has been answered; return its failure as it should be told."""
        self._on_the_way -= 1
        if self._alone and not self._on_the_way:
            # The one with bulk, and not one of those before it.
            self._alone = False
            self._feeds.pump(self)
        self._feeds.answered()
        if failure is not None and self._state is _State.ENDED:
            # The peer has dropped its copy, or is gone: nobody has to look at that.
            failure = Failure(failure.value, quiet=True)
        self._refresh_if_ready()
        return failure

    def released(self, left: int) -> None:
        """The peer has dropped its copy; `left` names of it are on their way there.

        Whoever receives one of these has no state for it any more: fresh state must
        follow.
        """
        if not left:
            self._end()
        elif self._state is _State.LIVE:
            self._start_anew()
        elif self._state is _State.ENDED:
            # Nor will there be any: it must not be waited for.
            self._tell_end()

    def _look_at_queue(self) -> None:
        """Act if more waits than the class lets wait for one observer."""
        kind = self._cacheable
        if len(self._queue) <= kind.max_queued_updates and not self._overflowed:
            self._feeds.relieve(self)
        else:
            self.fall_behind()

    def fall_behind(self) -> None:
        """Forget the updates that wait, and do what the class says."""
        kind = self._cacheable
        if self._state is _State.PACKING:
            # The state is still to be sent: then is the time to do something.
            self._overflowed = True
            self._drop_queue()
        elif kind.when_too_slow == "drop":
            self._end(tell=True)
        else:
            self._start_anew()

    def _start_anew(self) -> None:
        """Forget the updates that wait; go on with fresh state, and an observer."""
        self._state = _State.BEHIND
        self._stop_observing()
        self._refresh_if_ready()

    def _end(self, *, tell: bool = False) -> None:
        if self._state is _State.ENDED:
            return
        self._state = _State.ENDED
        self._stop_observing()
        if tell:
            self._tell_end()

    def _tell_end(self) -> None:
        self._feeds.post.send([messages.UPDATES_END, self._number])

    def _stop_observing(self) -> None:
        """Have the class forget the observer, once; forget what waits for it."""
        observer, self._observer = self._observer, None
        self._drop_queue()
        if observer is not None and not self._asked:
            self._have_forgotten(observer)

    def _have_forgotten(self, observer: Observer) -> None:
        self._stopping += 1
        self._feeds.line.run_soon(lambda: self._tell_stopped(observer))

    def _tell_stopped(self, observer: Observer) -> None:
        try:
            self._cacheable.stoppedObserving(self._perspective, observer)
        finally:
            self._stopping -= 1
            self._refresh_if_ready()

    def _drop_queue(self) -> None:
        queue, self._queue = self._queue, deque()
        self._count(-self.queued_bytes)
        for update in queue:
            if update.packed is not None:
                self._feeds.post.undo(update.packing)
            update.promise.settle(None)

    def _count(self, size: int) -> None:
        self.queued_bytes += size
        self._feeds.queued_bytes += size

    def _refresh_if_ready(self) -> None:
        """Ask for fresh state once the peer has taken all that was sent."""
        if self._state is _State.BEHIND and not self._on_the_way and not self._stopping:
            self._state = _State.PACKING
            self._feeds.line.run_soon(self._refresh)

    def _refresh(self) -> None:
        """Send fresh state, by the class's hook. Runs in a greenlet of its own."""
        if self._state is not _State.PACKING:
            return
        feeds = self._feeds
        packing = Packing(self._perspective)
        update = Update(self, feeds.line.promise(), packing, feeds.new_question())
        head: list[object] = [messages.SNAPSHOT, update.question, self._number]
        try:
            packed = feeds.post.pack(head, (self.begin(),), packing=packing)
        except BaseException:
            # The line logs it; the peer must know that it is not current.
            self._end()
            self._tell_end()
            raise
        if not self._is_packing():
            # It has ended while the hook blocked.
            feeds.post.undo(packing)
            return
        packing.begun.append((self, self._number))
        self._send(update, packed)

    def _is_packing(self) -> bool:
        return self._state is _State.PACKING

    def __repr__(self) -> str:
        kind = type(self._cacheable).__name__
        return f"<Feed {self._number} of a {kind} {self._state.value}>"
