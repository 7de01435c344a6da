from __future__ import annotations

import struct
from typing import Any

import pytest

from geopb.broker.credit import CHUNK_BYTES, LEAST_WINDOW
from geopb.broker.outbox import Outbox
from geopb.errors import ProtocolError
from geopb.jelly.passing import Bulk, Packed
from geopb.limits import MAX_BULK, MINIMUM_MESSAGE_BYTES
from geopb.wire.chunks import CHUNK_HEAD_BYTES
from geopb.wire.codec import Decoder

MEBI = 1024 * 1024


def opened(max_bulk: int = 64 * MEBI, max_frame: int = 4 * MEBI) -> Outbox:
    outbox = Outbox(lambda: 0.0)
    outbox.open(max_bulk, max_frame)
    return outbox


def packed(name: str, *sizes: int, first: int = 1) -> Packed:
    bulk = [Bulk(first + n, bytes([n % 256]) * size) for n, size in enumerate(sizes)]
    return Packed(name.encode(), bulk)


def frames(data: bytes) -> list[Any]:
    """Return the bodies in `data`: chunks as ``(bulk, length)``."""
    found: list[Any] = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        body, data = data[4 : 4 + length], data[4 + length :]
        if body[:2] == b"\x83\x05":
            _, number, piece = Decoder({}, 10).decode(body)
            found.append((number, len(piece)))
        else:
            found.append(body.decode())
    return found


#: Bytes of a chunk of an outbox that was told nothing yet.
FIRST = LEAST_WINDOW // 2


def drain(outbox: Outbox) -> list[Any]:
    return frames(b"".join(iter(outbox.take, b"")))


def test_frames_leave_in_order_and_all_at_once() -> None:
    outbox = opened()
    for body in (b"a", b"b", b"c"):
        outbox.add(body)

    assert outbox.unsent == 15
    assert frames(outbox.take()) == ["a", "b", "c"]
    assert outbox.unsent == 0
    assert not outbox
    assert outbox.take() == b""


