from __future__ import annotations

import pytest

from geopb.wire.chunks import CHUNK_HEAD_BYTES, CHUNK_START, chunk_head, make_chunk_head
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
