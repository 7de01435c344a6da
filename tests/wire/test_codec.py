from __future__ import annotations

import gc
import io
from collections import OrderedDict
from time import thread_time
from typing import Any

import gevent
import pytest

from geopb.errors import LimitExceeded
from geopb.wire.codec import (
    CBORTag,
    Decoder,
    DecodeRefused,
    TooDeep,
    encode,
    encode_within,
)
from tests.timing import seconds
from tests.vectors.cbor import Pairs, Raw, Tag, head, item

DEPTH = 20


def decoder(readers: dict[int, Any] | None = None, **kwargs: Any) -> Decoder:
    return Decoder(readers or {}, DEPTH, **kwargs)


def decode(value: Any) -> Any:
    return decoder().decode(value if type(value) is bytes else item(value))


def refusal(value: Any) -> str:
    with pytest.raises(DecodeRefused) as raised:
        decode(value)
    text = str(raised.value)
    assert len(text) < 400
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**64 - 1,
        -(2**64),
        1.5,
        "é",
        b"\xff",
        [],
        {},
        [[1], {}],
    ],
)
def test_plain_items_are_decoded(value: Any) -> None:
    (decoded,) = decode([value])

    assert decoded == value
    assert type(decoded) is type(value)


#: All tags that cbor2 knows, or that are registered for values of this kind.
TAGS = [
    *range(50),
    52,
    54,
    64,
    100,
    101,
    103,
    256,
    258,
    260,
    261,
    1001,
    1004,
    43000,
    55799,
    60099,
    60122,
    2**32,
    2**64 - 1,
]


@pytest.mark.parametrize("tag", TAGS)
def test_each_tag_that_has_no_reader_is_refused(tag: int) -> None:
    for content in (0, "2026-02-03", b"\x01", [], [1, 2], {}, [b"\x00" * 4, 8]):
        assert refusal(Tag(tag, content)) == f"CBOR tag {tag} is not accepted"


def test_a_tag_is_refused_ahead_of_its_content() -> None:
    text = refusal(head(6, 35) + b"\x1c")

    assert text == "CBOR tag 35 is not accepted"


@pytest.mark.parametrize(
    "body",
    [
        b"\x5f\x41a\xff",
        b"\x7f\x61a\xff",
        b"\x9f\x01\xff",
        b"\xbf\x61a\x01\xff",
        b"\x5f" + b"\x40" * 1000 + b"\xff",
        b"\x81\x9f\xff",
        b"\xff",
        b"\x81\xff",
    ],
)
def test_indefinite_lengths_and_stray_breaks_are_refused(body: bytes) -> None:
    refusal(body)


@pytest.mark.parametrize("key", ["a", b"b"])
def test_duplicate_keys_are_refused(key: Any) -> None:
    refusal(Pairs(((key, 1), (key, 2))))


@pytest.mark.parametrize(
    "key",
    [1, 1.0, True, None, [], {}, Raw(b"\xf7", "undefined"), Raw(b"\xe5", "simple(5)")],
)
def test_keys_are_text_or_bytes(key: Any) -> None:
    refusal(Pairs(((key, 1),)))


def test_keys_of_both_kinds_may_look_alike() -> None:
    assert decode(Pairs((("a", 1), (b"a", 2)))) == {"a": 1, b"a": 2}


@pytest.mark.parametrize("count", [1, 2, 100, 5000])
@pytest.mark.parametrize("length", [0, 100, 4080, 4090, 4096, 5000, 70_000])
def test_bytes_behind_the_item_are_refused(length: int, count: int) -> None:
    body = item([b"x" * length])

    assert refusal(body + b"\x00" * count) == f"{count} bytes behind the message"


