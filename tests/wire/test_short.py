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
    LEAST_READ,
    MOST_READ,
    REFERENCE,
    answer_body,
    call_body,
    read_reference,
    read_release,
    read_scalar,
    reference_body,
    release_body,
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


#: Ids that have two to five bytes, and others.
READ = st.integers(24, 2**32 - 1) | st.integers(24, 70_000)
ANY = READ | st.integers(-(2**63), 2**63) | st.integers(-2, 23)


@given(ANY, ANY)
@many
def test_a_reference_is_read_as_the_codec_reads_it(question: int, number: int) -> None:
    body = encode([2, question, [CBORTag(tags.MINE, number)]])

    few = 24 <= question < 2**32 and 24 <= number < 2**32
    assert read_reference(body) == ((question, number) if few else None)


@given(ANY, ANY)
@many
def test_a_release_is_read_as_the_codec_reads_it(number: int, count: int) -> None:
    body = encode([4, number, count])

    few = 24 <= number < 2**32 and 0 < count < 24
    assert read_release(body) == ((number, count) if few else None)


#: Values that are read here, and others near to them.
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-30, 300)
    | st.integers(2**16 - 2, 2**16 + 1)
    | st.integers(2**32 - 2, 2**32 + 1)
    | st.text(max_size=30)
    | st.text("é€x", min_size=70, max_size=130)
    | st.text("x", min_size=250, max_size=260)
    | st.sampled_from([1.0, b"", b"x", [], {}, [1], ()])
)


def is_read(value: Any) -> bool:
    """Whether it stands in few bytes, as most answers do."""
    if type(value) is int:
        return -24 <= value < 2**32
    if type(value) is str:
        return len(value.encode()) < 256
    return value is None or type(value) is bool


@given(ANY, VALUES)
@many
def test_a_scalar_is_read_as_the_codec_reads_it(question: int, value: Any) -> None:
    body = encode([2, question, [value]])

    told = read_scalar(body) if LEAST_READ <= len(body) <= MOST_READ else None

    few = 24 <= question < 2**32 and is_read(value)
    assert told == ((question, value) if few else None)
    assert told is None or type(told[1]) is type(value)


@pytest.mark.parametrize(
    "rest",
    [
        # Texts that are no UTF-8: a byte alone, one too many, half of a pair.
        b"\x61\xff",
        b"\x62\xc3\x28",
        b"\x63\xed\xa0\x80",
        b"\x78\x18" + b"\xff" * 24,
        # Lengths that are longer than they have to be, too long, and too short.
        b"\x78\x17" + b"x" * 23,
        b"\x78\x19" + b"x" * 24,
        b"\x78\x18" + b"x" * 25,
        b"\x79\x00\x18" + b"x" * 24,
        b"\x62x",
        b"\x61xx",
        b"\x78",
        # Integers likewise.
        b"\x18\x17",
        b"\x19\x00\xff",
        b"\x1a\x00\x00\xff\xff",
        b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x18",
        b"\x18\x20\x00",
        b"\x38\x20",
        # Of no length, reserved, other simple values, and nothing.
        b"\x7f\x61x\xff",
        b"\x1f",
        b"\xf7",
        b"\xf8\x20",
        b"\xe0",
        b"\xff",
        b"\xf6\xf6",
        b"",
    ],
)
def test_other_scalars_are_left_to_the_codec(rest: bytes) -> None:
    assert read_scalar(b"\x83\x02\x18\x20\x81" + rest) is None


@pytest.mark.parametrize("array", [b"\x80", b"\x82", b"\x98\x01", b"\x9f", b"\x41"])
def test_a_value_that_is_not_alone_in_an_array_is_left_to_the_codec(
    array: bytes,
) -> None:
    assert read_scalar(b"\x83\x02\x18\x20" + array + b"\x01") is None


def test_a_question_that_is_longer_than_it_has_to_be_is_left_to_the_codec() -> None:
    for question in (b"\x18\x17", b"\x19\x00\xff", b"\x1a\x00\x00\xff\xff", b"\x17"):
        assert read_scalar(b"\x83\x02" + question + b"\x81\x01") is None


#: Messages that are read here, and those of the same kinds that are not.
BODIES = (
    st.builds(reference_body, READ, READ)
    | st.builds(lambda question, value: encode([2, question, [value]]), READ, VALUES)
    | st.builds(lambda number, count: encode([4, number, count]), READ, READ)
    | st.builds(release_body, READ, st.integers(1, 23))
)


@given(BODIES, st.data())
@many
def test_whatever_is_read_is_nothing_else(body: bytes, data: st.DataObject) -> None:
    """Of bytes of any kind: what is read is written as these very bytes."""
    place = data.draw(st.integers(0, len(body) - 1))
    there = data.draw(st.sampled_from([0, 1]))
    put = data.draw(st.binary(max_size=2))
    changed = body[:place] + put + body[place + there :]
    if LEAST_READ <= len(changed) <= MOST_READ:
        given, released = read_reference(changed), read_release(changed)
        assert given is None or changed == reference_body(*given)
        assert released is None or changed == release_body(*released)
        told = read_scalar(changed)
        assert told is None or changed == answer_body(*told)


@pytest.mark.parametrize(
    ("question", "number"),
    [
        # Heads that are longer than they have to be.
        (b"\x18\x17", b"\x18\x20"),
        (b"\x18\x20", b"\x18\x17"),
        (b"\x19\x00\xff", b"\x18\x20"),
        (b"\x18\x20", b"\x19\x00\xff"),
        (b"\x1a\x00\x00\xff\xff", b"\x18\x20"),
        (b"\x18\x20", b"\x1a\x00\x00\xff\xff"),
        # Negative ones, and 64 bits.
        (b"\x38\x20", b"\x18\x20"),
        (b"\x18\x20", b"\x38\x20"),
        (b"\x18\x20", b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00"),
        # Bytes behind the end, and too few.
        (b"\x18\x20", b"\x18\x20\x00"),
        (b"\x18\x20", b"\x18"),
        (b"\x18\x20", b""),
        # What stands before a number, in a number.
        (b"\x1a" + REFERENCE, b"\x18\x20\x00"),
    ],
)
def test_other_forms_are_left_to_the_codec(question: bytes, number: bytes) -> None:
    assert read_reference(b"\x83\x02" + question + REFERENCE + number) is None


@pytest.mark.parametrize(
    "rest",
    [
        b"\x18\x17\x01",
        b"\x19\x00\xff\x01",
        b"\x1a\x00\x00\xff\xff\x01",
        b"\x38\x20\x01",
        b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00\x01",
        b"\x17\x01",
        b"\x18\x20\x18\x01",
        b"\x18\x20\x01\x00",
        b"\x18\x20",
        b"\x01" * 3,
    ],
)
def test_other_releases_are_left_to_the_codec(rest: bytes) -> None:
    assert read_release(b"\x83\x04" + rest) is None


def test_a_number_may_hold_what_stands_before_one() -> None:
    question = int.from_bytes(REFERENCE, "big")

    for ids in ((question, 24), (24, question), (question, question)):
        assert read_reference(reference_body(*ids)) == ids


@pytest.mark.parametrize("count", [b"\x00", b"\x18\x18", b"\x20", b"\xf6", b"\x80"])
def test_other_counts_are_left_to_the_codec(count: bytes) -> None:
    assert read_release(b"\x83\x04\x18\x20" + count) is None


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
