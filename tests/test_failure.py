"""An exception as a value, here and from the other side."""

from __future__ import annotations

import builtins
import gc
import io
import sys
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import geopb as pb
from geopb.errors import qualified_name
from geopb.failure import (
    MAX_PARENTS,
    CopiedFailure,
    Failure,
    Report,
    failure_of,
    format_traceback,
    fresh,
    report_of,
)
from geopb.text import MAX_MESSAGE


class Boom(Exception):
    """An exception that nobody else has."""


class Child(Boom, KeyError):
    """One with bases."""


class Known(pb.Error):
    """Registered, as all subclasses of pb.Error are."""

    def __init__(self, *args: Any) -> None:
        raise AssertionError("__init__ is not run")


def raised(error: BaseException) -> BaseException:
    """Return `error` with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def copied(error: BaseException, **changes: Any) -> CopiedFailure:
    """Return the failure that the caller of a method which raised `error` has."""
    report = report_of(error)
    names = ("type", "message", "parents", "args", "traceback", "details")
    facts = {name: getattr(report, name) for name in names}
    return CopiedFailure(Report(**{**facts, **changes}))


def told(
    name: str, *parents: str, message: str = "text", **facts: Any
) -> CopiedFailure:
    """Return a failure that a peer told, of a type that this side need not have."""
    return CopiedFailure(Report(name, message, (name, *parents), **facts))


# -- type and value ----------------------------------------------------------------


def test_value_is_the_exception() -> None:
    error = Boom()

    assert Failure(error).value is error


def test_type_is_the_qualified_name() -> None:
    assert Failure(Boom()).type == f"{__name__}.Boom"
    assert Failure(ValueError()).type == "builtins.ValueError"
    assert Failure(pb.Cancelled()).type == "geopb.Cancelled"


def test_failure_without_an_exception_takes_the_one_being_handled() -> None:
    error = Boom()

    try:
        raise error
    except Boom:
        failure = Failure()

    assert failure.value is error


def test_failure_without_an_exception_needs_one() -> None:
    with pytest.raises(ValueError, match="no exception"):
        Failure()


def test_repr_names_type_and_message() -> None:
    assert repr(Failure(ValueError("why"))) == "<Failure builtins.ValueError: why>"


# -- check and trap ----------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [Child, Boom, KeyError, LookupError, Exception, BaseException],
)
def test_check_matches_the_class_and_its_bases(kind: type[BaseException]) -> None:
    assert Failure(Child()).check(kind) is kind
    assert Failure(Child()).check(qualified_name(kind)) == qualified_name(kind)


@pytest.mark.parametrize("kind", [ValueError, Known, pb.Error, "Child", "KeyError", ""])
def test_check_matches_nothing_else(kind: Any) -> None:
    assert Failure(Child()).check(kind) is None


def test_check_returns_the_first_that_matches() -> None:
    failure = Failure(Child())

    assert failure.check(ValueError, LookupError, KeyError) is LookupError
    assert failure.check("builtins.KeyError", KeyError) == "builtins.KeyError"
    assert failure.check(KeyError, "builtins.KeyError") is KeyError


def test_check_of_nothing_is_none() -> None:
    assert Failure(Boom()).check() is None


def test_types_match_by_qualified_name() -> None:
    """``__main__.X`` here matches ``__main__.X`` there."""

    def main_error() -> type[Exception]:
        return type("X", (Exception,), {"__module__": "__main__"})

    here, there = main_error(), main_error()

    assert Failure(there()).check(here) is here
    assert Failure(there()).trap(here) is here
    assert copied(there()).check(here) is here


def test_bases_match_by_qualified_name() -> None:
    def main_error() -> type[Exception]:
        return type("Base", (Exception,), {"__module__": "__main__"})

    here = main_error()
    there = type("Derived", (main_error(),), {"__module__": "other"})

    assert copied(there()).check(here) is here
    assert copied(there()).check("__main__.Base") == "__main__.Base"


def test_trap_returns_what_matched() -> None:
    assert Failure(Child()).trap(ValueError, KeyError) is KeyError
    assert Failure(Child()).trap("builtins.KeyError") == "builtins.KeyError"


def test_trap_raises_what_does_not_match() -> None:
    with pytest.raises(Child, match="why"):
        Failure(Child("why")).trap(ValueError, "other.Boom")


def test_trap_of_nothing_raises() -> None:
    with pytest.raises(Boom):
        Failure(Boom()).trap()


# -- messages and tracebacks -------------------------------------------------------


def test_error_message_is_the_str() -> None:
    assert Failure(Boom("a", 1)).getErrorMessage() == "('a', 1)"
    assert Failure(KeyError("k")).getErrorMessage() == "'k'"
    assert Failure(Boom()).getErrorMessage() == ""


def test_traceback_is_what_python_prints() -> None:
    error = raised(Boom("why"))

    assert Failure(error).getTraceback() == "".join(traceback.format_exception(error))


def test_traceback_ends_with_type_and_message() -> None:
    assert Failure(Boom("why")).getTraceback().endswith(f"{__name__}.Boom: why\n")


def test_print_traceback_writes_to_the_file() -> None:
    file = io.StringIO()
    failure = Failure(raised(Boom("why")))

    failure.printTraceback(file)

    assert file.getvalue() == failure.getTraceback()


def test_print_traceback_takes_the_file_by_name() -> None:
    file = io.StringIO()

    Failure(Boom("why")).printTraceback(file=file)

    assert "why" in file.getvalue()


def test_print_traceback_writes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Failure(raised(Boom("why"))).printTraceback()

    captured = capsys.readouterr()
    assert "Boom: why" in captured.err
    assert captured.out == ""


def test_forgotten_frames_leave_the_traceback_as_text() -> None:
    error = raised(Boom("why"))
    failure = Failure(error)
    before = failure.getTraceback()

    failure.forget_frames()

    assert failure.getTraceback() == before
    assert error.__traceback__ is None


def test_frames_of_causes_are_forgotten_too() -> None:
    class Witness:
        """Stands in a frame."""

    def fail() -> weakref.ref[Witness]:
        witness = Witness()
        reference = weakref.ref(witness)
        try:
            raise ValueError("cause")
        except ValueError as cause:
            try:
                raise Boom("effect") from cause
            except Boom as effect:
                failures.append(Failure(effect))
        return reference

    failures: list[Failure] = []
    gone = fail()
    assert gone() is not None

    failures[0].forget_frames()

    gc.collect()
    assert gone() is None
    assert "ValueError: cause" in failures[0].getTraceback()


def test_causes_in_a_cycle_are_forgotten() -> None:
    one, two = raised(Boom("one")), raised(Boom("two"))
    one.__context__, two.__context__ = two, one

    Failure(one).forget_frames()

    assert one.__traceback__ is None
    assert two.__traceback__ is None


# -- raising -----------------------------------------------------------------------


def test_raise_exception_raises_an_equal_one() -> None:
    error = Boom("why", 3)

    with pytest.raises(Boom) as caught:
        Failure(error).raiseException()

    assert caught.value is not error
    assert caught.value.args == error.args
    assert error.__traceback__ is None


def test_raise_exception_does_not_show_what_is_being_handled() -> None:
    def reraise() -> None:
        try:
            raise ValueError("unrelated")
        except ValueError:
            Failure(Boom()).raiseException()

    with pytest.raises(Boom) as caught:
        reraise()

    assert caught.value.__suppress_context__


def test_fresh_copy_is_of_the_same_class() -> None:
    error = Child("k")

    copy = fresh(error)

    assert type(copy) is Child
    assert copy.args == ("k",)
    assert copy.__traceback__ is None


def test_what_cannot_be_copied_is_raised_itself_without_its_traceback() -> None:
    class Unusual(Exception):
        """Gives no __dict__."""

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no")

    error = raised(Unusual("same"))

    assert str(fresh(error)) == "same"
    assert fresh(error).__traceback__ is None


@pytest.mark.parametrize(
    "error",
    [
        OSError("one argument"),
        OSError(2, "two"),
        OSError(2, "three", "/file"),
        OSError(2, "five", "/file", None, "/other"),
        OSError(),
        pb.PBConnectionLost("the line went"),
        pb.DeadlineExceeded("too late"),
        BlockingIOError(11, "again", 5),
    ],
    ids=repr,
)
def test_copy_of_a_system_error_has_its_text(error: OSError) -> None:
    copy = fresh(error)

    assert str(copy) == str(error)
    assert copy.args == error.args
    assert copy.errno == error.errno  # type: ignore[attr-defined]
    assert copy.filename == error.filename  # type: ignore[attr-defined]


def test_copies_of_copies_stay_the_same() -> None:
    error: BaseException = FileNotFoundError(2, "No such file", "/a")
    text = str(error)

    for _ in range(5):
        error = fresh(error)

    assert str(error) == text


@dataclass(frozen=True)
class Frozen(pb.Error):
    """An exception that is a frozen dataclass."""

    code: int = 0


def test_copy_of_a_frozen_dataclass_has_its_fields_and_args() -> None:
    error = Frozen(3)

    copy = fresh(error)

    assert copy == error
    assert copy.args == error.args


# -- the report of an exception ----------------------------------------------------


def test_report_has_type_message_bases_and_args() -> None:
    report = report_of(Child("k", 1))

    assert report.type == f"{__name__}.Child"
    assert report.message == "('k', 1)"
    assert report.parents == (
        f"{__name__}.Child",
        f"{__name__}.Boom",
        "builtins.KeyError",
        "builtins.LookupError",
        "builtins.Exception",
        "builtins.BaseException",
    )
    assert report.args == ("k", 1)
    assert report.traceback is None
    assert report.details == {}


def test_text_of_arguments_that_unfold_without_end_ends() -> None:
    """A list whose halves are one list, sixty times, in ``ValueError(value)``."""
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    try:
        try:
            raise ValueError("first", value)
        except ValueError as first:
            raise KeyError("second") from first
    except KeyError as second:
        error = second

    assert "KeyError: 'second'" in format_traceback(error)
    for each in (error, error.__cause__):
        failure = Failure(each)
        assert len(report_of(failure.value).message) < 1000
        assert len(failure.getErrorMessage()) < 1000
        failure.forget_frames()
        assert len(failure.getTraceback()) < 5000
        assert len(repr(failure)) < 500


def test_report_of_a_system_error_has_its_fields() -> None:
    report = report_of(FileNotFoundError(2, "No such file", "/a"))

    assert report.details == {
        "errno": 2,
        "strerror": "No such file",
        "filename": "/a",
    }


def test_report_of_a_system_error_leaves_out_what_cannot_cross() -> None:
    class Path:
        """Not to be told."""

    error = OSError(2, "text")
    error.filename = Path()  # type: ignore[assignment]

    assert report_of(error).details == {"errno": 2, "strerror": "text"}


def test_report_has_the_traceback_only_when_asked() -> None:
    error = raised(Boom("why"))

    assert report_of(error).traceback is None
    with_traceback = report_of(error, format_traceback(error)).traceback
    assert with_traceback is not None
    assert "in raised" in with_traceback


class BadText(Exception):
    """Its texts raise."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class WrongText(Exception):
    """Its text is none."""

    def __str__(self) -> str:
        return wrong

    __repr__ = __str__


