from __future__ import annotations

import array
import collections
import dataclasses
import enum
import os
import random
import types
import typing
import weakref
from collections.abc import Iterator
from datetime import date
from time import thread_time
from typing import Any
from unittest.mock import patch

import pytest

from geopb.errors import InsecureJelly, LimitExceeded
from geopb.jelly import tags
from geopb.jelly.census import BULK_BYTES
from geopb.jelly.encode import Encoder
from geopb.jelly.passing import Packing
from geopb.limits import MAX_BULK, Limits
from tests.jelly.graphs import Nobody, crossed, nested, pack, sent
from tests.strategies import same
from tests.timing import seconds
from tests.vectors.cbor import Tag, item


def body_of(content: Any) -> bytes:
    return item([1, 1, 0, "take", [content]])


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.IntFlag):
    A = 1


class Name(enum.StrEnum):
    A = "a"


Point = collections.namedtuple("Point", "x y")


class TypedPoint(typing.NamedTuple):
    x: int


@dataclasses.dataclass
class Record:
    x: int = 1


class Words(str):
    __slots__ = ()


class Count(int):
    pass


class Real(float):
    pass


class Data(bytes):
    pass


class Buffer(bytearray):
    pass


class Items(list[Any]):
    pass


class Pair(tuple[Any, ...]):
    __slots__ = ()


class Mapping(dict[str, Any]):
    pass


class Members(set[Any]):
    pass


class Frozen(frozenset[Any]):
    pass


class Day(date):
    pass


class Liar(collections.UserList[Any]):
    def __len__(self) -> int:
        return 1_000_000


def generate() -> Iterator[int]:
    yield 1


