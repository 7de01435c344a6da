from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any

import pytest

import geopb as pb
from geopb.flavors.referenceable import PREFIXES, find_method, method_name


class Base(pb.Referenceable):
    def remote_inherited(self) -> str:
        return "inherited"


class Thing(Base):
    remote_number = 5
    remote_text = "text"
    remote_nothing = None

    class remote_Class:
        pass

    def __init__(self) -> None:
        self.looked = 0
        self.remote_added = lambda: "added"
        self.remote_shadowed = "not a method"

    def remote_plain(self, *args: Any, **kw: Any) -> Any:
        return args, kw

    def remote_shadowed(self) -> str:
        return "the class's"

    @staticmethod
    def remote_static() -> str:
        return "static"

    @classmethod
    def remote_of_class(cls) -> str:
        return cls.__name__

    @property
    def remote_property(self) -> Any:
        self.looked += 1
        return lambda: "never"

    @functools.cached_property
    def remote_cached(self) -> Any:
        self.looked += 1
        return lambda: "never"

    def remote__private(self) -> None:
        raise AssertionError("called from outside")

    def remote___init__(self) -> None:
        raise AssertionError("called from outside")

    def local(self) -> None:
        raise AssertionError("called from outside")

    def view_it(self) -> None:
        raise AssertionError("another flavor's")


#: Of `Thing`, and what each returns.
METHODS = [
    ("inherited", "inherited"),
    ("plain", ((), {})),
    ("static", "static"),
    ("of_class", "Thing"),
    ("shadowed", "the class's"),
]


@pytest.mark.parametrize(("name", "result"), METHODS)
def test_what_the_class_defines_with_the_prefix_is_a_method(
    name: str, result: Any
) -> None:
    assert find_method(Thing(), "remote_", name)() == result


@pytest.mark.parametrize(("name", "result"), METHODS)
def test_it_is_called_alike_each_time(name: str, result: Any) -> None:
    thing = Thing()

    for _ in range(3):
        assert thing.remoteMessageReceived(None, name, (), {}) == result


def test_a_metaclass_that_hides_a_method_is_asked_each_time() -> None:
    class Hiding(type):
        def __getattribute__(cls, name: str) -> Any:
            if name == "remote_plain":
                raise AttributeError(name)
            return super().__getattribute__(name)

    class Hidden(pb.Referenceable, metaclass=Hiding):
        def remote_plain(self) -> None:
            raise AssertionError("called from outside")

    assert Thing().remoteMessageReceived(None, "plain", (), {}) == ((), {})
    for _ in range(3):
        with pytest.raises(pb.NoSuchMethod):
            Hidden().remoteMessageReceived(None, "plain", (), {})


def test_a_class_with_abstract_bases_is_called() -> None:
    class Abstract(Base, ABC):
        @abstractmethod
        def remote_do(self) -> str: ...

    class Concrete(Abstract):
        def remote_do(self) -> str:
            return "done"

    for _ in range(3):
        assert Concrete().remoteMessageReceived(None, "do", (), {}) == "done"
        assert Concrete().remoteMessageReceived(None, "inherited", (), {})


def test_what_replaces_a_method_is_called_from_then_on() -> None:
    class Other(Thing):
        pass

    other = Other()
    assert other.remoteMessageReceived(None, "plain", (), {}) == ((), {})
    Other.remote_plain = staticmethod(lambda: "replaced")  # type: ignore[assignment, method-assign]
    assert other.remoteMessageReceived(None, "plain", (), {}) == "replaced"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nowhere",
        "__init__",
        "__class__",
        "_private",
        "__dict__",
        "remote_plain",
        "local",
        "it",
        "number",
        "text",
        "nothing",
        "Class",
        "added",
        "property",
        "cached",
        "plain.__func__",
        "a.b",
        "plain\x00",
        "plain ",
        " plain",
        "PLAIN",
        "pl\u0430in",
        "\uff50lain",
        "x" * 1_000_000,
        "\ud800",
        "message_received",
    ],
    ids=range(27),
)
def test_nothing_else_is_a_method(name: str) -> None:
    thing = Thing()

    with pytest.raises(pb.NoSuchMethod) as raised:
        find_method(thing, "remote_", name)

    assert thing.looked == 0
    assert len(str(raised.value)) < 500
    assert str(raised.value).isprintable()
    assert "Thing" in str(raised.value)


def test_a_missing_method_is_an_attribute_error_too() -> None:
    assert issubclass(pb.NoSuchMethod, AttributeError)


def test_each_prefix_is_of_one_flavor() -> None:
    class All:
        def remote_a(self) -> str:
            return "remote"

        def view_a(self) -> str:
            return "view"

    assert find_method(All(), "remote_", "a")() == "remote"
    assert find_method(All(), "view_", "a")() == "view"
    with pytest.raises(pb.NoSuchMethod):
        find_method(All(), "perspective_", "a")


def test_a_message_runs_the_method_with_its_arguments() -> None:
    args, kw = Thing().remoteMessageReceived(None, "plain", [1, 2], {"a": 3, "name": 4})

    assert args == (1, 2)
    assert kw == {"a": 3, "name": 4}


def test_keywords_of_any_name_reach_the_method() -> None:
    names = {"self", "name", "args", "kw", "broker", "message", "target", "method"}

    class Taker(pb.Referenceable):
        def remote_take(self, /, **kw: Any) -> dict[str, Any]:
            return kw

    kw = dict.fromkeys(names, 1)

    assert Taker().remoteMessageReceived(None, "take", [], kw) == kw


def test_wrong_arguments_are_a_type_error_of_the_method() -> None:
    for args, kw in (([1], {}), ([], {"x": 1})):
        with pytest.raises(TypeError, match="remote_inherited"):
            Thing().remoteMessageReceived(None, "inherited", args, kw)


def test_a_root_hands_out_itself() -> None:
    root = pb.Root()

    assert root.rootObject(None) is root
    assert isinstance(root, pb.Referenceable)


def test_a_method_s_name_is_text_or_a_function_s_without_its_prefix() -> None:
    assert method_name("echo") == "echo"
    assert method_name(Thing.remote_plain) == "plain"
    assert method_name(Thing().remote_plain) == "plain"
    for prefix in PREFIXES:

        def method() -> None:
            pass

        method.__name__ = f"{prefix}echo"
        assert method_name(method) == "echo"


def test_text_of_a_subclass_becomes_text() -> None:
    class Words(str):
        __slots__ = ()

    assert type(method_name(Words("echo"))) is str


@pytest.mark.parametrize(
    "wrong", [None, 5, b"echo", object(), Thing.local, len, ["echo"], ("echo",)]
)
def test_any_other_name_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        method_name(wrong)
