"""Every exception that geopb raises on purpose.

Owns the tree below and the register of local ``Error`` subclasses by qualified
name. Never does I/O and never formats a traceback. Every room imports from here.

    Exception
    └── Error                    expected: the callee does not log it
        ├── InsecureJelly        a value that may not cross      (sender or receiver)
        ├── NoSuchMethod         (AttributeError) a typo, or not exported    (caller)
        ├── LimitExceeded        a bound of either side          (sender)
        ├── ProtocolError        the peer does not speak geopb as written (the peer)
        ├── DeadReferenceError   the connection is known to be gone        (nobody)
        │   └── Draining         the peer is shutting down                 (nobody)
        ├── PBConnectionLost     (ConnectionError) the line went while waiting
        ├── DeadlineExceeded     (TimeoutError) the call's own deadline passed
        ├── Cancelled            the caller no longer wants the answer
        ├── UnauthorizedLogin    a login that was refused        (caller)
        └── RemoteError          any other exception of the remote method

``Timeout``, which ends a local wait and derives from ``gevent.Timeout``, is
defined in ``promise.py``: this room imports no gevent.
"""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakValueDictionary


def qualified_name(cls: type) -> str:
    """Return ``module.qualname``, the name by which types are matched."""
    return f"{cls.__module__}.{cls.__qualname__}"


class Error(Exception):
    """Base of the errors that a remote method may be expected to raise.

    A subclass raised by a remote method is not logged by the callee. Subclassing
    registers the class, weakly, under its qualified name: where the caller has a
    subclass of the same name, its ``get()`` raises that class. The latest
    definition of a name wins.
    """

    __module__ = "geopb"
    _by_name: ClassVar[WeakValueDictionary[str, type[Error]]] = WeakValueDictionary()

    def __init_subclass__(cls, *, register: bool = True, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if register:
            Error._by_name[qualified_name(cls)] = cls


def local_error_class(name: str) -> type[Error] | None:
    """Return the local ``Error`` subclass of that qualified name, if there is one.

    It looks the name up in a register of classes that exist; it imports nothing.
    """
    return Error if name == "geopb.Error" else Error._by_name.get(name)


class InsecureJelly(Error):
    """A value of a type that may not cross, found on this side or the peer's."""

    __module__ = "geopb"


class NoSuchMethod(Error, AttributeError):
    """The remote object has no method of that name that may be called."""

    __module__ = "geopb"


class LimitExceeded(Error):
    """A message passes a bound; the text names the limit, its size and the actual."""

    __module__ = "geopb"


class ProtocolError(Error):
    """The peer sent what the protocol does not allow, or does not speak geopb."""

    __module__ = "geopb"


class DeadReferenceError(Error):
    """A call on a reference whose connection is known to be gone. Nothing was sent."""

    __module__ = "geopb"


class Draining(DeadReferenceError):
    """The peer is shutting down and takes no new calls. Nothing was run."""

    __module__ = "geopb"


class PBConnectionLost(Error, ConnectionError):
    """The line went while a call was waiting; whether it ran is not known."""

    __module__ = "geopb"


class DeadlineExceeded(Error, TimeoutError):
    """The deadline that the call carried has passed."""

    __module__ = "geopb"


class Cancelled(Error):
    """The call was cancelled."""

    __module__ = "geopb"


class UnauthorizedLogin(Error):
    """A login that was refused, for whatever reason."""

    __module__ = "geopb"


class RemoteError(Error):
    """An exception of the remote method that has no local class of its own.

    Attributes:
        remote_type: Qualified name of the class that was raised over there.
        remote_traceback: The peer's traceback as text, or None: a server sends
            it only with the option ``unsafe_tracebacks=True``.

    Where the remote type is, or derives from, a built-in exception, the object is
    an instance of that built-in too, so that ``except ValueError:`` works.
    """

    __module__ = "geopb"
    remote_type: str = "geopb.RemoteError"
    remote_traceback: str | None = None
    _message: str | None = None

    def __str__(self) -> str:
        return super().__str__() if self._message is None else self._message


def over_limit(limit: str, allowed: int, what: str, actual: int) -> LimitExceeded:
    """Make a `LimitExceeded` that names the limit, its size and the actual."""
    return LimitExceeded(f"{what} of {actual} exceeds {limit}={allowed}")