wrong: Any = 3


class Meta(type):
    """Gives no names."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__", "__name__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=Meta):
    """Its class gives no names."""


class BadAttributes(Exception):
    """Each attribute raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class BadNotes(Exception):
    """What the traceback formatter asks for raises."""

    @property
    def __notes__(self) -> Any:
        raise RuntimeError("no notes")


HOSTILE: dict[str, Callable[[], Exception]] = {
    "str raises": BadText,
    "str is none": WrongText,
    "nameless": Nameless,
    "attributes raise": lambda: BadAttributes("x"),
    "notes raise": lambda: BadNotes("x"),
    "huge": lambda: Boom("x" * 20_000_000),
    "surrogate": lambda: Boom("\ud800"),
    "many arguments": lambda: Boom(*range(100_000)),
    "long name": lambda: type("N" * 1_000_000, (Exception,), {})("x"),
    "surrogate module": lambda: type("N", (Boom,), {"__module__": "\ud800"})("x"),
}
hostile = pytest.mark.parametrize("name", HOSTILE)


@hostile
def test_exception_that_resists_is_reported(name: str) -> None:
    error = raised(HOSTILE[name]())
    report = report_of(error, format_traceback(error))

    for text in (report.type, report.message, report.traceback, *report.parents):
        assert type(text) is str
        assert len(text) < 5 * MAX_MESSAGE
        text.encode("utf-8")


