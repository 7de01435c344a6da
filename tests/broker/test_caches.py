"""The holder's side of a cache: what comes for it, in which order, and what may not."""

from __future__ import annotations

import gc
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import geopb as pb
from geopb.jelly import tags
from tests.broker.boards import Board, ShownBoard, show
from tests.broker.harness import (
    Pair,
    Side,
    Thing,
    byte_by_byte,
    joined,
    opened,
    refusal,
)
from tests.vectors.cbor import Tag, frame
from tests.vectors.classes import ShownTable


@pytest.fixture
def pair() -> Iterator[Pair]:
    with joined() as made:
        yield made
        for side in (made.a, made.b):
            side.desk.taken.clear()
        made.assert_released()


def board(number: int = 5, *state: Any) -> Tag:
    return Tag(tags.CACHE, [number, "vectors.Table", *state])


def call(*args: Any, question: int | None = 1) -> bytes:
    return frame([1, question, 0, "take", list(args)])


def messages(data: bytes) -> list[bytes]:
    found = []
    while data:
        (size,) = struct.unpack_from(">I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def holding(side: Side) -> ShownTable:
    """Send a side a cache with the id 5; return it."""
    side.receive(call(board(5, {"rows": 1}), question=None))
    (found,) = side.desk.taken
    side.desk.taken.clear()
    assert isinstance(found, ShownTable)
    return found


def test_a_cache_is_the_same_object_while_it_is_held(pair: Pair) -> None:
    it = Board()

    first, again = show(pair, it), show(pair, it)

    assert first is again
    assert type(first) is ShownBoard


def test_init_is_not_called(pair: Pair) -> None:
    class Careful(ShownBoard):
        def __init__(self) -> None:
            raise AssertionError("called")

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("boards.Board", Careful)
    with joined(b_registry=registry) as other:
        assert type(show(other, Board())) is Careful


def test_a_cache_sent_home_is_the_original(pair: Pair) -> None:
    it = Board()
    shown = show(pair, it)

    answer = pair.b.ask("echo", [shown, {"a": shown}])
    taken = pair.b.ask("take", shown)
    pair.deliver()

    assert pair.a.desk.taken == [it]
    assert taken.get() is None
    assert answer.get()[0] is answer.get()[1]["a"] is shown
    answer.drop()


def test_a_cache_may_not_be_sent_to_a_third_party(pair: Pair) -> None:
    shown = show(pair, Board())
    with joined() as other:
        answer = other.a.ask("take", shown)
        with pytest.raises(pb.InsecureJelly, match="third party"):
            answer.get()


def test_a_cache_made_by_hand_may_not_cross(pair: Pair) -> None:
    answer = pair.a.ask("take", ShownBoard())

    with pytest.raises(pb.InsecureJelly, match="ShownBoard may not cross"):
        answer.get()


def test_state_and_updates_arrive_byte_by_byte(pair: Pair) -> None:
    it = Board(a=1)
    answer = pair.a.ask("take", it)
    it.set("a", 2)
    it.set("b", ["x" * 40_000])

    pair.deliver(byte_by_byte)

    answer.get()
    shown = pair.b.desk.taken.pop()
    assert shown.states == [{"a": 1}]
    assert shown.values == it.values


def test_updates_wait_until_the_state_is_taken(pair: Pair) -> None:
    class Slow(ShownBoard):
        def setCopyableState(self, state: Any) -> None:
            # The world goes on while it blocks.
            it.set("a", 2)
            pair.deliver()
            super().setCopyableState(state)

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("boards.Board", Slow)
    with joined(b_registry=registry) as pair:
        it = Board(a=1)
        shown = show(pair, it)

        assert (shown.states, shown.updates) == ([{"a": 1}], [("a", 2)])


def test_a_state_that_is_not_taken_fails_its_call(pair: Pair) -> None:
    class Angry(ShownBoard):
        def setCopyableState(self, state: Any) -> None:
            raise KeyError("not taken")

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("boards.Board", Angry)
    with joined(b_registry=registry) as other:
        it = Board()
        answer = other.a.ask("take", it)
        other.deliver()

        with pytest.raises(KeyError, match="not taken"):
            answer.get()
        answer.failure = None
        other.assert_released()
        assert it.told == ["observed", "stopped"]


def test_two_caches_that_hold_each_other_arrive(pair: Pair) -> None:
    one, other = Board(), Board()
    one.values["other"], other.values["one"] = other, one

    shown = show(pair, one)

    assert shown.values["other"].values["one"] is shown
    shown.values["other"].values.clear()
    shown.values["other"].states.clear()
    shown.values.clear()
    shown.states.clear()
    one.values.clear()


def test_names_alone_wait_for_fresh_state_and_fail_with_the_line() -> None:
    with joined() as pair:
        it = Board(a=1)
        show(pair, it)
        gc.collect()
        it.meanwhile = lambda: (pair.a.close(), pair.b.close())

        answer = pair.a.ask("take", it)
        pair.deliver()

        with pytest.raises(pb.PBConnectionLost):
            answer.get()
        assert pair.b.desk.taken == []
    assert it.observers == []


# -- a peer that lies ---------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        [7, 1, 9, "set", ["rows", 2]],
        [7, 1, 2**63 - 1, "set", ["rows", 2]],
        [8, 1, 9, [{"rows": 2}]],
        [7, 1, 5, "nothing", []],
        [7, 1, 5, "_set", []],
        [7, 1, 5, "", []],
        [7, 1, 5, "__class__", []],
        [7, 1, 5, "set", [Tag(tags.YOURS, 9)]],
        [7, 1, 5, "set", [Tag(tags.COPY, ["os.system", {}])]],
        [8, 1, 5, [Tag(tags.COPY, ["os.system", {}])]],
        [8, 1, 5, [5]],
        [1, 1, 5, "set", ["rows", 2]],
    ],
    ids=range(12),
)
def test_what_may_not_be_told_fails_alone(message: Any) -> None:
    side = opened()
    table = holding(side)

    side.receive(frame(message))

    (answer,) = messages(side.take())
    assert answer[1:3] == b"\x03\x01"
    assert table.rows == 1
    side.receive(frame([7, 2, 5, "set", ["rows", 2]]))
    assert table.rows == 2
    side.close()


