"""What must hold whatever bytes come: the oracle of all fuzzing.

Owns the meaning of an input, and the checks. `check_one_end` gives it to one broker as
what a peer has sent, `check_two_ends` changes by it what one of two brokers says to the
other. A `Finding` is raised for what must not be; any other exception is one as well.

An input of `check_one_end` is a byte of flags, then frames' bodies with `SEPARATOR`
between them, so that bytes may come and go without a length to be wrong. One of
`check_two_ends` is a byte that says whose bytes are changed, then changes of
`CHANGE_BYTES` each.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from traceback import extract_tb
from typing import Any

import geopb as pb
from geopb.broker.calls import IncomingCall
from geopb.broker.state import State
from geopb.limits import Limits
from tests.broker.harness import HELLO, Answer, Pair, Side, Thing
from tests.fuzz.conversation import talk
from tests.timing import seconds
from tests.vectors.cbor import frame

#: Between two bodies: three bytes that no well-formed item of ours begins with.
SEPARATOR = b"\xff\xf0\xff"
#: Flags of an input: the bytes are a stream as they are; they come before the hello;
#: they come one by one.
RAW, OPENING, BYTEWISE = 1, 2, 4
#: A change: which frame, what, where (two bytes), and a byte for it.
CHANGE_BYTES = 5

#: CPU seconds that one input of a fuzzer may take; they are a few KiB.
MOST_SECONDS = 0.5
#: Characters of what is told of a refusal, to the log and to the peer.
_MOST_TEXT = 2000
#: What one byte in may cost in bytes out, and what any message may: an error answer.
_MOST_OUT_EACH, _MOST_OUT = 20, 200_000

#: What a peer may be refused with.
REFUSALS = (pb.ProtocolError, pb.LimitExceeded)

_LIMITS = Limits(max_references=50, max_pending_calls=64)


class Finding(AssertionError):
    """Something that must not happen whatever a peer sends."""


class Watched(Side):
    """A side that looks at the errors which calls and answers end with.

    Whatever is wrong with a peer's values is told as an error of geopb's, or is raised
    by the classes that take them; another one in the last steps of a message is a bug.
    """

    def run(self, call: IncomingCall) -> None:
        """Run one call and answer it."""
        if call.unfinished is not None:
            unfinished, call.unfinished = call.unfinished, None
            try:
                unfinished.finish()
            except Exception as error:
                if not isinstance(error, pb.Error) and not _by_a_class(error):
                    raise
                self.broker.fail(call, error)
                return
        super().run(call)


def _by_a_class(error: Exception) -> bool:
    """Whether users' code has raised it, or the harness: a wait without an end."""
    where = extract_tb(error.__traceback__)[-1].filename
    # The last is the code that a dataclass is given: hashing a ring of records.
    return "/flavors/" in where or "/tests/" in where or where == "<string>"


def check_one_end(data: bytes) -> Exception | None:
    """Give `data` to a broker; return what it refused the peer with, if it did.

    Raises:
        Finding: It did what no broker may do.
    """
    if not data:
        return None
    flags, rest = data[0], data[1:]
    side = Watched(_LIMITS)
    side.broker.begin()
    answers: list[Answer] = []
    if not flags & OPENING:
        side.broker.receive(HELLO)
        answers = _setting(side)
    side.take()
    bodies = rest.split(SEPARATOR)
    stream = rest if flags & RAW else b"".join(map(_framed, bodies))
    pieces = _bytewise(stream) if flags & BYTEWISE else [stream]
    with _in_time(len(stream)):
        refused = _feed(side, pieces)
    _check_told(refused, side.take(), len(stream))
    for answer in answers:
        answer.drop()
    if refused is None:
        _check_serves_on(side)
    _check_tables(side)
    side.close()
    _check_end(side, answers)
    return refused


def check_two_ends(data: bytes) -> None:
    """Let two brokers talk, and change what one of them says by `data`.

    Raises:
        Finding: One of them did what no broker may do.
    """
    if not data:
        return
    pair = Changed(data[0], data[1:])
    with _in_time(0):
        answers = talk(pair)
    for answer in answers:
        answer.drop()
    for side in (pair.a, pair.b):
        _check_told(side.error, b"", 0)
        _check_tables(side)
    pair.close()
    for side in (pair.a, pair.b):
        _check_end(side, [])
    if not all(answer.settled for answer in answers):
        raise Finding("a call has not ended though the connection has")


