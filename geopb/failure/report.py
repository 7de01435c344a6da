"""An exception told as data: what crosses in an error answer.

Owns `Report`, and describing an exception without ever failing, whatever its class
does. Called by the broker (errors out) and `CopiedFailure` (errors in).
"""

from __future__ import annotations

import traceback as tracebacks
from dataclasses import dataclass, field
from typing import Any

from geopb.errors import qualified_name
from geopb.failure.fresh import ORIGIN, OS_ERROR_FIELDS, arguments, attributes
from geopb.text import MAX_MESSAGE, encodable, is_long, safe_str, shorten

#: Base classes named in one report: real hierarchies have a handful.
MAX_PARENTS = 64


@dataclass(frozen=True, slots=True)
class Report:
    """An exception told as data."""

    type: str
    message: str
    #: Qualified names, the type's own first, then its bases in MRO order.
    parents: tuple[str, ...]
    args: tuple[object, ...] = ()
    #: What an exception of a registered class has been given besides.
    attributes: dict[str, object] = field(default_factory=dict)
    traceback: str | None = None
    #: ``errno``, ``strerror``, ``filename`` of an OSError.
    details: dict[str, object] = field(default_factory=dict)


def report_of(exception: BaseException, traceback: str | None = None) -> Report:
    """Describe `exception`; one that came from another peer keeps its first report.

    ``traceback`` is the text to tell with it, None for none.

    Never raises, whatever the exception's class does.
    """
    known = getattr(origin_of(exception), "report", None)
    if isinstance(known, Report):
        return known
    cls = type(exception)
    return Report(
        type=type_name(cls),
        message=safe_str(exception),
        parents=parent_names(cls),
        args=arguments(exception),
        traceback=traceback,
        details=_details(exception) if issubclass(cls, OSError) else {},
    )


def origin_of(exception: BaseException) -> Any:
    """Return the failure that `exception` was raised for, None if for none."""
    return attributes(exception).get(ORIGIN)


def format_traceback(exception: BaseException) -> str:
    """Return the traceback that Python would print, bounded; never raises."""
    try:
        if tells_too_much(exception):
            # Without its causes: Python's own formatter asks for all their texts.
            frames = "".join(tracebacks.format_tb(exception.__traceback__))
            last = f"{type_name(type(exception))}: {safe_str(exception)}\n"
            text = f"Traceback (most recent call last):\n{frames}{last}"
        else:
            text = "".join(tracebacks.format_exception(exception))
    except Exception as error:
        # The formatter calls user code (str(), __notes__, dir() for suggestions).
        text = f"{type_name(type(exception))}: (traceback: {type(error).__name__})\n"
    return shorten(encodable(text), 4 * MAX_MESSAGE)


def tells_too_much(exception: BaseException | None) -> bool:
    """Whether the text of an exception, or of one that led to it, is too long to make.

    It might never end.
    """
    waiting, seen = [exception], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if is_long(each):
            return True
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return False


def type_name(cls: type) -> str:
    """Return the qualified name of a class, bounded; never raises."""
    try:
        return shorten(encodable(str(qualified_name(cls))), 1024)
    except Exception:
        # A metaclass may do anything.
        return "unknown.Unknown"


def parent_names(cls: type) -> tuple[str, ...]:
    """Return the qualified names of a class and its bases, without ``object``."""
    bases = (base for base in cls.__mro__ if base is not object)
    return tuple(type_name(base) for base in bases)[:MAX_PARENTS]


def _details(exception: BaseException) -> dict[str, object]:
    details: dict[str, object] = {}
    for name in OS_ERROR_FIELDS:
        value = vars(OSError)[name].__get__(exception)
        if type(value) in (int, str, bytes):
            details[name] = value
    return details
