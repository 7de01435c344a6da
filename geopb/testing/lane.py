"""One direction of a link: bytes on their way, and what happens to them there.

Owns the bytes that have left one side and have not reached the other. Runs in the hub,
so it has no greenlet and never waits. Called by links, and by users who want faults.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Protocol, get_args

from gevent import get_hub

from geopb.testing.clock import Time
from geopb.testing.side import Side

#: Bytes read at once.
_READ_BYTES = 65536
#: Bytes on their way before no more are taken: the window of a long line.
WINDOW_BYTES = 1024 * 1024
_READ, _WRITE = 1, 2

Fault = Literal["reset", "fin", "stall", "lose"]


class Ending(Enum):
    """How a stream ends."""

    FIN = "fin"
    RESET = "reset"


class Ends(Protocol):
    """Who ends the sides of a lane: its link."""

    def reset(self) -> None:
        """Reset both sides."""

    def reset_side(self, side: Side) -> None:
        """Reset one side."""

    def close_if_finished(self) -> None:
        """Close both sides, when nothing more can pass in either direction."""


class Lane:
    """One direction of a link. The commands take effect at once and never block.

    Attributes:
        passed: Bytes that have been delivered.
        lost: Bytes that were taken from the sender and will never be delivered.
        in_flight: Bytes that were taken from the sender and wait to be delivered.
        stalled: Whether `stall` holds it.
    """

    def __init__(
        self, name: str, source: Side, target: Side, time: Time, link: Ends
    ) -> None:
        self.passed = 0
        self.lost = 0
        self.in_flight = 0
        self.stalled = False
        self._name = name
        self._source = source
        self._target = target
        self._time = time
        self._link = link
        self._delay = 0.0
        self._split: int | None = None
        self._queue: deque[tuple[float, memoryview | Ending]] = deque()
        self._cancel: Callable[[], None] | None = None
        #: What comes from the sender is lost.
        self._dropping = False
        #: Nothing more comes from the sender.
        self._source_over = False
        self._closed = False
        #: Bytes to go until the fault that `after` was given.
        self._left = 0
        self._fault: Fault | None = None
        self._loop: Any = get_hub().loop
        self._readable = self._loop.io(source.fileno, _READ)
        self._writable = self._loop.io(target.fileno, _WRITE)
        self._read_on()

    # -- what users say ----------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Keep each byte on its way for so many seconds of the link's clock.

        Counts for bytes that are sent from now on. None overtakes another.
        """
        if not seconds >= 0:
            raise ValueError(f"a delay is 0 or more seconds, not {seconds!r}")
        self._delay = seconds

    def split(self, size: int | None) -> None:
        """Deliver at most `size` bytes at once; None for any number.

        One piece each turn of the loop, so that a receiver that reads gets each one by
        itself (with gevent's usual loop: with libuv some meet on the way).
        """
        if size is not None and not size >= 1:
            raise ValueError(f"a piece has 1 or more bytes, not {size!r}")
        self._split = size

    def stall(self) -> None:
        """Deliver nothing and take nothing, until `resume`.

        The sender's kernel takes a little more, and then the sender has to wait, as
        with a peer that does not read.
        """
        self.stalled = True
        if not self._closed:
            self._readable.stop()
            self._writable.stop()

    def resume(self) -> None:
        """Go on after `stall`, with all that waits."""
        self.stalled = False
        self._read_on()
        self._schedule()

    def lose(self) -> None:
        """Lose all that is on its way and all that comes, its end too; for good.

        The sender notices nothing: the link is half open.
        """
        self._forget()
        self._dropping = True
        self._read_on()
        self._link.close_if_finished()

    def fin(self) -> None:
        """End the stream behind what is on its way; what comes after that is lost."""
        if not self._dropping:
            self._append(Ending.FIN)
            self._dropping = True

    def reset(self) -> None:
        """Give the receiver an error at once; the sender notices nothing."""
        self._link.reset_side(self._target)

    def after(self, count: int, fault: Fault) -> None:
        """Have a fault happen when exactly `count` more bytes have been delivered.

        So a stream can be cut in the middle of a message. ``"reset"`` hits both ends,
        the others this direction; what is behind those bytes is lost, or held by
        ``"stall"``. A later `after` takes the place of one that has not struck.
        """
        if not count >= 0:
            raise ValueError(f"a number of bytes is 0 or more, not {count!r}")
        if fault not in get_args(Fault):
            known = ", ".join(get_args(Fault))
            raise ValueError(f"no fault {fault!r}; the faults are {known}")
        self._left, self._fault = count, fault
        if not count:
            self._strike()

    # -- what the link says ------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether nothing more will be delivered, nor taken."""
        return self._source_over and not self._queue

    @property
    def source(self) -> Side:
        """Where the bytes come from."""
        return self._source

    def source_gone(self) -> None:
        """The source is about to be closed."""
        self._source_over = True
        self._readable.stop()

    def target_gone(self) -> None:
        """The target is about to be closed, or takes nothing any more."""
        self._writable.stop()
        self._forget()
        self._dropping = True
        self._read_on()

    def close(self) -> None:
        """Forget what is on its way and watch nothing; idempotent."""
        if not self._closed:
            self._forget()
            self._closed = self._source_over = True
            self._readable.close()
            self._writable.close()

    # -- from the source ---------------------------------------------------------------

    def _read_on(self) -> None:
        """Take bytes when there are, unless that has to wait."""
        full = self.in_flight >= WINDOW_BYTES
        if not (self._closed or self._source_over or self.stalled or full):
            self._readable.start(self._receive)

    def _receive(self) -> None:
        """Take bytes; runs in the hub."""
        try:
            data = self._source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._source_ended(Ending.RESET)
            return
        if not data:
            self._source_ended(Ending.FIN)
        elif self._dropping:
            self.lost += len(data)
        else:
            self.in_flight += len(data)
            if self.in_flight >= WINDOW_BYTES:
                self._readable.stop()
            self._append(memoryview(data))

    def _source_ended(self, ending: Ending) -> None:
        self.source_gone()
        if not self._dropping:
            self._append(ending)
        self._link.close_if_finished()

    def _append(self, item: memoryview | Ending) -> None:
        # One that is due earlier waits behind those before it.
        self._queue.append((self._time.now() + self._delay, item))
        self._schedule()

    # -- to the target -----------------------------------------------------------------

    def _schedule(self) -> None:
        """Have the first that waits delivered when it is due."""
        if self._closed or self.stalled or not self._queue:
            return
        due = self._queue[0][0]
        if due <= self._time.now():
            self._writable.start(self._next_turn)
        elif self._cancel is None:
            self._cancel = self._time.call_at(due, self._is_due)

    def _is_due(self) -> None:
        self._cancel = None
        self._schedule()

    def _next_turn(self) -> None:
        # Delivered before the loop looks for what is readable, and once a turn: a
        # receiver reads each piece before the next one comes.
        self._writable.stop()
        self._loop.run_callback(self._deliver)

    def _deliver(self) -> None:
        """Deliver one piece; runs in the hub."""
        if self._closed or self.stalled or not self._queue:
            return
        item = self._queue[0][1]
        if isinstance(item, Ending):
            self._queue.popleft()
            self._end(item)
            return
        try:
            count = self._target.send(item[: self._most(len(item))])
        except BlockingIOError:
            count = 0
        except OSError:
            # The receiver is gone: nobody gets what comes.
            self.target_gone()
            self._link.close_if_finished()
            return
        self._delivered(item, count)

    def _most(self, length: int) -> int:
        """Return how many of so many bytes may be delivered at once."""
        if self._split is not None:
            length = min(length, self._split)
        return length if self._fault is None else min(length, self._left)

    def _delivered(self, item: memoryview, count: int) -> None:
        due, _ = self._queue.popleft()
        if count < len(item):
            self._queue.appendleft((due, item[count:]))
        self.passed += count
        self.in_flight -= count
        if self._fault is not None:
            self._left -= count
            if not self._left:
                self._strike()
        if not self._closed:
            self._read_on()
            self._schedule()
            self._link.close_if_finished()

    def _end(self, ending: Ending) -> None:
        """Deliver the end of the stream."""
        self._dropping = True
        if ending is Ending.RESET:
            self._link.reset_side(self._target)
        else:
            self._target.finish()
        self._link.close_if_finished()

    def _strike(self) -> None:
        """Do what `after` was told."""
        fault, self._fault = self._fault, None
        if fault == "stall":
            self.stall()
        elif fault == "lose":
            self.lose()
        elif fault == "fin":
            self._forget()
            self.fin()
        else:
            self._link.reset()

    def _forget(self) -> None:
        """Lose what is on its way."""
        self.lost += self.in_flight
        self.in_flight = 0
        self._queue.clear()
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def __repr__(self) -> str:
        state = ", stalled" if self.stalled else ""
        return (
            f"<Lane {self._name} {self.passed} bytes passed, "
            f"{self.in_flight} in flight, {self.lost} lost{state}>"
        )
