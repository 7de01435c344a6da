"""Graphs with copies, aliases and cycles arrive with their shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import geopb as pb
from tests.broker.harness import byte_by_byte, in_pieces, joined, whole
from tests.jelly.graphs import crossed, pack
from tests.properties.profile import many, usual
from tests.strategies import hashables, plain_leaves, same, shape, texts, values


@pb.copyable
@dataclass(eq=False)
class Pair:
    one: Any = None
    other: Any = None


@pb.copyable
@dataclass(eq=False, slots=True)
class Slots:
    one: Any = None
    other: Any = None


class Loose(pb.Copyable, pb.RemoteCopy):
    """Any attributes."""


pb.setUnjellyableForClass(Loose, Loose)


def _is_small(value: Any) -> bool:
    return len(repr(value)) < 200


# Made once: each draw looks at a strategy that is new to it from top to bottom.
_plain_parts = plain_leaves | values.filter(_is_small)


@st.composite
def graphs(draw: st.DrawFn, *, loose: bool) -> Any:
    """Draw copies, lists and dicts that meet one another anywhere."""
    kinds: list[Any] = [list, dict, set, Pair, Slots, *([Loose] if loose else [])]
    made = [kind() for kind in draw(st.lists(st.sampled_from(kinds), min_size=1))[:6]]
    copies = [each for each in made if type(each) in (Pair, Slots, Loose)]
    parts = st.sampled_from(made) | _plain_parts
    items = parts | st.lists(parts, max_size=3).map(tuple)
    keys = hashables | (st.sampled_from(copies) if copies else st.none())
    for each in made:
        if type(each) is list:
            each += draw(st.lists(items, max_size=4))
        elif type(each) is dict:
            each.update(draw(st.dictionaries(keys, items, max_size=3)))
        elif type(each) is set:
            each.update(draw(st.lists(keys, max_size=3)))
        elif type(each) is Loose:
            vars(each).update(draw(st.dictionaries(texts, items, max_size=3)))
        else:
            each.one, each.other = draw(items), draw(items)
    # All of them, so that none is lost; a set is sent once, as it has no aliases.
    return [made[0], [each for each in made if type(each) is not set]]


def told(value: Any) -> Any:
    """Return a picture of a graph: what is shared has a number in it.

    Two graphs are the same if their pictures are.
    """
    numbers: dict[int, int] = {}

    def look(value: Any) -> Any:
        kind = type(value)
        if kind is tuple:
            return ("tuple", tuple(map(look, value)))
        if kind is set or kind is frozenset:
            # Their order is not kept: copies in them are told by number or not at all.
            plain = [shape(each) for each in value if not _is_copy(each)]
            known = [numbers.get(id(each), -1) for each in value if _is_copy(each)]
            return (kind.__name__, frozenset(plain), len(known))
        if kind not in (list, dict) and not _is_copy(value):
            return shape(value)
        if id(value) in numbers:
            return numbers[id(value)]
        numbers[id(value)] = len(numbers)
        if kind is list:
            return ("list", tuple(map(look, value)))
        if kind is dict:
            pairs = value.items()
        elif kind is Loose:
            pairs = vars(value).items()
        else:
            pairs = {"one": value.one, "other": value.other}.items()
        return (kind.__name__, tuple((look(key), look(each)) for key, each in pairs))

    return look(value)


def _is_copy(value: Any) -> bool:
    return type(value) in (Pair, Slots, Loose)


@given(graphs(loose=False))
@many
def test_any_graph_of_records_arrives_with_its_shape(value: Any) -> None:
    assert told(crossed(value)) == told(value)


@given(graphs(loose=True), st.sampled_from([whole, byte_by_byte, in_pieces(7)]))
@usual
def test_any_graph_of_copies_is_echoed_with_its_shape(value: Any, pieces: Any) -> None:
    with joined() as pair:
        answer = pair.a.ask("echo", value)
        pair.deliver(pieces)

        assert told(answer.get()) == told(value)
        answer.drop()
        pair.assert_released()


rows = st.builds(Pair, plain_leaves, plain_leaves) | st.builds(Pair, values, values)


@given(st.lists(rows, min_size=2, max_size=6), st.data())
@many
def test_a_table_gives_what_the_slow_path_gives(
    table: Any, data: st.DataObject
) -> None:
    aliases = data.draw(st.lists(st.sampled_from(table), max_size=3))
    before = data.draw(st.booleans())
    value = [*aliases, table] if before else [table, *aliases]
    # A value that is no row keeps a list from being sent as a table.
    slow = [*aliases, [*table, ()]] if before else [[*table, ()], *aliases]

    quick, other = crossed(value), crossed(slow)
    (found,) = [each for each in other if type(each) is list]
    assert found.pop() == ()

    assert told(quick) == told(other) == told(value)


#: What may stand in a table.
cells = (
    st.none() | st.booleans() | texts | st.floats() | st.integers(-(2**63), 2**63 - 1)
)


@given(st.lists(st.builds(Slots, cells, cells), min_size=2, max_size=5))
@usual
def test_a_table_is_no_longer_than_dicts_and_its_name(table: Any) -> None:
    body = pack(table).body
    dicts = pack([{"one": each.one, "other": each.other} for each in table]).body

    name = len("tests.properties.test_copies.Slots")
    assert len(body) <= len(dicts) + name + 30
    assert same([each.one for each in crossed(table)], [each.one for each in table])
