from __future__ import annotations

from collections import OrderedDict
from time import thread_time
from typing import Any

import pytest

from geopb.errors import LimitExceeded
from geopb.jelly.census import BULK_BYTES, may_hold_big_integer, plain_tree
from geopb.wire.codec import encode
from tests.jelly.graphs import nested
from tests.timing import seconds


def is_plain(*values: Any, depth: int = 128, items: int = 4_000_000) -> bool:
    return plain_tree(values, depth, items)


class Text(str):
    __slots__ = ()


class Items(list[Any]):
    pass


@pytest.mark.parametrize(
    "values",
    [
        (),
        (None, True, 1, 1.5, "text", b"bytes"),
        ([], {}),
        ([[], [[]], {"a": []}],),
        ({"a": {"b": [1, None]}},),
        ([1, 1, "a", "a"],),
        ([2**64, -(2**8000)],),
        (["x" * 100_000],),
    ],
)
def test_a_tree_of_plain_values_is_plain(values: tuple[Any, ...]) -> None:
    assert is_plain(*values)


def test_a_list_that_the_caller_holds_several_times_is_plain() -> None:
    held = [1, 2]
    others = [held, held]

    assert is_plain(held)
    assert is_plain([held, {"a": 1}])
    assert others


@pytest.mark.parametrize(
    "value",
    [
        (),
        set(),
        frozenset(),
        bytearray(),
        1j,
        range(3),
        memoryview(b""),
        Text("a"),
        Items(),
        OrderedDict(),
        {1: 2},
        {b"a": 1},
        {None: 1},
        {("a",): 1},
        {Text("a"): 1},
        b"x" * BULK_BYTES,
        object(),
        int,
    ],
)
def test_anything_else_is_for_the_careful_pass(value: Any) -> None:
    assert not is_plain(value)
    assert not is_plain([value])
    assert not is_plain({"a": [1, {"b": value}]})


def test_an_alias_is_for_the_careful_pass() -> None:
    shared: list[Any] = []
    for value in (
        [shared, shared],
        [shared, [shared]],
        [[shared], [[shared]]],
        {"a": shared, "b": {"c": shared}},
        [[[1], shared], shared],
    ):
        assert not is_plain(value)
    assert not is_plain(shared, shared)
    assert not is_plain(shared, [shared])


def test_an_alias_that_nobody_else_holds_is_found() -> None:
    assert not is_plain([[]] * 2)
    assert not is_plain({"a": [{}] * 2})
    assert not is_plain(*([[]] * 2))
    assert not is_plain([[], *[[]] * 2, []])


def test_a_dict_that_once_had_other_keys_is_not_wrongly_plain() -> None:
    value: dict[Any, Any] = {1: 2, "a": 3}
    del value[1]

    # Either answer is right here; the careful pass sends the same bytes.
    assert is_plain(value) in (True, False)


def test_a_cycle_is_for_the_careful_pass() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    ring: dict[str, Any] = {"a": [{}]}
    ring["a"][0]["b"] = ring

    assert not is_plain(cycle)
    assert not is_plain(ring)


@pytest.mark.parametrize("kind", [list, dict])
def test_the_greatest_depth_is_plain_and_one_more_is_not(kind: Any) -> None:
    assert is_plain(nested(128, kind))
    assert not is_plain(nested(129, kind))
    assert is_plain(nested(3, kind), depth=3)
    assert not is_plain(nested(4, kind), depth=3)


def test_more_items_than_bytes_allowed_are_refused() -> None:
    assert is_plain([0] * 99, items=100)
    with pytest.raises(LimitExceeded, match="max_structure_size=100"):
        is_plain([0] * 100, items=100)


def test_ten_million_items_are_refused_in_bounded_time() -> None:
    value = [0] * 10_000_000
    begun = thread_time()

    with pytest.raises(LimitExceeded):
        is_plain(value)

    assert thread_time() - begun < seconds(1.0)


def test_a_doubling_of_lists_is_left_at_once() -> None:
    value: list[Any] = []
    for _ in range(24):
        value = [value, value]
    begun = thread_time()

    assert not is_plain(value)

    assert thread_time() - begun < seconds(0.05)


def test_a_plain_tree_of_many_records_costs_little() -> None:
    value = [{"id": n, "name": f"name {n}", "tags": ["a", "b"]} for n in range(10_000)]
    begun = thread_time()

    assert is_plain(value)

    assert thread_time() - begun < seconds(0.1)


@pytest.mark.parametrize("limit", [64, 100, 2039, 2040, 2041, 8192, 20_000])
def test_a_big_integer_is_always_suspected(limit: int) -> None:
    for bits in (limit, limit + 1, limit + 8, 2 * limit, 65_536 * 8 + 1):
        for value in (2**bits, -(2**bits) - 1):
            body = encode(["text", [value], "text"])
            if value.bit_length() > limit:
                assert may_hold_big_integer(body, limit)


def test_values_without_big_integers_are_not_suspected() -> None:
    assert not may_hold_big_integer(encode([1, 2**64 - 1, "text", [1.5]]), 64)
    assert not may_hold_big_integer(encode([2**2000, "é" * 5000]), 8192)


def test_a_big_integer_behind_much_suspicious_text_is_found() -> None:
    # The UTF-8 of these characters begins like a big integer does.
    text = "\u0080" * 10_000

    assert may_hold_big_integer(encode([text, 2**8192]), 8192)
    assert may_hold_big_integer(encode([text, -(2**70_000 * 8)]), 8192)
