"""What errbacks receive: an exception as a value, here or from the other side.

Owns `Failure` and `CopiedFailure`, the `Report` that describes an exception on the
wire, and how an exception is raised again without growing: `fresh`. Never imports a
class because a peer named it: local classes are found in registers of classes that
exist already. Called by promises (chains), the broker (answers) and users.
"""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, NoReturn, TextIO, cast

from geopb.errors import (
    Cancelled,
    DeadlineExceeded,
    DeadReferenceError,
    Error,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
    local_error_class,
    qualified_name,
)
from geopb.text import MAX_MESSAGE, safe_str, shorten

#: What `Failure.check` matches: a class, or a qualified name.
TypeOrName = type | str
#: Finds the local class of a qualified name, or None.
ClassFinder = Callable[[str], type[BaseException] | None]

#: Where an exception remembers the report that it was made from, so that it keeps
#: its first type over a second hop and stays the same failure when raised again.
_REPORT = "_geopb_report"
#: Base classes named in one report: real hierarchies have a handful.
MAX_PARENTS = 64
#: Only this side's broker makes these; told by a peer they are about *its* peers.
_LOCAL_ONLY = (
    DeadReferenceError,
    PBConnectionLost,
    ProtocolError,
    Cancelled,
    DeadlineExceeded,
)
#: Built-in exceptions that a `RemoteError` may be an instance of as well. Left out:
#: those that steer the interpreter (StopIteration in a generator), groups.
_BUILT_IN = {
    qualified_name(cls): cls
    for cls in vars(builtins).values()
    if isinstance(cls, type)
    and issubclass(cls, Exception)
    and cls is not Exception
    and not issubclass(cls, StopIteration | StopAsyncIteration | BaseExceptionGroup)
}
_OS_ERROR_FIELDS = ("errno", "strerror", "filename")


@dataclass(frozen=True, slots=True)
class Report:
    """An exception told as data: what an error answer carries."""

    type: str
    message: str
    #: Qualified names, the type's own first, then its bases in MRO order.
    parents: tuple[str, ...]
    args: tuple[object, ...] = ()
    traceback: str | None = None
    #: ``errno``, ``strerror``, ``filename`` of an OSError.
    details: dict[str, object] = field(default_factory=dict)


def report_of(exception: BaseException, *, with_traceback: bool = False) -> Report:
    """Describe `exception`; one that came from another peer keeps its first report.

    Never raises, whatever the exception's ``str()`` does.
    """
    known = _known_report(exception)
    if known is not None:
        return known
    cls = type(exception)
    details = {}
    if isinstance(exception, OSError):
        values = {name: getattr(exception, name, None) for name in _OS_ERROR_FIELDS}
        details = {k: v for k, v in values.items() if type(v) in (int, str, bytes)}
    return Report(
        type=_name(cls),
        message=safe_str(exception),
        parents=_parents(cls),
        args=exception.args,
        traceback=format_traceback(exception) if with_traceback else None,
        details=details,
    )


def format_traceback(exception: BaseException) -> str:
    """Return the traceback that Python would print, bounded; never raises."""
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception as error:
        # The formatter calls user code (str(), __notes__, dir() for suggestions).
        text = f"{_name(type(exception))}: (traceback: {type(error).__name__})\n"
    return shorten(text, 4 * MAX_MESSAGE)