def test_before_the_hello_only_the_least_limit_leaves() -> None:
    outbox = Outbox(lambda: 0.0)
    half = b"x" * (MINIMUM_MESSAGE_BYTES // 2 - 4)
    for body in (half, half, b"later"):
        outbox.add(body)

    assert outbox.take() == (struct.pack(">I", len(half)) + half) * 2
    assert not outbox
    assert outbox.take() == b""
    assert outbox.unsent == 9

    outbox.open(MEBI, MEBI)
    assert outbox
    assert drain(outbox) == ["later"]


def test_before_the_hello_nothing_overtakes_a_frame_that_is_too_large() -> None:
    outbox = Outbox(lambda: 0.0)
    outbox.add(b"x" * MINIMUM_MESSAGE_BYTES)
    outbox.add(b"small")

    assert outbox.take() == b""
    outbox.open(MEBI, MEBI)
    assert drain(outbox)[1] == "small"


def test_before_the_hello_no_bulk_leaves() -> None:
    outbox = Outbox(lambda: 0.0)
    outbox.add_packed(packed("a", 10))

    assert not outbox
    assert outbox.take() == b""
    outbox.open(MEBI, MEBI)
    assert drain(outbox) == ["a", (1, 10)]


def test_bulk_leaves_behind_its_message_in_chunks() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", FIRST + 1))

    assert outbox.unsent == FIRST + 1 + 5
    assert drain(outbox) == ["a", (1, FIRST), (1, 1)]
    assert outbox.unsent == 0


def test_chunks_grow_with_the_window_up_to_a_bound() -> None:
    now = 0.0
    outbox = Outbox(lambda: now)
    outbox.open(64 * MEBI, 4 * MEBI)
    outbox.add_packed(packed("a", 30 * MEBI))

    sizes = []
    while chunks := [each for each in drain(outbox) if each != "a"]:
        sizes += [size for _, size in chunks]
        now += 0.02
        outbox.peer_took(sum(size for _, size in chunks))

    assert sizes[0] == FIRST
    assert max(sizes) == CHUNK_BYTES


def test_large_chunks_are_given_where_they_are() -> None:
    outbox = opened()
    message = packed("a", FIRST)
    outbox.add_packed(message)
    outbox.add(b"small")

    taken = outbox.take_pieces()

    assert isinstance(taken, list)
    assert any(getattr(piece, "obj", None) is message.bulk[0].data for piece in taken)
    assert frames(b"".join(taken)) == ["a", "small", (1, FIRST)]


def test_small_chunks_are_put_together() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", 1000, 2000))

    taken = outbox.take_pieces()

    assert isinstance(taken, bytes)
    assert frames(taken) == ["a", (1, 1000), (2, 2000)]


def test_chunks_of_several_bulks_alternate() -> None:
    size = MINIMUM_MESSAGE_BYTES
    outbox = opened(max_frame=size + CHUNK_HEAD_BYTES)
    outbox.add_packed(packed("a", 2 * size, size + 5))

    assert drain(outbox) == ["a", (1, size), (2, size), (1, size), (2, 5)]


def test_small_messages_pass_between_chunks() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", 100 * CHUNK_BYTES))
    outbox.take()

    outbox.add(b"small")
    taken = frames(outbox.take())

    assert taken[0] == "small"
    assert len(taken) < 10


def test_a_chunk_s_frame_keeps_the_peer_s_limit() -> None:
    outbox = opened(max_frame=MINIMUM_MESSAGE_BYTES)
    outbox.add_packed(packed("a", 100_000))
    data = b"".join(iter(outbox.take, b""))

    lengths = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        lengths.append(length)
        data = data[4 + length :]
    assert max(lengths) <= MINIMUM_MESSAGE_BYTES


def test_a_message_waits_until_its_bulk_fits() -> None:
    outbox = opened(max_bulk=100)
    outbox.add_packed(packed("a", 60))
    outbox.add_packed(packed("b", 60, first=2))
    outbox.add_packed(packed("c", 10, first=3))
    outbox.add(b"small")

    assert drain(outbox) == ["a", "small", (1, 60), "b", "c", (2, 60), (3, 10)]


def test_no_chunk_leaves_ahead_of_its_message() -> None:
    outbox = opened(max_bulk=100)
    for number in range(1, 10):
        outbox.add_packed(packed(f"m{number}", 60, first=number))

    sent = drain(outbox)

    for number in range(1, 10):
        assert sent.index(f"m{number}") < sent.index((number, 60)), sent


def test_bulk_under_way_never_passes_the_bound() -> None:
    outbox = opened(max_bulk=100)
    sizes = {}
    for number, size in enumerate([60, 30, 50, 100, 1, 99, 2], 1):
        sizes[f"m{number}"] = size
        outbox.add_packed(packed(f"m{number}", size, first=number))

    open_bytes = 0
    for each in drain(outbox):
        open_bytes += sizes[each] if type(each) is str else -each[1]
        assert 0 <= open_bytes <= 100


def test_messages_wait_while_the_most_bulks_are_under_way() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", *[1] * (MAX_BULK - 1)))
    outbox.add_packed(packed("b", 1, 1, first=MAX_BULK))

    sent = drain(outbox)

    assert sent.index("b") == MAX_BULK
    assert len(sent) == MAX_BULK + 3


def test_bulk_is_held_until_the_peer_has_taken_what_was_sent() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", 2 * LEAST_WINDOW))

    assert sum(each[1] for each in drain(outbox)[1:]) == LEAST_WINDOW
    assert not outbox
    assert outbox.held
    assert outbox.unsent == LEAST_WINDOW

    outbox.peer_took(FIRST)
    assert outbox
    assert not outbox.held
    assert outbox.taken == FIRST
    assert drain(outbox)


def test_small_messages_leave_while_bulk_is_held() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", 2 * LEAST_WINDOW))
    drain(outbox)

    outbox.add(b"small")

    assert outbox
    assert drain(outbox) == ["small"]


def test_the_last_message_waits_for_bulk_that_is_held() -> None:
    outbox = opened()
    outbox.add_packed(packed("a", LEAST_WINDOW + 1))
    drain(outbox)
    outbox.finish(b"last")

    assert not outbox
    assert outbox.ends
    outbox.peer_took(LEAST_WINDOW)
    assert drain(outbox) == [(1, 1), "last"]
    assert not outbox.ends


def test_nothing_can_be_taken_where_nothing_was_sent() -> None:
    outbox = opened()

    with pytest.raises(ProtocolError, match="1 bytes of bulk taken, none were sent"):
        outbox.peer_took(1)


def test_the_last_message_leaves_behind_all_bulk() -> None:
    outbox = opened(max_bulk=100)
    outbox.add_packed(packed("a", 60))
    outbox.add_packed(packed("b", 60, first=2))
    outbox.finish(b"last")
    outbox.add(b"small")

    assert drain(outbox) == ["a", "small", (1, 60), "b", (2, 60), "last"]


def test_a_cleared_outbox_is_empty() -> None:
    outbox = opened(max_bulk=100)
    outbox.add(b"a")
    outbox.add_packed(packed("b", 60))
    outbox.add_packed(packed("c", 60, first=2))

    outbox.clear()

    assert outbox.unsent == 0
    assert not outbox
    assert outbox.take() == b""


def test_less_is_on_its_way_once_a_small_message_is_sent() -> None:
    now = 0.0
    outbox = Outbox(lambda: now)
    outbox.open(64 * MEBI, 4 * MEBI)
    outbox.add_packed(packed("a", 60 * MEBI))

    def sent() -> int:
        """Let all be taken, at 1 GB a second; return what follows at once."""
        nonlocal now
        chunks = drain(outbox)
        size = sum(each[1] for each in chunks if each != "a")
        now += size / 1e9
        outbox.peer_took(size)
        return size

    for _ in range(3):
        sent()
    assert sent() >= MEBI

    outbox.beside_bulk()
    assert sent() < MEBI
    now += 1
    for _ in range(3):
        sent()
    assert sent() >= MEBI
