"""What errbacks receive: an exception as a value, here or from the other side.

Owns `Failure` and `CopiedFailure`. Never imports a class because a peer named it:
local classes are found in registers of classes that exist already. Called by promises
(chains), the broker (answers) and users.
"""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TextIO, cast

from geopb.errors import (
    Cancelled,
    DeadlineExceeded,
    DeadReferenceError,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
    local_error_class,
    qualified_name,
)
from geopb.failure.fresh import (
    CAUSE,
    CONTEXT,
    ORIGIN,
    OS_ERROR_FIELDS,
    TRACEBACK,
    attributes,
    bare,
    fresh,
    restore,
)
from geopb.failure.report import (
    Report,
    format_traceback,
    origin_of,
    parent_names,
    tells_too_much,
    type_name,
)
from geopb.text import encodable, safe_str, shorten

#: What `Failure.check` matches: a class, or a qualified name.
TypeOrName = type | str
#: Finds the local class of a qualified name, or None.
ClassFinder = Callable[[str], type[BaseException] | None]

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


class Failure:
    """An exception as a value, for errbacks.

    Attributes:
        value: The exception.
        type: Qualified name of its class on the side that raised it, for example
            ``"__main__.MyError"``.

    Args:
        exception: The exception; None takes the one being handled.
    """

    __slots__ = ("__weakref__", "_trace", "_value", "quiet")

    def __init__(
        self, exception: BaseException | None = None, *, quiet: bool = False
    ) -> None:
        #: Not to be logged though nobody looks at it: asked for, or logged before.
        self.quiet = quiet
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
        return type_name(type(self.value))

    @property
    def parents(self) -> tuple[str, ...]:
        """Qualified names that `check` matches: the type's own, then its bases."""
        return parent_names(type(self.value))

    def getErrorMessage(self) -> str:
        """Return ``str()`` of the exception, as its own side made it."""
        return safe_str(self.value)

    def getTraceback(self) -> str:
        """Return the traceback as text; it ends with the type and the message."""
        if self._trace is not None:
            try:
                return encodable("".join(self._trace.format()))
            except Exception as error:
                return f"{self.type}: (traceback: {type(error).__name__})\n"
        return format_traceback(self.value)

    def printTraceback(self, file: TextIO | None = None) -> None:
        """Write the traceback to `file`; None means standard error."""
        (file or sys.stderr).write(self.getTraceback())

    def raiseException(self) -> NoReturn:
        """Raise the exception afresh: no traceback grows, no frame is kept."""
        made = self.fresh()
        try:
            # With its own cause, and without what happens to be handled here.
            raise made from made.__cause__
        finally:
            # Its traceback holds this frame: a cycle, if this frame held it.
            del made

    def fresh(self) -> BaseException:
        """Return an exception equal to `value`, to be raised once.

        It remembers this failure: raised on in an errback, it is this one again.
        """
        made = fresh(self.value)
        if made is not self.value:
            attributes(made)[ORIGIN] = self
        return made

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
            elif type_name(candidate) in parents or isinstance(self.value, candidate):
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
        if self._value is None or TRACEBACK.__get__(self._value) is None:
            return
        try:
            # It asks for all texts at once, of causes as well.
            self._trace = (
                None
                if tells_too_much(self._value)
                else traceback.TracebackException.from_exception(
                    self._value, compact=True
                )
            )
        except Exception:
            # User code again (see format_traceback): the message is still there.
            self._trace = None
        _strip(self._value)

    def __repr__(self) -> str:
        # Of a copied one the peer's text: its arguments may unfold without end.
        text = shorten(self.getErrorMessage(), 200)
        return f"<{type(self).__name__} {self.type}: {text}>"


_NOT_MADE_YET = Exception()


class CopiedFailure(Failure):
    """A failure that came over the wire; `value` is made when first asked for."""

    __slots__ = ("_find_class", "_genuine", "report")

    def __init__(
        self,
        report: Report,
        find_class: ClassFinder = local_error_class,
        genuine: tuple[type[Exception], ...] = (),
    ) -> None:
        super().__init__(_NOT_MADE_YET)
        #: Errors of the connection that the peer may tell of this very call.
        self._genuine = genuine
        self._value = None
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
        if cls is None or (issubclass(cls, _LOCAL_ONLY) and cls not in self._genuine):
            cls = _remote_error_class(report.parents)
        exception = bare(cls, report.args)
        restore(exception, report.args, report.attributes)
        if isinstance(exception, RemoteError):
            exception.remote_type = report.type
            exception.remote_traceback = report.traceback
            exception._message = report.message
        if isinstance(exception, OSError):
            for name in OS_ERROR_FIELDS:
                if name in report.details:
                    vars(OSError)[name].__set__(exception, report.details[name])
        elif isinstance(exception, SyntaxError):
            # What a traceback shows of it.
            exception.msg = report.message
        attributes(exception)[ORIGIN] = self
        return exception


def failure_of(exception: BaseException) -> Failure:
    """Return a failure whose value is `exception`.

    One that was made from a peer's report is a `CopiedFailure` again.
    """
    origin = origin_of(exception)
    if not isinstance(origin, CopiedFailure):
        return Failure(exception)
    failure = CopiedFailure(origin.report, origin._find_class, origin._genuine)
    failure._value = exception
    return failure


def raised_failure(exception: BaseException) -> Failure:
    """Return the failure for an exception that a handler raised.

    What `Failure.trap` or ``get()`` raised is that same failure, with its traceback.
    """
    origin = origin_of(exception)
    if isinstance(origin, Failure):
        return origin
    failure = Failure(exception)
    failure.forget_frames()
    return failure


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


def _strip(exception: BaseException) -> None:
    """Drop the tracebacks of `exception` and of what it was raised from."""
    waiting: list[BaseException | None] = [exception]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        TRACEBACK.__set__(current, None)
        waiting += [CAUSE.__get__(current), CONTEXT.__get__(current)]
