"""Reading copies, records and members: what is taken, and all that is refused."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import dataclass
from time import thread_time
from typing import Any

import pytest

import geopb as pb
from geopb.errors import InsecureJelly, LimitExceeded
from geopb.jelly import tags
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.jelly.graphs import crossed, pack, read, reader, sent
from tests.timing import seconds
from tests.vectors.cbor import Raw, Tag, item
from tests.vectors.classes import Access, Color, Note, Point, Problem

REFUSALS = (DecodeRefused, InsecureJelly, LimitExceeded)


def copy(name: Any, *content: Any) -> Tag:
    return Tag(tags.COPY, [name, *content])


def point(x: Any, y: Any) -> Tag:
    return copy("vectors.Point", {"x": x, "y": y})


def copies(*content: Any) -> Tag:
    return Tag(tags.COPIES, ["vectors.Point", *content])


def again(number: int) -> Tag:
    return Tag(tags.AGAIN, number)


def define(number: int, content: Any) -> Tag:
    return Tag(tags.DEFINE, [number, content])


def refusal(content: Any, limits: Limits | None = None) -> str:
    with pytest.raises(REFUSALS) as raised:
        read(content, limits)
    return str(raised.value)


def test_fields_may_come_in_any_order() -> None:
    assert read(copy("vectors.Point", {"y": 2, "x": 1})) == Point(1, 2)
    assert read(copies(["y", "x"], [[2, 1]], [])) == [Point(1, 2)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (copy("vectors.Point", {"x": 1}), "without its field y"),
        (copy("vectors.Point", {"x": 1, "y": 2, "z": 3}), "has no field z"),
        (copy("vectors.Point", {"x": 1, "__class__": 2}), "has no field __class__"),
        (copy("vectors.Point", {"x": 1, b"y": 2}), "no names"),
        (copy("vectors.Point", Tag(tags.MAP, [1, 2])), "no names"),
        (copies(["x"], [], []), "without its field y"),
        (copies(["x", "y", "z"], [], []), "has no field z"),
        (copies(["x", "y", "y"], [], []), "field twice"),
        (copies([1, 2], [], []), "no names"),
        (copies("xy", [], []), "no names"),
        (copies(["x", "y"], [[1]], []), "of another length"),
        (copies(["x", "y"], [[1, 2, 3]], []), "of another length"),
        (copies(["x", "y"], ["ab"], []), "of another length"),
        (copies(["x", "y"], [{"x": 1, "y": 2}], []), "of another length"),
        (copies(["x", "y"], {}, []), "no table"),
        (copies(["x", "y"], [], {}), "no table"),
        (copies(["x", "y"], [], [1]), "no table"),
        (copies(["x", "y"], [[1, 2]], [0, 1]), "no row"),
        (copies(["x", "y"], [[1, 2]], [0, -1]), "no row"),
        (copies(["x", "y"], [[1, 2]], [0, False]), "no row"),
        (copies(["x", "y"], [[1, 2]], [-1, 0]), "63 bits"),
        (copies(["x", "y"], [[1, 2]], ["0", 0]), "63 bits"),
        (copies(["x", "y"], [[1, 2]], [2**63, 0]), "63 bits"),
        (copies(["x", "y"], [[1, 2]], [0, 0, 0, 0]), "twice"),
        ([copies(["x", "y"], [[1, 2]], [0, 0]), define(0, [])], "twice"),
        (Tag(tags.COPIES, ["vectors.Note", ["x"], [], []]), "no copyable dataclass"),
        (Tag(tags.COPIES, ["vectors.Color", ["x"], [], []]), "no copyable dataclass"),
        (Tag(tags.ENUM, ["vectors.Color", "BLUE"]), "no member 'BLUE'"),
        (Tag(tags.ENUM, ["vectors.Color", "__class__"]), "no member"),
        (Tag(tags.ENUM, ["vectors.Color", "name"]), "no member"),
        (Tag(tags.ENUM, ["vectors.Color", 1]), "no member 1"),
        (Tag(tags.ENUM, ["vectors.Access", ["READ", 2]]), "no member"),
        (Tag(tags.ENUM, ["vectors.Access", ["READ"] * 3]), "no member"),
        (Tag(tags.ENUM, ["vectors.Access", {"READ": 1}]), "no member"),
        (Tag(tags.ENUM, ["vectors.Problem", "args"]), "no Enum"),
        (copy("vectors.Problem", []), "without its arguments"),
        (copy("vectors.Problem", [[], []]), "without its arguments"),
        (copy("vectors.Problem", [[], {1: 2}]), ""),
        (copy("vectors.Problem", [[], Tag(tags.MAP, [1, 2])]), "without its arguments"),
        (copy("vectors.Problem", [[], {b"a": 2}]), "without its arguments"),
        (copy("vectors.Table", {}), "no class of copies"),
        (copy("vectors.Color", {}), "no class of copies"),
        (copy("os.system", {}), "os.system is not registered here"),
        (copy("builtins.object", {}), "not registered"),
        (copy("geopb.RemoteCopy", {}), "not registered"),
        (copy("geopb.flavors.copyable.RemoteCopy", {}), "not registered"),
        (copy("", {}), "not registered"),
        (copy("x\n" * 1000, {}), "not registered"),
        (copy(b"vectors.Note", {}), "without a type"),
        (copy(None, {}), "without a type"),
        (copy("vectors.Note"), "without a type"),
        (copy("vectors.Note", {}, {}), "without a type"),
        (Tag(tags.COPY, "vectors.Note"), "without a type"),
        (Tag(tags.COPY, {}), "without a type"),
        (Tag(tags.CACHE, [1]), "expected a cache"),
        (Tag(tags.CACHE, [1, "vectors.Table", {}, 1]), "expected a cache"),
        (Tag(tags.CACHE, [1, b"vectors.Table"]), "expected a cache"),
        (Tag(tags.CACHE, [-1, "vectors.Table"]), "63 bits"),
        (Tag(tags.CACHE, [1, "vectors.Note"]), "no class of caches"),
        (Tag(tags.CACHE, [1, "os.system"]), "not registered"),
    ],
    ids=range(60),
)
def test_what_is_no_copy_is_refused_by_name(content: Any, text: str) -> None:
    told = refusal(content)

    assert text in told
    assert told.isprintable()
    assert len(told) < 400


def test_nothing_is_imported_because_a_peer_named_it() -> None:
    name = "wsgiref.simple_server"
    assert name not in sys.modules

    for tag in (tags.COPY, tags.COPIES, tags.ENUM):
        for type_name in (name, name + ".WSGIServer"):
            with pytest.raises(REFUSALS):
                read(Tag(tag, [type_name, {}]))

    assert name not in sys.modules


@pytest.mark.parametrize("tag", [tags.COPY, tags.COPIES, tags.ENUM, tags.CACHE])
def test_each_tag_with_each_wrong_content_is_refused(tag: int) -> None:
    wrong: list[Any] = [None, True, 0, 1.5, "a", b"a", {}, [], [None], [1, 2, 3, 4], []]
    wrong += [[["a"], {}], Tag(tags.TUPLE, ["a", {}]), again(0), point(1, 2)]
    for content in wrong:
        assert refusal(Tag(tag, content))


def test_a_record_that_holds_itself_is_one_object() -> None:
    one = read(define(0, point([again(0)], Tag(tags.TUPLE, [again(0)]))))

    assert one.x[0] is one.y[0] is one


def test_a_row_is_one_object_with_its_alias() -> None:
    value = read([again(7), copies(["x", "y"], [[1, again(7)], [3, 4]], [7, 0])])

    assert value[0] is value[1][0] is value[1][0].y


def test_a_copy_may_be_a_key_before_it_is_defined() -> None:
    value = read([Tag(tags.MAP, [again(3), 1]), define(3, point(1, 2))])

    assert value == [{Point(1, 2): 1}, Point(1, 2)]
    assert next(iter(value[0])) is value[1]


def test_an_alias_of_a_list_is_no_key_of_a_record() -> None:
    assert "cannot be hashed" in refusal(
        [define(0, []), Tag(tags.SET, [point(again(0), 1)])]
    )


def test_bulk_in_a_copy_that_is_a_key_may_be_taken() -> None:
    # It is hashed when it is there.
    large = "x" * 40_000
    value = {Point(1, 2): Point(large, [large])}

    assert crossed(value) == value


def test_a_key_that_holds_large_text_crosses() -> None:
    value = {Point("x" * 40_000, 2): 1}

    assert crossed(value) == value


# -- depth ---------------------------------------------------------------------------


def nest(levels: int, wrap: Any) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = wrap(value)
        if type(value) is Tag:
            # Written at once: writing it whole would be too deep for Python.
            value = Raw(item(value), "...")
    return value


WRAPS = {
    "copy of a map": lambda value: copy("vectors.Note", {"a": value}),
    "record": lambda value: point(value, 1),
    "exception": lambda value: copy("vectors.Problem", [[], {"a": value}]),
    "table": lambda value: copies(["x", "y"], [[value, 1]], []),
}


@pytest.mark.parametrize("name", WRAPS)
def test_copies_nest_to_the_limit_and_no_deeper(name: str) -> None:
    # The list of a table counts as well.
    each = {"table": 2}.get(name, 1)
    limits = Limits(max_depth=12)

    read(nest(12 // each, WRAPS[name]), limits)

    assert "max_depth=12" in refusal(nest(12 // each + 1, WRAPS[name]), limits)


@pytest.mark.parametrize("name", WRAPS)
def test_a_bomb_of_copies_is_refused_and_the_next_message_read(name: str) -> None:
    unjellier = reader()
    for levels in (150, 170):
        with pytest.raises(REFUSALS):
            unjellier.read(item([1, 1, 0, "take", [nest(levels, WRAPS[name])]]))
        assert unjellier.read(item([1, 1, 0, "take", [1]]))[4] == [1]


def test_records_that_may_be_sent_may_be_received_at_the_limit() -> None:
    limits = Limits(max_depth=9)
    at = Point(0, 0)
    for _ in range(8):
        at = Point(at, 0)
    over = Point(at, 0)

    assert crossed(at, limits) == at
    with pytest.raises(LimitExceeded, match="max_depth=9"):
        pack(over, limits)


def test_a_table_counts_as_deep_as_the_slow_path() -> None:
    rows = [Point(1, 2), Point(3, 4)]
    for depth in range(1, 6):
        value: Any = rows
        slow: Any = [[], *rows]
        for _ in range(depth):
            value, slow = [value], [slow]
        limits = Limits(max_depth=depth + 2)
        assert crossed(value, limits) == value
        assert crossed(slow, limits) == slow
        less = Limits(max_depth=depth + 1)
        for each in (value, slow):
            with pytest.raises(LimitExceeded):
                pack(each, less)


# -- cost ----------------------------------------------------------------------------


def bomb(levels: int) -> list[Any]:
    """Return records each of which holds the one before twice."""
    value: list[Any] = [define(0, point(1, 2))]
    value += [
        define(level, point(again(level - 1), again(level - 1)))
        for level in range(1, levels)
    ]
    return value


@pytest.mark.parametrize("levels", [25, 60, 400, 3000])
@pytest.mark.parametrize("tag", [tags.SET, tags.FROZENSET, tags.MAP])
def test_a_bomb_of_shared_records_is_no_key(levels: int, tag: int) -> None:
    key = Tag(tags.TUPLE, [again(levels - 1)])
    content = [*bomb(levels), Tag(tag, [key, 1] if tag == tags.MAP else [key])]
    begun = thread_time()

    text = refusal(content)

    assert "share so much" in text
    assert thread_time() - begun < seconds(0.5)


def test_a_bomb_in_a_table_is_no_key() -> None:
    rows = [[1, 2]] + [[again(level - 1), again(level - 1)] for level in range(1, 50)]
    numbers = [number for level in range(50) for number in (level, level)]
    content = [copies(["x", "y"], rows, numbers), Tag(tags.SET, [again(49)])]

    assert "share so much" in refusal(content)


def test_many_records_that_share_a_long_list_are_put_in_order_at_little_cost() -> None:
    shared = define(0, [point(1, 2)] * 5000)
    content = [shared, *[point(again(0), again(0))] * 5000]
    begun = thread_time()

    value = read(content)

    assert value[1].x is value[-1].y is value[0]
    assert thread_time() - begun < seconds(0.5)


def test_tuples_in_tuples_are_put_in_order_at_little_cost() -> None:
    value: Any = Raw(item(Tag(tags.TUPLE, [again(0)] * 50_000)), "...")
    for _ in range(120):
        value = Raw(item(Tag(tags.TUPLE, [value])), "...")
    begun = thread_time()

    read([define(0, point(1, 2)), point(value, 2), Tag(tags.SET, [point(3, 4)])])

    assert thread_time() - begun < seconds(0.5)


def test_a_bomb_that_is_no_key_is_read() -> None:
    value = read(bomb(200))

    assert value[199].x is value[199].y is value[198]


def test_a_ring_of_records_is_no_key_and_fails_alone() -> None:
    with pytest.raises((*REFUSALS, RecursionError)):
        read([define(0, point(again(0), again(0))), Tag(tags.SET, [again(0)])])


def test_fifty_thousand_records_are_keys() -> None:
    shared = Point(1, 2)
    keys = [Point(number, shared) for number in range(50_000)]
    value = dict.fromkeys(keys, 1)

    assert crossed(value) == value


def test_a_record_out_of_a_table_takes_no_dict_of_its_own() -> None:
    """Also where none of its class was made before: a third of the memory."""

    @pb.copyable
    @dataclass
    class Pair:
        left: int
        right: int

    count = 5000
    name = f"{Pair.__module__}.{Pair.__qualname__}"
    rows = [[1, 2] for _ in range(count)]
    table = Tag(tags.COPIES, [name, ["left", "right"], rows, []])

    tracemalloc.start()
    try:
        records = read(table)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert records[0] == records[-1] == Pair(1, 2)
    assert list(vars(records[7])) == ["left", "right"]
    assert taken / count < 200


def test_a_quarter_of_a_mebibyte_of_rows_costs_little() -> None:
    body = item([1, 1, 0, "take", [copies(["x", "y"], [[1, 2]] * 80_000, [])]])
    begun = thread_time()

    reader().read(body)

    assert thread_time() - begun < seconds(0.5)


# -- the two ways out ------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        [Point(1, 2), Point(3, 4)],
        [Point("a", b"b"), Point(None, True)],
        [Point(1.5, float("inf")), Point(-(2**63), 2**63 - 1)],
    ],
    ids=range(3),
)
def test_plain_rows_are_sent_as_a_table(rows: Any) -> None:
    assert item(tags.COPIES)[1:] in sent(rows)
    assert crossed(rows) == rows


def mixed() -> dict[str, Any]:
    one = Point(1, 2)
    return {
        "one": [one],
        "two classes": [one, Color.RED],
        "the same twice": [one, one],
        "a list in a row": [one, Point([], 2)],
        "a tuple in a row": [one, Point((), 2)],
        "a record in a row": [one, Point(one, 2)],
        "a big integer": [one, Point(2**63, 2)],
        "a long text": [one, Point("x" * 33_000, 2)],
    }


@pytest.mark.parametrize("name", [name for name in mixed() if name != "two classes"])
def test_other_rows_are_sent_one_by_one_and_arrive_alike(name: str) -> None:
    value = mixed()[name]
    packed = pack(value)

    assert item(tags.COPIES)[1:] not in packed.body
    assert crossed(value) == value


def test_a_row_that_stands_before_its_table_is_one_object() -> None:
    one = Point(1, 2)

    back = crossed([one, [one, Point(3, 4)], one])

    assert back[0] is back[1][0] is back[2]


def test_a_row_that_stands_behind_its_table_is_one_object() -> None:
    rows = [Point(1, 2), Point(3, 4)]

    back = crossed([rows, rows[1], {"a": rows[0]}, rows])

    assert back[0] is back[3]
    assert back[1] is back[0][1]
    assert back[2]["a"] is back[0][0]


def test_a_subclass_of_a_record_is_no_row() -> None:
    @dataclass(frozen=True)
    class More(Point):
        pass

    with pytest.raises(pb.InsecureJelly, match="More may not cross"):
        pack([Point(1, 2), More(1, 2)])


def test_members_and_exceptions_arrive() -> None:
    assert read(Tag(tags.ENUM, ["vectors.Color", "GREEN"])) is Color.GREEN
    assert read(Tag(tags.ENUM, ["vectors.Access", []])) is Access(0)
    both = Tag(tags.ENUM, ["vectors.Access", ["WRITE", "READ"]])
    assert read(both) == Access.READ | Access.WRITE
    problem = read(copy("vectors.Problem", [["x"], {"code": 5, "__cause__": 6}]))
    assert (type(problem), problem.args, problem.code) == (Problem, ("x",), 5)
    assert problem.__cause__ is None
    assert vars(read(copy("vectors.Note", {"a": 1}))) == vars(Note(a=1))


def test_a_class_that_cannot_be_made_empty_is_refused() -> None:
    class Numbered(int):
        def setCopyableState(self, state: Any) -> None:
            raise AssertionError("never")

    pb.setUnjellyableForClass("test_copies.Numbered", Numbered)

    assert "cannot be made empty" in refusal(copy("test_copies.Numbered", 5))
