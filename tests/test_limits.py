"""The bounds of one side."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import geopb as pb
from geopb.limits import (
    DEEPEST,
    LEAST_NAME,
    LEAST_TOLD,
    MINIMUM_MESSAGE_BYTES,
    TOLD,
    Limits,
)

FIELDS = [field.name for field in dataclasses.fields(Limits)]
SIZES = ["max_message_size", "max_structure_size"]
TIMES = ["handshake_timeout", "login_timeout", "keepalive"]


def test_defaults_are_as_documented() -> None:
    limits = Limits()

    assert limits.max_message_size == 64 * 1024 * 1024
    assert limits.max_integer_bits == 8192
    assert limits.max_decimal_digits == 4096


def test_public_name_is_this_class() -> None:
    assert pb.Limits is Limits


def test_limits_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().max_depth = 3  # type: ignore[misc]


def test_limits_are_given_by_keyword_only() -> None:
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", FIELDS)
def test_each_limit_can_be_overridden(name: str) -> None:
    value = DEEPEST if name == "max_depth" else MINIMUM_MESSAGE_BYTES + 1

    assert getattr(Limits(**{name: value}), name) == value


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [0, -1])
def test_what_is_not_positive_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", ["1", None, True, b"2", [1], 1j])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in TIMES])
def test_fractions_are_refused_where_a_count_is_meant(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Limits(**{name: 20000.5})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TIMES)
def test_times_may_be_fractions_and_whole_numbers(name: str) -> None:
    assert getattr(Limits(**{name: 0.5}), name) == 0.5
    assert getattr(Limits(**{name: 2}), name) == 2


@pytest.mark.parametrize("name", TIMES)
def test_time_that_is_no_number_at_all_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: float("nan")})


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_may_be_the_least_that_a_peer_may_announce(name: str) -> None:
    least = LEAST_TOLD[name]

    assert getattr(Limits(**{name: least}), name) == least


@pytest.mark.parametrize("name", TOLD)
def test_what_no_peer_would_take_is_refused(name: str) -> None:
    """Here, and not by each peer when it connects."""
    less = LEAST_TOLD[name] - 1

    with pytest.raises(ValueError, match=f"{name}={less}"):
        Limits(**{name: less})


def test_sizes_are_no_less_than_what_may_be_sent_before_the_hello() -> None:
    for name in SIZES:
        assert LEAST_TOLD[name] == MINIMUM_MESSAGE_BYTES


def test_no_structure_is_deeper_than_the_careful_pass_goes() -> None:
    assert Limits(max_depth=DEEPEST).max_depth == DEEPEST
    with pytest.raises(ValueError, match=f"max_depth={DEEPEST + 1} is above {DEEPEST}"):
        Limits(max_depth=DEEPEST + 1)


def test_names_of_geopbs_own_methods_pass_at_any_limit() -> None:
    assert Limits(max_name_length=LEAST_NAME).max_name_length == LEAST_NAME
    with pytest.raises(ValueError, match=f"max_name_length={LEAST_NAME - 1} is below"):
        Limits(max_name_length=LEAST_NAME - 1)


def test_told_limits_are_those_that_the_peer_needs() -> None:
    told = Limits(max_depth=7).told()

    assert told["max_depth"] == 7
    assert tuple(told) == TOLD
    assert "keepalive" not in told


def test_defaults_are_no_less_than_the_least_that_may_be_told() -> None:
    told = Limits().told()

    assert LEAST_TOLD.keys() == told.keys()
    assert all(told[name] >= LEAST_TOLD[name] for name in told)