class Failure:
    """An exception as a value, for errbacks.

    Attributes:
        value: The exception.
        type: Qualified name of its class on the side that raised it, for example
            ``"__main__.MyError"``.

    Args:
        exception: The exception; None takes the one being handled.
    """

    __slots__ = ("__weakref__", "_trace", "_value")

    def __init__(self, exception: BaseException | None = None) -> None:
        if exception is None:
            exception = sys.exception()
            if exception is None:
                raise ValueError("no exception is being handled")
        self._value: BaseException | None = exception
        self._trace: traceback.TracebackException | None = None

    @property
    def value(self) -> BaseException:
        """The exception; the same object each time."""
        return cast(BaseException, self._value)

    @property
    def type(self) -> str:
        """Qualified name of the exception's class where it was raised."""
        return _name(type(self.value))

    @property
    def parents(self) -> tuple[str, ...]:
        """Qualified names that `check` matches: the type's own, then its bases."""
        return _parents(type(self.value))

    def getErrorMessage(self) -> str:
        """Return ``str()`` of the exception, as its own side made it."""
        return safe_str(self.value)

    def getTraceback(self) -> str:
        """Return the traceback as text; it ends with the type and the message."""
        if self._trace is not None:
            try:
                return "".join(self._trace.format())
            except Exception as error:
                return f"{self.type}: (traceback: {type(error).__name__})\n"
        return format_traceback(self.value)

    def printTraceback(self, file: TextIO | None = None) -> None:
        """Write the traceback to `file`; None means standard error."""
        (file or sys.stderr).write(self.getTraceback())

    def raiseException(self) -> NoReturn:
        """Raise the exception afresh: no traceback grows, no frame is kept."""
        raise self.fresh() from None

    def fresh(self) -> BaseException:
        """Return an exception equal to `value` that is safe to raise once."""
        return fresh(self.value)

    def check(self, *types: TypeOrName) -> TypeOrName | None:
        """Return the first of `types` that matches, or None.

        Types are classes or qualified names. They match by qualified name, bases
        included, so ``__main__.MyError`` here matches ``__main__.MyError`` there.
        """
        parents = self.parents
        for candidate in types:
            if isinstance(candidate, str):
                if candidate in parents:
                    return candidate
            elif _name(candidate) in parents or isinstance(self.value, candidate):
                return candidate
        return None

    def trap(self, *types: TypeOrName) -> TypeOrName:
        """Like `check`, but raise the failure on where nothing matches."""
        matching = self.check(*types)
        if matching is None:
            self.raiseException()
        return matching

    def forget_frames(self) -> None:
        """Keep the traceback as text only, so that no frame stays alive."""
        if self._value is None or self._value.__traceback__ is None:
            return
        try:
            self._trace = traceback.TracebackException.from_exception(
                self._value, compact=True
            )
        except Exception:
            # User code again (see format_traceback): the message is still there.
            self._trace = None
        _strip(self._value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type}: {safe_str(self.value, 200)}>"


class CopiedFailure(Failure):
    """A failure that came over the wire; `value` is made when first asked for."""

    __slots__ = ("_find_class", "report")

    def __init__(self, report: Report, find_class: ClassFinder = local_error_class):
        self._value = None
        self._trace = None
        self.report = report
        self._find_class = find_class

    @property
    def value(self) -> BaseException:
        """The local class's exception where there is one, or a `RemoteError`."""
        if self._value is None:
            self._value = self.fresh()
        return self._value

    @property
    def type(self) -> str:
        """Qualified name of the class on the side that raised it."""
        return self.report.type

    @property
    def parents(self) -> tuple[str, ...]:
        """The names that the peer gave."""
        return self.report.parents

    def getErrorMessage(self) -> str:
        """Return the original's ``str()``."""
        return self.report.message

    def getTraceback(self) -> str:
        """Return the peer's traceback where it was sent, else one line."""
        last = f"{self.report.type}: {self.report.message}\n"
        return self.report.traceback or f"Traceback unavailable\n{last}"

    def fresh(self) -> BaseException:
        """Make the exception anew, without running its ``__init__``."""
        report = self.report
        cls = self._find_class(report.type)
        if cls is None or issubclass(cls, _LOCAL_ONLY):
            cls = _remote_error_class(report.parents)
        exception = _bare(cls)
        exception.args = report.args
        if isinstance(exception, RemoteError):
            exception.remote_type = report.type
            exception.remote_traceback = report.traceback
            exception._message = report.message
        if isinstance(exception, OSError):
            for name in _OS_ERROR_FIELDS:
                if name in report.details:
                    setattr(exception, name, report.details[name])
        exception.__dict__[_REPORT] = report
        return exception


