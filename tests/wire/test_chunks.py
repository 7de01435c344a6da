from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.wire import chunks
from geopb.wire.chunks import CHUNK_HEAD_BYTES, CHUNK_START, chunk_head, make_chunk_head
from tests.properties.profile import many
from tests.vectors.cbor import Raw, Tag, item

SIZES = [1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1]


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65_536])
def test_a_head_is_what_a_cbor_encoder_writes(number: int, length: int) -> None:
    data = b"x" * length

    made = make_chunk_head(number, length)

    assert made + data == item([5, number, data])
    assert len(made) <= CHUNK_HEAD_BYTES
    assert made.startswith(CHUNK_START)


@pytest.mark.parametrize("number", SIZES)
def test_a_head_is_read_back(number: int) -> None:
    body = item([5, number, b"abc"])
    data = b"...." + body

    assert chunk_head(data, 4, len(data)) == (number, len(data) - 3)


@pytest.mark.parametrize("number", SIZES)
@pytest.mark.parametrize("length", [65_535, 65_536, 2**32 - 1, 2**32])
def test_the_head_of_many_bytes_is_read_back(number: int, length: int) -> None:
    head = make_chunk_head(number, length)
    there = b"...." + head + b"x" * 30

    for data in (there, there[: 4 + len(head)]):
        stop = 4 + len(head) + length
        assert chunk_head(data, 4, stop) == (number, 4 + len(head))


IDS = st.integers(0, 2**32 + 1) | st.integers(0, 300)
LENGTHS = st.integers(0, 2**32 + 1) | st.integers(65_530, 65_540)


@given(IDS, LENGTHS, st.data())
@many
def test_usual_heads_are_read_as_any_others(
    number: int, length: int, data: st.DataObject
) -> None:
    head = make_chunk_head(number, length)
    with patch.object(chunks, "_LONG", 0):
        assert make_chunk_head(number, length) == head
    place = data.draw(st.integers(2, len(head)))
    put = data.draw(st.binary(max_size=2))
    cut = data.draw(st.integers(0, 2))
    body = (
        head[:place] + put + head[place + cut :] + b"x" * data.draw(st.integers(0, 20))
    )
    stop = data.draw(st.sampled_from([len(head) + length, len(body)]))

    read = chunk_head(body, 0, stop)

    with patch.object(chunks, "_USUAL", {}):
        assert chunk_head(body, 0, stop) == read


@pytest.mark.parametrize(
    "head",
    [
        # No id, no bytes, and not as many as there are to be.
        b"\x18\x00\x5a\x00\x01\x00\x00",
        b"\x18\x20\x5a\x00\x00\x00\x00",
        b"\x18\x20\x5a\x00\x01\x00\x01",
        # Text, and an integer.
        b"\x18\x20\x7a\x00\x01\x00\x00",
        b"\x18\x20\x1a\x00\x01\x00\x00",
    ],
)
@pytest.mark.parametrize("size", [0, 2**16])
def test_what_is_nearly_a_usual_head_is_left_to_the_decoder(
    head: bytes, size: int
) -> None:
    body = b"\x83\x05" + head

    assert chunk_head(body + b"x" * 20, 0, len(body) + size) is None


def test_bytes_that_are_not_there_yet_do_not_matter() -> None:
    body = item([5, 1, b"x" * 1000])

    assert chunk_head(body[:10], 0, len(body)) == (1, len(body) - 1000)


def test_longer_heads_than_needed_are_read() -> None:
    body = b"\x83\x05" + b"\x1b" + (7).to_bytes(8, "big") + b"\x5a\x00\x00\x00\x01a"

    assert chunk_head(body, 0, len(body)) == (7, len(body) - 1)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_head_that_is_not_all_there_is_none(cut: int) -> None:
    body = b"\x83\x05" + b"\x1a\x00\x00\x00\x01" + b"\x5a\x00\x00\x00\x01a"

    assert chunk_head(body[:cut], 0, len(body)) is None


@pytest.mark.parametrize(
    "message",
    [
        [5, 0, b"a"],
        [5, -1, b"a"],
        [5, "1", b"a"],
        [5, 1.0, b"a"],
        [5, True, b"a"],
        [5, Tag(2, b"\x01"), b"a"],
        [5, 1, "a"],
        [5, 1, [97]],
        [5, 1],
        [5],
        [5, 1, b"a", 0],
        [4, 1, b"a"],
        [5, 1, Raw(b"\x5f\x41a\xff", "...")],
        [5, 1, Raw(b"\x42a", "...")],
        [5, 1, Raw(b"\x41ab", "...")],
    ],
)
def test_what_is_no_plain_chunk_is_left_to_the_decoder(message: list[object]) -> None:
    body = item(message)

    assert chunk_head(body, 0, len(body)) is None
