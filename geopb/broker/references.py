"""Objects of the peer that this side holds, and calls.

Owns `RemoteReference` and one connection's table of imports. A table entry does not
keep its reference alive: dropping the last `RemoteReference` releases the peer's
object. Its finalizer may run in any greenlet or thread, so it hands its entry to the
line and does nothing else. Called by the broker and by users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import (
    Any,
    Concatenate,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)
from weakref import ref

from geopb.broker.calls import checked_seconds
from geopb.flavors.referenceable import method_name
from geopb.flavors.streamed import Producing, Stream

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DisconnectCallback = Callable[["RemoteReference"], object]


class PromiseOf(Protocol[T_co]):
    """What a call returns, as far as this room knows: see `geopb.Promise`."""

    def get(self, block: bool = True, timeout: float | None = None) -> T_co:
        """Wait for the answer."""

    @overload
    def callRemote(
        self,
        method: Callable[Concatenate[Any, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> PromiseOf[T]: ...

    @overload
    def callRemote(self, method: str, /, *args: Any, **kwargs: Any) -> Any: ...


class Line(Protocol):
    """A connection, as references use it."""

    def call(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
    ) -> Any:
        """Send a call; return its promise. Raises DeadReferenceError."""

    def call_only(
        self,
        target: int,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
    ) -> None:
        """Send a call that is not answered. Raises DeadReferenceError."""

    def dropped(self, entry: Import) -> None:
        """Take note, from any greenlet or thread, that a reference is gone."""

    def promise(self) -> Any:
        """Return a promise that is the broker's to settle."""

    def run_soon(self, function: Callable[[], object]) -> None:
        """Run users' code in a greenlet of its own; log what it raises."""

    def resume(self, entry: Any) -> None:
        """Let a cache's updates run: its state has been taken."""

    def producer(self, stream: Stream, perspective: Any) -> Producing:
        """Return what makes a stream's items for the peer."""

    def iterator(self, reference: RemoteReference) -> Any:
        """Return what iterates the peer's stream."""

    def watch(self, reference: RemoteReference, callback: DisconnectCallback) -> None:
        """Have `callback` called with `reference` when the connection has ended."""

    def unwatch(self, reference: RemoteReference, callback: DisconnectCallback) -> None:
        """Take one such registration back, if there is one."""


class Import:
    """What one `RemoteReference` or cache owes the peer: how often it was received."""

    __slots__ = ("count", "number", "reference")

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.reference: ref[Any] | None = None


