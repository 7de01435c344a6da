"""Objects that cross by value: a copy of their state arrives.

Owns `Copyable` (what is sent), `RemoteCopy` (what it becomes) and `copyable` (a
dataclass that is both). Never decides which class a name stands for: the registry
does. The hooks are called by the encoder, in the greenlet that sends, and by the
decoder's last step, in the greenlet that receives; users derive from these.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import MemberDescriptorType
from typing import Any, TypeVar

from geopb.errors import qualified_name
from geopb.jelly.registry import RECORD_FIELDS, setUnjellyableForClass

C = TypeVar("C", bound=type)


class Copyable:
    """An object that crosses as a copy of its state.

    The receiver registers a class for its type's name with
    `setUnjellyableForClass`; without that the call fails with `InsecureJelly`. What
    arrives is a new object each time.

    Spec: Perspective Broker's "Passing Complex Types".
    """

    __slots__ = ()

    def getStateToCopy(self) -> Any:
        """Return what is to be sent: any value that may cross, a dict by default.

        The default is all attributes, those in ``__slots__`` too. It may block.
        """
        return state_of(self)

    def getStateToCopyFor(self, perspective: Any) -> Any:
        """Return what is to be sent to whoever `perspective` stands for.

        Args:
            perspective: The avatar or perspective whose call is being answered,
                None where there is none.
        """
        return self.getStateToCopy()

    def getTypeToCopy(self) -> str:
        """Return the name under which the receiver knows the type."""
        return qualified_name(type(self))

    def getTypeToCopyFor(self, perspective: Any) -> str:
        """Return that name for whoever `perspective` stands for."""
        return self.getTypeToCopy()


class RemoteCopy:
    """What a peer's `Copyable` becomes here.

    Instances are made without running ``__init__``.
    """

    __slots__ = ()

    def setCopyableState(self, state: Any) -> None:
        """Take the state that was sent; a dict becomes attributes by default.

        It may block. What it raises fails the call that the object came with.

        Raises:
            TypeError: The state is no dict of attributes.
        """
        set_state(self, state)


def state_of(instance: object) -> dict[str, Any]:
    """Return the attributes of an object: ``__dict__`` and what slots hold."""
    state: dict[str, Any] = {}
    for name, member in _slots(type(instance)).items():
        try:
            state[name] = member.__get__(instance)
        except AttributeError:
            # It was never set.
            continue
    state.update(getattr(instance, "__dict__", {}))
    return state


def set_state(instance: object, state: Any) -> None:
    """Set the attributes of an object, past its properties and ``__setattr__``.

    Raises:
        TypeError: The state is no dict of attributes that it may have.
    """
    cls = type(instance)
    if type(state) is not dict or not all(type(key) is str for key in state):
        raise TypeError(
            f"the state of a {qualified_name(cls)} is a dict of attributes, "
            f"not {type(state).__name__}"
        )
    bases = cls.__mro__
    attributes: dict[str, Any] | None = getattr(instance, "__dict__", None)
    for name, value in state.items():
        member = _slot(bases, name)
        if member is not None:
            member.__set__(instance, value)
        elif attributes is not None and name not in RESERVED:
            attributes[name] = value
        else:
            raise TypeError(f"a {qualified_name(cls)} has no attribute {name}")


#: Slots of this library's own: never part of an object's state.
RESERVED = frozenset(("_geopb_entry",))


def _slots(cls: type) -> dict[str, Any]:
    """Return the members that a class keeps in slots, by attribute name."""
    return {
        name: member
        for base in reversed(cls.__mro__)
        for name, member in vars(base).items()
        if type(member) is MemberDescriptorType and name not in RESERVED
    }


def _slot(bases: tuple[type, ...], name: str) -> Any:
    """Return the member that keeps an attribute in a slot, None where none does.

    One by one: a peer may send a copy in two dozen bytes, and to list all members of
    its class takes longer than all else that is done for it.
    """
    for base in bases:
        member = vars(base).get(name)
        if type(member) is MemberDescriptorType and name not in RESERVED:
            return member
    return None


def copyable(cls: C) -> C:
    """Make a dataclass cross both ways: ``@pb.copyable`` above ``@dataclass``.

    Its objects arrive as equal ones of the receiver's class of the same qualified
    name, which has to be marked, too. All fields cross, and nothing else; a missing
    or unknown field is an error. ``__init__`` and ``__post_init__`` are not called.
    Subclasses have to be marked themselves.

    Raises:
        TypeError: `cls` is no dataclass.
        ValueError: Another class is registered under this name.
    """
    given: object = cls
    if not isinstance(given, type) or not is_dataclass(given):
        raise TypeError("@copyable stands above @dataclass")
    names = tuple(field.name for field in fields(given))
    setattr(given, RECORD_FIELDS, names)
    setUnjellyableForClass(given, given)
    return cls