@hostile
def test_failure_of_an_exception_that_resists_can_be_asked(name: str) -> None:
    failure = failure_of(raised(HOSTILE[name]()))

    failure.forget_frames()

    assert type(failure.type) is str
    assert type(failure.getErrorMessage()) is str
    assert type(failure.getTraceback()) is str
    assert type(repr(failure)) is str
    assert failure.check(Exception) is Exception
    with pytest.raises(Exception):  # noqa: B017, PT011
        failure.raiseException()


@hostile
def test_exception_that_resists_fails_a_promise(name: str) -> None:
    promise = pb.succeed(1)

    def handler(_: object) -> None:
        raise HOSTILE[name]()

    promise.addCallback(handler).addErrback(lambda failure: type(failure.type))

    assert promise.get(timeout=5) is str


def test_report_of_a_deep_hierarchy_is_bounded() -> None:
    cls: type[Exception] = Boom
    for number in range(MAX_PARENTS * 2):
        cls = type(f"Level{number}", (cls,), {})

    assert len(report_of(cls()).parents) == MAX_PARENTS


# -- copied failures ---------------------------------------------------------------


def test_copied_failure_is_a_failure() -> None:
    assert issubclass(pb.CopiedFailure, pb.Failure)


def test_copied_failure_keeps_the_remote_type() -> None:
    failure = told("far.away.Error", "builtins.Exception", message="why")

    assert failure.type == "far.away.Error"
    assert failure.getErrorMessage() == "why"
    assert repr(failure) == "<CopiedFailure far.away.Error: why>"


