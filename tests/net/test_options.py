"""Options: their names, their values, both sides."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

import geopb as pb
from tests.conftest import Pair
from tests.net.roots import Doing, root_of

LIMITS = {field.name: field.default for field in fields(pb.Limits)}


def users() -> list[Any]:
    """Everything that takes options; none may open anything when one is wrong."""
    return [
        lambda **options: pb.PBServerFactory(pb.Root(), **options),
        pb.PBClientFactory,
        lambda **options: pb.serve(pb.Root(), "127.0.0.1:0", **options),
        lambda **options: pb.connect("127.0.0.1:1", **options),
    ]


def test_an_unknown_option_is_a_TypeError_that_lists_the_options() -> None:
    for use in users():
        with pytest.raises(TypeError, match="no option 'max_mesage_size'") as caught:
            use(max_mesage_size=1)
        assert "max_message_size" in str(caught.value)


@pytest.mark.parametrize("name", ["limits", "timeout_"])
def test_what_is_not_there_yet_is_no_option(name: str) -> None:
    for use in users():
        with pytest.raises(TypeError, match=f"no option '{name}'"):
            use(**{name: None})


@pytest.mark.parametrize("bad", [None, "1", True, [], 1j])
def test_a_limit_of_a_wrong_type_is_a_TypeError(bad: Any) -> None:
    for name in LIMITS:
        for use in users():
            with pytest.raises(TypeError, match=name):
                use(**{name: bad})


@pytest.mark.parametrize("bad", [0, -1])
def test_a_limit_that_is_not_positive_is_a_ValueError(bad: int) -> None:
    for name in LIMITS:
        for use in users():
            with pytest.raises(ValueError, match=f"{name}={bad}"):
                use(**{name: bad})


@pytest.mark.parametrize("bad", [float("nan"), -0.5])
def test_a_time_is_a_positive_number(bad: float) -> None:
    for name in ("handshake_timeout", "keepalive"):
        with pytest.raises(ValueError, match=name):
            pb.PBClientFactory(**{name: bad})


@pytest.mark.parametrize("name", ["max_message_size", "max_structure_size"])
def test_a_message_may_be_16_KiB_at_least(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=16383 is below 16384"):
        pb.PBServerFactory(pb.Root(), **{name: 16383})

    pb.PBServerFactory(pb.Root(), **{name: 16384})


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("unsafe_tracebacks", 1),
        ("unsafe_tracebacks", None),
        ("registry", {}),
        ("registry", None),
        ("registry", pb.ClassRegistry),
        ("busy_poll", True),
        ("busy_poll", None),
        ("busy_poll", "0.001"),
    ],
)
def test_the_other_options_are_checked_too(name: str, bad: Any) -> None:
    for use in users():
        with pytest.raises(TypeError, match=name):
            use(**{name: bad})


@pytest.mark.parametrize("bad", [float("nan"), -0.0001, 0.011, float("inf")])
def test_a_poll_is_a_short_time_or_none(bad: float) -> None:
    for use in users():
        with pytest.raises(ValueError, match=r"is not from 0 to 0\.01 seconds"):
            use(busy_poll=bad)

    pb.PBClientFactory(busy_poll=0)
    pb.PBClientFactory(busy_poll=0.01)


def test_every_option_may_be_given_on_either_side(pair: Pair) -> None:
    options = {
        **LIMITS,
        "unsafe_tracebacks": True,
        "registry": pb.ClassRegistry(),
        "busy_poll": 0.0001,
    }

    _, client = pair(Doing(), **options)

    assert root_of(client).callRemote("echo", 1).get(timeout=5) == 1


def test_a_registry_is_for_its_own_factory(pair: Pair) -> None:
    """What one client accepts, another refuses."""

    class Local(Exception):
        pass

    def fails() -> None:
        raise Odd("odd")

    class Odd(Exception):
        pass

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(f"{__name__}.{Odd.__qualname__}", Local)
    server, client = pair(Doing(fails), client_options={"registry": registry})

    with pytest.raises(Local, match="odd"):
        root_of(client).callRemote("do").get(timeout=5)
    with (
        pb.connect(server.address) as other,
        pytest.raises(pb.RemoteError, match="odd"),
    ):
        root_of(other).callRemote("do").get(timeout=5)
