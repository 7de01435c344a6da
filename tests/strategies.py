"""Strategies for values that may cross, and the equality that they must keep.

`values` are trees, `graphs` have aliases and cycles as well. `same` compares exact
types, the digits of numbers and the shape of the graph.
"""

from __future__ import annotations

import struct
from collections import Counter
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv6Address, IPv6Network, ip_network
from typing import Any

from hypothesis import strategies as st

#: Types of which the text form tells all.
_BY_TEXT = (int, str, bytes, bytearray, bool, type(None))

offsets = st.timedeltas(
    min_value=-timedelta(hours=23, minutes=59), max_value=timedelta(hours=23)
)
zones = st.none() | st.builds(timezone, offsets)
numbers = (
    st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.integers(min_value=-(2**8191), max_value=2**8191)
    | st.floats()
    | st.complex_numbers()
)
decimals = st.builds(
    Decimal,
    st.tuples(
        st.integers(0, 1),
        # One draw, and not one for each digit.
        st.integers(0, 10**30).map(lambda value: tuple(map(int, str(value)))),
        st.integers(-9999, 9999) | st.sampled_from(["F", "n", "N"]),
    ),
)
fractions = st.builds(Fraction, st.integers(), st.integers(min_value=1))
zone_names = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=15)
addresses = st.ip_addresses() | st.builds(
    lambda address, zone: IPv6Address(f"{address}%{zone}"),
    st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None),
    zone_names.filter(bool),
)
networks = st.builds(
    lambda address, bits: ip_network((address, bits), strict=False),
    st.ip_addresses(),
    st.integers(0, 32),
)
moments = (
    st.datetimes(timezones=zones, allow_imaginary=False)
    | st.builds(
        lambda moment, fold: moment.replace(fold=fold),
        st.datetimes(timezones=zones),
        st.integers(0, 1),
    )
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.binary(max_size=20)
)
hashable_leaves = (
    plain_leaves
    | numbers
    | decimals
    | fractions
    | addresses
    | networks
    | moments
    | st.uuids()
).filter(lambda value: not (type(value) is Decimal and value.is_snan()))
leaves = hashable_leaves | decimals | st.binary(max_size=20).map(bytearray)


def _nested_keys(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)


#: What may be a key of a dict or stand in a set.
hashables = st.recursive(hashable_leaves, _nested_keys, max_leaves=6)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(inner, max_size=4)
    return (
        few
        | few.map(tuple)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=3)
        | st.frozensets(hashables, max_size=3)
    )


#: Any value that may cross, without aliases.
values = st.recursive(leaves, _nested, max_leaves=12)
#: Values that CBOR holds as they are.
plain_values = st.recursive(
    plain_leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=12,
)


def _is_small(value: Any) -> bool:
    return len(repr(value)) < 500


# Made once: each draw looks at a strategy that is new to it from top to bottom.
_small_values = values.filter(_is_small)
_keys = texts | hashables


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Draw a value of lists, dicts and tuples that meet one another anywhere."""
    kinds = draw(st.lists(st.sampled_from([list, dict]), min_size=1, max_size=5))
    made: list[Any] = [kind() for kind in kinds]
    parts = st.sampled_from(made) | _small_values
    items = parts | st.lists(parts, max_size=3).map(tuple)
    for container in made:
        for item in draw(st.lists(items, max_size=4)):
            if type(container) is list:
                container.append(item)
            else:
                container[draw(_keys)] = item
    return made[0]


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in exact type, digits and shape of the graph."""
    return _Comparison().same(one, other)


class _Comparison:
    """Pairs up the lists and dicts of two graphs."""

    def __init__(self) -> None:
        self._left: dict[int, Any] = {}
        self._right: dict[int, Any] = {}

    def same(self, one: Any, other: Any) -> bool:
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is tuple:
            return len(one) == len(other) and all(map(self.same, one, other))
        if kind is not list and kind is not dict:
            return shape(one) == shape(other)
        if id(one) in self._left or id(other) in self._right:
            return (
                self._left.get(id(one)) is other and self._right.get(id(other)) is one
            )
        self._left[id(one)] = other
        self._right[id(other)] = one
        if len(one) != len(other):
            return False
        if kind is list:
            return all(map(self.same, one, other))
        keys = [shape(key) for key in one]
        return keys == [shape(key) for key in other] and all(
            map(self.same, one.values(), other.values())
        )


def shape(value: Any) -> Any:
    """Return something hashable that two values share if they are the same."""
    kind = type(value)
    if kind in _BY_TEXT:
        return kind, bytes(value) if kind is bytearray else value
    if kind is float:
        return kind, "nan" if value != value else struct.pack(">d", value)
    if kind is tuple:
        return kind, tuple(map(shape, value))
    if kind is set or kind is frozenset:
        return kind, frozenset(Counter(map(shape, value)).items())
    reader = _SHAPES.get(kind)
    return kind, value if reader is None else reader(value)


def _moment(value: datetime | time) -> Any:
    return value.replace(tzinfo=None).isoformat(), value.fold, value.utcoffset()


_SHAPES: dict[type, Any] = {
    complex: lambda value: (shape(value.real), shape(value.imag)),
    datetime: _moment,
    time: _moment,
    date: lambda value: value.isoformat(),
    Decimal: lambda value: value.as_tuple(),
    Fraction: lambda value: (value.numerator, value.denominator),
    IPv6Address: lambda value: (value.packed, value.scope_id),
    IPv6Network: lambda value: (value.network_address.packed, value.prefixlen),
}
