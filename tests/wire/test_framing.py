from __future__ import annotations

import pickle
import tracemalloc
from itertools import accumulate, pairwise
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.errors import Error, LimitExceeded, ProtocolError
from geopb.wire.chunks import CHUNK_START, make_chunk_head
from geopb.wire.framing import (
    HEAD_BYTES,
    HELLO_PREFIX_BYTES,
    ForeignProtocol,
    FrameReader,
    frame,
    frame_head,
    identify,
)
from tests.properties.profile import many
from tests.timing import seconds
from tests.vectors import cbor

HELLO = cbor.frame([0, "geopb", {"versions": [1]}])
LIMIT = 70_000


def reader(limit: int = LIMIT) -> FrameReader:
    """Return a reader that has seen a hello."""
    made = FrameReader(limit)
    assert len(made.feed(HELLO)) == 1
    return made


def fed(pieces: Any, made: FrameReader | None = None) -> tuple[list[Any], Error | None]:
    """Return what pieces of a stream are cut into, and why that ended."""
    made = made or FrameReader(LIMIT)
    bodies: list[Any] = []
    for piece in pieces:
        bodies += made.feed(piece)
        if made.refusal is not None:
            break
    return bodies, made.refusal


def refused(*pieces: bytes) -> Error:
    _, refusal = fed(pieces)
    assert refusal is not None
    return refusal


def test_a_frame_is_its_length_and_its_body() -> None:
    assert frame(b"abc") == b"\x00\x00\x00\x03abc"
    assert frame_head(65_536) == b"\x00\x01\x00\x00"


def test_a_stream_is_cut_alike_at_every_split() -> None:
    bodies = [HELLO[4:], b"\x01" * 30, b"\x02", b"\x03" * 50]
    stream = b"".join(map(frame, bodies))

    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1, 7):
            pieces = [stream[:first], stream[first:second], stream[second:]]
            assert fed(pieces) == (bodies, None)


def test_a_stream_is_cut_alike_byte_by_byte() -> None:
    bodies = [HELLO[4:], b"\x01" * 300, b"\x02"]
    stream = b"".join(map(frame, bodies))

    assert fed(bytes([byte]) for byte in stream) == (bodies, None)


#: Bodies of all kinds: also what begins as a chunk, is one, or is a single byte.
BODIES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.binary(max_size=40).map(lambda rest: CHUNK_START + rest),
    st.binary(min_size=1, max_size=40).map(
        lambda data: make_chunk_head(7, len(data)) + data
    ),
)


@given(st.lists(BODIES, max_size=6), st.lists(st.integers(0, 200)), st.integers(20, 50))
def test_a_whole_frame_is_cut_as_any_other(
    bodies: list[bytes], cuts: list[int], limit: int
) -> None:
    stream = b"".join(map(frame, bodies))
    ends = list(accumulate(len(body) + HEAD_BYTES for body in bodies))
    # At the ends of frames, and at some other places.
    places = sorted({0, *ends, *(cut for cut in cuts if cut < len(stream))})
    quick, plain = reader(), reader()
    quick.bound(limit)
    plain.bound(limit)

    for start, stop in pairwise(places):
        piece = stream[start:stop]
        assert quick.feed(piece) == plain._feed(piece)
        assert (quick.chunk_left, quick.in_the_middle, str(quick.refusal)) == (
            plain.chunk_left,
            plain.in_the_middle,
            str(plain.refusal),
        )
        if plain.refusal is not None:
            return


@given(st.lists(BODIES, max_size=3), st.integers(20, 50), st.binary(max_size=5))
@many
def test_frames_that_come_together_are_cut_as_each_alone(
    bodies: list[bytes], limit: int, more: bytes
) -> None:
    pieces = [*map(frame, bodies), more]
    together, plain, alone = reader(), reader(), reader()
    for made in (together, plain, alone):
        made.bound(limit)

    bodies_cut = together.feed(b"".join(pieces))

    assert bodies_cut == plain._feed(b"".join(pieces))
    assert (bodies_cut, str(together.refusal)) == (
        (one_by_one := fed(pieces, alone))[0],
        str(one_by_one[1]),
    )
    for made in (plain, alone):
        assert together.chunk_left == made.chunk_left
        assert together.in_the_middle == made.in_the_middle