#: What may not cross, with the name that the refusal must say.
REFUSED: dict[str, Any] = {
    "enum Colour": Colour.RED,
    "enum Number": Number.ONE,
    "enum Flags": Flags.A,
    "enum Name": Name.A,
    "Point": Point(1, 2),
    "TypedPoint": TypedPoint(1),
    "Record": Record(),
    "Words": Words("a"),
    "Count": Count(1),
    "Real": Real(1),
    "Data": Data(b"a"),
    "Buffer": Buffer(b"a"),
    "Items": Items([1]),
    "Pair": Pair((1,)),
    "Mapping": Mapping(a=1),
    "Members": Members({1}),
    "Frozen": Frozen({1}),
    "Day": Day(2026, 1, 1),
    "Liar": Liar([1]),
    "OrderedDict": collections.OrderedDict(a=1),
    "Counter": collections.Counter("a"),
    "defaultdict": collections.defaultdict(int),
    "ChainMap": collections.ChainMap({"a": 1}),
    "UserDict": collections.UserDict(a=1),
    "UserString": collections.UserString("a"),
    "deque": collections.deque([1]),
    "memoryview": memoryview(b"a"),
    "range": range(3),
    "generator": generate(),
    "iterator": iter([1]),
    "zip": zip([1], [2], strict=True),
    "array": array.array("b", b"a"),
    "mappingproxy": types.MappingProxyType({"a": 1}),
    "SimpleNamespace": types.SimpleNamespace(a=1),
    "Environ": os.environ,
    "dict_keys": {"a": 1}.keys(),
    "type": int,
    "module": os,
    "function": generate,
    "method": "".join,
    "object": object(),
    "slice": slice(1),
    "ellipsis": ...,
    "NotImplementedType": NotImplemented,
    "Random": random.Random(1),
    "Exception": ValueError("x"),
    "ReferenceType": weakref.ref(Record),
    "simple CBOR tag": Tag(2, b"\x01"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_cross_is_refused_by_name(name: str) -> None:
    value = REFUSED[name]
    for form in (value, [value], (value,), {"a": value}, {1: [value]}):
        with pytest.raises(InsecureJelly) as raised:
            sent(form)
        assert type(value).__qualname__ in str(raised.value)
        assert "may not cross" in str(raised.value)


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_cross_may_be_no_key_either(name: str) -> None:
    value = REFUSED[name]
    try:
        hash(value)
    except TypeError:
        return
    for form in ({value: 1}, {value}, frozenset({value}), {(value,): 1}, {(1, value)}):
        with pytest.raises(InsecureJelly, match="may not cross"):
            sent(form)


def test_a_tag_of_cbor2_is_no_value() -> None:
    from cbor2 import CBORTag, undefined

    for value in (CBORTag(tags.YOURS, 1), CBORTag(35, "a*"), undefined):
        with pytest.raises(InsecureJelly, match="may not cross"):
            sent([value])


def test_a_subclass_is_refused_with_its_base_and_a_remedy() -> None:
    with pytest.raises(InsecureJelly, match=r"subclass of dict, .*convert it"):
        sent(collections.OrderedDict())


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc80" * 40_000])
def test_lone_surrogates_are_refused(text: str) -> None:
    for form in (text, [text], (text,), {text: 1}, {"a": text}, {1: text}, {text}):
        with pytest.raises(InsecureJelly, match="UTF-8"):
            pack(form)


def test_a_surrogate_in_the_method_s_name_is_refused() -> None:
    with pytest.raises(InsecureJelly, match="UTF-8"):
        Encoder(Nobody(), Limits).pack([1, 1, 0, "\ud800"], (1,))


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_a_depth_at_the_limit_crosses_and_one_more_is_refused(kind: Any) -> None:
    value = nested(128, kind)

    arrived = crossed(value)

    assert same(arrived, value)
    with pytest.raises(LimitExceeded, match="depth of 129 exceeds max_depth=128"):
        sent(nested(129, kind))


def test_the_depth_can_be_another() -> None:
    for depth in (1, 5, 200):
        limits = Limits(max_depth=depth)
        assert crossed(nested(depth), limits) == nested(depth)
        assert crossed(nested(depth, tuple), limits) == nested(depth, tuple)
        with pytest.raises(LimitExceeded, match=f"max_depth={depth}"):
            sent(nested(depth + 1), limits)


@pytest.mark.parametrize("wrap", [frozenset, lambda value: (value,)])
def test_the_depth_of_keys_counts(wrap: Any) -> None:
    key: Any = ()
    for _ in range(127):
        key = wrap((key,)) if wrap is frozenset else wrap(key)

    with pytest.raises(LimitExceeded, match="max_depth"):
        sent({1: {key: 1}})


def test_mixed_containers_at_the_limit_cross() -> None:
    value: Any = [1]
    for level in range(127):
        value = [[value], (value,), {"a": value}, {1: value}][level % 4]

    assert same(crossed(value), value)
    with pytest.raises(LimitExceeded):
        sent([value])


def test_depth_is_refused_far_ahead_of_the_encoder_s_own_end() -> None:
    with pytest.raises(LimitExceeded, match="max_depth"):
        sent(nested(100_000))


def test_a_container_met_again_is_defined_once() -> None:
    shared = {"a": 1}

    body = sent([shared, 0, shared, shared])

    again = Tag(tags.AGAIN, 0)
    assert body == body_of([Tag(tags.DEFINE, [0, {"a": 1}]), 0, again, again])


def test_an_alias_between_arguments_is_kept() -> None:
    shared: list[Any] = []
    packed = Encoder(Nobody(), Limits).pack(
        [1, 1, 0, "take"], (shared,), {"a": shared}, [{"nested": True}]
    )

    wanted = [
        *[1, 1, 0, "take", [Tag(tags.DEFINE, [0, []])], {"a": Tag(tags.AGAIN, 0)}],
        {"nested": True},
    ]
    assert packed.body == item(wanted)


def test_tuples_and_sets_are_never_aliases() -> None:
    pair = (1, 2)
    members = frozenset({1})

    assert sent([pair, pair, members, members]) == body_of(
        [Tag(tags.TUPLE, [1, 2])] * 2 + [Tag(tags.FROZENSET, [1])] * 2
    )


def test_a_large_message_with_an_alias_is_linear() -> None:
    shared = [1]
    value = [[shared, n] for n in range(50_000)]
    begun = thread_time()

    sent(value)

    assert thread_time() - begun < seconds(0.5)


def test_a_doubling_of_lists_is_small_on_the_wire() -> None:
    value: Any = []
    for _ in range(24):
        value = [value, value]
    begun = thread_time()

    body = sent(value)

    assert len(body) < 500
    assert thread_time() - begun < seconds(0.05)


def test_a_doubling_of_tuples_ends_at_the_limit() -> None:
    value: Any = ()
    for _ in range(40):
        value = (value, value)
    begun = thread_time()

    with pytest.raises(LimitExceeded, match="max_structure_size"):
        sent(value, Limits(max_structure_size=1024 * 1024))

    # Five seconds for the four mebibytes of the default.
    assert thread_time() - begun < seconds(1.25)


def test_a_small_doubling_of_tuples_crosses() -> None:
    value: Any = (1,)
    for _ in range(8):
        value = (value, value)

    assert crossed(value) == value


@pytest.mark.parametrize("kind", [list, tuple])
def test_ten_million_items_are_refused_in_bounded_time(kind: Any) -> None:
    value = kind([0]) * 10_000_000
    begun = thread_time()

    with pytest.raises(LimitExceeded, match="max_structure_size"):
        sent(value)

    assert thread_time() - begun < seconds(3.0)


def test_one_text_in_many_places_is_refused_in_bounded_time() -> None:
    for text in ("x" * 20_000, "x" * 60_000):
        value = [text] * 200_000
        begun = thread_time()
        with pytest.raises(LimitExceeded):
            pack(value)
        assert thread_time() - begun < seconds(1.0)


def test_a_structure_at_the_limit_is_packed_and_one_byte_more_refused() -> None:
    for wrap in (lambda text: [text], lambda text: (text,)):
        value = wrap("x" * 20_000)
        size = len(sent(value))
        assert len(sent(value, Limits(max_structure_size=size))) == size
        with pytest.raises(LimitExceeded, match=f"max_structure_size={size - 1}"):
            sent(value, Limits(max_structure_size=size - 1))


def test_large_bytes_travel_beside_the_message() -> None:
    value = b"x" * BULK_BYTES

    packed = pack(value)

    assert packed.body == body_of(Tag(tags.BULK, [1, BULK_BYTES, 0]))
    (bulk,) = packed.bulk
    assert bulk.data is value


def test_smaller_bytes_travel_in_it() -> None:
    value = b"x" * (BULK_BYTES - 1)

    assert pack(value).body == body_of(value)
    assert not pack(value).bulk


def test_a_large_bytearray_is_copied_at_once() -> None:
    value = bytearray(b"x" * BULK_BYTES)

    packed = pack(value)
    value[:] = b"y"

    assert packed.body == body_of(Tag(tags.BULK, [1, BULK_BYTES, 1]))
    assert bytes(packed.bulk[0].data) == b"x" * BULK_BYTES


@pytest.mark.parametrize(
    "value",
    [
        b"x" * 100_000,
        bytearray(b"y" * 100_000),
        "ä" * 100_000,
        [b"x" * 40_000, {"a": (b"y" * 40_000, bytearray(50_000))}],
        {1: b"x" * 40_000, (1,): "t" * 40_000},
    ],
)
def test_bulk_arrives_as_what_it_was(value: Any) -> None:
    assert same(crossed(value), value)


def test_bulk_in_an_alias_is_sent_once() -> None:
    shared = [b"x" * BULK_BYTES]

    packed = pack([shared, shared])

    assert len(packed.bulk) == 1
    arrived = crossed([shared, shared])
    assert arrived[0] is arrived[1]
    assert arrived[0] == shared


def test_large_keys_travel_in_the_message() -> None:
    key = b"x" * 40_000

    for value in ({key}, frozenset({key}), {(key,): 1}, {1: 2, key: 3}):
        packed = pack(value)
        assert not packed.bulk
        assert same(crossed(value), value)


def test_a_message_with_bulk_at_the_limit_is_packed_and_over_it_refused() -> None:
    value = b"x" * 100_000
    size = len(pack(value).body) + 100_000

    assert pack(value, Limits(max_message_size=size)).bulk
    with pytest.raises(LimitExceeded, match=f"of {size} exceeds max_message_size"):
        pack(value, Limits(max_message_size=size - 1))


def test_more_bulk_than_may_be_under_way_travels_in_the_message() -> None:
    value = [b"x" * BULK_BYTES] * (MAX_BULK + 3)

    packed = pack(value, Limits(max_message_size=2**30))

    assert len(packed.bulk) == MAX_BULK
    assert len(packed.body) > 3 * BULK_BYTES


def test_bulk_far_over_the_limit_is_refused_ahead_of_copying() -> None:
    value = ["é" * 1_000_000] * 1000
    begun = thread_time()

    with pytest.raises(LimitExceeded, match="max_message_size"):
        pack(value)

    assert thread_time() - begun < seconds(0.5)


class Objects(Nobody):
    """Passes `Record` objects."""

    def passed(self, value: object, packing: Packing) -> Any:
        from cbor2 import CBORTag

        return CBORTag(tags.MINE, 1) if isinstance(value, Record) else None


def test_objects_that_cross_are_kept_with_the_packed_message() -> None:
    one, other = Record(), Record()

    packed = Encoder(Objects(), Limits).pack([1, 1, 0, "take"], ([one], {1: other}))

    assert packed.kept == [one, other]
    assert packed.kept[0] is one


def test_a_plain_message_keeps_nothing() -> None:
    assert pack([{"a": 1}]).kept == []


def test_keyword_arguments_are_converted() -> None:
    packed = Encoder(Nobody(), Limits).pack([1, 1, 0, "x"], (), {"a": (1,), "b": [2]})

    assert packed.body == item(
        [1, 1, 0, "x", [], {"a": Tag(tags.TUPLE, [1]), "b": [2]}]
    )


def test_what_is_behind_the_values_is_sent_as_it_is() -> None:
    packed = Encoder(Nobody(), Limits).pack([3, 1], ((1,),), None, [None, {"a": 1}])

    assert packed.body == item([3, 1, [Tag(tags.TUPLE, [1])], None, {"a": 1}])


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ([{"a": [1]}], [{"a": [1]}]),
        ({b"a": 1}, {b"a": 1}),
        ({None: 1}, Tag(tags.MAP, [None, 1])),
        ({True: 1, "a": 2}, Tag(tags.MAP, [True, 1, "a", 2])),
        ({1: {2: 3}}, Tag(tags.MAP, [1, Tag(tags.MAP, [2, 3])])),
        (set(), Tag(tags.SET, [])),
    ],
)
def test_containers_have_one_form(value: Any, content: Any) -> None:
    assert sent(value) == body_of(content)
    # The careful pass writes the same.
    assert sent((value,)) == body_of(Tag(tags.TUPLE, [content]))