class Changed(Pair):
    """Two sides; what one says arrives changed.

    Args:
        whose: Even for the first side's, odd for the second's.
        changes: What to change, `CHANGE_BYTES` each.
    """

    def __init__(self, whose: int, changes: bytes) -> None:
        super().__init__(_LIMITS)
        self._sender = self.b if whose & 1 else self.a
        self._changes: dict[int, list[bytes]] = {}
        for start in range(0, len(changes) - CHANGE_BYTES + 1, CHANGE_BYTES):
            change = changes[start : start + CHANGE_BYTES]
            self._changes.setdefault(change[0], []).append(change[1:])
        self._said = 0

    def feed(self, receiver: Side, data: bytes) -> None:
        """Have one side receive `data`, or what has become of it."""
        if receiver is not self._sender:
            data = b"".join(self._change(each) for each in _frames(data))
        if receiver.broker.state is not State.CLOSED:
            super().feed(receiver, data)

    def _change(self, body: bytes) -> bytes:
        changes = self._changes.get(self._said, ())
        self._said += 1
        bodies = [body]
        for what, high, low, byte in changes:
            last = bodies.pop() if bodies else b""
            bodies += changed(last, what, high << 8 | low, byte)
        return b"".join(_framed(each) for each in bodies if each)


def changed(body: bytes, what: int, where: int, byte: int) -> list[bytes]:
    """Return what stands for a body that is changed: none, one or more."""
    where %= len(body) + 1
    before, after = body[:where], body[where:]
    one = bytes([byte])
    ways = [
        [before + one + after[1:]],
        [before + one + after],
        [before + after[1:]],
        [before + bytes([after[0] ^ 1 << (byte & 7)]) + after[1:] if after else before],
        [before + after[: byte & 15] * 2 + after[byte & 15 :]],
        [before],
        [body, body],
        [before, after],
        [],
        [before + byte.to_bytes(4, "big") + after[4:]],
    ]
    return ways[what % len(ways)]


def _setting(side: Side) -> list[Answer]:
    """Have three questions open and two objects out, as the vectors' setting has."""
    first, second = Thing("first"), Thing("second")
    side.desk.objects.update({"first": first, "second": second})
    return [side.ask("take", thing) for thing in (first, first, second)]


def _feed(side: Side, pieces: Any) -> Exception | None:
    try:
        for piece in pieces:
            side.receive(piece)
    except REFUSALS as error:
        # Its frames hold what was read last; the connection would end here.
        error.__traceback__ = error.__context__ = None
        return error
    return None


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def _frames(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        stop = position + 4 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : stop]
        position = stop


def _bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


@contextmanager
def _in_time(size: int) -> Iterator[None]:
    begun = thread_time()
    yield
    spent = thread_time() - begun
    bound = seconds(MOST_SECONDS * max(1.0, size / 2**20))
    if spent > bound:
        raise Finding(f"{size} bytes took {spent:.2f} s, the bound is {bound:.2f}")


def _check_told(refused: Exception | None, out: bytes, size: int) -> None:
    if refused is not None and len(str(refused)) > _MOST_TEXT:
        raise Finding(f"a refusal of {len(str(refused))} characters")
    if len(out) > _MOST_OUT + _MOST_OUT_EACH * size:
        raise Finding(f"{size} bytes in, {len(out)} bytes out")


def _check_serves_on(side: Side) -> None:
    """A peer that was not refused is served on, unless it is in the middle."""
    if side.broker.state is not State.OPEN or side.broker.in_the_middle:
        return
    side.desk.taken.clear()
    side.receive(frame([1, 2**63 - 1, 0, "take", ["still here"]]))
    if side.desk.taken != ["still here"]:
        raise Finding("what was taken broke the connection for the next call")


def _check_tables(side: Side) -> None:
    limits = side.broker.limits
    held = side.broker.statistics()
    if max(held["exports"], held["imports"]) > limits.max_references:
        raise Finding(f"tables over their limit: {held}")
    if any(size < 0 for size in held.values()):
        raise Finding(f"tables with less than nothing in them: {held}")
    if side.broker.state is not State.OPEN or side.broker.in_the_middle:
        return
    side.run_due()
    side.desk.remote_forget()
    side.release_dropped()
    if side.broker.statistics()["imports"]:
        gc.collect()
        side.release_dropped()
    if side.broker.statistics()["imports"]:
        raise Finding(f"references that nobody holds: {side.broker.statistics()}")


def _check_end(side: Side, answers: list[Answer]) -> None:
    if side.tables():
        raise Finding(f"the connection has ended, and holds {side.tables()}")
    if not all(answer.settled for answer in answers):
        raise Finding("a call has not ended though the connection has")
    if side.raised:
        raise Finding(f"hooks raised {side.raised}")
