from __future__ import annotations

import array
from collections.abc import Callable
from time import thread_time
from typing import Any

import numpy as np
import pytest

from geopb.jelly.snapshot import snapshot
from tests.timing import seconds


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "text", b"bytes", (1, "a"), frozenset([1]), [], {}, set()],
    ids=repr,
)
def test_a_copy_is_equal_and_of_the_same_type(value: Any) -> None:
    copy, size = snapshot([value])

    assert copy == [value]
    assert type(copy[0]) is type(value)
    assert size > 0


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1], lambda v: v.append(2)),
        ({"a": 1}, lambda v: v.update(a=2)),
        ({1}, lambda v: v.add(2)),
        (bytearray(b"ab"), lambda v: v.extend(b"c")),
        (([1],), lambda v: v[0].append(2)),
        ([{"a": {"b": [1]}}], lambda v: v[0]["a"]["b"].append(2)),
        (array.array("d", [1.5]), lambda v: v.append(2.5)),
        (memoryview(bytearray(b"ab")), lambda v: v.__setitem__(0, 99)),
    ],
    ids=["list", "dict", "set", "bytearray", "tuple", "deep", "array", "memoryview"],
)
def test_what_is_changed_afterwards_is_not_in_the_copy(
    value: Any, change: Callable[[Any], object]
) -> None:
    before = repr(value) if not isinstance(value, memoryview) else value.tobytes()

    copy, _ = snapshot(value)
    change(value)

    assert copy != value
    assert (copy.tobytes() if isinstance(copy, memoryview) else repr(copy)) == before


def test_an_array_of_numpy_is_copied() -> None:
    value = np.arange(1000.0)

    copy, size = snapshot({"values": value})
    value[:] = 0

    assert np.array_equal(copy["values"], np.arange(1000.0))
    assert size >= value.nbytes


def test_a_view_keeps_its_form() -> None:
    value = memoryview(array.array("d", range(6))).cast("B").cast("d", (2, 3))

    copy, size = snapshot(value)

    assert (copy.format, copy.shape) == ("d", (2, 3))
    assert copy == value
    assert size >= 48


def test_aliases_and_cycles_are_kept() -> None:
    shared, loop = [1], {}
    loop["me"] = loop

    copy, _ = snapshot([shared, shared, loop])

    assert copy[0] is copy[1] is not shared
    assert copy[2]["me"] is copy[2] is not loop


def test_other_objects_stand_in_it_as_they_are() -> None:
    thing = object()

    copy, _ = snapshot([thing, {"key": thing}])

    assert copy[0] is thing
    assert copy[1]["key"] is thing


def test_tuples_that_hold_each_other_millions_of_times_cost_little() -> None:
    value: Any = ()
    for _ in range(60):
        value = (value, value)
    begun = thread_time()

    snapshot(value)

    assert thread_time() - begun < seconds(0.1)


def test_what_is_too_deep_is_left_for_the_refusal() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    copy, _ = snapshot(value)

    assert isinstance(copy, list)
    while value:
        value = value.pop()


def test_large_values_weigh_what_they_hold() -> None:
    for value in ("x" * 5000, b"x" * 5000, [b"x" * 5000], bytearray(5000)):
        assert 5000 < snapshot(value)[1] < 5100