@pytest.mark.parametrize(
    "message",
    [[7, None, 9, "set", []], [8, None, 9, [{}]], [9, 9]],
)
def test_what_nobody_holds_and_nobody_asks_does_nothing(message: Any) -> None:
    side = opened()

    side.receive(frame(message))

    assert side.take() == b""
    side.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Tag(tags.MINE, 5), board(5, {})),
        (Tag(tags.MINE, 5), board(5)),
        (board(5, {}), Tag(tags.MINE, 5)),
        (board(5, {}), board(5, {})),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_an_id_is_one_thing(first: Tag, second: Tag, together: bool) -> None:
    side = opened()
    if together:
        side.receive(call(first, second))
    else:
        side.receive(call(first, question=None))
        held = list(side.desk.taken)
        side.receive(call(second))
        assert side.desk.taken == held

    assert b"InsecureJelly" in side.take()
    side.desk.taken.clear()
    held = []
    gc.collect()
    side.release_dropped()
    assert side.broker.statistics()["imports"] == 0
    side.close()


def test_the_other_name_of_a_cache_makes_no_second_object() -> None:
    side = opened()
    table = holding(side)

    side.receive(frame([1, None, 0, "take", [Tag(tags.CACHE, [5, "boards.Board"])]]))

    assert all(each is table for each in side.desk.taken)
    side.close()


def test_state_from_a_refused_message_is_no_state() -> None:
    side = opened()
    table = holding(side)
    bad = Tag(tags.COPY, ["os.system", {}])

    side.receive(call(board(6, {"rows": 3}), bad))
    side.receive(frame([7, 2, 6, "set", ["rows", 4]]))

    assert b"InsecureJelly" in side.take()
    assert table.rows == 1
    assert side.broker.statistics()["imports"] == 1
    side.close()


def test_caches_count_in_the_table_of_references() -> None:
    side = opened(pb.Limits(max_references=2))
    side.receive(call(board(1, {}), board(2, {}), question=None))

    side.receive(call(board(3, {})))

    assert b"max_references=2" in side.take()
    side.close()


@pytest.mark.parametrize(
    "message",
    [
        [7, 1, 0, "set", []],
        [7, 1, "5", "set", []],
        [7, 1, 5, b"set", []],
        [7, 1, 5, "set", {}],
        [8, 1, 5, []],
        [8, 1, 5, {}],
        [8, 0, 5, [1]],
        [9, 0],
        [9, Tag(tags.COPY, ["vectors.Note", {}])],
        [9, None],
    ],
    ids=range(10),
)
def test_a_wrong_shape_ends_the_connection(message: Any) -> None:
    side = opened()
    holding(side)

    assert refusal(side, message)

    side.close()


def test_a_reference_dropped_and_a_cache_dropped_are_both_released(pair: Pair) -> None:
    it, thing = Board(), Thing()

    show(pair, it, thing)

    pair.assert_released()
    assert it.told == ["observed", "stopped"]
