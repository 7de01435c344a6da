from __future__ import annotations

import gc
import weakref
from time import thread_time
from typing import Any

import pytest

from geopb.errors import InsecureJelly, LimitExceeded
from geopb.jelly import tags
from geopb.jelly.decode import Unjellier
from geopb.jelly.readers import NOBODY
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.jelly import hostile
from tests.jelly.graphs import Nobody, crossed, finished, nested, read, reader, sent
from tests.strategies import same
from tests.timing import seconds
from tests.vectors.cbor import Pairs, Raw, Tag, item

#: What refuses a message: while it is read, or when it is finished.
REFUSALS = (DecodeRefused, InsecureJelly, LimitExceeded)
DEFINE, AGAIN, TUPLE, MAP = tags.DEFINE, tags.AGAIN, tags.TUPLE, tags.MAP


def call(*args: Any) -> bytes:
    return item([1, 1, 0, "take", list(args)])


def refusal(content: Any) -> str:
    with pytest.raises(REFUSALS) as raised:
        read(content)
    return str(raised.value)


def test_an_alias_is_one_object() -> None:
    one, other = read([Tag(DEFINE, [0, []]), Tag(AGAIN, 0)])

    assert one is other == []


def test_an_alias_of_a_dict_with_other_keys_is_one_object() -> None:
    one, other = read([Tag(DEFINE, [5, Tag(MAP, [1, 2])]), Tag(AGAIN, 5)])

    assert one is other
    assert one == {1: 2}


def test_an_alias_may_stand_before_its_definition() -> None:
    one, other = read([Tag(AGAIN, 0), Tag(DEFINE, [0, {"a": 1}])])

    assert one is other
    assert one == {"a": 1}


def test_an_alias_between_arguments_is_one_object() -> None:
    body = item([1, 1, 0, "x", [Tag(DEFINE, [0, []])], {"a": Tag(AGAIN, 0)}])

    unjellier = reader()

    message = finished(unjellier, unjellier.read(body))

    assert message[4][0] is message[5]["a"]


@pytest.mark.parametrize(
    "form",
    [
        lambda again: [again],
        lambda again: {"a": again},
        lambda again: Tag(MAP, [1, again]),
        lambda again: [Tag(TUPLE, [again])],
        lambda again: [Tag(TUPLE, [1, Tag(TUPLE, [again, 2])])],
        lambda again: [{"a": [again]}],
    ],
    ids=["list", "map", "dict", "tuple", "tuples", "both"],
)
def test_a_cycle_closes(form: Any) -> None:
    value = read(Tag(DEFINE, [0, form(Tag(AGAIN, 0))]))

    seen = set()
    waiting = [value]
    found = False
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            found = found or each is value
            continue
        if type(each) is not tuple:
            seen.add(id(each))
        if type(each) in (list, tuple):
            waiting += each
        elif type(each) is dict:
            waiting += each.values()
    assert found


def test_a_tuple_without_an_alias_in_it_is_not_made_anew() -> None:
    value = read([Tag(DEFINE, [0, []]), Tag(AGAIN, 0), Tag(TUPLE, [1, Tag(TUPLE, [])])])

    assert value == [[], [], (1, ())]


@pytest.mark.parametrize(
    "content",
    [
        Tag(AGAIN, 0),
        [Tag(AGAIN, 1), Tag(DEFINE, [0, []])],
        Tag(AGAIN, -1),
        Tag(AGAIN, True),
        Tag(AGAIN, "0"),
        Tag(AGAIN, None),
        Tag(AGAIN, [0]),
        Tag(DEFINE, []),
        Tag(DEFINE, [0]),
        Tag(DEFINE, [0, [], 1]),
        Tag(DEFINE, [-1, []]),
        Tag(DEFINE, ["0", []]),
        Tag(DEFINE, [0, "text"]),
        Tag(DEFINE, [0, Tag(TUPLE, [])]),
        Tag(DEFINE, [0, Tag(tags.SET, [])]),
        Tag(DEFINE, [0, Tag(AGAIN, 0)]),
        Tag(DEFINE, [0, Tag(tags.BULK, [1, 1, 0])]),
        [Tag(DEFINE, [0, []]), Tag(DEFINE, [0, []])],
        Tag(DEFINE, [0, [Tag(DEFINE, [0, []])]]),
        Tag(DEFINE, [0, Tag(DEFINE, [0, []])]),
    ],
)
def test_a_wrong_alias_is_refused(content: Any) -> None:
    assert refusal(content)