def test_unknown_type_is_a_remote_error() -> None:
    error = told("far.Error", "builtins.Exception", message="why", args=(1, 2)).value

    assert type(error) is pb.RemoteError
    assert error.remote_type == "far.Error"
    assert error.remote_traceback is None
    assert str(error) == "why"
    assert error.args == (1, 2)


def test_str_of_a_remote_error_is_the_originals() -> None:
    assert str(copied(Child("k")).value) == "'k'"
    assert str(copied(OSError(2, "text", "/f")).value) == str(OSError(2, "text", "/f"))


def test_value_of_a_copied_failure_is_the_same_each_time() -> None:
    failure = told("far.Error")

    assert failure.value is failure.value


def test_raised_exceptions_of_a_copied_failure_are_fresh() -> None:
    failure = told("far.Error")
    caught = []
    for _ in range(2):
        with pytest.raises(pb.RemoteError) as info:
            failure.raiseException()
        caught.append(info.value)

    assert caught[0] is not caught[1]
    assert failure.value.__traceback__ is None


def test_copied_failure_matches_by_the_names_told() -> None:
    failure = told("far.Error", "far.Base", "builtins.KeyError")

    assert failure.check("far.Base") == "far.Base"
    assert failure.check(KeyError) is KeyError
    assert failure.check(pb.RemoteError) is pb.RemoteError
    assert failure.check(LookupError) is LookupError
    assert failure.check(ValueError, "far.Other") is None
    with pytest.raises(pb.RemoteError):
        failure.trap(ValueError)


