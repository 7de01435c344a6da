from __future__ import annotations

from typing import Any

from hypothesis import given, note

from geopb.jelly.census import plain_tree
from tests.jelly.graphs import crossed, pack, reader, sent
from tests.properties.profile import many, usual
from tests.strategies import graphs, hashables, plain_values, same, values


@given(values)
@many
def test_any_value_arrives_as_it_was(value: Any) -> None:
    assert same(crossed(value), value)


@given(graphs())
@many
def test_any_graph_arrives_with_its_shape(value: Any) -> None:
    assert same(crossed(value), value)


@given(graphs())
@usual
def test_a_graph_that_arrived_can_be_sent_on(value: Any) -> None:
    arrived = crossed(value)

    assert same(crossed(arrived), value)
    assert len(sent(arrived)) == len(sent(value))


@given(hashables)
@usual
def test_any_key_is_the_same_key_when_it_arrives(key: Any) -> None:
    (dict_key,) = crossed({key: 1})
    (member,) = crossed({key})

    assert same(dict_key, key)
    assert same(member, key)
    # No NaN equals another one.
    if "nan" not in repr(key).lower():
        assert dict_key == key
        assert hash(dict_key) == hash(key)


@given(plain_values)
@many
def test_the_quick_look_and_the_careful_pass_write_the_same(value: Any) -> None:
    # A tuple beside it sends the value through the careful pass.
    careful = pack([value, ()]).body
    quick = pack([value, 0]).body

    note(f"plain: {plain_tree([value], 128, 10**6)}")
    arrived = reader().read(careful)[4][0][0]
    assert same(arrived, value)
    assert same(reader().read(quick)[4][0][0], value)
    assert sent(arrived) == sent(value)


@given(values)
@usual
def test_same_tells_a_value_from_its_copy_wrapped(value: Any) -> None:
    assert same(value, value)
    assert not same([value], value)
    assert not same((value,), [value])