def test_definitions_do_not_outlive_their_message() -> None:
    unjellier = reader()
    unjellier.read(call(Tag(DEFINE, [0, []]), Tag(AGAIN, 0)))

    message = unjellier.read(call(Tag(AGAIN, 0)))
    with pytest.raises(InsecureJelly, match="not defined"):
        finished(unjellier, message)


def test_definitions_of_a_refused_message_are_forgotten() -> None:
    unjellier = reader()
    with pytest.raises(DecodeRefused):
        unjellier.read(call(Tag(DEFINE, [0, []]), Tag(TUPLE, 1)))

    message = unjellier.read(call(Tag(AGAIN, 0)))
    with pytest.raises(InsecureJelly, match="not defined"):
        finished(unjellier, message)


@pytest.mark.parametrize("tag", [tags.SET, tags.FROZENSET])
@pytest.mark.parametrize(
    "content",
    [
        [[]],
        [{}],
        [Tag(MAP, [1, 2])],
        [Tag(tags.SET, [])],
        [Tag(tags.BYTEARRAY, b"")],
        [Tag(TUPLE, [[]])],
        [Tag(DEFINE, [0, []])],
        [Tag(TUPLE, [Tag(AGAIN, 0)])],
        [Tag(tags.BULK, [1, 1, 0])],
        [Tag(TUPLE, [Tag(tags.BULK, [1, 1, 0])])],
        [Tag(tags.DECIMAL, "sNaN")],
        [1, 1.0],
        ["a", "a"],
        {"a": 1},
        "ab",
        5,
        None,
    ],
)
def test_members_can_be_hashed_and_are_different(tag: int, content: Any) -> None:
    assert refusal(Tag(tag, content))
    if type(content) is list:
        flat = [each for key in content for each in (key, 1)]
        assert refusal(Tag(MAP, flat))


#: Contents of the wrong kind for the tags of containers and references.
SHAPES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    "text",
    {},
    [None],
    [1, 2, 3, 4],
    Tag(TUPLE, [1]),
    Tag(DEFINE, [0, []]),
    Tag(tags.BYTEARRAY, b"x"),
    Raw(b"\xf7", "undefined"),
]
TAKES = {
    TUPLE: [[None], [1, 2, 3, 4], Tag(DEFINE, [0, []])],
    tags.SET: [[None], [1, 2, 3, 4], Tag(DEFINE, [0, []])],
    tags.FROZENSET: [[None], [1, 2, 3, 4], Tag(DEFINE, [0, []])],
    MAP: [[1, 2, 3, 4], Tag(DEFINE, [0, []])],
    AGAIN: [],
    DEFINE: [],
    tags.BULK: [],
    tags.BYTEARRAY: [],
    tags.MINE: [],
    tags.YOURS: [],
}


@pytest.mark.parametrize("tag", TAKES)
def test_each_tag_with_each_wrong_content_is_refused(tag: int) -> None:
    for content in SHAPES:
        try:
            read(Tag(tag, content))
        except REFUSALS:
            assert content not in TAKES[tag], content
        else:
            assert content in TAKES[tag], content


@pytest.mark.parametrize(
    "content",
    [
        [0, 1, 0],
        [1, 0, 0],
        [1, 1, 3],
        [1, 1, -1],
        [1, 1],
        [1, 1, 0, 0],
        [-1, 1, 0],
        ["1", 1, 0],
        [1, 1.0, 0],
        [True, 1, 0],
    ],
)
def test_wrong_bulk_is_refused(content: Any) -> None:
    assert refusal(Tag(tags.BULK, content))


def test_bulk_is_put_in_its_places() -> None:
    unjellier = reader()
    one, other = Tag(tags.BULK, [1, 2, 0]), Tag(tags.BULK, [2, 3, 1])
    message = unjellier.read(
        call(
            [one, Tag(TUPLE, [other])], {"a": Tag(MAP, [1, Tag(tags.BULK, [3, 2, 2])])}
        )
    )
    first, second, third = unjellier.draft.slots

    first.fill([b"a", memoryview(b"b")])
    second.fill([bytearray(b"cde")])
    third.fill(["é".encode()])
    finished(unjellier, message)

    assert message[4] == [[b"ab", (bytearray(b"cde"),)], {"a": {1: "é"}}]


