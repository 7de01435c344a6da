from __future__ import annotations

from typing import Any

import pytest

import geopb as pb
from geopb.jelly.registry import process_registry


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
