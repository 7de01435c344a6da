"""Reading what was sent by value: copies, records, Enum members.

Owns the check that a name stands for a registered class and that what came for it has
its shape. Instances are made empty, without any code of their class; they take their
state when the whole message is known to be good (`finish`). Called by ``decode``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from itertools import repeat
from typing import Any

from geopb.failure.fresh import bare, restore
from geopb.jelly.draft import Draft
from geopb.jelly.registry import ClassRegistry, Record, enum_member
from geopb.jelly.steps import SetFields, TakeState
from geopb.text import printable, safe_repr
from geopb.wire.codec import DecodeRefused
from geopb.wire.messages import MAX_ID

_new: Callable[[type], Any] = object.__new__


class CopyReader:
    """Reads copies of classes that one registry knows.

    Args:
        registry: The classes that may be made.
        draft: Takes note of copies that have their state still to take.
    """

    def __init__(self, registry: ClassRegistry, draft: Draft) -> None:
        self._registry = registry
        self._draft = draft
        self._add = draft.add_copy

    def read_copy(self, content: Any, immutable: bool) -> object:
        """Read ``[type, state]``."""
        name, (state,) = _named(content, 1)
        cls = self._find(name)
        record = self._registry.find_record(cls)
        if record is not None:
            return self._one_record(record, state)
        if issubclass(cls, Exception):
            return self._exception(cls, state)
        if _is_cache(cls) or not callable(getattr(cls, "setCopyableState", None)):
            raise DecodeRefused(f"{printable(name)} is no class of copies here")
        made = _make(cls)
        inside = [state]
        self._add(made, inside, TakeState(made, partial(_take, made), inside))
        return made

    def read_copies(self, content: Any, immutable: bool) -> list[object]:
        """Read ``[type, [field, ...], [[value, ...], ...], [number, index, ...]]``."""
        name, (fields, rows, defined) = _named(content, 3)
        if type(rows) is not list or type(defined) is not list or len(defined) % 2:
            raise DecodeRefused("copies that are no table")
        record = self._record(name)
        _check_fields(record, fields)
        width = len(fields)
        if not width:
            # Nobody sends such, and each byte of it would be an object.
            raise DecodeRefused(f"a table of {printable(name)}, which has no fields")
        # By id(): a peer's row may be an object whose class has an `==` of its own.
        types = {*map(id, map(type, rows))}
        if not (types <= {id(list)} and {*map(len, rows)} <= {width}):
            raise DecodeRefused(f"a row of {printable(name)} of another length")
        made = list(map(_new, repeat(record.cls, len(rows))))
        self._draft.add_table(made, rows, SetFields(record, made, fields, rows))
        for number, index in zip(defined[::2], defined[1::2], strict=True):
            if type(index) is not int or not 0 <= index < len(made):
                raise DecodeRefused("a definition of no row")
            if type(number) is not int or not 0 <= number <= MAX_ID:
                raise DecodeRefused("expected a number of 63 bits")
            self._draft.define_row(number, made[index])
        return made

    def read_enum(self, content: Any, immutable: bool) -> Enum:
        """Read ``[type, member]``."""
        name, (member,) = _named(content, 1)
        cls = self._find(name)
        if not issubclass(cls, Enum):
            raise DecodeRefused(f"{printable(name)} is no Enum here")
        try:
            return enum_member(cls, member)
        except (LookupError, ValueError):
            told = safe_repr(member, 100)
            raise DecodeRefused(f"{printable(name)} has no member {told}") from None

    def find_cache(self, name: str) -> type:
        """Return the class registered for caches of that name."""
        cls = self._find(name)
        if not _is_cache(cls):
            raise DecodeRefused(f"{printable(name)} is no class of caches here")
        return cls

    def _find(self, name: str) -> type:
        cls = self._registry.find_class(name)
        if cls is None:
            raise DecodeRefused(
                f"{printable(name, 200)} is not registered here: "
                "setUnjellyableForClass() does it"
            )
        return cls

    def _record(self, name: str) -> Record:
        record = self._registry.find_record(self._find(name))
        if record is None:
            raise DecodeRefused(f"{printable(name)} is no copyable dataclass here")
        return record

    def _one_record(self, record: Record, state: Any) -> object:
        if type(state) is not dict:
            raise DecodeRefused(f"the state of {record.name} is no map of its fields")
        fields, row = list(state), list(state.values())
        _check_fields(record, fields)
        made = _new(record.cls)
        self._add(made, row, SetFields(record, [made], fields, [row]))
        return made

    def _exception(self, cls: type[Exception], state: Any) -> object:
        if (
            type(state) is not list
            or [type(part) for part in state] != [list, dict]
            or not all(type(name) is str for name in state[1])
        ):
            raise DecodeRefused("an exception without its arguments and attributes")
        made = bare(cls, ())
        take = TakeState(made, lambda state: restore(made, *state), [state])
        self._add(made, state, take)
        return made


def _named(content: Any, count: int) -> tuple[str, list[Any]]:
    if (
        type(content) is not list
        or len(content) != count + 1
        or type(content[0]) is not str
    ):
        raise DecodeRefused("a copy without a type and a state")
    return content[0], content[1:]


def _check_fields(record: Record, fields: Any) -> None:
    """Refuse fields that are not those of the record; the text names one."""
    if type(fields) is not list or not all(type(field) is str for field in fields):
        raise DecodeRefused(f"the fields of {record.name} have no names")
    told = fields
    if tuple(told) == record.fields:
        return
    for field in told:
        if field not in record.fields:
            raise DecodeRefused(f"{record.name} has no field {printable(field, 100)}")
    for field in record.fields:
        if field not in told:
            raise DecodeRefused(f"{record.name} came without its field {field}")
    if len(told) != len(record.fields):
        raise DecodeRefused(f"{record.name} came with a field twice")


def _take(made: Any, state: Any) -> None:
    # Looked up only now: that may be users' code.
    made.setCopyableState(state)


def _is_cache(cls: type) -> bool:
    return hasattr(cls, "updates_ended")


def _make(cls: type) -> Any:
    try:
        return _new(cls)
    except TypeError:
        # A class with a built-in base is made by that.
        raise DecodeRefused(f"{cls.__name__} cannot be made empty") from None