def test_remote_traceback_is_given_as_far_as_it_was_sent() -> None:
    sent = told("far.Error", traceback="Traceback: here\n")
    withheld = told("far.Error", message="why")

    assert sent.getTraceback() == "Traceback: here\n"
    assert sent.value.remote_traceback == "Traceback: here\n"  # type: ignore[attr-defined]
    assert withheld.getTraceback().endswith("far.Error: why\n")
    assert "Traceback" in withheld.getTraceback()


# -- local classes -----------------------------------------------------------------


def test_subclass_of_pb_error_is_raised_as_itself_without_its_init() -> None:
    failure = told(qualified_name(Known), "geopb.Error", args=("a", 1))

    with pytest.raises(Known) as caught:
        failure.raiseException()

    assert caught.value.args == ("a", 1)


def test_base_of_the_errors_is_raised_as_itself() -> None:
    assert type(copied(pb.Error("x")).value) is pb.Error


@pytest.mark.parametrize(
    "error",
    [
        pb.InsecureJelly("x"),
        pb.NoSuchMethod("x"),
        pb.LimitExceeded("x"),
        pb.UnauthorizedLogin("x"),
    ],
    ids=repr,
)
def test_own_error_is_raised_as_itself(error: pb.Error) -> None:
    made = copied(error).value

    assert type(made) is type(error)
    assert str(made) == "x"


def test_class_that_was_not_registered_is_a_remote_error() -> None:
    assert type(copied(Boom("x")).value) is pb.RemoteError


def test_latest_definition_of_a_name_is_raised() -> None:
    def define() -> type[pb.Error]:
        return type("Redefined", (pb.Error,), {"__module__": "elsewhere"})

    first, second = define(), define()
    failure = told("elsewhere.Redefined", "geopb.Error")

    assert type(failure.value) is second
    assert failure.check(first) is first


def test_class_that_is_gone_is_a_remote_error() -> None:
    cls = type("Passing", (pb.Error,), {"__module__": "elsewhere"})
    failure = told(qualified_name(cls), "geopb.Error")
    del cls
    gc.collect()

    assert type(failure.value) is pb.RemoteError


def test_registered_class_of_the_finder_is_raised() -> None:
    report = Report("far.Boom", "why", ("far.Boom",), ("why",))
    failure = CopiedFailure(report, lambda name: Boom if name == "far.Boom" else None)

    assert type(failure.value) is Boom
    assert failure.type == "far.Boom"
    assert str(failure.value) == "why"


def test_frozen_dataclass_is_raised_as_itself() -> None:
    """Its attributes may not be assigned: the error path cannot fail."""
    failure = told(qualified_name(Frozen), "geopb.Error", args=(3,))

    assert type(failure.value) is Frozen
    assert failure.value.args == (3,)


class Guarded(pb.Error):
    """Refuses assignment in words of its own."""

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError(name)


class NewNeedsArguments(pb.Error):
    """Cannot be made without one."""

    def __new__(cls, code: int) -> NewNeedsArguments:
        return super().__new__(cls, code)


class ArgsAreMine(pb.Error):
    """Has an attribute called args."""

    @property
    def args(self) -> Any:  # type: ignore[override]
        return ("mine",)


@pytest.mark.parametrize("cls", [Guarded, NewNeedsArguments, ArgsAreMine])
def test_class_that_resists_is_raised_as_itself(cls: type[pb.Error]) -> None:
    failure = told(qualified_name(cls), "geopb.Error", args=("a",))

    with pytest.raises(cls):
        failure.raiseException()


def test_local_system_error_gets_its_fields() -> None:
    class Mine(pb.Error, FileNotFoundError):
        """Both."""

    failure = told(
        qualified_name(Mine),
        args=(2, "gone", "/f"),
        details={"errno": 2, "strerror": "gone", "filename": "/f"},
    )

    error = failure.value
    assert type(error) is Mine
    assert (error.errno, error.strerror, error.filename) == (2, "gone", "/f")
    assert str(error) == "[Errno 2] gone: '/f'"