@pytest.mark.parametrize("major", [2, 3, 4, 5])
@pytest.mark.parametrize("length", [2**16, 2**31, 2**32, 2**63, 2**64 - 1])
def test_a_huge_declared_length_costs_nothing(major: int, length: int) -> None:
    begun = thread_time()

    refusal(head(major, length) + b"\x00")

    assert thread_time() - begun < seconds(0.05)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x18",
        b"\x1c",
        b"\x3d",
        b"\x5e",
        b"\x61",
        b"\x82\x01",
        b"\xa1\x61a",
        b"\xd8",
        b"\xdc",
        b"\xf8",
        b"\xfb\x00",
        b"\x61\xff",
        b"\x62\xc0\x80",
        b"\x63\xed\xa0\x80",
        b"\x64\xf5\x80\x80\x80",
    ],
)
def test_malformed_bodies_are_refused(body: bytes) -> None:
    refusal(body)


def test_each_truncation_of_a_body_is_refused() -> None:
    body = item([1, "text", b"bytes", {"a": [1.5, None]}, 2**40])

    for length in range(len(body)):
        refusal(body[:length])


def test_heads_that_are_longer_than_needed_are_taken() -> None:
    assert decode(bytes.fromhex("98021801 190002")) == [1, 2]


def test_arrays_maps_and_tags_count_as_levels() -> None:
    def nested(levels: int, wrap: Any) -> Any:
        value: Any = 0
        for _ in range(levels):
            value = wrap(value)
        return value

    readers = {60100: lambda content, immutable: content}
    for wrap in (lambda v: [v], lambda v: {"a": v}, lambda v: Tag(60100, v)):
        Decoder(readers, DEPTH).decode(item(nested(DEPTH, wrap)))
        with pytest.raises(TooDeep):
            Decoder(readers, DEPTH).decode(item(nested(DEPTH + 1, wrap)))


@pytest.mark.parametrize("start", [b"\x81", b"\xa1\x61a", b"\xd9\xea\xc4", b"\xc2"])
def test_bottomless_nesting_is_refused_at_once(start: bytes) -> None:
    begun = thread_time()

    with pytest.raises(DecodeRefused):
        decoder({2: lambda c, i: c, 60100: lambda c, i: c}).decode(start * 300_000)

    assert thread_time() - begun < seconds(0.1)


def test_a_reader_makes_the_value() -> None:
    readers = {60100: lambda content, immutable: ("made", content)}

    assert decoder(readers).decode(item([Tag(60100, 1)])) == [("made", 1)]


