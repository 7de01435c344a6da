"""The tree of exceptions, and the register of local ones."""

from __future__ import annotations

import builtins
import gc
import inspect
import weakref

import pytest

import geopb as pb
from geopb import errors
from geopb.errors import local_error_class, over_limit, qualified_name

PUBLIC = [
    each
    for each in vars(pb).values()
    if isinstance(each, type) and issubclass(each, BaseException)
]
OWN = [cls for cls in PUBLIC if cls is not pb.Timeout]


def defined(name: str, *bases: type, **body: object) -> type[BaseException]:
    """Define an exception class ``elsewhere.<name>``."""
    return type(name, bases or (pb.Error,), {"__module__": "elsewhere", **body})


@pytest.mark.parametrize("cls", OWN)
def test_all_of_geopbs_own_are_pb_errors(cls: type) -> None:
    assert issubclass(cls, pb.Error)


@pytest.mark.parametrize("cls", PUBLIC)
def test_all_of_geopbs_own_are_named_geopb(cls: type) -> None:
    assert cls.__module__ == "geopb"
    assert getattr(pb, cls.__name__) is cls
    assert inspect.getdoc(cls)


@pytest.mark.parametrize(
    "name",
    [
        "Error",
        "InsecureJelly",
        "NoSuchMethod",
        "LimitExceeded",
        "ProtocolError",
        "DeadReferenceError",
        "Draining",
        "PBConnectionLost",
        "DeadlineExceeded",
        "Cancelled",
        "UnauthorizedLogin",
        "RemoteError",
        "Timeout",
    ],
)
def test_error_of_the_contract_is_public(name: str) -> None:
    assert name in pb.__all__
    assert issubclass(getattr(pb, name), BaseException)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (pb.NoSuchMethod, AttributeError),
        (pb.PBConnectionLost, ConnectionError),
        (pb.DeadlineExceeded, TimeoutError),
        (pb.Draining, pb.DeadReferenceError),
        (pb.Timeout, TimeoutError),
    ],
)
def test_error_is_also_what_python_calls_it(cls: type, base: type) -> None:
    assert issubclass(cls, base)


def test_expected_errors_are_exceptions_and_no_more() -> None:
    assert pb.Error.__bases__ == (Exception,)


@pytest.mark.parametrize("cls", [cls for cls in OWN if cls is not pb.RemoteError])
def test_message_is_the_str(cls: type[Exception]) -> None:
    assert str(cls("what happened")) == "what happened"


def test_remote_error_without_a_report_has_defaults() -> None:
    error = pb.RemoteError("text")

    assert str(error) == "text"
    assert error.remote_type == "geopb.RemoteError"
    assert error.remote_traceback is None


def test_over_limit_names_the_limit_its_size_and_the_actual() -> None:
    error = over_limit("max_depth", 3, "a value", 7)

    assert isinstance(error, pb.LimitExceeded)
    assert "max_depth" in str(error)
    assert "3" in str(error)
    assert "7" in str(error)


# -- the register ------------------------------------------------------------------


@pytest.mark.parametrize("cls", OWN)
def test_own_errors_are_found_by_name(cls: type) -> None:
    assert local_error_class(f"geopb.{cls.__name__}") is cls


def test_subclassing_registers_under_the_qualified_name() -> None:
    class Local(pb.Error):
        """Defined inside a function: its qualified name says so."""

    assert local_error_class(qualified_name(Local)) is Local
    assert "<locals>" in qualified_name(Local)


def test_subclass_of_a_subclass_is_registered() -> None:
    base = defined("Base")

    deeper = defined("Deeper", base)

    assert local_error_class("elsewhere.Deeper") is deeper


def test_latest_definition_of_a_name_wins() -> None:
    first = defined("Twice")
    second = defined("Twice")

    assert local_error_class("elsewhere.Twice") is second
    assert first is not second


def test_registration_is_weak() -> None:
    cls = defined("Gone")
    gone = weakref.ref(cls)

    del cls
    gc.collect()

    assert gone() is None
    assert local_error_class("elsewhere.Gone") is None


def test_subclass_may_decline_to_be_registered() -> None:
    class Unregistered(pb.Error, register=False):
        """Not for peers."""

    assert local_error_class(qualified_name(Unregistered)) is None


def test_subclass_keywords_of_its_own_are_passed_on() -> None:
    class Base:
        def __init_subclass__(cls, *, mark: int = 0, **kwargs: object) -> None:
            super().__init_subclass__(**kwargs)
            cls.mark = mark  # type: ignore[attr-defined]

    class Marked(pb.Error, Base, mark=3):
        """Both bases see their keywords."""

    assert Marked.mark == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nobody.Knows",
        "builtins.ValueError",
        "Error",
        "geopb.errors.Error",
        "os.path",
    ],
)
def test_other_names_are_not_found(name: str) -> None:
    assert local_error_class(name) is None


def test_no_module_is_imported_for_a_name() -> None:
    assert local_error_class("this.raises.on_import") is None


def test_qualified_name_is_module_and_qualname() -> None:
    assert qualified_name(ValueError) == "builtins.ValueError"
    assert qualified_name(pb.Error) == "geopb.Error"


def test_no_error_hides_a_builtin_name() -> None:
    names = {cls.__name__ for cls in OWN}

    assert not names & set(vars(builtins))


def test_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    for cls in OWN:
        assert cls.__name__ in errors.__doc__
