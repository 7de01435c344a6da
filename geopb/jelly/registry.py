"""Which local classes may be made because a peer named them, and which may be sent.

Owns `ClassRegistry`: names to classes that exist already, and back. Nothing is ever
imported by name. Written by users at import time; read by the encoder (which of its
objects cross by value) and the decoder (what a name stands for).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any

from geopb.errors import InsecureJelly, local_error_class, qualified_name
from geopb.jelly.elements import is_array

#: A dataclass that `geopb.copyable` marked keeps its fields' names under this one.
RECORD_FIELDS = "__geopb_fields__"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A dataclass that crosses: its name on the wire, and how its fields are read.

    Attributes:
        cls: The local class.
        name: What peers call it.
        fields: The names of its fields, in their order.
        values: Returns an object's values, as a tuple in that order.
        plain: Its fields are kept in ``__dict__`` and set without any code of its
            own.
        slotted: Its fields are set by the slots' own descriptors, or in ``__dict__``.
    """

    cls: type
    name: str
    fields: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    plain: bool
    slotted: bool

    def still_plain(self) -> bool:
        """Whether setting its fields runs no code, as the class is now."""
        return not any(
            hasattr(type(vars(base)[field]), "__set__")
            for base in self.cls.__mro__
            for field in self.fields
            if field in vars(base)
        )


class ClassRegistry:
    """Classes accepted from a peer, by qualified name.

    One is the process's, which `setUnjellyableForClass` adds to. Another, given as
    the option ``registry=`` of one factory, adds to that one for its connections.
    """

    def __init__(self) -> None:
        self._classes: dict[str, type] = {}
        self._names: dict[type, str] = {}
        self._records: dict[type, Record] = {}

    def setUnjellyableForClass(
        self, name_or_class: str | type, local_class: type
    ) -> None:
        """Let what the peer calls `name_or_class` arrive as a `local_class`.

        Instances are made without running ``__init__`` or ``__new__``. Arrays, which
        are ``numpy.ndarray``, ``array.array`` and ``memoryview``, have to be
        registered on both sides, each as itself.

        Args:
            name_or_class: The qualified name on the peer's side, or a class here
                of the same name.
            local_class: A `RemoteCopy` or `RemoteCache`, a dataclass marked with
                `copyable`, an Enum, an exception class, or one of the three classes
                of arrays. Members of the Enum, objects of the dataclass, the
                attributes of the exception and arrays cross from here, too, under
                that name.

        Raises:
            ValueError: The name is registered for another class. Repeating a
                registration is harmless.
            TypeError: `local_class` is none of these, or `name_or_class` no name.
        """
        name = name_or_class
        if isinstance(name, type):
            name = qualified_name(name)
        if not isinstance(name, str):
            raise TypeError("expected a qualified name or a class")
        made: object = local_class
        if not isinstance(made, type) or not _can_be_made(made):
            raise TypeError(
                "expected a class to make: a RemoteCopy, a RemoteCache, a dataclass "
                "under @copyable, an Enum, an exception, or a class of arrays"
            )
        if is_array(made) and name != qualified_name(made):
            raise TypeError(f"{qualified_name(made)} arrives as itself only")
        known = self._classes.get(name)
        if known is not None and known is not local_class:
            raise ValueError(
                f"{name} is registered for {qualified_name(known)} already"
            )
        self._classes[name] = local_class
        own = qualified_name(local_class)
        if local_class not in self._names or name == own:
            # Under its own name if it has that, else under the first it was given.
            self._names[local_class] = name
            if RECORD_FIELDS in vars(local_class):
                self._records[local_class] = _record(local_class, name)

    def find_class(self, name: str) -> type | None:
        """Return the class registered for what the peer calls `name`, if any."""
        found = self._classes.get(name)
        if found is None and self is not process_registry:
            return process_registry.find_class(name)
        return found

    def find_record(self, cls: type) -> Record | None:
        """Return how objects of exactly this class cross as records, if they do."""
        found = self._records.get(cls)
        if found is None and self is not process_registry:
            return process_registry.find_record(cls)
        return found

    def find_array(self, name: str) -> type | None:
        """Return the class of arrays that is registered under its name, if it is."""
        found = self.find_class(name)
        return found if found is not None and is_array(found) else None

    def find_name(self, cls: type) -> str | None:
        """Return the name that exactly this class is registered under, if any."""
        found = self._names.get(cls)
        if found is None and self is not process_registry:
            return process_registry.find_name(cls)
        return found

    def find_exception(self, name: str) -> type[BaseException] | None:
        """Return the class for an exception that the peer calls `name`, if any.

        A registered one first, then the local `Error` subclass of that name.
        """
        found = self.find_class(name)
        if found is not None and issubclass(found, Exception):
            return found
        return local_error_class(name)


