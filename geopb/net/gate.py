"""When a call may be sent: the peer's room for calls, and the bytes that wait.

The peer has room for so many calls (``max_pending_calls``), and for what they weigh in
all (``max_pending_bytes``); light ones pass though that is reached.

Owns the greenlets that wait for room on one connection. Never lets a call wait that is
made while serving a call: nested calls cannot deadlock on the limit. Called by the
connection.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping

from gevent import get_hub, getcurrent
from gevent.hub import Waiter

from geopb.broker.broker import Broker
from geopb.jelly.census import is_small
from geopb.notices import Notices
from geopb.workers import in_worker, worker_pool

_waits = Notices(logging.getLogger("geopb.connection"), "calls have waited long")

#: Seconds of waiting for room that are worth a line in the log.
_LONG_WAIT = 5.0


#: Greenlets that wait: with little to send, and with what may be much.
_Queues = Mapping[bool, deque["Waiter[None]"]]
#: In place of queues that are empty; never changed.
_EMPTY: _Queues = {True: deque(maxlen=0), False: deque(maxlen=0)}


class Gate:
    """Lets calls pass while there is room."""

    __slots__ = (
        "_broker",
        "_closed",
        "_for_bytes",
        "_for_room",
        "_high",
        "_hub",
        "_one_by_one",
        "_outbox",
        "_questions",
        "_reserved",
        "_room",
        "waited_for",
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._outbox = broker.post.outbox
        self._questions = broker.questions
        self._high = broker.limits.max_unsent_bytes
        # Before the hello only the first questions can be asked: let them pass.
        self._room = 2**31
        self._hub = get_hub()
        # Made when needed: nobody waits on most connections. Those that bring little
        # need not wait for another's bulk to be sent.
        self._for_room: _Queues = _EMPTY
        self._for_bytes: _Queues = _EMPTY
        #: Places kept for those that were let in and have not run yet.
        self._reserved = 0
        #: Greenlets that wait, for either.
        self.waited_for = 0
        self._closed = False
        #: Whether one was let in that may be heavy, and has not been sent.
        self._one_by_one = False

    def opened(self) -> None:
        """The peer's hello is in: its limit counts from now on."""
        self._room = self._broker.peer_limits.max_pending_calls

    def widen(self) -> None:
        """Take note of a question that does not count: of one that waits for items."""
        self._room += 1

    def narrow(self) -> None:
        """It is not open any more."""
        self._room -= 1

    def crowded(self) -> bool:
        """Whether a call that comes now has to wait."""
        if not (self._questions or self._outbox.unsent or self.waited_for):
            # Most often, of calls that are made one by one.
            return False
        if (
            self._outbox.unsent > self._high
            or len(self._questions) + self._reserved >= self._room
            or self._questions.full
        ):
            return True
        # Those that wait for bytes alone are not overtaken.
        return self.waited_for > 0 and bool(
            self._for_room[True] or self._for_room[False]
        )

    def passes(self, values: object) -> bool:
        """Whether values may be sent while the line is flooded: it is by bulk alone."""
        return not self.flooded(small=True) and is_small(values)

    def enter(self, *, small: bool = False, light: bool = False) -> bool:
        """Wait for room; return whether the call goes as a nested one.

        One made while serving a call, or in a handler, waits only for bytes to be
        taken: the peer's reader never stops, so they are. A `small` one does not wait
        for bulk, which lets it pass, a `light` one not for what others weigh.
        """
        if small and self._small_may_enter(light=light):
            return False
        if getcurrent() is self._hub:
            raise RuntimeError("a call that has to wait cannot be made in the hub")
        nested = in_worker()
        if nested:
            self.wait_for_bytes(small=small)
            return len(self._questions) >= self._room or self._questions.full
        if not self._closed:
            # In their order: one that comes later does not overtake.
            timer = self._hub.loop.timer(_LONG_WAIT)
            timer.start(worker_pool().submit_function, self._log_long_wait)
            try:
                if self._for_room is _EMPTY:
                    self._for_room = {True: deque(), False: deque()}
                self._wait(self._for_room[light])
            finally:
                timer.close()
        return False

    def _small_may_enter(self, *, light: bool) -> bool:
        """Whether it is another's bulk alone that crowds the line."""
        return not (
            self.flooded(small=True)
            or (self._questions.full and not light)
            or self._for_room[True]
            or len(self._questions) + self._reserved >= self._room
        )

    def wait_for_bytes(self, *, small: bool = False) -> None:
        """Wait until less than the high-water mark waits to be sent."""
        while not self._closed and self.flooded(small=small):
            if self._for_bytes is _EMPTY:
                self._for_bytes = {True: deque(), False: deque()}
            self._wait(self._for_bytes[small])

    def let_in(self) -> None:
        """Wake as many as there is room for. Called when some may have come free."""
        for small in (True, False):
            if not self.waited_for or self.flooded(small=small):
                return
            # Those that answer, or make nested calls, never wait for room.
            self._wake(self._for_bytes[small], len(self._for_bytes[small]))
            room = self._room - len(self._questions) - self._reserved
            # Each has its place kept until it runs.
            room = max(room, 0) if small else self._heavy_room(max(room, 0))
            self._reserved += self._wake(self._for_room[small], room)

    def _heavy_room(self, room: int) -> int:
        """Return how many of `room` may be let in that may not be light."""
        if not self._questions.bounded:
            return room
        if self._one_by_one or self._questions.full or not room:
            return 0
        if self._for_room[False]:
            # It is sent, and weighed, before the next one is let in.
            self._one_by_one = True
            self._hub.loop.run_callback(self._it_is_awake)
        return 1

    def _it_is_awake(self) -> None:
        # This has been asked for before that greenlet was woken, and now is behind it.
        self._hub.loop.run_callback(self._let_in_next)

    def _let_in_next(self) -> None:
        self._one_by_one = False
        if not self._closed:
            self.let_in()

    def turn_away(self) -> None:
        """Wake all who wait for room: no new calls are taken any more."""
        # As if there was room for them: what each of them takes is given back.
        for queue in self._for_room.values():
            self._reserved += self._wake(queue, len(queue))

    def close(self) -> None:
        """Wake all: the connection has ended."""
        self._closed = True
        for queue in (*self._for_bytes.values(), *self._for_room.values()):
            self._wake(queue, len(queue))

    def flooded(self, *, small: bool = False) -> bool:
        """Whether more waits to be sent than the high-water mark.

        `small`: bulk does not count, as it lets small messages pass.
        """
        outbox = self._outbox
        return (outbox.frames_size if small else outbox.unsent) > self._high

    def _wake(self, queue: deque[Waiter[None]], count: int) -> int:
        count = min(count, len(queue))
        for _ in range(count):
            self._hub.loop.run_callback(queue.popleft().switch, None)
        return count

    def _log_long_wait(self) -> None:
        _waits.warning(
            "a call has waited %g s for room: the peer runs %d calls of ours "
            "(max_pending_calls), which weigh %d bytes (max_pending_bytes), %d bytes "
            "are unsent",
            _LONG_WAIT,
            len(self._questions),
            self._questions.weight,
            self._outbox.unsent,
        )

    def _wait(self, queue: deque[Waiter[None]]) -> None:
        waiter: Waiter[None] = Waiter(self._hub)
        for_room = any(queue is each for each in self._for_room.values())
        queue.append(waiter)
        self.waited_for += 1
        try:
            waiter.get()
        except BaseException:
            if waiter in queue:
                queue.remove(waiter)
                self._reserved += for_room
            # If it had been let in, the room is another's.
            self._hub.loop.run_callback(self.let_in)
            raise
        finally:
            self.waited_for -= 1
            if for_room and not self._closed and waiter not in queue:
                self._reserved -= 1