def test_bulk_text_is_utf_8() -> None:
    unjellier = reader()
    unjellier.read(call(Tag(tags.BULK, [1, 1, 2])))

    with pytest.raises(DecodeRefused, match="UTF-8"):
        unjellier.draft.slots[0].fill([b"\xff"])


def deep(levels: int, wrap: Any) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = {
    "list": lambda value: [value],
    "map": lambda value: {"a": value},
    "tuple": lambda value: Tag(TUPLE, [value]),
    "dict": lambda value: Tag(MAP, [1, value]),
    "frozenset": lambda value: Tag(tags.FROZENSET, [value]),
    "key": lambda value: Tag(MAP, [Tag(TUPLE, [value]), 1]),
}


@pytest.mark.parametrize("name", [name for name in WRAPS if name != "key"])
def test_a_depth_at_the_limit_is_taken_and_one_more_refused(name: str) -> None:
    read(deep(128, WRAPS[name]))
    for levels in (129, 130, 131, 140):
        text = refusal(deep(levels, WRAPS[name]))
        assert "max_depth=128" in text or "depth" in text


@pytest.mark.parametrize("name", [name for name in WRAPS if name != "key"])
def test_the_depth_can_be_another(name: str) -> None:
    limits = Limits(max_depth=5)

    read(deep(5, WRAPS[name]), limits)
    with pytest.raises((LimitExceeded, DecodeRefused)):
        read(deep(6, WRAPS[name]), limits)


def test_definitions_do_not_count_as_depth() -> None:
    numbers = iter(range(1000))

    value = read(deep(128, lambda value: Tag(DEFINE, [next(numbers), [value]])))

    assert same(value, deep(128, lambda value: [value]))


def test_a_depth_in_every_place_of_values_is_counted() -> None:
    at, over = deep(128, WRAPS["tuple"]), deep(129, WRAPS["tuple"])
    for wrap in (
        lambda value: [1, 1, 0, "x", [value]],
        lambda value: [1, 1, 0, "x", [], {"a": value}],
        lambda value: [2, 1, [value]],
        lambda value: [3, 1, "t", "m", [], [value], {}],
        lambda value: [3, 1, "t", "m", [], [], {"a": value}],
        lambda value: [7, 1, 1, "x", [value]],
        lambda value: [7, 1, 1, "x", [], {"a": value}],
        lambda value: [8, 1, 1, [value]],
    ):
        reader().read(item(wrap(at)))
        with pytest.raises(LimitExceeded, match="max_depth"):
            reader().read(item(wrap(over)))


def test_after_a_deep_value_the_next_message_is_read() -> None:
    unjellier = reader()
    for _ in range(3):
        unjellier.read(call(deep(100, WRAPS["tuple"])))
        assert unjellier.read(call(1, 2)) == [1, 1, 0, "take", [1, 2]]


def test_after_a_refusal_the_next_message_is_read() -> None:
    unjellier = reader()
    for content in (Tag(99, [1, 2, 3]), Tag(TUPLE, 5), Tag(2, b"\xff" * 2000)):
        with pytest.raises((DecodeRefused, LimitExceeded)):
            unjellier.read(call(content, 1, 2, 3))
        assert unjellier.read(call(1, 2)) == [1, 1, 0, "take", [1, 2]]


TOPS = [
    0,
    None,
    "text",
    {},
    {"a": 1},
    Tag(AGAIN, 0),
    Tag(TUPLE, [1, 1, 0, "x", []]),
    Tag(TUPLE, [Tag(AGAIN, 0)]),
    Tag(TUPLE, [Tag(DEFINE, [0, []]), Tag(AGAIN, 0)]),
    Tag(tags.SET, [1]),
    Tag(MAP, [1, Tag(AGAIN, 0)]),
    Tag(MAP, [1, Tag(DEFINE, [0, []]), 2, Tag(AGAIN, 0)]),
    Tag(DEFINE, [0, {"a": Tag(AGAIN, 0)}]),
    Tag(tags.BULK, [1, 1, 0]),
    deep(135, lambda value: {"a": value}),
    Tag(TUPLE, [deep(135, WRAPS["list"])]),
    Tag(MAP, [1, deep(135, WRAPS["list"])]),
    Tag(tags.FROZENSET, [deep(135, WRAPS["frozenset"])]),
    Tag(MAP, [deep(135, WRAPS["frozenset"]), 1]),
]