def test_many_frames_of_one_segment_are_all_cut() -> None:
    bodies = [HELLO[4:], *(b"%d" % n for n in range(200))]

    assert fed([b"".join(map(frame, bodies))]) == (bodies, None)


def test_nothing_is_cut_from_nothing() -> None:
    assert reader().feed(b"") == []


def test_the_middle_of_a_frame_is_told() -> None:
    made = reader()
    assert not made.in_the_middle

    assert made.feed(b"\x00") == []
    assert made.in_the_middle
    assert made.feed(b"\x00\x00\x02a") == []
    assert made.in_the_middle
    assert made.feed(b"b") == [b"ab"]
    assert not made.in_the_middle


def test_a_length_at_the_limit_is_taken() -> None:
    body = b"\x01" * LIMIT

    assert fed([frame(body)], reader()) == ([body], None)


@pytest.mark.parametrize("length", [LIMIT + 1, 2**31, 2**32 - 1])
def test_a_length_over_the_limit_is_refused_at_its_head(length: int) -> None:
    bodies, refusal = fed([frame(b"a") + frame_head(length)], reader())

    assert bodies == [b"a"]
    assert isinstance(refusal, LimitExceeded)
    assert str(refusal) == (f"a frame of {length} exceeds max_structure_size={LIMIT}")


def test_the_limit_can_be_another() -> None:
    _, refusal = fed([frame_head(101)], reader(100))

    assert "max_structure_size=100" in str(refusal)


def test_length_zero_is_refused() -> None:
    bodies, refusal = fed([frame(b"a") + b"\x00\x00\x00\x00"], reader())

    assert bodies == [b"a"]
    assert type(refusal) is ProtocolError


def test_bodies_ahead_of_a_refusal_are_cut() -> None:
    bodies, refusal = fed([HELLO + frame(b"a") + b"\xff" * 8])

    assert bodies == [HELLO[4:], b"a"]
    assert isinstance(refusal, LimitExceeded)


