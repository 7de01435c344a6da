"""Short messages are the very bytes that cbor2 makes, or are left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.jelly import tags
from geopb.wire import short
from geopb.wire.codec import CBORTag, encode
from geopb.wire.short import (
    answer_body,
    bulk_body,
    call_body,
    reference_body,
    release_body,
    taken_body,
)
from tests.properties.profile import many

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-300, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=100)
    | st.binary(max_size=400)
)
IDS = st.integers(1, 2**63 - 1) | st.integers(1, 300)
NAMES = st.text(st.characters(codec="ascii"), min_size=1, max_size=300)


@given(IDS | st.none(), st.integers(0, 2**63 - 1), NAMES, st.lists(SCALARS, max_size=8))
@many
def test_a_call_is_what_the_codec_makes(
    question: int | None, target: int, name: str, args: list[Any]
) -> None:
    expected = encode([1, question, target, name, args])

    assert call_body(question, target, name, args) == expected
    assert call_body(question, target, name, tuple(args)) == expected


@given(IDS, SCALARS)
@many
def test_an_answer_is_what_the_codec_makes(question: int, value: Any) -> None:
    assert answer_body(question, value) == encode([2, question, [value]])


@given(IDS, IDS)
@many
def test_a_reference_is_what_the_codec_makes(question: int, number: int) -> None:
    expected = encode([2, question, [CBORTag(tags.MINE, number)]])

    assert reference_body(question, number) == expected


@given(IDS, IDS)
@many
def test_a_release_is_what_the_codec_makes(number: int, count: int) -> None:
    assert release_body(number, count) == encode([4, number, count])


@given(IDS)
@many
def test_what_was_taken_is_what_the_codec_makes(count: int) -> None:
    assert taken_body(count) == encode([13, count])


@given(st.lists(SCALARS, max_size=7), IDS, IDS)
@many
def test_bytes_that_are_bulk_are_what_the_codec_makes(
    head: list[Any], number: int, length: int
) -> None:
    bulk = CBORTag(tags.BULK, [number, length, tags.BULK_BYTES])

    assert bulk_body(head, number, length) == encode([*head, [bulk]])


@pytest.mark.parametrize("head", [[1, "x" * 401], [[]], [2**63], [1] * 8], ids=repr)
def test_bytes_with_an_unusual_head_are_left_to_the_codec(head: list[Any]) -> None:
    assert bulk_body(head, 1, 2) == b""


@pytest.mark.parametrize("power", [*range(4, 9), 15, 16, 31, 32, 62])
def test_integers_at_the_edges_of_their_heads(power: int) -> None:
    for value in (2**power - 1, 2**power, 2**power + 1, 23, 24, 255, 256):
        for number in (value, -value, -value - 1):
            assert answer_body(value, number) == encode([2, value, [number]])


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 257, 400])
def test_texts_and_bytes_at_the_edges_of_their_heads(size: int) -> None:
    for value in ("x" * size, b"x" * size):
        assert answer_body(1, value) == encode([2, 1, [value]])
    assert call_body(1, 2, "x" * size, ()) == encode([1, 1, 2, "x" * size, []])


class Text(str):
    """No plain text."""


class Number(int):
    """No plain integer."""


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        float("nan"),
        float("inf"),
        float("-inf"),
        "x" * 401,
        "\u20ac" * 134,
        b"x" * 401,
        "\ud800",
        [],
        {},
        (),
        1j,
        bytearray(b"x"),
        Text("a"),
        Number(1),
        object(),
    ],
    ids=lambda value: f"{type(value).__name__} {ascii(value)[:10]}",
)
def test_other_values_are_left_to_the_codec(value: Any) -> None:
    assert answer_body(1, value) == b""
    assert call_body(1, 2, "take", (value,)) == b""
    assert call_body(1, 2, "take", (1, value)) == b""


def test_more_than_a_few_are_left_to_the_codec() -> None:
    assert call_body(1, 2, "take", range(8))
    assert call_body(1, 2, "take", range(9)) == b""


@pytest.mark.parametrize("name", ["x" * 401, "\xe9", "\ud800"])
def test_unusual_names_are_left_to_the_codec(name: str) -> None:
    assert call_body(1, 2, name, ()) == b""


def test_the_names_that_are_kept_have_a_bound() -> None:
    for number in range(3 * short._MOST_NAMES):
        assert call_body(1, 2, f"name{number}", ()) == encode(
            [1, 1, 2, f"name{number}", []]
        )

    assert len(short._names) <= short._MOST_NAMES