def failure_of(exception: BaseException) -> Failure:
    """Return the failure for an exception that a chain or a call ended with.

    One that was made from a peer's report is that peer's failure again.
    """
    report = _known_report(exception)
    return Failure(exception) if report is None else _recopied(exception, report)


def fresh(exception: BaseException) -> BaseException:
    """Return a copy of `exception` without a traceback, its ``__init__`` not run.

    A waiter raises the copy, so that the original, which the promise keeps, collects
    neither tracebacks nor the frames of everybody who ever waited. An exception
    that cannot be copied is returned itself, its traceback removed.
    """
    try:
        copy = _bare(type(exception))
        for cls in type(exception).__mro__:
            for name, attribute in vars(cls).items():
                if isinstance(attribute, MemberDescriptorType | GetSetDescriptorType):
                    _copy_member(name, exception, copy)
        copy.__dict__.update(exception.__dict__)
    except Exception:
        return exception.with_traceback(None)
    return copy


def _copy_member(name: str, source: BaseException, target: BaseException) -> None:
    if name in ("__traceback__", "__dict__", "__weakref__"):
        return
    try:
        setattr(target, name, getattr(source, name))
    except (AttributeError, TypeError):
        # An unset slot, or a read-only member of a C class.
        return


def _recopied(exception: BaseException, report: Report) -> CopiedFailure:
    cls = type(exception)
    if isinstance(exception, RemoteError):
        failure = CopiedFailure(report)
    else:
        failure = CopiedFailure(report, lambda name: cls)
    failure._value = exception
    return failure


def _known_report(exception: BaseException) -> Report | None:
    report = getattr(exception, "__dict__", {}).get(_REPORT)
    return report if isinstance(report, Report) else None


def _bare(cls: type[BaseException]) -> BaseException:
    # The first built-in of the MRO has the __new__ that fits the memory layout.
    for base in cls.__mro__:
        if base.__module__ == "builtins":
            return base.__new__(cls)  # type: ignore[no-any-return, call-overload]
    raise TypeError(f"{cls.__name__} is no exception class")  # pragma: no cover


def _remote_error_class(parents: tuple[str, ...]) -> type[RemoteError]:
    named = [_BUILT_IN[name] for name in parents if name in _BUILT_IN]
    if not named:
        return RemoteError
    # The most derived; max() keeps the first named of equals.
    built_in = max(named, key=lambda cls: len(cls.__mro__))
    made = _REMOTE_ERRORS.get(built_in)
    if made is None:
        body = {"__module__": "geopb", "__doc__": RemoteError.__doc__}
        bases = (RemoteError, built_in)
        # Not registered: its name is RemoteError's, and a peer must not get it.
        made = _ExceptionType("RemoteError", bases, body, register=False)
        _REMOTE_ERRORS[built_in] = made
    return made


#: RemoteError combined with each built-in that was needed: bounded by _BUILT_IN.
_REMOTE_ERRORS: dict[type[BaseException], type[RemoteError]] = {}
_ExceptionType: Any = type


def _name(cls: type) -> str:
    try:
        return shorten(str(qualified_name(cls)), 1024)
    except Exception:
        # A metaclass may do anything; the error path may not fail.
        return "unknown.Unknown"


def _parents(cls: type) -> tuple[str, ...]:
    bases = (base for base in cls.__mro__ if base is not object)
    return tuple(_name(base) for base in bases)[:MAX_PARENTS]


def _strip(exception: BaseException) -> None:
    """Drop the tracebacks of `exception` and of what it was raised from."""
    waiting: list[BaseException | None] = [exception]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        waiting += [current.__cause__, current.__context__]


__all__ = ["CopiedFailure", "Error", "Failure", "Report", "failure_of", "fresh"]
