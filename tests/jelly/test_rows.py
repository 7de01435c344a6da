"""Lists of dicts with the same keys travel as tables, and nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.jelly import tags
from geopb.jelly.encode import Encoder
from geopb.jelly.passing import Packed
from geopb.jelly.rows import LEAST_KEYS
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.jelly.graphs import Nobody, crossed, pack, read, reader
from tests.properties.profile import usual
from tests.strategies import same
from tests.vectors.cbor import Tag, head, item

TABLE = head(6, tags.ROWS)
KEYS = ["a", "b", "c"]


def rows(count: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [{"id": n, "name": f"n{n}", "ok": None, **more} for n in range(count)]


def packed(*args: Any, **kwargs: Any) -> Packed:
    return Encoder(Nobody(), Limits).pack([1, 1, 0, "take"], args, kwargs or None)


def test_a_list_of_dicts_with_the_same_keys_is_a_table() -> None:
    value = rows()

    body = pack(value).body

    assert body.count(b"name") == 1
    assert item([*value[0]]) in body
    assert same(reader().read(body)[4][0], value)


def test_it_may_stand_beside_scalars_by_place_or_by_name() -> None:
    value = rows()

    body = packed(1, value, "x").body
    assert TABLE in body
    assert same(reader().read(body)[4], [1, value, "x"])

    body = packed(1, table="x", last=value, more=2.5).body
    message = reader().read(body)
    assert TABLE in body
    assert same(message[4], [1])
    assert same(message[5], {"table": "x", "last": value, "more": 2.5})


def shared_row() -> list[Any]:
    return [{"id": 0, "name": "n", "ok": True}] * 8


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        rows(7),
        [{"a": n, "b": n} for n in range(8)],
        [*rows(), {"id": 1, "name": "x"}],
        [*rows(), {"id": 1, "name": "x", "OK": True}],
        [*rows(), {"name": "x", "id": 1, "ok": True}],
        [*rows(), {"id": 1, "name": "x", b"ok": True}],
        [*rows(), {1: 1, 2: 2, 3: 3}, {}],
        [*rows(), None],
        [*rows(), ["id", "name", "ok"]],
        rows(inner=[]),
        rows(inner=()),
        rows(big=b"x" * 40_000),
        shared_row(),
        [[*rows()]],
    ],
    ids=[
        "few rows",
        "few keys",
        "a key less",
        "another key",
        "another order",
        "a key of bytes",
        "keys that are no text",
        "no dict",
        "a list",
        "lists in it",
        "tuples in it",
        "bulk in it",
        "one row in many places",
        "further inside",
    ],
)
def test_any_other_list_is_none(value: list[Any]) -> None:
    result = pack(value)

    assert TABLE not in result.body
    if not result.bulk:
        assert same(crossed(value), value)


def test_one_row_in_two_places_stays_one() -> None:
    arrived = crossed([*rows(), *shared_row()])

    assert arrived[-1] is arrived[-2]
    assert arrived[-1] is not arrived[0]


def test_one_list_in_two_places_stays_one() -> None:
    value = rows()
    message = reader().read(packed(value, value).body)
    assert TABLE not in packed(value, [value]).body
    assert len(message[4]) == 2

    first, second = crossed([value, value])
    assert first is second


def test_keys_that_only_look_like_text_do_not_cross() -> None:
    with pytest.raises(Exception, match="Text"):
        pack([*rows(), {Text("id"): 1, Text("name"): "x", Text("ok"): True}])


def test_hashing_keys_runs_nobodys_code() -> None:
    class Key:
        def __hash__(self) -> int:
            raise AssertionError("hashed")

    class Odd(Key):
        __hash__ = object.__hash__

    key = Odd()
    value = [*rows(), {key: 1, "b": 2, "c": 3}]
    Odd.__hash__ = Key.__hash__  # type: ignore[method-assign]

    with pytest.raises(Exception, match="Odd"):
        pack(value)


@pytest.mark.parametrize("big", [2**64, -(2**64) - 1, 2**4000])
def test_integers_of_any_size_cross(big: int) -> None:
    assert same(crossed(rows(big=big)), rows(big=big))


def test_it_counts_as_the_two_levels_that_it_is() -> None:
    flat, deep = Limits(max_depth=1), Limits(max_depth=2)

    assert same(crossed(rows(), deep), rows())
    with pytest.raises(Exception, match="max_depth"):
        pack(rows(), flat)
    with pytest.raises(Exception, match="max_depth"):
        read(Tag(tags.ROWS, [KEYS, [1, 2, 3]]), flat)


def test_what_stands_in_it_may_be_anything() -> None:
    """This side sends scalars alone; a peer may do more."""
    again = [Tag(tags.DEFINE, [0, []]), Tag(tags.TUPLE, [Tag(tags.AGAIN, 0)])]

    (row,) = read(Tag(tags.ROWS, [KEYS, [{"x": 1}, *again]]))

    assert row["a"] == {"x": 1}
    assert row["c"] == ([],)
    assert row["c"][0] is row["b"]


def test_a_table_has_an_alias_as_any_list() -> None:
    table = Tag(tags.ROWS, [KEYS, [1, 2, 3]])

    first, second = read([Tag(tags.DEFINE, [0, table]), Tag(tags.AGAIN, 0)])

    assert first == [{"a": 1, "b": 2, "c": 3}]
    assert first is second


def test_fewer_keys_are_refused() -> None:
    """Each value could be a dict then, of two hundred bytes."""
    with pytest.raises(DecodeRefused, match=f"fewer than {LEAST_KEYS}"):
        read(Tag(tags.ROWS, [KEYS[: LEAST_KEYS - 1], [1, 2]]))


def test_a_table_of_no_rows_is_an_empty_list() -> None:
    assert read(Tag(tags.ROWS, [KEYS, []])) == []


def test_rows_are_dicts_of_their_own() -> None:
    first, *others = crossed(rows())

    first["id"] = "changed"

    assert same(others, rows()[1:])


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=4),
)


@given(
    st.lists(st.text(max_size=3), min_size=1, max_size=5, unique=True).flatmap(
        lambda keys: st.lists(
            st.tuples(*[scalars] * len(keys)).map(
                lambda row: dict(zip(keys, row, strict=True))
            ),
            min_size=6,
            max_size=12,
        )
    )
)
@usual
def test_a_table_gives_what_the_careful_pass_gives(value: Any) -> None:
    # A tuple beside it sends the value through the careful pass.
    careful = packed(value, ()).body
    quick = packed(value, 0).body

    assert TABLE not in careful
    arrived = reader().read(quick)[4][0]
    assert same(arrived, reader().read(careful)[4][0])
    assert [[*row] for row in arrived] == [[*row] for row in value]


def test_attributes_that_were_set_in_another_order_keep_their_names() -> None:
    """Dicts of instances share their keys: they hold values in those keys' order."""

    class Three:
        pass

    first: Any = Three()
    first.a, first.b, first.c = 1, 2, 3
    made: list[Any] = [Three() for _ in range(8)]
    for number, each in enumerate(made):
        each.c, each.b, each.a = f"c{number}", f"b{number}", f"a{number}"
    value = [vars(each) for each in made]

    arrived = crossed(value)

    assert arrived == value
    assert [[*row] for row in arrived] == [[*row] for row in value]