FOREIGN = {
    "HTTP": [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"PUT /x HTTP/1.1\r\n",
        b"HEAD / HTTP/1.0\r\n",
        b"DELETE /x HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"PATCH /x HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
    "TLS": [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x03\x00\x7a\x02",
    ],
    "SSH": [b"SSH-2.0-OpenSSH_9.2p1\r\n"],
    "JSON": [b'{"jsonrpc": "2.0", "method": "x"}', b'[{"jsonrpc": "2.0"}]'],
    "pickle": [pickle.dumps({"a": 1}, protocol) for protocol in (2, 3, 4, 5)],
    "SMTP or FTP": [b"220 mail.example.org ESMTP\r\n", b"220-welcome\r\n"],
    "something else": [
        b"\r\n\r\n\r\n",
        b"help\r\n",
        b"\x00" * 12,
        b"\xff" * 12,
        bytes(range(1, 60)),
        b"\x00\x00\x00\x0c" + b"[1, 2, 3, 4]",
        frame(b"\x82\x00\x65geopb......."),
        frame(b"\x98\x03\x00\x65geopb......."),
        frame(b"\x83\x01\x65geopb......."),
        frame(b"\x83\x00\x65geopX......."),
    ],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_protocol_is_named(name: str) -> None:
    for start in FOREIGN[name]:
        refusal = refused(start)
        assert isinstance(refusal, ForeignProtocol)
        assert refusal.speaks == name
        assert str(refusal) == f"the peer speaks {name}, not geopb"


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_protocol_is_refused_byte_by_byte(name: str) -> None:
    for start in FOREIGN[name]:
        refusal = refused(*(bytes([byte]) for byte in start))
        assert isinstance(refusal, ForeignProtocol)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_protocol_is_refused_within_the_first_bytes(name: str) -> None:
    for start in FOREIGN[name]:
        assert refused(start[:HELLO_PREFIX_BYTES]).args


def test_a_first_frame_of_more_than_the_least_limit_is_foreign() -> None:
    start = frame_head(16_385) + b"\x83\x00\x65geopb"

    assert isinstance(refused(start), ForeignProtocol)
    assert fed([frame_head(16_384) + b"\x83\x00\x65geopb"]) == ([], None)


@pytest.mark.parametrize("items", range(3, 24))
def test_a_hello_may_have_from_3_to_23_items(items: int) -> None:
    body = cbor.item([0, "geopb", *range(items - 2)])

    assert fed([frame(body)]) == ([body], None)


def test_a_few_bytes_are_identified_as_far_as_they_go() -> None:
    assert identify(b"GE") == "HTTP"
    assert identify(b"\x00") == "something else"


def test_a_large_frame_costs_linear_time() -> None:
    size = 4_000_000
    body = b"\x01" * size
    made = reader(size)
    stream = frame(body)
    begun = thread_time()

    cut = [
        made.feed(stream[start : start + 100]) for start in range(0, len(stream), 100)
    ]

    assert cut[-1] == [body]
    assert thread_time() - begun < seconds(1.0)


def test_an_announced_length_allocates_nothing() -> None:
    tracemalloc.start()
    try:
        for _ in range(100):
            reader(4_000_000).feed(frame_head(4_000_000) + b"\x01")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def test_the_bytes_of_a_chunk_are_handed_on_as_they_come() -> None:
    chunk = cbor.frame([5, 7, b"abcdef"])
    made = reader()

    parts = made.feed(chunk[:-4])
    assert [(number, bytes(part), left) for number, part, left in parts] == [
        (7, b"ab", 4)
    ]
    assert made.in_the_middle

    (number, part, left), body = made.feed(chunk[-4:] + frame(b"z"))
    assert (number, bytes(part), left) == (7, b"cdef", 0)
    assert body == b"z"
    assert not made.in_the_middle


def test_a_chunk_is_cut_alike_at_every_split() -> None:
    stream = frame(b"a") + cbor.frame([5, 1000, b"x" * 300]) + frame(b"b")

    for split in range(len(stream) + 1):
        bodies, refusal = fed([stream[:split], stream[split:]], reader())
        parts = [each for each in bodies if type(each) is tuple]
        assert refusal is None
        assert [each for each in bodies if type(each) is bytes] == [b"a", b"b"]
        assert b"".join(bytes(part) for _, part, _ in parts) == b"x" * 300
        assert {number for number, _, _ in parts} == {1000}


@pytest.mark.parametrize("size", [1, 50, 290])
def test_the_rest_of_a_chunk_may_be_read_without_the_framing(size: int) -> None:
    chunk = cbor.frame([5, 1000, b"x" * 300])
    made = reader()
    [(bulk, first, left)] = made.feed(chunk[:20])
    rest = chunk[20:]
    assert (made.bulk, made.chunk_left) == (bulk, left) == (1000, len(rest))

    made.skip(size)
    assert made.in_the_middle is (size < len(rest))
    fed = made.feed(rest[size:] + frame(b"a") + frame(b"b" * 40))

    parts = [bytes(each[1]) for each in fed if isinstance(each, tuple)]
    assert b"".join([bytes(first), b"x" * size, *parts]) == b"x" * 300
    assert [each for each in fed if type(each) is bytes] == [b"a", b"b" * 40]
    assert not made.in_the_middle


def test_a_chunk_over_the_limit_is_refused_at_its_head() -> None:
    chunk = cbor.frame([5, 1, b"x" * LIMIT])

    bodies, refusal = fed([chunk[: HEAD_BYTES + 10]], reader())

    assert bodies == []
    assert isinstance(refusal, LimitExceeded)


@pytest.mark.parametrize("size", [1, 2, 3, 1023])
def test_a_frame_in_small_pieces_takes_no_more_than_its_bytes(size: int) -> None:
    made = reader(1_000_000)
    body = bytes(range(250)) * 200
    framed = frame(body)

    tracemalloc.start()
    try:
        bodies = [
            each
            for start in range(0, len(framed), size)
            for each in made.feed(framed[start : start + size])
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert bodies == [body]
    # It is joined in the end, and then cut out.
    assert peak < 3.5 * len(framed)


def test_small_and_large_pieces_of_a_frame_stay_in_order() -> None:
    made = reader(1_000_000)
    body = bytes(range(256)) * 100
    framed = frame(body)
    cuts = [0, 5, 6, 8, 2000, 2001, 2010, 5000, 8000, 8001, len(framed)]

    bodies = [
        each for start, stop in pairwise(cuts) for each in made.feed(framed[start:stop])
    ]

    assert bodies == [body]