def test_local_system_error_with_a_message_keeps_it() -> None:
    class Mine(pb.Error, ConnectionError):
        """Both."""

    assert str(copied(Mine("the line went")).value) == "the line went"


# -- reserved types ----------------------------------------------------------------

RESERVED = [
    pb.DeadReferenceError,
    pb.PBConnectionLost,
    pb.ProtocolError,
    pb.Cancelled,
    pb.DeadlineExceeded,
]


@pytest.mark.parametrize("cls", RESERVED)
def test_reserved_type_told_by_a_peer_is_a_remote_error(cls: type[pb.Error]) -> None:
    failure = copied(cls("about its peers"))

    error = failure.value
    assert not isinstance(error, cls)
    assert isinstance(error, pb.RemoteError)
    assert error.remote_type == qualified_name(cls)
    assert str(error) == "about its peers"
    assert failure.check(qualified_name(cls)) == qualified_name(cls)


def test_builtin_bases_of_reserved_types_are_kept() -> None:
    assert isinstance(copied(pb.DeadlineExceeded("x")).value, TimeoutError)
    assert isinstance(copied(pb.PBConnectionLost("x")).value, ConnectionError)


def test_remote_timeout_is_a_timeout_error_and_no_gevent_timeout() -> None:
    error = copied(pb.Timeout(1)).value

    assert isinstance(error, pb.RemoteError)
    assert isinstance(error, TimeoutError)
    assert not isinstance(error, pb.Timeout)


# -- built-in bases ----------------------------------------------------------------


def exceptions(base: type[BaseException]) -> list[type[BaseException]]:
    found = {
        cls
        for cls in vars(builtins).values()
        if isinstance(cls, type) and issubclass(cls, base)
    }
    return sorted(found, key=lambda cls: cls.__name__)


LEFT_OUT = (StopIteration, StopAsyncIteration, BaseExceptionGroup)


@pytest.mark.parametrize(
    "cls",
    [
        cls
        for cls in exceptions(Exception)
        if cls is not Exception and not issubclass(cls, LEFT_OUT)
    ],
)
def test_remote_builtin_is_both(cls: type[BaseException]) -> None:
    failure = told(qualified_name(cls), message="why")

    with pytest.raises(cls) as caught:
        failure.raiseException()

    error = caught.value
    assert isinstance(error, pb.RemoteError)
    assert error.remote_type == qualified_name(cls)
    assert str(error) == "why"
    assert type(error).__name__ == "RemoteError"
    assert type(error).__module__ == "geopb"
    assert "why" in "".join(traceback.format_exception(error))
    assert repr(error)
    assert type(fresh(error)) is type(error)
    assert str(fresh(error)) == "why"


@pytest.mark.parametrize(
    "cls",
    [
        cls
        for cls in exceptions(BaseException)
        if not issubclass(cls, Exception) or issubclass(cls, LEFT_OUT)
    ],
)
def test_builtin_that_steers_the_interpreter_is_left_out(
    cls: type[BaseException],
) -> None:
    error = told(qualified_name(cls), "builtins.BaseException").value

    assert type(error) is pb.RemoteError


def test_remote_type_that_derives_from_a_builtin_is_that_builtin() -> None:
    error = told("far.Error", "far.Base", "builtins.KeyError", "builtins.LookupError")

    assert isinstance(error.value, KeyError)
    assert isinstance(error.value, pb.RemoteError)


def test_most_derived_builtin_wins() -> None:
    error = told(
        "far.Error",
        "builtins.OSError",
        "builtins.ConnectionResetError",
        "builtins.ConnectionError",
    ).value

    assert isinstance(error, ConnectionResetError)


def test_there_is_at_most_one_builtin_base() -> None:
    error = told("far.Error", "builtins.ValueError", "builtins.LookupError").value

    assert isinstance(error, ValueError)
    assert not isinstance(error, LookupError)