class Numbers(Nobody):
    """Gives all bulk the same id."""

    def new_bulk(self) -> int:
        return 70


@pytest.mark.parametrize("size", [BULK_BYTES - 1, BULK_BYTES, 65_535, 65_536])
@pytest.mark.parametrize("above", [None, -1, 0])
@pytest.mark.parametrize(
    "head",
    [[1, 5, 0, "take"], [1, None, -9, "x"], [2, 300], [1, 5, 0, "x" * 401], [1] * 9],
    ids=range(5),
)
def test_bytes_alone_are_packed_as_the_careful_pass_packs_them(
    head: list[object], above: int | None, size: int
) -> None:
    def packed() -> Any:
        try:
            whole = Encoder(Numbers(), lambda: limits).pack([*head], (data,))
        except LimitExceeded as error:
            return str(error)
        return whole.body, list(whole.bulk), whole.kept, whole.weight

    limits, data = Limits(), bytes(size)
    if above is not None:
        body, bulk, *_ = packed()
        whole = len(body) + sum(len(each.data) for each in bulk)
        limits = Limits(max_message_size=whole + above)

    quick = packed()

    assert type(quick) is (str if above == -1 else tuple)
    with patch.object(Encoder, "_bytes_alone", lambda *told: None):
        assert packed() == quick


def test_bytes_beside_others_are_left_to_the_careful_pass() -> None:
    data = bytes(BULK_BYTES)

    with patch.object(Encoder, "_bytes_alone", side_effect=AssertionError):
        for args, kwargs, tail in (
            ((data, 1), None, ()),
            ((), {"a": data}, ()),
            ((data,), {}, ()),
            ((data,), None, ({},)),
            (([data],), None, ()),
            ((Data(data),), None, ()),
            ((bytearray(data),), None, ()),
        ):
            encoder = Encoder(Nobody(), Limits)
            try:
                encoder.pack([1, 1, 0, "take"], args, kwargs, tail)
            except InsecureJelly:
                assert type(args[0]) is Data