class Interrupt(BaseException):
    """Something that is no Exception."""


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        gevent.Timeout(1),
        gevent.GreenletExit(),
        Interrupt("x"),
        LimitExceeded("too much"),
        DecodeRefused("not this"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_reader_raises_to_be_heard_comes_out_itself(
    error: BaseException,
) -> None:
    def read(content: object, immutable: bool) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        decoder({60100: read}).decode(item([[Tag(60100, 1)]]))

    assert raised.value is error


@pytest.mark.parametrize(
    "error", [ValueError("x" * 1000), KeyError("\x1b"), StopIteration()]
)
def test_any_other_error_of_a_reader_is_one_refusal(error: Exception) -> None:
    def read(content: object, immutable: bool) -> None:
        raise error

    with pytest.raises(DecodeRefused) as raised:
        decoder({60100: read}).decode(item(Tag(60100, 1)))

    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()


REFUSED_BODIES = {
    "tag": item([1, Tag(35, "a*"), 2, 3]),
    "tag at the end": item([1, 2, Tag(35, "a*")]),
    "trailing": item([1]) + b"\x01\x02\x03",
    "truncated": item([1, 2, 3])[:-1],
    "malformed": b"\x83\x01\x1c\x02",
    "depth": b"\x81" * 40 + b"\x00",
    "duplicate": item([Pairs((("a", 1), ("a", 2))), 5, 6]),
    "large": item([Tag(35, "a*"), b"x" * 10_000, 3]),
    "reader": item([Tag(60100, 1), 4, 5, 6]),
}


@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_a_refused_body_leaves_nothing_for_the_next_one(name: str) -> None:
    def read(content: object, immutable: bool) -> None:
        raise ValueError("never")

    made = decoder({60100: read})
    for good in ([1, 2, 3], ["x" * 5000], {"a": 1}):
        with pytest.raises(DecodeRefused):
            made.decode(REFUSED_BODIES[name])
        assert made.decode(item(good)) == good


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("good", [True, False])
def test_the_collector_is_left_as_it_was(size: int, collects: bool, good: bool) -> None:
    body = item([b"x" * size]) + (b"" if good else b"\x00")
    (gc.enable if collects else gc.disable)()
    try:
        try:
            decoder().decode(body)
        except DecodeRefused:
            assert not good
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_the_collector_does_not_run_while_a_large_body_is_decoded() -> None:
    seen = []
    body = item([Tag(60100, 0), b"x" * 100_000])

    decoder({60100: lambda c, i: seen.append(gc.isenabled())}).decode(body)

    assert seen == [False]
    assert gc.isenabled()


def test_an_inert_decoder_makes_nothing_of_unknown_tags() -> None:
    readers = {60100: lambda content, immutable: content}
    body = item([1, Tag(35, "a*"), Tag(28, [Tag(29, 0)]), Tag(60100, 7), Tag(261, {})])

    assert decoder(readers, inert=True).decode(body) == [1, None, None, 7, None]


HOSTILE = {
    "laughs in an error": Tag(
        261,
        Tag(
            28,
            [Tag(29, 0), Tag(29, 0), *[Tag(28, [Tag(29, n)] * 2) for n in range(30)]],
        ),
    ),
    "large decimal": Tag(4, [0, Tag(2, b"\xff" * 200_000)]),
    "large bigfloat": Tag(5, [0, Tag(2, b"\xff" * 200_000)]),
    "slow rational": Tag(30, [Tag(2, b"\xfd" * 100_000), Tag(2, b"\xfb" * 100_000)]),
    "regular expression": Tag(35, "(?i)" + "[a-z0-9]" * 5000),
    "MIME": Tag(36, "\n" * 200_000),
    "text in many places": Tag(256, ["x" * 65_536, *[Tag(25, 0)] * 10_000]),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("inert", [False, True])
def test_what_is_slow_in_cbor2_is_not_looked_at(name: str, inert: bool) -> None:
    body = item([1, HOSTILE[name]])
    begun = thread_time()

    try:
        decoder(inert=inert).decode(body)
    except DecodeRefused:
        pass

    assert thread_time() - begun < seconds(0.2)


def test_many_small_containers_cost_little() -> None:
    body = item([[] for _ in range(250_000)])
    begun = thread_time()

    decoder().decode(body)

    assert thread_time() - begun < seconds(0.25)


def test_simple_values_pass_as_values_of_their_own() -> None:
    undefined, simple = decode(b"\x82\xf7\xe5")

    assert repr(undefined) == "undefined"
    assert "5" in repr(simple)


def test_encode_writes_plain_values_and_tags() -> None:
    assert encode([1, "a", CBORTag(60100, 5)]) == item([1, "a", Tag(60100, 5)])


def test_a_message_at_the_limit_is_encoded_and_one_byte_more_refused() -> None:
    value = ["x" * 1000, b"y" * 1000, {"a": 1}]
    body = item(value)

    assert encode_within(value, len(body)) == body
    with pytest.raises(LimitExceeded, match=f"max_structure_size={len(body) - 1}"):
        encode_within(value, len(body) - 1)


def test_one_text_in_many_places_stops_at_the_limit() -> None:
    text = "x" * 60_000
    begun = thread_time()

    with pytest.raises(LimitExceeded):
        encode_within([text] * 200_000, 4 * 1024 * 1024)

    assert thread_time() - begun < seconds(0.5)


def test_what_is_no_plain_value_is_not_encoded() -> None:
    for value in (object(), io.BytesIO(), OrderedDict, lambda: None):
        with pytest.raises(Exception, match="cannot"):
            encode_within([value], 1000)