@pytest.mark.parametrize("number", range(len(TOPS)))
def test_what_is_no_array_is_read_or_refused_like_anything_else(number: int) -> None:
    try:
        unjellier = reader()
        finished(unjellier, unjellier.read(item(TOPS[number])))
    except REFUSALS:
        return


@pytest.mark.parametrize("kind", [None, "1", 1.5, [], Tag(tags.DECIMAL, "sNaN")])
def test_a_deep_message_of_no_kind_is_read_or_refused(kind: Any) -> None:
    for levels in (50, 100, 140):
        try:
            reader().read(item([kind, deep(levels, WRAPS["tuple"])]))
        except (DecodeRefused, LimitExceeded):
            continue


@pytest.mark.parametrize("repeat", [1, 50])
def test_an_alias_bomb_is_read_in_linear_time(repeat: int) -> None:
    value = [
        Tag(DEFINE, [level, [Tag(AGAIN, level + 1)] * 2 * repeat])
        for level in range(1000)
    ]
    value.append(Tag(DEFINE, [1000, []]))
    begun = thread_time()

    read(value)

    assert thread_time() - begun < seconds(0.5)


@pytest.mark.parametrize("name", ["integers", "ordinary"])
def test_numbers_of_definitions_cannot_be_chosen_to_collide(name: str) -> None:
    numbers = hostile.integers(8000) if name == "integers" else list(range(8000))
    body = call([Tag(DEFINE, [number, []]) for number in numbers])
    begun = thread_time()

    try:
        unjellier = reader()
        finished(unjellier, unjellier.read(body))
    except REFUSALS:
        assert name != "ordinary"

    assert thread_time() - begun < seconds(0.25)


