from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any

import pytest

import geopb as pb
from geopb.jelly.registry import enum_member, enum_name, process_registry


class Problem(Exception):
    pass


class Other(Exception):
    pass


def test_a_registered_class_is_found_by_name() -> None:
    registry = pb.ClassRegistry()

    registry.setUnjellyableForClass("far.away.Problem", Problem)

    assert registry.find_exception("far.away.Problem") is Problem
    assert registry.find_exception("far.away.Nothing") is None


def test_a_class_is_registered_under_its_qualified_name() -> None:
    registry = pb.ClassRegistry()

    registry.setUnjellyableForClass(Problem, Other)

    assert registry.find_exception(f"{__name__}.Problem") is Other


def test_a_registration_may_be_repeated_and_not_changed() -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("a.B", Problem)

    registry.setUnjellyableForClass("a.B", Problem)
    with pytest.raises(ValueError, match=r"a\.B is registered .*Problem"):
        registry.setUnjellyableForClass("a.B", Other)

    assert registry.find_exception("a.B") is Problem


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("a.B", int),
        ("a.B", KeyboardInterrupt),
        ("a.B", "Problem"),
        (5, Problem),
        (None, Problem),
    ],
)
def test_a_wrong_registration_is_a_type_error(name: Any, local: Any) -> None:
    with pytest.raises(TypeError):
        pb.ClassRegistry().setUnjellyableForClass(name, local)


def test_a_registry_adds_to_the_process_s() -> None:
    registry = pb.ClassRegistry()
    pb.setUnjellyableForClass("test_registry.of.the.process", Problem)

    assert registry.find_exception("test_registry.of.the.process") is Problem
    assert process_registry.find_exception("test_registry.of.the.process") is Problem
    registry.setUnjellyableForClass("test_registry.of.the.process", Other)
    assert registry.find_exception("test_registry.of.the.process") is Other


def test_an_error_subclass_is_found_without_registering() -> None:
    class Mine(pb.Error):
        pass

    name = f"{Mine.__module__}.{Mine.__qualname__}"

    assert pb.ClassRegistry().find_exception(name) is Mine
    assert pb.ClassRegistry().find_exception("geopb.InsecureJelly") is pb.InsecureJelly
    assert pb.ClassRegistry().find_exception("geopb.Error") is pb.Error


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen", ""])
def test_nothing_is_found_because_it_could_be_imported(name: str) -> None:
    assert pb.ClassRegistry().find_exception(name) is None


# -- copies, records, members -------------------------------------------------------


class Taking:
    def setCopyableState(self, state: Any) -> None:
        raise AssertionError("only looked at")


@dataclass
class Plain:
    x: int
    y: int = 2


@dataclass(slots=True)
class Slotted:
    x: int


class Marked(Plain):
    pass


class Color(Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 (an alias is what is wanted)


class Access(Flag):
    READ = 1
    WRITE = 2


class Empty(Enum):
    pass


def test_a_record_tells_how_its_fields_are_read() -> None:
    pb.copyable(Plain)
    pb.copyable(Slotted)
    plain = process_registry.find_record(Plain)
    slotted = process_registry.find_record(Slotted)
    assert plain is not None
    assert slotted is not None

    assert (plain.name, plain.fields) == (f"{__name__}.Plain", ("x", "y"))
    assert (plain.plain, plain.slotted) == (True, True)
    assert plain.values(Plain(1)) == (1, 2)
    assert (slotted.plain, slotted.slotted) == (False, True)
    assert slotted.values(Slotted(1)) == (1,)
    assert process_registry.find_record(Marked) is None


def test_an_own_name_goes_before_the_first_that_was_given() -> None:
    registry = pb.ClassRegistry()

    registry.setUnjellyableForClass("a.First", Color)
    registry.setUnjellyableForClass("a.Second", Color)
    assert registry.find_name(Color) == "a.First"
    registry.setUnjellyableForClass(Color, Color)
    registry.setUnjellyableForClass("a.Third", Color)

    assert registry.find_name(Color) == f"{__name__}.Color"
    assert registry.find_class("a.First") is registry.find_class("a.Third") is Color


def test_registries_do_not_see_one_another_s_classes() -> None:
    one, other = pb.ClassRegistry(), pb.ClassRegistry()

    one.setUnjellyableForClass("a.B", Taking)

    assert one.find_class("a.B") is Taking
    assert other.find_class("a.B") is None
    assert other.find_name(Taking) is None
    assert process_registry.find_class("a.B") is None


@pytest.mark.parametrize("cls", [Empty, int, type, Any, 5])
def test_what_cannot_be_made_is_not_registered(cls: Any) -> None:
    with pytest.raises(TypeError, match="class to make"):
        pb.ClassRegistry().setUnjellyableForClass("a.B", cls)


def test_members_are_named_and_found() -> None:
    assert enum_name(Color.CRIMSON) == "RED"
    assert enum_name(Access.READ | Access.WRITE) == ["READ", "WRITE"]
    assert enum_name(Access(0)) == []
    assert enum_member(Color, "CRIMSON") is Color.RED
    assert enum_member(Access, ["WRITE", "READ"]) == Access(3)
    for wrong in ("BLUE", "name", 1, None, ["RED"], b"RED"):
        with pytest.raises(LookupError, match="no such member"):
            enum_member(Color, wrong)
