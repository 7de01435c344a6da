"""Objects that stay where they are, and whose methods the other side calls.

Owns `Referenceable`, `Root`, and the rule which attributes may be called from
outside. Never knows ids or connections: the broker keeps those. Called by the broker
(dispatch) and by users, who derive from these.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from inspect import getattr_static
from sys import intern
from types import FunctionType
from typing import Any

from geopb.errors import NoSuchMethod, qualified_name
from geopb.text import printable

#: Prefixes that make a method callable from outside, each by its own flavor.
PREFIXES = ("remote_", "view_", "perspective_", "observe_")


def find_method(target: object, prefix: str, name: str) -> Callable[..., Any]:
    """Return the method of `target` that the other side calls `name`.

    Only what its class defines as a method: never an attribute, a property (which
    would run by being looked at), a nested class, or a name whose rest begins with
    an underscore.

    Raises:
        NoSuchMethod: There is none.
    """
    cls = type(target)
    if name and name[0] != "_":
        found = getattr(cls, prefix + name, None)
        if callable(found) and not isinstance(found, type):
            return _bound(target, prefix + name)
    raise NoSuchMethod(f"{qualified_name(cls)} has no method {prefix}{printable(name)}")


def _bound(target: object, name: str) -> Callable[..., Any]:
    """Return what the class of `target` defines, though an attribute may hide it."""
    raw = getattr_static(type(target), name)
    bind = getattr(type(raw), "__get__", None)
    return raw if bind is None else bind(raw, target, type(target))  # type: ignore[no-any-return]


def method_name(method: object) -> str:
    """Return the name to call: text as it is, a function's without its prefix.

    Raises:
        TypeError: It is neither, or the function's name has no flavor's prefix.
    """
    if isinstance(method, str):
        return str(method)
    name = getattr(method, "__name__", None)
    if callable(method) and isinstance(name, str):
        for prefix in PREFIXES:
            if name.startswith(prefix):
                return name.removeprefix(prefix)
        raise TypeError(f"{name} is no remote method: it has none of {PREFIXES}")
    raise TypeError(
        f"a method name is text or a remote method, not {type(method).__name__}"
    )


class Referenceable:
    """An object that crosses as a reference: the peer calls its ``remote_*`` methods.

    That is all a peer can do with it: no attribute is ever read or set from outside.
    Any peer that has been given the reference may call any ``remote_*`` method. The
    object is kept alive while a peer holds a reference to it.

    Spec: seed, "Basic Example".
    """

    #: For whom results are made passable: an avatar or a perspective, None for nobody.
    serializing_perspective: Any = None

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Run the method that the peer called, and return its result.

        Override it to dispatch otherwise. It runs in a greenlet of its own and may
        block.

        Args:
            broker: The connection's broker.
            message: The name without its prefix.
            args: The arguments, decoded.
            kw: The keyword arguments, decoded.

        Raises:
            NoSuchMethod: There is no such ``remote_*`` method.
        """
        name = _remote_names.get(message)
        if name is None:
            return _found(self, message)(*args, **kw)
        cls = type(self)
        try:
            # Half of what ``get`` costs.
            found = cls.__dict__[name]
        except KeyError:
            found = _inherited(cls, name)
        if type(found) is FunctionType and type(cls) in _PLAIN:
            # What `find_method` would find: every call passes here. Nothing is asked
            # of the object itself, which may have no dict before it is.
            return found(self, *args, **kw) if kw else found(self, *args)
        return find_method(self, "remote_", message)(*args, **kw)


def _inherited(cls: type, name: str) -> object:
    """Return what the bases of a class define, as it is: a function, or what wraps it.

    Asked of the class itself, a static method would be a function as well.
    """
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _found(target: object, message: str) -> Callable[..., Any]:
    """Return a method that is called by this name for the first time."""
    method = find_method(target, "remote_", message)
    # Only names of methods that there are: peers make up others without end. As one
    # object each, a name is found faster than one that is put together anew.
    if len(_remote_names) < _MOST_NAMES:
        _remote_names[message] = intern("remote_" + message)
    return method


#: Kinds of classes that tell their attributes as they stand in their bases' dicts.
_PLAIN = frozenset((type, ABCMeta))
#: Names of methods by what peers call them.
_remote_names: dict[str, str] = {}
_MOST_NAMES = 10_000


class Root(Referenceable):
    """An object that a server may hand out first, by `getRootObject`."""

    def rootObject(self, broker: object) -> Referenceable:
        """Return what a client of this connection gets as the root; may block.

        Args:
            broker: The connection's broker.
        """
        return self
