"""Short messages are read as the codec reads them, or left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.jelly import tags
from geopb.limits import LIGHT_STRUCTURE, Limits
from geopb.wire.brief import (
    LEAST_READ,
    MOST_READ,
    read_answer,
    read_bulk,
    read_call,
    read_release,
    read_taken,
)
from geopb.wire.codec import CBORTag, Decoder, DecodeRefused, encode
from geopb.wire.short import (
    BULK,
    REFERENCE,
    answer_body,
    bulk_body,
    call_body,
    reference_body,
    release_body,
    taken_body,
)
from tests.properties.profile import many

#: Ids that have two to five bytes, and others.
READ = st.integers(24, 2**32 - 1) | st.integers(24, 70_000)
ANY = READ | st.integers(-(2**63), 2**63) | st.integers(-2, 23)


class Mine(int):
    """The number of a reference."""


class Large(tuple[int, ...]):
    """The fields of bulk."""


def general(body: bytes) -> Any:
    """Return the message that the codec reads; None for what it refuses."""
    readers: dict[int, Any] = {
        tags.MINE: lambda content, immutable: Mine(content),
        tags.BULK: lambda content, immutable: Large(content),
    }
    try:
        return Decoder(readers, 10).decode(body)
    except DecodeRefused:
        return None


def brief(body: bytes) -> list[Any] | None:
    """Return the message that is read by hand; None for what is left to the codec."""
    if not LEAST_READ <= len(body) <= MOST_READ:
        return None
    found: list[list[Any]] = []
    if (call := read_call(body)) is not None:
        found.append([1, *call])
    if (answer := read_answer(body)) is not None:
        question, value, is_reference = answer
        found.append([2, question, [Mine(value) if is_reference else value]])
    if (release := read_release(body)) is not None:
        found.append([4, *release])
    if (taken := read_taken(body)) is not None:
        found.append([13, taken])
    if (bulk := read_bulk(body)) is not None:
        head, number, length = bulk
        found.append([*head, [Large((number, length, tags.BULK_BYTES))]])
    assert len(found) < 2
    return found[0] if found else None


def told(value: Any) -> Any:
    """Return what tells apart what is equal: True and 1, nan and itself."""
    return [*map(told, value)] if type(value) is list else (type(value), repr(value))


#: Values that are read here, and others near to them.
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-30, 300)
    | st.integers(2**16 - 2, 2**16 + 1)
    | st.integers(2**32 - 2, 2**32 + 1)
    | st.integers(2**64 - 2, 2**64 + 1)
    | st.floats()
    | st.text(max_size=30)
    | st.text("é€x", min_size=70, max_size=130)
    | st.text("x", min_size=250, max_size=260)
    | st.binary(max_size=30)
    | st.binary(min_size=250, max_size=260)
    | st.sampled_from([[], {}, [1], 1j])
)


def is_read(value: Any) -> bool:
    """Whether it stands in few bytes, as most do."""
    if type(value) is int:
        return -24 <= value < 2**64
    if type(value) is float:
        # Others may stand in fewer bytes than eight.
        return encode(value)[0] == 0xFB
    if type(value) in (str, bytes):
        return len(value.encode() if type(value) is str else value) < 256
    return value is None or type(value) is bool


def is_id(number: int) -> bool:
    """Whether it has two to five bytes."""
    return 24 <= number < 2**32


NAMES = st.text(max_size=5) | st.text("xé", min_size=10, max_size=26)


@given(ANY, st.integers(-1, 26), NAMES, st.lists(VALUES, max_size=10))
@many
def test_a_call_is_read_as_the_codec_reads_it(
    question: int, target: int, name: str, args: list[Any]
) -> None:
    sent = [1, question, target, name, args]
    body = encode(sent)

    few = (
        is_id(question)
        and 0 <= target < 24
        and 0 < len(name.encode()) < 24
        and len(args) <= 8
        and all(map(is_read, args))
        and len(body) <= MOST_READ
    )
    assert told(brief(body)) == told(general(body) if few else None)


@given(ANY, VALUES)
@many
def test_a_scalar_is_read_as_the_codec_reads_it(question: int, value: Any) -> None:
    body = encode([2, question, [value]])

    few = is_id(question) and is_read(value)
    assert told(brief(body)) == told(general(body) if few else None)


@given(ANY, ANY)
@many
def test_a_reference_is_read_as_the_codec_reads_it(question: int, number: int) -> None:
    body = encode([2, question, [CBORTag(tags.MINE, number)]])

    few = is_id(question) and is_id(number)
    assert brief(body) == ([2, question, [number]] if few else None)


@given(ANY, ANY)
@many
def test_a_release_is_read_as_the_codec_reads_it(number: int, count: int) -> None:
    body = encode([4, number, count])

    few = is_id(number) and 0 < count < 24
    assert brief(body) == ([4, number, count] if few else None)


@given(ANY | st.integers(2**16 - 2, 2**16 + 2))
@many
def test_what_was_taken_is_read_as_the_codec_reads_it(count: int) -> None:
    few = 2**16 <= count < 2**32
    assert brief(encode([13, count])) == ([13, count] if few else None)


FIELDS = st.tuples(ANY, ANY, st.sampled_from([0, 0, 0, 1, 2, 23]))


@given(
    st.builds(lambda *head: [1, *head], ANY, st.integers(-1, 25), NAMES)
    | st.builds(lambda question: [2, question], ANY),
    FIELDS,
    st.lists(st.none(), max_size=1),
)
@many
def test_bytes_that_are_bulk_are_read_as_the_codec_reads_them(
    head: list[Any], fields: tuple[int, int, int], more: list[None]
) -> None:
    number, length, kind = fields
    body = encode([*head, [CBORTag(tags.BULK, list(fields)), *more]])

    few = (
        is_id(head[1])
        and (len(head) == 2 or (0 <= head[2] < 24 and 0 < len(head[3].encode()) < 24))
        and is_id(number)
        and 256 <= length < 2**32
        and not (kind or more)
    )
    assert told(brief(body)) == told(general(body) if few else None)


def test_bytes_that_are_bulk_stand_alone() -> None:
    large = CBORTag(tags.BULK, [32, 256, 0])

    assert brief(encode([2, 32, [large]])) == [2, 32, [(32, 256, 0)]]
    for message in (
        [2, 32, [[large]]],
        [2, 32, large],
        [2, 32, [large], None],
        [2, 32],
        [1, 32, 0, "take", [large], {}],
        [1, 32, 0, "take", [1, large]],
        [1, 32, 0, "take", [], [large]],
        [1, None, 0, "take", [large]],
        [3, 32, [large]],
        [large],
        large,
    ):
        assert brief(encode(message)) is None
    body = encode([2, 32, [large]])
    for cut in range(len(body)):
        assert brief(body[:cut]) is None
    assert brief(body + b"\x00") is None


SCALARS = st.lists(VALUES.filter(is_read), max_size=3)
#: Messages that are read here, and those of the same kinds that are not.
BODIES = (
    st.builds(
        lambda *call: encode([1, *call]), READ, st.integers(0, 24), NAMES, SCALARS
    )
    | st.builds(reference_body, READ, READ)
    | st.builds(lambda question, value: encode([2, question, [value]]), READ, VALUES)
    | st.builds(lambda number, count: encode([4, number, count]), READ, READ)
    | st.builds(release_body, READ, st.integers(1, 23))
    | st.builds(taken_body, READ)
    | st.builds(
        lambda question, *bulk: bulk_body([2, question], *bulk), READ, READ, READ
    )
    | st.builds(
        lambda question, *bulk: bulk_body([1, question, 1, "echo"], *bulk),
        READ,
        READ,
        READ,
    )
)


@given(BODIES, st.data())
@many
def test_whatever_is_read_is_what_the_codec_reads(
    body: bytes, data: st.DataObject
) -> None:
    """Of bytes of any kind."""
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(body)))
        there = data.draw(st.integers(0, 3))
        put = data.draw(st.binary(max_size=3))
        body = body[:place] + put + body[place + there :]

    read = brief(body)

    assert read is None or told(read) == told(general(body))


@pytest.mark.parametrize(
    "rest",
    [
        # Texts that are no UTF-8: a byte alone, one too many, half of a pair.
        b"\x61\xff",
        b"\x62\xc3\x28",
        b"\x63\xed\xa0\x80",
        b"\x78\x18" + b"\xff" * 24,
        # Lengths that are too long, too short, and of more than a byte.
        b"\x78\x19" + b"x" * 24,
        b"\x78\x18" + b"x" * 25,
        b"\x79\x00\x18" + b"x" * 24,
        b"\x62x",
        b"\x61xx",
        b"\x78",
        b"\x42x",
        b"\x58",
        b"\x58\x19" + b"x" * 24,
        b"\x59\x00\x18" + b"x" * 24,
        # Numbers likewise, and of another form.
        b"\x1a\x00\x00\xff",
        b"\x1b\x00\x00\x00\x01\x00\x00\x00",
        b"\x18",
        b"\x18\x20\x00",
        b"\x38\x20",
        b"\xf9\x3c\x00",
        b"\xfa\x00\x00\x00\x00",
        b"\xfb\x00\x00\x00\x00\x00\x00\x00",
        b"\xfb\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        # Of no length, reserved, other simple values, and nothing.
        b"\x7f\x61x\xff",
        b"\x5f\x41x\xff",
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
    assert brief(b"\x83\x02\x18\x20\x81" + rest) is None
    assert brief(b"\x85\x01\x18\x20\x01\x64echo\x81" + rest) is None
    assert brief(b"\x85\x01\x18\x20\x01\x64echo\x82\x01" + rest) is None


@pytest.mark.parametrize(
    ("rest", "value"),
    [
        (b"\x18\x17", 23),
        (b"\x19\x00\xff", 255),
        (b"\x1b" + bytes(8), 0),
        (b"\x78\x01x", "x"),
        (b"\x58\x01x", b"x"),
        (b"\xfb" + bytes(8), 0.0),
    ],
    ids=repr,
)
def test_scalars_that_are_longer_than_they_have_to_be_are_read(
    rest: bytes, value: object
) -> None:
    body = b"\x85\x01\x18\x20\x01\x64echo\x82" + rest + b"\x01"

    assert general(body) == brief(body) == [1, 32, 1, "echo", [value, 1]]


@pytest.mark.parametrize("array", [b"\x80", b"\x82", b"\x98\x01", b"\x9f", b"\x41"])
def test_a_value_that_is_not_alone_in_an_array_is_left_to_the_codec(
    array: bytes,
) -> None:
    assert brief(b"\x83\x02\x18\x20" + array + b"\x01") is None


#: Ids that are longer than they have to be, of one byte, negative, and of 64 bits.
OTHER_IDS = [
    b"\x18\x17",
    b"\x19\x00\xff",
    b"\x1a\x00\x00\xff\xff",
    b"\x17",
    b"\x38\x20",
    b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
]


@pytest.mark.parametrize("number", OTHER_IDS)
def test_other_ids_are_left_to_the_codec(number: bytes) -> None:
    assert brief(b"\x83\x02" + number + b"\x81\x01") is None
    assert brief(b"\x85\x01" + number + b"\x01\x64echo\x80") is None
    assert brief(b"\x83\x02" + number + REFERENCE + b"\x18\x20") is None
    assert brief(b"\x83\x02\x18\x20" + REFERENCE + number) is None
    assert brief(b"\x83\x04" + number + b"\x01") is None
    for head in (b"\x83\x02\x18\x20\x81", b"\x85\x01\x18\x20\x00\x61x\x81"):
        for length in (b"\x19\x01\x00", b"\x1a\x00\x01\x00\x00"):
            assert brief(head + BULK + number + length + b"\x00") is None


@pytest.mark.parametrize(
    "length",
    [
        b"\x19\x00\xff",
        b"\x19\x00\x00",
        b"\x1a\x00\x00\x00\x00",
        b"\x1a\x00\x00\xff\xff",
        b"\x39\x01\x00",
        b"\x18\xff",
    ],
)
def test_other_lengths_of_bulk_are_left_to_the_codec(length: bytes) -> None:
    assert (
        brief(b"\x83\x02\x18\x20\x81" + BULK + b"\x18\x20" + length + b"\x00") is None
    )


@pytest.mark.parametrize(
    "head",
    [
        # Where bulk begins, something else has begun: its head would be swallowed.
        b"\x85\x01\x18\x20\x00\x64take\x81\x41",
        b"\x85\x01\x18\x20\x00\x64take\x82\x05\x41",
        b"\x85\x01\x18\x20\x00\x64take\x81\x18",
        b"\x85\x01\x18\x20\x00\x64take\x81\xfb\x11\x22\x33\x44\x55\x66\x77",
        b"\x83\x02\x18\x1e\x81\x42",
        b"\x83\x02\x18\x1e\x81\x19",
        b"\x83\x02\x18\x1e" + REFERENCE + b"\x19",
    ],
)
def test_bulk_inside_of_something_else_is_left_to_the_codec(head: bytes) -> None:
    body = head + b"\x81" + BULK + b"\x18\x20\x19\x01\x00\x00"

    assert general(body) is brief(body) is None


@pytest.mark.parametrize("array", [b"\x80", b"\x82", b"\x9f", b"\x01", b"\xa1"])
def test_bulk_in_no_array_of_its_own_is_left_to_the_codec(array: bytes) -> None:
    fields = b"\x18\x20\x19\x01\x00\x00"

    assert brief(b"\x83\x02\x18\x20" + array + BULK + fields) is None


@pytest.mark.parametrize(
    "rest", [b"\x82\x0d\x1a\x00\x00\xff\xff", b"\x82\x0d\x1a\x00\x01\x00\x00\x00"]
)
def test_other_counts_of_what_was_taken_are_left_to_the_codec(rest: bytes) -> None:
    assert brief(rest) is None


@pytest.mark.parametrize(
    "rest",
    [
        # Targets of more than a byte, and the answer to a question.
        b"\x18\x20\x64echo\x80",
        b"\x18\x61\x61\x80",
        b"\x20\x64echo\x80",
        # Names that are none, long, of another type, no UTF-8, and cut off.
        b"\x01\x60\x80",
        b"\x01\x78\x18" + b"x" * 24 + b"\x80",
        b"\x01\x44echo\x80",
        b"\x01\x64ech\xff\x80",
        b"\x01\x98" + b"x" * 56 + b"\x80",
        b"\x01\x64echo",
        b"\x01\x64ech",
        b"\x01\x77",
        b"\x01",
        b"",
        # Arguments in no array, in one of any length, too many, and too few.
        b"\x01\x64echo\x01",
        b"\x01\x64echo\x9f\x01\xff",
        b"\x01\x64echo\x89" + b"\x01" * 9,
        b"\x01\x64echo\x81",
        b"\x01\x64echo\x82\x01",
        b"\x01\x64echo\x80\x01",
        b"\x01\x64echo\xa0",
    ],
)
def test_other_calls_are_left_to_the_codec(rest: bytes) -> None:
    assert brief(b"\x85\x01\x18\x20" + rest) is None


def test_nothing_is_read_twice() -> None:
    # A head that is taken for that of bytes of a negative length.
    args = ["iabcdef", -66, 5]
    body = encode([1, 32, 1, "dcho", args])

    assert general(body) == [1, 32, 1, "dcho", args]
    assert brief(body) is None
    assert brief(bytes.fromhex("8501182001646563686f836769616263646566384105")) is None


def test_all_that_is_read_is_light() -> None:
    assert MOST_READ <= LIGHT_STRUCTURE
    assert Limits(max_integer_bits=64)
    with pytest.raises(ValueError, match="max_integer_bits"):
        Limits(max_integer_bits=63)


def test_calls_that_bring_more_are_left_to_the_codec() -> None:
    call = [1, 32, 1, "echo", [1]]

    assert brief(encode(call)) == call
    assert brief(encode([*call, {}])) is None
    assert brief(encode([*call, {}, {}])) is None
    assert brief(encode([*call[:4]])) is None
    assert brief(encode([1, None, 1, "echo", [1]])) is None
    assert brief(encode([7, 32, 1, "echo", [1]])) is None


@pytest.mark.parametrize(
    "rest",
    [
        b"\x18\x20\x18\x01",
        b"\x18\x20\x01\x00",
        b"\x18\x20",
        b"\x01" * 3,
        b"\x18\x20\x00",
        b"\x18\x20\x18\x18",
        b"\x18\x20\x20",
        b"\x18\x20\xf6",
        b"\x18\x20\x80",
    ],
)
def test_other_releases_are_left_to_the_codec(rest: bytes) -> None:
    assert brief(b"\x83\x04" + rest) is None


@pytest.mark.parametrize(
    ("question", "number"),
    [
        # Bytes behind the end, and too few.
        (b"\x18\x20", b"\x18\x20\x00"),
        (b"\x18\x20", b"\x18"),
        (b"\x18\x20", b""),
        # What stands before a number, in a number.
        (b"\x1a" + REFERENCE, b"\x18\x20\x00"),
    ],
)
def test_other_references_are_left_to_the_codec(question: bytes, number: bytes) -> None:
    assert brief(b"\x83\x02" + question + REFERENCE + number) is None


def test_another_tag_is_left_to_the_codec() -> None:
    assert brief(b"\x83\x02\x18\x20\x81\xd9\xea\xc5\x18\x20") is None


def test_a_number_may_hold_what_stands_before_one() -> None:
    question = int.from_bytes(REFERENCE, "big")

    for ids in ((question, 24), (24, question), (question, question)):
        assert read_answer(reference_body(*ids)) == (*ids, True)


def test_what_is_written_by_hand_is_read_by_hand() -> None:
    args = ["x" * 255, b"x" * 100, 2**32, -24, 0.5, None, True]

    assert read_call(call_body(24, 23, "x" * 23, args)) == (24, 23, "x" * 23, args)
    assert read_answer(answer_body(2**32 - 1, "x")) == (2**32 - 1, "x", False)