SMALLEST = {
    "tuple": Tag(TUPLE, []),
    "set": Tag(tags.SET, []),
    "frozenset": Tag(tags.FROZENSET, []),
    "dict": Tag(MAP, []),
    "bytearray": Tag(tags.BYTEARRAY, b""),
    "bignum": Tag(2, b""),
    "complex": Tag(tags.COMPLEX, [Raw(b"\xf9\x00\x00", "0.0")] * 2),
    "datetime": Tag(tags.DATETIME, [1, 1, 1, 0, 0, 0, 0, 0, None]),
    "date": Tag(tags.DATE, [1, 1, 1]),
    "time": Tag(tags.TIME, [0, 0, 0, 0, 0, None]),
    "timedelta": Tag(tags.TIMEDELTA, [0, 0, 0]),
    "decimal": Tag(tags.DECIMAL, "0"),
    "fraction": Tag(tags.FRACTION, [0, 1]),
    "uuid": Tag(tags.UUID_, b"\x00" * 16),
    "ipv4 address": Tag(tags.IPV4_ADDRESS, b"\x00" * 4),
    "ipv6 address": Tag(tags.IPV6_ADDRESS, [b"\x00" * 16, None]),
    "ipv4 network": Tag(tags.IPV4_NETWORK, [b"\x00" * 4, 0]),
    "ipv6 network": Tag(tags.IPV6_NETWORK, [b"\x00" * 16, 0]),
    "list": [],
    "map": {},
    "map of one": {"": 0},
    "simple": Raw(b"\xe5", "simple(5)"),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_many_of_the_smallest_cost_little(name: str) -> None:
    # A quarter of a MiB: a whole one may cost half a second.
    each = item(SMALLEST[name])
    count = 2**18 // len(each)
    body = (
        item([1, 1, 0, "take"])[1:] + b"\x9a" + count.to_bytes(4, "big") + each * count
    )
    body = b"\x85" + body

    # What the machine does meanwhile may double what one of them takes.
    assert min(taken(body) for _ in range(3)) < seconds(0.25)


def taken(body: bytes) -> float:
    """Return the CPU seconds that it takes to read a message."""
    begun = thread_time()
    reader().read(body)
    return thread_time() - begun


def test_many_aliases_cost_little() -> None:
    body = call([Tag(DEFINE, [0, []]), *[Tag(AGAIN, 0)] * 65_000])
    unjellier = reader()
    begun = thread_time()

    finished(unjellier, unjellier.read(body))

    assert thread_time() - begun < seconds(0.25)


class Finder(Nobody):
    """Knows that the peer has objects, and that this side has one."""

    def found_theirs(self, number: int) -> object:
        return f"theirs {number}"

    def found_ours(self, number: int) -> object:
        if number != 1:
            raise DecodeRefused("unknown")
        return "ours 1"


def test_references_are_found_and_the_peer_s_are_listed() -> None:
    unjellier = Unjellier(Finder(), Limits(), thread_time, ClassRegistry())

    message = unjellier.read(
        call(
            Tag(tags.MINE, 3),
            Tag(tags.YOURS, 1),
            [Tag(tags.MINE, 3), Tag(tags.MINE, 4)],
        )
    )

    assert message[4] == ["theirs 3", "ours 1", ["theirs 3", "theirs 4"]]
    assert unjellier.draft.theirs == [3, 3, 4]
    unjellier.read(call(1))
    assert unjellier.draft.theirs == []


def test_references_of_a_deep_message_are_listed_once() -> None:
    unjellier = Unjellier(Finder(), Limits(), thread_time, ClassRegistry())

    unjellier.read(call(Tag(tags.MINE, 3), deep(100, WRAPS["tuple"])))

    assert unjellier.draft.theirs == [3]


def test_a_refused_message_is_salvaged() -> None:
    unjellier = Unjellier(Finder(), Limits(), thread_time, ClassRegistry())
    body = call(
        Tag(tags.MINE, 3),
        Tag(35, "a*"),
        [Tag(tags.MINE, 4), Tag(tags.BULK, [7, 100, 0])],
        Tag(MAP, [1, 1, 1, 1]),
        Tag(tags.MINE, 3),
    )
    with pytest.raises(DecodeRefused):
        unjellier.read(body)

    salvaged = unjellier.salvage(body)

    assert salvaged.head[:2] == [1, 1]
    assert salvaged.theirs == [3, 4, 3]
    assert salvaged.bulk == [(7, 100)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        item(1),
        item([1]),
        item({"a": 1}),
        call(1) + b"\x00",
        call(1)[:-1],
        call(Pairs((("a", 1), ("a", 1)))),
        call(Raw(b"\x9f\xff", "[_ ]")),
        call(Raw(b"\x81" * 1000 + b"\x00", "...")),
        call(Tag(tags.MINE, "x")),
    ],
)
def test_what_cannot_be_read_at_all_is_not_salvaged(body: bytes) -> None:
    with pytest.raises(DecodeRefused):
        reader().salvage(body)


def test_what_came_in_with_aliases_goes_out_with_aliases() -> None:
    value = read([Tag(DEFINE, [0, [Tag(AGAIN, 1)]]), Tag(DEFINE, [1, [Tag(AGAIN, 0)]])])

    assert same(crossed(value), value)


@pytest.mark.parametrize("depth", [200, 300, 500, 1000, 5000])
def test_any_depth_that_may_be_chosen_works(depth: int) -> None:
    try:
        limits = Limits(max_depth=depth)
    except ValueError:
        return
    one_tuple = item(Tag(TUPLE, [0]))[:-1]
    content = [
        Tag(DEFINE, [0, []]),
        Raw(one_tuple * (depth - 1) + b"\x00", "..."),
        Tag(AGAIN, 0),
    ]

    read(content, limits)
    sent(nested(depth, tuple), limits)
    sent(nested(depth, dict), limits)


def test_a_decoder_is_freed_with_its_last_reference() -> None:
    """Its tags do not keep it: the collector cannot look into cbor2's decoder."""
    reader = Unjellier(NOBODY, Limits(), thread_time, ClassRegistry())
    freed = weakref.ref(reader)

    del reader
    gc.collect()

    assert freed() is None
