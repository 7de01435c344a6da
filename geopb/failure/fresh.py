"""Making exceptions without running their code: copies to raise, and remote ones.

Owns the going round ``__init__``, ``__setattr__`` and properties of exception classes:
whatever a user's class does, an exception can be copied, or is raised itself. Called
by `Failure` (each ``get()`` raises afresh).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

#: Where an exception that is raised for a failure remembers that failure.
ORIGIN = "_geopb_failure"
#: What an OSError keeps beside its arguments, and what may be told of it.
OS_ERROR_FIELDS = ("errno", "strerror", "filename")

#: What a copy must not have, or gets otherwise.
_NOT_COPIED = frozenset(
    (
        "__cause__",
        "__context__",
        "__dict__",
        "__suppress_context__",
        "__traceback__",
        "__weakref__",
        "args",
    )
)
#: The attributes as BaseException itself stores them, past what a subclass overrides.
_ARGS: Any = vars(BaseException)["args"]
_DICT: Any = vars(BaseException)["__dict__"]
CAUSE: Any = vars(BaseException)["__cause__"]
CONTEXT: Any = vars(BaseException)["__context__"]
TRACEBACK: Any = vars(BaseException)["__traceback__"]
_SUPPRESS: Any = vars(BaseException)["__suppress_context__"]


def bare(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an instance of `cls` with these arguments, its ``__init__`` not run."""
    # The first built-in of the MRO has the __new__ that fits the memory layout.
    built_in = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    new: Any = built_in.__new__
    try:
        made = new(cls, *args) if issubclass(cls, BaseExceptionGroup) else new(cls)
    except TypeError:
        # MemoryError allocates itself only; its layout is BaseException's.
        made = BaseException.__new__(cls)
    _ARGS.__set__(made, tuple(args))
    return made  # type: ignore[no-any-return]


def attributes(exception: BaseException) -> dict[str, Any]:
    """Return an exception's ``__dict__``, past whatever its class says of it."""
    return _DICT.__get__(exception)  # type: ignore[no-any-return]


def arguments(exception: BaseException) -> tuple[Any, ...]:
    """Return an exception's ``args``, past whatever its class says of them."""
    return _ARGS.__get__(exception)  # type: ignore[no-any-return]


def told_attributes(exception: BaseException) -> dict[str, Any]:
    """Return the attributes that an exception was given by its users' code.

    With what users' slots hold, and the fields of an OSError.
    """
    told = {
        name: value
        for name, value in attributes(exception).items()
        if type(name) is str and _may_be_told(name)
    }
    for name, member in _members(type(exception)).items():
        try:
            value = member.__get__(exception)
        except AttributeError:
            # It was never set.
            continue
        if value is not None:
            told[name] = value
    return told


def _members(cls: type[BaseException]) -> dict[str, Any]:
    """Return what keeps attributes outside ``__dict__`` and may be told, by name.

    Of the built-in classes' own fields those of OSError alone, which take any value:
    others are read by C code that trusts them.
    """
    members = {
        name: member
        for base in reversed(cls.__mro__)
        if base.__module__ != "builtins"
        for name, member in vars(base).items()
        if type(member) is MemberDescriptorType and _may_be_told(name)
    }
    if issubclass(cls, OSError):
        members.update((name, vars(OSError)[name]) for name in OS_ERROR_FIELDS)
    return members


def restore(
    exception: BaseException, args: Iterable[Any], told: Mapping[str, Any]
) -> BaseException:
    """Give an exception the arguments and attributes that it had on its own side."""
    _ARGS.__set__(exception, tuple(args))
    members = _members(type(exception)) if told else {}
    for name, value in told.items():
        if name in members:
            members[name].__set__(exception, value)
        elif _may_be_told(name):
            attributes(exception)[name] = value
    return exception


def _may_be_told(name: str) -> bool:
    return name != ORIGIN and not (name.startswith("__") and name.endswith("__"))


def fresh(exception: BaseException) -> BaseException:
    """Return a copy of `exception` without a traceback, its ``__init__`` not run.

    A waiter raises the copy, so that the original, which the promise keeps, collects
    neither tracebacks nor the frames of everybody who ever waited. An exception
    that cannot be copied is returned itself, its traceback removed.
    """
    try:
        copy = bare(type(exception), arguments(exception))
        for cls in type(exception).__mro__:
            for name, member in vars(cls).items():
                if isinstance(member, MemberDescriptorType | GetSetDescriptorType):
                    _copy_member(name, member, exception, copy)
        state = attributes(copy)
        state.update(attributes(exception))
        notes = state.get("__notes__")
        if isinstance(notes, list):
            state["__notes__"] = list(notes)
        # The cause first: setting it suppresses the context.
        for member in (CAUSE, CONTEXT, _SUPPRESS):
            member.__set__(copy, member.__get__(exception))
    except Exception:
        TRACEBACK.__set__(exception, None)
        return exception
    return copy


def _copy_member(
    name: str, member: Any, source: BaseException, target: BaseException
) -> None:
    """Copy a slot, or a field of a C class: ``errno``, ``object``, ``msg``."""
    if name in _NOT_COPIED:
        return
    try:
        value = member.__get__(source)
        if value is not None:
            # Setting None is not the same as leaving unset: str() of an OSError
            # would show it.
            member.__set__(target, value)
    except (AttributeError, TypeError):
        # An unset slot, or a read-only member.
        return