class RemoteReference:
    """An object that lives on the other side.

    The same remote object is the same `RemoteReference` while one is held; sent home
    it is the original. It may not be sent to a third party. Dropping the last one
    lets the peer forget the object. For use in the thread of its connection.

    Spec: seed, "Basic Example", "References can come back to you".
    """

    __slots__ = ("__weakref__", "_entry", "_line")

    def __init__(self, line: Line, entry: Import) -> None:
        self._line = line
        self._entry = entry

    @overload
    def callRemote(
        self,
        method: Callable[Concatenate[Any, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> PromiseOf[T]: ...

    @overload
    def callRemote(self, method: str, /, *args: Any, **kwargs: Any) -> Any: ...

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Ask the remote object to run one of its methods.

        Returns at once, the work happens on the other side; it may wait only while
        the peer already runs as many calls of ours as it takes, or has not taken
        what was sent before. Methods start in the order of the calls.

        Args:
            method: The name without its prefix, ``"echo"``, or the function,
                ``Echo.remote_echo`` (typed).
            args: Values that may cross; a reference passed stays yours.
            kwargs: The same by name.

        Returns:
            A `Promise` of the result. It fails with what the method raised,
            `InsecureJelly` or `LimitExceeded` if a value may not cross, or
            `PBConnectionLost` if the line goes first. There is no time-out.

        Raises:
            DeadReferenceError: The connection is gone. Nothing was sent.
            TypeError: `method` is neither text nor a remote method.

        Spec: seed, "Basic Example"; ``docs/protocol.md``, "Calls".
        """
        name = method if type(method) is str else method_name(method)
        call = self._line.call
        return call(self._entry.number, name, args, kwargs)

    def callRemoteOnly(self, method: Any, /, *args: Any, **kwargs: Any) -> None:
        """Ask the remote object to run a method, and want no answer.

        Whether and how it ends is not told. Values that may not cross are an error
        at once, as there is no promise.

        Raises:
            DeadReferenceError: The connection is gone. Nothing was sent.
            InsecureJelly: A value may not cross. Nothing was sent.
            LimitExceeded: A value passes a limit. Nothing was sent.
            TypeError: `method` is neither text nor a remote method.
        """
        name = method if type(method) is str else method_name(method)
        self._line.call_only(self._entry.number, name, args, kwargs)

    def remoteMethod(self, method: Any) -> RemoteMethod:
        """Return a callable that calls that method; equal for the same two."""
        return RemoteMethod(self, method_name(method))

    def options(self, *, timeout: float | None = None) -> RemoteReference:
        """Return the same reference, whose calls carry a deadline.

        It equals this one, and comes home as the same object.

        Args:
            timeout: Seconds that each call made on it has, from when it is made;
                then it fails with `DeadlineExceeded`, and its method is interrupted.
                None for no limit but those of `deadline` and of the call that is
                being served.

        Raises:
            TypeError, ValueError: `timeout` is no finite number.
        """
        return TimedReference(self, timeout)

    def notifyOnDisconnect(self, callback: DisconnectCallback) -> None:
        """Have ``callback(self)`` called once when the connection has ended.

        It is called in a greenlet of its own and may block; at once (but not inside
        this method) if the connection is gone already. The reference is held until
        then. Callbacks run in the order in which they were registered.
        """
        self._line.watch(self, callback)

    def dontNotifyOnDisconnect(self, callback: DisconnectCallback) -> None:
        """Take one registration of `callback` back; an unknown one is ignored."""
        self._line.unwatch(self, callback)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteReference):
            return NotImplemented
        return self._entry is other._entry

    def __hash__(self) -> int:
        return object.__hash__(self._entry)

    def __copy__(self) -> Self:
        # A second object would release what the first one holds.
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RemoteReference belongs to its connection")

    def __del__(self) -> None:
        # Any greenlet, any thread, even the hub: note it, and nothing else.
        self._line.dropped(self._entry)

    def __repr__(self) -> str:
        return f"<RemoteReference {self._entry.number} of {self._line!r}>"


class TimedReference(RemoteReference):
    """A reference whose calls have a timeout; it holds the one that it stands for."""

    __slots__ = ("_held", "_timeout")

    def __init__(self, reference: RemoteReference, timeout: float | None) -> None:
        if timeout is not None:
            timeout = checked_seconds(timeout)
        super().__init__(reference._line, reference._entry)
        # The one that is released when the last goes.
        self._held = reference
        self._timeout = timeout

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method: see `RemoteReference.callRemote`."""
        name = method if type(method) is str else method_name(method)
        return self._line.call(self._entry.number, name, args, kwargs, self._timeout)

    def callRemoteOnly(self, method: Any, /, *args: Any, **kwargs: Any) -> None:
        """Call a method: see `RemoteReference.callRemoteOnly`."""
        name = method if type(method) is str else method_name(method)
        self._line.call_only(self._entry.number, name, args, kwargs, self._timeout)

    def __del__(self) -> None:
        """Release nothing: the reference that it holds does."""


class RemoteMethod:
    """A method of a remote object, as a callable that returns a promise."""

    __slots__ = ("name", "reference")

    def __init__(self, reference: RemoteReference, name: str) -> None:
        self.reference = reference
        self.name = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call it: see `RemoteReference.callRemote`."""
        return self.reference.callRemote(self.name, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteMethod):
            return NotImplemented
        return self.reference == other.reference and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.reference, self.name))

    def __repr__(self) -> str:
        return f"<RemoteMethod {self.name} of {self.reference!r}>"
