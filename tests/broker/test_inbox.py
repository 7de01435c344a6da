from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from geopb.broker.assembly import LEAST_ROOM, MOST_AHEAD, TIMES_AHEAD
from geopb.broker.inbox import Inbox
from geopb.errors import LimitExceeded, ProtocolError
from geopb.jelly import tags
from geopb.jelly.slots import BulkSlot
from geopb.limits import MAX_BULK


def slot(number: int, length: int, kind: int = tags.BULK_BYTES) -> BulkSlot:
    return BulkSlot(number, length, kind)


def add(inbox: Inbox, number: int, data: bytes, left: int = 0) -> Any:
    return inbox.add(number, memoryview(data), left)


def test_a_message_is_complete_with_its_last_byte() -> None:
    inbox = Inbox(100)
    one, other = slot(1, 3), slot(2, 2)
    inbox.expect(["message"], [one, other])

    assert add(inbox, 1, b"ab", 1) is None
    assert add(inbox, 2, b"de") is None
    assert len(inbox) == 1
    waiting = add(inbox, 1, b"c")

    assert waiting.value == ["message"]
    assert waiting.refusal is None
    assert (one.value, other.value) == (b"abc", b"de")
    assert len(inbox) == 0


def test_bulk_in_small_parts_is_put_together() -> None:
    inbox = Inbox(10_000)
    whole = bytes(range(256)) * 10
    one = slot(1, len(whole), tags.BULK_BYTEARRAY)
    inbox.expect([], [one])
    backing = bytearray(whole)

    for at in range(len(whole)):
        part = memoryview(backing)[at : at + 1]
        inbox.add(1, part, 0)

    assert one.value == bytearray(whole)


@pytest.mark.parametrize("number", [2, 0, -1])
def test_bulk_that_was_not_announced_breaks_the_protocol(number: int) -> None:
    inbox = Inbox(100)
    inbox.expect([], [slot(1, 3)])

    with pytest.raises(ProtocolError, match=f"bulk {number}, which was not announced"):
        add(inbox, number, b"a")


def test_more_than_was_announced_breaks_the_protocol() -> None:
    for part, left in ((b"abcd", 0), (b"ab", 2)):
        inbox = Inbox(100)
        inbox.expect([], [slot(1, 3)])
        with pytest.raises(ProtocolError, match="longer than announced"):
            add(inbox, 1, part, left)


def test_bulk_after_its_end_breaks_the_protocol() -> None:
    inbox = Inbox(100)
    inbox.expect([], [slot(1, 1)])
    add(inbox, 1, b"a")

    with pytest.raises(ProtocolError, match="not announced"):
        add(inbox, 1, b"a")


def test_an_id_under_way_cannot_be_announced_again() -> None:
    inbox = Inbox(100)
    inbox.expect([], [slot(1, 1)])

    with pytest.raises(ProtocolError, match="announced twice"):
        inbox.expect([], [slot(1, 1)])
    with pytest.raises(ProtocolError, match="announced twice"):
        inbox.discard(1, 1)


def test_an_id_that_has_ended_may_be_used_again() -> None:
    inbox = Inbox(100)
    for _ in range(3):
        inbox.expect([], [slot(1, 1)])
        assert add(inbox, 1, b"a") is not None


def test_unfinished_bulk_at_the_limit_is_taken_and_one_byte_more_refused() -> None:
    inbox = Inbox(10)

    inbox.expect([], [slot(1, 6), slot(2, 4)])
    with pytest.raises(LimitExceeded, match="bulk of 11 exceeds max_message_size=10"):
        inbox.expect([], [slot(3, 1)])


def test_room_comes_back_when_a_message_is_complete() -> None:
    inbox = Inbox(10)
    for number in range(1, 20):
        inbox.expect([], [slot(number, 10)])
        add(inbox, number, b"x" * 10)


def test_a_message_s_room_comes_back_all_at_once() -> None:
    inbox = Inbox(10)
    inbox.expect([], [slot(1, 6), slot(2, 4)])
    add(inbox, 1, b"x" * 6)

    with pytest.raises(LimitExceeded):
        inbox.expect([], [slot(3, 6)])


def test_discarded_bulk_is_counted_until_it_has_come() -> None:
    inbox = Inbox(10)
    inbox.discard(1, 10)
    assert add(inbox, 1, b"x" * 9, 1) is None
    with pytest.raises(LimitExceeded):
        inbox.expect([], [slot(2, 10)])

    inbox = Inbox(10)
    inbox.discard(1, 10)
    assert add(inbox, 1, b"x" * 10) is None
    assert len(inbox) == 0
    inbox.expect([], [slot(2, 10)])


def test_discarded_bulk_that_is_too_long_breaks_the_protocol() -> None:
    inbox = Inbox(10)
    inbox.discard(1, 2)

    with pytest.raises(ProtocolError):
        add(inbox, 1, b"xyz")


def test_text_that_is_not_utf_8_is_told_with_its_message() -> None:
    inbox = Inbox(10)
    inbox.expect(["message"], [slot(1, 1, tags.BULK_TEXT), slot(2, 1)])

    assert add(inbox, 1, b"\xff") is None
    waiting = add(inbox, 2, b"a")

    assert waiting.value == ["message"]
    assert "UTF-8" in str(waiting.refusal)


