"""The gate: everything that a broker sends goes through here.

Owns the outbox, the packing of values and the giving back of what a message exported
that could not be sent. Never decides what to send. Called by the broker alone.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any, Protocol

from geopb.broker.credit import TOLD_FROM_BYTES
from geopb.broker.exports import Exports
from geopb.broker.outbox import Outbox
from geopb.failure import Report
from geopb.jelly.encode import Encoder
from geopb.jelly.passing import Packed, Packing, Passer
from geopb.text import encodable, shorten
from geopb.wire import messages
from geopb.wire.codec import encode
from geopb.wire.framing import SMALL_BODY, SMALL_HEADS, frame_head
from geopb.wire.short import release_body, taken_body

#: Bytes queued in one turn of the loop with which the peer should begin already.
#: Twice the rate of 1000 calls made in a row, against sending them all at the end.
_MANY_BYTES = 4096
#: Arguments of an exception that are tried one by one, where they cannot all cross.
_MOST_ARGUMENTS = 100
#: Ids and counts in one release message: some 12 KiB at the most, below every peer's
#: limit.
_RELEASES_EACH = 1400


class Sender(Protocol):
    """Who takes the bytes: the broker's host."""

    def wake(self) -> None:
        """There are bytes to take; called again only after all were taken."""

    def offer(self, framed: bytes) -> bool:
        """Send a message now, as nothing waits; False if it is to be queued."""

    def hurry(self) -> None:
        """There are many bytes to take by now; called again for each message."""

    def now(self) -> float:
        """Return the time in seconds, from any beginning."""