@pytest.mark.parametrize(
    "name", ["builtins.Exception", "builtins.eval", "ValueError", "os._exit", ""]
)
def test_name_outside_the_table_is_no_base(name: str) -> None:
    assert type(told("far.Error", name).value) is pb.RemoteError


def test_combined_class_is_made_once() -> None:
    def kind() -> type:
        return type(told("far.Error", "builtins.KeyError").value)

    assert kind() is kind()


def test_combined_class_is_not_registered() -> None:
    told("far.Error", "builtins.KeyError").raiseException  # noqa: B018
    assert told("far.Error", "builtins.KeyError").value is not None

    assert type(told("geopb.RemoteError", message="x").value) is pb.RemoteError


def test_fields_of_a_remote_system_error_cross() -> None:
    error: Any = copied(FileNotFoundError(2, "No such file", "/a")).value

    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.strerror, error.filename) == (2, "No such file", "/a")


def test_fields_are_for_system_errors_alone() -> None:
    error = told("far.Error", details={"errno": 2, "args": (1,), "other": 3}).value

    assert not hasattr(error, "errno")
    assert not hasattr(error, "other")
    assert error.args == ()


def test_unknown_fields_of_a_system_error_are_ignored() -> None:
    error = told(
        "builtins.OSError", details={"errno": 2, "__class__": "x", "args": "y"}
    ).value

    assert error.errno == 2  # type: ignore[attr-defined]
    assert error.args == ()


def test_nothing_is_imported_because_a_peer_named_it() -> None:
    before = set(sys.modules)

    failure = told("antigravity.Error", "this.Base", "builtins.KeyError")
    with pytest.raises(pb.RemoteError):
        failure.raiseException()
    failure.check("turtle.Base")

    assert set(sys.modules) - before == set()


# -- a second hop ------------------------------------------------------------------


def second_hop(failure: CopiedFailure) -> CopiedFailure:
    """Raise the failure's exception on the way, as a method that called further."""
    try:
        failure.raiseException()
    except BaseException as error:
        return CopiedFailure(report_of(error))


def test_second_hop_keeps_the_first_type() -> None:
    first = told(
        "far.Error", "far.Base", "builtins.KeyError", message="why", args=("k",)
    )

    again = second_hop(second_hop(first))

    assert again.type == "far.Error"
    assert again.getErrorMessage() == "why"
    assert again.check("far.Base") == "far.Base"
    error = again.value
    assert isinstance(error, pb.RemoteError)
    assert isinstance(error, KeyError)
    assert error.remote_type == "far.Error"
    assert error.args == ("k",)


def test_second_hop_of_a_reserved_type_keeps_its_type() -> None:
    again = second_hop(copied(pb.Cancelled("x")))

    assert again.type == "geopb.Cancelled"
    assert type(again.value) is pb.RemoteError


def test_failure_of_a_copied_exception_is_the_copied_failure_again() -> None:
    first = told("far.Error", "far.Base", message="why")
    with pytest.raises(pb.RemoteError) as caught:
        first.raiseException()

    again = failure_of(caught.value)

    assert isinstance(again, CopiedFailure)
    assert again.value is caught.value
    assert again.type == "far.Error"
    assert again.check("far.Base") == "far.Base"


def test_failure_of_a_local_class_stays_that_class() -> None:
    report = Report("far.Boom", "why", ("far.Boom",), ("why",))
    with pytest.raises(Boom) as caught:
        CopiedFailure(report, lambda name: Boom).raiseException()

    again = failure_of(caught.value)

    assert again.type == "far.Boom"
    with pytest.raises(Boom):
        again.raiseException()


def test_new_exception_raised_from_a_copied_one_is_its_own() -> None:
    try:
        raise Boom("mine") from told("far.Error").value
    except Boom as error:
        report = report_of(error)

    assert report.type == f"{__name__}.Boom"
    assert report.message == "mine"