def test_bulks_at_the_most_are_taken_and_one_more_refused() -> None:
    inbox = Inbox(10_000)

    inbox.expect([], [slot(number, 1) for number in range(1, MAX_BULK + 1)])
    with pytest.raises(LimitExceeded, match=f"bulk of {MAX_BULK + 1} exceeds"):
        inbox.expect([], [slot(MAX_BULK + 1, 1)])


def test_what_is_announced_allocates_nothing() -> None:
    inbox = Inbox(2**40)

    inbox.expect([], [slot(1, 2**39)])

    assert len(inbox) == 1


def test_a_cleared_inbox_is_empty() -> None:
    inbox = Inbox(10)
    inbox.expect([], [slot(1, 10)])

    inbox.clear()

    assert len(inbox) == 0
    inbox.expect([], [slot(1, 10)])


@pytest.mark.parametrize(
    ("kind", "made"), [(tags.BULK_BYTES, bytes), (tags.BULK_BYTEARRAY, bytearray)]
)
@pytest.mark.parametrize("size", [64 * 1024, 1000])
def test_large_bulk_is_put_together_as_it_comes(
    kind: int, made: type, size: int
) -> None:
    whole = bytes(range(256)) * 4096 * 2
    inbox = Inbox(len(whole))
    one = slot(1, len(whole), kind)
    inbox.expect([], [one])

    for at in range(0, len(whole), size):
        add(inbox, 1, whole[at : at + size])

    assert type(one.value) is made
    assert one.value == whole


@pytest.mark.parametrize("length", [10, 10_000, 2 * 1024 * 1024])
@pytest.mark.parametrize("kind", [tags.BULK_BYTES, tags.BULK_BYTEARRAY])
def test_the_buffer_of_a_part_may_be_used_again(kind: int, length: int) -> None:
    inbox = Inbox(length)
    one = slot(1, length, kind)
    inbox.expect([], [one])
    buffer = bytearray(length // 2)

    for number in (1, 2):
        buffer[:] = bytes([number]) * len(buffer)
        inbox.add(1, memoryview(buffer), 0)
    buffer[:] = bytes(len(buffer))

    half = length // 2
    assert one.value == b"\1" * half + b"\2" * half


#: So much has come that there is room for a whole chunk.
MUCH = MOST_AHEAD // TIMES_AHEAD + 1


@pytest.mark.parametrize("kind", [tags.BULK_BYTES, tags.BULK_BYTEARRAY])
@pytest.mark.parametrize("length", [LEAST_ROOM, MOST_AHEAD, 3 * MOST_AHEAD + 7])
@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_chunk_may_be_read_to_where_it_stays(
    kind: int, length: int, part: int
) -> None:
    """Also a room left half full, and what came with other things in between."""
    data = bytes(range(251)) * ((MUCH + 2 * length) // 251 + 1)
    inbox = Inbox(len(data))
    one = slot(1, len(data), kind)
    inbox.expect(["message"], [one])
    assert add(inbox, 1, data[:MUCH]) is None
    left, waiting = data[MUCH:], None

    while left:
        room = inbox.room(1, min(len(left), length))
        if room is None:
            waiting = add(inbox, 1, left)
            break
        assert 0 < len(room) <= min(len(left), length)
        count = -(-len(room) // part)
        room[:count] = left[:count]
        del room
        waiting = inbox.filled(1, count)
        left = left[count:]
        if part == 3 and left:
            waiting = add(inbox, 1, left[:1000])
            left = left[1000:]

    assert waiting is not None
    assert waiting.value == ["message"]
    assert one.value == data


def test_bytes_that_are_thrown_away_or_refused_have_no_room() -> None:
    inbox = Inbox(10 * MUCH)
    inbox.discard(1, 2 * MUCH)
    inbox.expect([], [slot(2, 2 * MUCH)])
    for number in (1, 2):
        add(inbox, number, bytes(MUCH))

    assert inbox.room(1, MUCH) is None
    assert inbox.room(2, MUCH + 1) is None
    assert inbox.room(3, MUCH) is None
    assert inbox.room(2, MUCH) is not None


@pytest.mark.parametrize("come", [1, 5000, LEAST_ROOM, MUCH])
def test_there_is_memory_for_a_few_times_what_has_come(come: int) -> None:
    """So that what a peer only announces costs it about as much as this side."""
    count = 8
    inbox = Inbox(2**40)
    inbox.expect([], [slot(number, 2**30) for number in range(count)])
    part = b"x" * come
    tracemalloc.start()
    try:
        for number in range(count):
            add(inbox, number, part, 2**29)
        come_bytes = tracemalloc.get_traced_memory()[1]
        rooms = [inbox.room(number, 2**29) for number in range(count)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert come_bytes < count * (come + 1000)
    if TIMES_AHEAD * come < LEAST_ROOM:
        assert rooms == count * [None]
    assert held < count * ((TIMES_AHEAD + 1.1) * come + 1000)


def test_there_is_room_for_no_more_than_a_chunk() -> None:
    inbox = Inbox(2**40)
    inbox.expect([], [slot(1, 2**30)])
    add(inbox, 1, bytes(2**20))

    room = inbox.room(1, 2**29)

    assert room is not None
    assert len(room) == MOST_AHEAD


def test_large_bulk_is_held_once() -> None:
    count, size = 256, 64 * 1024
    inbox = Inbox(count * size)
    one = slot(1, count * size)
    inbox.expect([], [one])
    tracemalloc.start()
    try:
        for _ in range(count):
            add(inbox, 1, bytes(size))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Not twice: what has come, and all of it again when the last byte is there.
    assert peak < 1.3 * count * size
