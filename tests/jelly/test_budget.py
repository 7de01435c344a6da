from __future__ import annotations

from time import thread_time
from typing import Any
from uuid import UUID, uuid4

import pytest

from geopb.jelly import tags
from geopb.jelly.budget import HashBudget
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.jelly import hostile
from tests.jelly.graphs import crossed, read
from tests.timing import seconds
from tests.vectors.cbor import Tag

#: Hostile keys are refused within this many seconds of CPU.
SOON = 0.5
#: Room for many keys.
ROOMY = Limits(max_structure_size=32 * 1024 * 1024)


def flat(keys: list[Any]) -> Tag:
    return Tag(tags.MAP, [each for key in keys for each in (key, None)])


@pytest.mark.parametrize("name", hostile.ALL)
@pytest.mark.parametrize(
    "form",
    [
        lambda keys: Tag(tags.SET, keys),
        lambda keys: Tag(tags.FROZENSET, keys),
        flat,
    ],
    ids=["set", "frozenset", "dict"],
)
def test_keys_that_collide_are_refused_soon(name: str, form: Any) -> None:
    content = form(hostile.ALL[name](10_000))
    begun = thread_time()

    with pytest.raises(DecodeRefused, match="collide"):
        read(content)

    assert thread_time() - begun < seconds(SOON)


def test_many_small_dicts_of_colliding_keys_share_one_budget() -> None:
    keys = hostile.integers(1000)
    begun = thread_time()

    with pytest.raises(DecodeRefused, match="collide"):
        read([flat(keys) for _ in range(100)])

    assert thread_time() - begun < seconds(SOON)


def test_the_next_message_has_a_budget_of_its_own() -> None:
    keys = flat(hostile.integers(800))

    for _ in range(30):
        assert len(read(keys)) == 800


@pytest.mark.parametrize(
    "keys",
    [
        list(range(80_000)),
        list(range(0, 80_000 * 2**20, 2**20)),
        [UUID(int=n * 2**40) for n in range(20_000)],
        [uuid4() for _ in range(20_000)],
        [(n, str(n)) for n in range(20_000)],
        [float(n) for n in range(20_000)],
    ],
    ids=["integers", "wide integers", "UUIDs in order", "UUIDs", "tuples", "floats"],
)
def test_many_honest_keys_pass(keys: list[Any]) -> None:
    for value in (dict.fromkeys(keys), set(keys)):
        arrived = crossed(value, ROOMY)
        assert arrived == value
        assert type(arrived) is type(value)


class Clock:
    """CPU time that goes on by a step at each look."""

    def __init__(self, step: float) -> None:
        self.now = 100.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_few_keys_are_not_timed() -> None:
    budget = HashBudget(Clock(10.0))

    assert budget.make_set(list(range(32))) == set(range(32))
    with pytest.raises(DecodeRefused, match="collide"):
        budget.make_set(list(range(33)))


def test_what_was_spent_counts_until_the_message_ends() -> None:
    budget = HashBudget(Clock(0.02))

    budget.make_set(list(range(100)))
    budget.make_set(list(range(100)))
    with pytest.raises(DecodeRefused, match="collide"):
        budget.make_dict(list(range(100)), list(range(100)))

    budget.reset()
    assert budget.spent == 0
    budget.make_set(list(range(100)))


def test_keys_are_different_and_can_be_hashed() -> None:
    budget = HashBudget(Clock(0))

    with pytest.raises(DecodeRefused, match="twice"):
        budget.make_set([1, True])
    with pytest.raises(DecodeRefused, match="twice"):
        budget.make_dict([1, 1.0], ["a", "b"])
    with pytest.raises(DecodeRefused, match="hash"):
        budget.make_set([[]])
    with pytest.raises(DecodeRefused, match="hash"):
        budget.make_dict([({},)], [1])


def test_the_order_of_a_dict_is_kept() -> None:
    keys = [3, 1, 2, *range(10, 1000)]

    made = HashBudget(Clock(0)).make_dict(keys, keys)

    assert list(made.items()) == [(key, key) for key in keys]


def test_each_nan_is_a_key_of_its_own() -> None:
    nan = float("nan")

    assert len(read(Tag(tags.SET, [nan, nan]))) == 2