class Post:
    """Packs and queues messages.

    Args:
        passer: Knows how objects cross.
        exports: What packing counts.
        sender: Who takes the bytes.
    """

    __slots__ = (
        "_encoder",
        "_exports",
        "_finished",
        "_sender",
        "_untold",
        "closed",
        "opened_by_peer",
        "outbox",
        "passer",
        "peer_limits",
    )

    def __init__(self, passer: Passer, exports: Exports, sender: Sender) -> None:
        self.peer_limits = messages.BEFORE_HELLO
        self.outbox = Outbox(sender.now)
        self._exports = exports
        #: Knows how objects cross.
        self.passer = passer
        self._encoder = Encoder(passer, self._limits)
        self._sender = sender
        self._finished = False
        #: Bytes of bulk that were taken, and the peer has not been told so.
        self._untold = 0
        #: The connection has ended: nothing is packed any more.
        self.closed = False
        #: The peer's hello is in.
        self.opened_by_peer = False

    def _limits(self) -> messages.PeerLimits:
        return self.peer_limits

    def opened(self, peer_limits: messages.PeerLimits) -> None:
        """The peer's hello is in: keep its limits, let what was held leave."""
        self.peer_limits = peer_limits
        self.opened_by_peer = True
        self.outbox.open(peer_limits.max_message_size, peer_limits.max_structure_size)
        self.wake()

    def send(self, message: list[Any]) -> None:
        """Send a small message of plain values."""
        self.send_body(encode(message))

    def send_values(
        self,
        head: list[object],
        args: Any,
        kwargs: dict[str, Any] | None = None,
        tail: Any = (),
        *,
        perspective: Any = None,
    ) -> int:
        """Send ``[*head, args, kwargs?, *tail]``, `args` and `kwargs` made passable.

        What it exports is counted, and rolled back if it fails. ``perspective`` is for
        whom copies are asked for their state; None takes the running call's.
        Returns what it weighs.

        Raises:
            InsecureJelly, LimitExceeded: A value may not cross. Nothing was sent.
            BaseException: What a hook of a copy raised. Nothing was sent.
        """
        packing = Packing(perspective, is_call=head[0] == messages.CALL)
        packed = self.pack(head, args, kwargs, tail, packing=packing)
        self.send_packed(packed, packing)
        return packed.weight

    def pack(
        self,
        head: list[object],
        args: Any,
        kwargs: dict[str, Any] | None = None,
        tail: Any = (),
        *,
        packing: Packing,
    ) -> Packed:
        """Pack a message, which `send_packed` or `undo` must follow.

        Raises:
            InsecureJelly, LimitExceeded: A value may not cross; all is undone.
            BaseException: What a hook of a copy raised; likewise.
        """
        try:
            return self._encoder.pack(head, args, kwargs, tail, packing=packing)
        except BaseException:
            self.undo(packing)
            raise

    def send_packed(self, packed: Packed, packing: Packing) -> None:
        """Send what was packed."""
        if self._finished:
            # A hook has blocked while the connection ended.
            self.undo(packing)
            return
        if packing.begun:
            packed.queued = lambda: _queued(packing)
        if packed.bulk:
            self.outbox.add_packed(packed)
            self.wake()
        else:
            self.send_body(packed.body)
            if packed.queued is not None:
                packed.queued()

    def undo(self, packing: Packing) -> None:
        """Take back what packing has counted: the message is not sent."""
        self._exports.rollback(packing.exported)
        for feed, number in packing.begun:
            feed.failed(named=self._exports.find_home(number) is not None)

    def send_report(self, question: int, report: Report) -> None:
        """Answer a question with an exception. Never fails."""
        parents = list(report.parents)
        head = [messages.ERROR, question, report.type, report.message, parents]
        tail: list[object] = [report.traceback, report.details]
        try:
            # All at once, where all can cross: there may be many.
            self.send_values(head, report.args, report.attributes, tail)
        except Exception:
            self._send_crossing(head, report, tail)

    def _send_crossing(self, head: list[Any], report: Report, tail: list[Any]) -> None:
        """Answer a question with what can cross of an exception."""
        try:
            args = self._crossing(report.args[:_MOST_ARGUMENTS])
            if report.args and not args:
                # An exception shows its arguments: the text stands for them.
                args = [report.message]
            told = {
                name: value
                for name, value in report.attributes.items()
                if self._may_cross(value)
            }
            self.send_values(head, args, told, tail)
        except Exception:
            # Together they pass a limit, or a detail cannot cross: the type and the
            # message, cut to what every peer takes, always arrive.
            names = (report.type, *report.parents)
            name, *bases = [encodable(text)[:150] for text in names]
            text = shorten(encodable(report.message), 1000)
            self.send([*head[:2], name, text, bases[:8], [text], {}])

    def _crossing(self, args: tuple[object, ...]) -> list[object]:
        """Return those of an exception's arguments that can cross."""
        return [arg for arg in args if self._may_cross(arg)]

    def _may_cross(self, value: object) -> bool:
        packing = Packing()
        try:
            self._encoder.pack([], (value,), packing=packing)
        except Exception:
            # The error path cannot fail: whatever ails this one, it stays behind.
            return False
        else:
            return True
        finally:
            self.undo(packing)

    def give_back(self, numbers: list[int]) -> None:
        """Release references that came with a message which is not used."""
        counts = Counter(filter(messages.is_id, numbers))
        self.release(list(chain.from_iterable(counts.items())))
        self.wake()

    def release(self, numbers: list[int]) -> None:
        """Release references: ``[id, count, ...]``, with what is sent next."""
        if self._finished:
            return
        if len(numbers) == 2:
            # Most often: one object.
            body = release_body(*numbers)
            self.outbox.add_framed(SMALL_HEADS[len(body)] + body)
            return
        for start in range(0, len(numbers), _RELEASES_EACH):
            some = numbers[start : start + _RELEASES_EACH]
            self.outbox.add(encode([messages.RELEASE, *some]))

    def took(self, count: int, left: int) -> None:
        """Take note of bulk that was taken off the line; tell the peer in time.

        Args:
            count: Bytes.
            left: How many more its chunk will bring.
        """
        self._untold += count
        if left or self._untold < TOLD_FROM_BYTES:
            return
        # Also when the goodbye waits to be sent: the peer's last bulk is to come in.
        if not self._finished or self.outbox.ends:
            self.outbox.add(taken_body(self._untold))
            self.wake()
        self._untold = 0

    def peer_took(self, count: int) -> None:
        """Act on what the peer tells of bulk, in bytes: more may be sent.

        Raises:
            ProtocolError: It was not sent so much.
        """
        self.outbox.peer_took(count)
        self.wake()

    def finish(self, message: list[Any]) -> None:
        """Send the last message; whatever comes after it is dropped."""
        if not self._finished:
            self._finished = True
            self.outbox.finish(encode(message))
            self.wake()

    def close(self) -> None:
        """Forget all: the connection has ended."""
        self.closed = self._finished = True
        self.outbox.clear()

    def send_body(self, body: bytes) -> None:
        """Send a message that is encoded, and has no bulk."""
        if self._finished:
            return
        outbox = self.outbox
        size = len(body)
        framed = (SMALL_HEADS[size] if size < SMALL_BODY else frame_head(size)) + body
        if self.opened_by_peer:
            if outbox.unsent and not (outbox.more or outbox.sending):
                # Releases: they wait for what is sent next.
                framed = outbox.take_frames() + framed
            if not outbox.unsent:
                offer = self._sender.offer
                if offer(framed):
                    # Most messages: they do not enter the queue.
                    return
        if outbox.sending:
            outbox.beside_bulk()
        outbox.add_framed(framed)
        if outbox.more:
            if outbox.unsent > _MANY_BYTES and outbox.frames_size > _MANY_BYTES:
                self._sender.hurry()
        elif self.opened_by_peer:
            # What `wake` would do: a frame may always leave then.
            outbox.more = True
            self._sender.wake()
        else:
            self.wake()

    def wake(self) -> None:
        """Have what waits leave."""
        outbox = self.outbox
        if not outbox.more and outbox:
            outbox.more = True
            self._sender.wake()


def _queued(packing: Packing) -> None:
    for feed, _ in packing.begun:
        feed.sent()
