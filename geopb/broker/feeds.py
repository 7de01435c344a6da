"""All feeds of one connection, and what they may have on the way together.

Owns the line in which feeds wait to send. Never blocks. Called by feeds and answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from geopb.broker.calls import Answerable
from geopb.broker.post import Post
from geopb.broker.references import Line
from geopb.jelly.passing import Packed, Packing

#: Updates of one connection that are sent and not answered, at the most; less where
#: the peer runs fewer calls. Enough to keep a connection busy.
_ON_THE_WAY = 256
#: The part of the calls that a peer runs for us that updates may take.
_SHARE = 4


#: In place of a line that is empty; never changed.
_NONE: deque[Any] = deque(maxlen=0)


class Sending(Protocol):
    """A feed, as it waits for its turn."""

    #: Whether it stands in the line.
    in_line: bool
    #: Bytes of its updates that wait.
    queued_bytes: int

    def send_one(self) -> bool:
        """Send the next update; False if there is none to send now."""

    def fall_behind(self) -> None:
        """Forget the updates that wait."""


class Feeds:
    """All feeds of one connection, and what they may have on the way together.

    Args:
        post: Packs and sends.
        line: Runs hooks, makes promises.
        new_question: Allots a question's id.
        remember: Keeps who waits for the answer to a question.
        most_bytes: Bytes that may wait unsent in the outbox; and for all feeds.

    Attributes:
        queued_bytes: Bytes of the updates that wait for their turn, in all feeds.
    """

    __slots__ = (
        "_line_up",
        "_on_the_way",
        "_pumping",
        "_remember",
        "line",
        "most_bytes",
        "new_question",
        "post",
        "queued_bytes",
    )

    def __init__(
        self,
        post: Post,
        line: Line,
        new_question: Callable[[], int],
        remember: Callable[[int, Answerable], None],
        most_bytes: int,
    ) -> None:
        self.post = post
        self.line = line
        self.new_question = new_question
        self.most_bytes = most_bytes
        self.queued_bytes = 0
        self._remember = remember
        self._on_the_way = 0
        # Made when needed: most connections show no caches.
        self._line_up: deque[Sending] = _NONE
        self._pumping = False

    def pump(self, feed: Sending | None = None) -> None:
        """Send what there is room for, each feed in its turn."""
        if feed is not None and not feed.in_line:
            feed.in_line = True
            if self._line_up is _NONE:
                self._line_up = deque()
            self._line_up.append(feed)
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._line_up and self._has_room():
                feed = self._line_up.popleft()
                if feed.send_one():
                    self._line_up.append(feed)
                else:
                    feed.in_line = False
        finally:
            self._pumping = False

    def relieve(self, feed: Sending) -> None:
        """Have the fullest one fall behind if too much waits for one peer in all."""
        if self.queued_bytes > self.most_bytes:
            fullest = max([feed, *self._line_up], key=lambda each: each.queued_bytes)
            # Those whose state is being packed are looked at when that is sent.
            if fullest.queued_bytes:
                fullest.fall_behind()

    def ask(
        self, question: int, update: Answerable, packed: Packed, packing: Packing
    ) -> None:
        """Send an update."""
        self._on_the_way += 1
        self._remember(question, update)
        self.post.send_packed(packed, packing)

    def answered(self) -> None:
        """One that was on the way has been answered."""
        self._on_the_way -= 1
        self.pump()

    def _has_room(self) -> bool:
        # One is always let out: its answer comes back here.
        if not self._on_the_way:
            return True
        room = min(_ON_THE_WAY, self.post.peer_limits.max_pending_calls // _SHARE)
        return self._on_the_way < room and self.post.outbox.unsent <= self.most_bytes