def _can_be_made(cls: type) -> bool:
    if issubclass(cls, Enum):
        # Without members there is nothing to name.
        return bool(cls.__members__)
    return (
        is_array(cls)
        or issubclass(cls, Exception)
        or RECORD_FIELDS in vars(cls)
        or callable(getattr(cls, "setCopyableState", None))
    )


def _record(cls: type, name: str) -> Record:
    fields: tuple[str, ...] = vars(cls)[RECORD_FIELDS]
    members = [getattr(cls, field, None) for field in fields]
    setters = [m for m in members if hasattr(type(m), "__set__")]
    in_dict = any("__dict__" in vars(base) for base in cls.__mro__)
    values: Any = attrgetter(*fields) if len(fields) > 1 else _few_values(fields)
    plain = in_dict and not setters and _asks_nobody(cls)
    if plain and not hasattr(cls, "__del__"):
        _fill_one(cls, fields)
    return Record(
        cls=cls,
        name=name,
        fields=fields,
        values=values,
        plain=plain,
        slotted=all(type(m) is MemberDescriptorType for m in setters),
    )


def _asks_nobody(cls: type) -> bool:
    """Whether looking at an object's ``__dict__`` runs no code of its class."""
    looks_up: Any = cls.__getattribute__
    return looks_up is object.__getattribute__


def _fill_one(cls: type, fields: tuple[str, ...]) -> None:
    """Give one instance its fields, and drop it.

    CPython gives the instances of a class room for the attributes that its first ones
    had. A table makes all of its records before any has a field: without room each
    would have a dict to itself, of three times the memory.
    """
    try:
        instance: object = object.__new__(cls)
    except TypeError:
        # It has a built-in base, or is abstract, and is never made here.
        return
    for field in fields:
        object.__setattr__(instance, field, None)


def _few_values(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    # attrgetter() takes one name at the least, and gives no tuple for one.
    return lambda instance: tuple(getattr(instance, field) for field in fields)


def enum_name(member: Enum) -> str | list[str]:
    """Return what names an Enum member: its name; of a combined flag, its parts'.

    Raises:
        InsecureJelly: A flag has bits that no member names: they would be lost.
    """
    cls = type(member)
    if not isinstance(member, Flag) or member._name_ in cls.__members__:
        return member._name_
    value = rest = member._value_
    names: list[str] = []
    for name, part in cls.__members__.items():
        bits = part._value_
        if bits & rest and bits & value == bits:
            names.append(name)
            rest &= ~bits
    if rest:
        raise InsecureJelly(
            f"{qualified_name(cls)} {value} may not cross: it has bits without a name"
        )
    return names


def enum_member(cls: type[Enum], name: object) -> Enum:
    """Return the member of that name, or the flag combined of those names.

    Raises:
        LookupError: There is no such member; the text names it.
    """
    members = cls.__members__
    if type(name) is str and name in members:
        return members[name]
    if type(name) is list and issubclass(cls, Flag) and len(name) <= len(members):
        parts = [enum_member(cls, part) for part in name if type(part) is str]
        if len(parts) == len(name):
            value = 0
            for part in parts:
                value |= part._value_
            return _combined(cls, value)
    raise LookupError(f"{qualified_name(cls)} has no such member")


def _combined(cls: type[Flag], value: Any) -> Enum:
    """Return the flag of that value, as ``cls(value)`` does, without users' code."""
    made = cls._value2member_map_.get(value)
    return _make_flag(cls, value) if made is None else made


#: What makes a flag that has no name of its own; a class may have one of its own.
_make_flag: Any = vars(Flag)["_missing_"].__func__


class _NoClasses(ClassRegistry):
    """Knows no class, not even the process's."""

    def find_class(self, name: str) -> None:
        """Return None."""

    def find_record(self, cls: type) -> None:
        """Return None."""

    def find_name(self, cls: type) -> None:
        """Return None."""


#: The process's own.
process_registry = ClassRegistry()
#: For a reader that makes none.
NO_CLASSES: ClassRegistry = _NoClasses()


def setUnjellyableForClass(name_or_class: str | type, local_class: type) -> None:
    """Register for the whole process: `ClassRegistry.setUnjellyableForClass`."""
    process_registry.setUnjellyableForClass(name_or_class, local_class)
