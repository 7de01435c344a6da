"""The keyword options that servers and clients take, and those of clients alone.

Owns their names and the checking of their values. Read by connections and clients.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from time import thread_time
from typing import Any
from weakref import WeakKeyDictionary

from geopb.jelly.readers import Readers
from geopb.jelly.registry import ClassRegistry, process_registry
from geopb.limits import Limits
from geopb.net.share import Load
from geopb.notices import Notices

_LIMITS = frozenset(field.name for field in fields(Limits))

#: Seconds: who sleeps so long does not notice being woken.
_LONGEST_POLL = 0.01

_shared_readers: WeakKeyDictionary[Any, dict[Limits, Readers]] = WeakKeyDictionary()


class Told:
    """What the log says of one factory's peers, so much in a while of each kind.

    Attributes:
        ended: Connections that ended for what the peer did.
        closed: All others that ended.
        refused: Peers that were not served.
        misfits: Calls with arguments that the method does not take.
    """

    def __init__(self) -> None:
        log = logging.getLogger("geopb.connection")
        self.ended = Notices(log, "connections ended")
        self.closed = Notices(log, "connections ended")
        self.refused = Notices(logging.getLogger("geopb.server"), "were turned away")
        self.misfits = Notices(logging.getLogger("geopb"), "calls were refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was chosen for one factory.

    Attributes:
        limits: Each field of `Limits` is an option of its own.
        unsafe_tracebacks: Send the tracebacks of failing methods to the peer. They
            show source lines and paths, hence the name.
        registry: The classes that may be made for a peer; see `ClassRegistry`.
        busy_poll: Seconds, at a time, that the loop asks for a prompt peer's next
            message before it sleeps; 0 for not at all.
    """

    limits: Limits
    unsafe_tracebacks: bool = False
    registry: ClassRegistry = process_registry
    busy_poll: float = 0.0
    _told: Told = field(default_factory=Told, repr=False, compare=False)
    _load: Load = field(default_factory=Load, repr=False, compare=False)
    _readers: WeakKeyDictionary[Any, dict[Limits, Readers]] = field(
        default_factory=WeakKeyDictionary, repr=False, compare=False
    )

    @property
    def told(self) -> Told:
        """What the log says of the factory's peers."""
        return self._told

    @property
    def load(self) -> Load:
        """Which of the factory's connections are active."""
        return self._load

    def readers(self, hub: Any) -> Readers:
        """Return the decoders of the factory's connections in that hub's thread."""
        # Those without a registry of their own share them all.
        shared = self.registry is process_registry
        pools = _shared_readers if shared else self._readers
        by_limits = pools.setdefault(hub, {})
        found = by_limits.get(self.limits)
        if found is None:
            found = Readers(self.limits, thread_time, self.registry)
            by_limits[self.limits] = found
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What was chosen for one client beside `Options`.

    Attributes:
        reconnect: Connect again whenever there is no connection, until `disconnect`.
        on_connect: Called with the client after each connect.
    """

    reconnect: bool = False
    on_connect: Callable[[Any], object] | None = None


_CLIENTS = frozenset(field.name for field in fields(ClientOptions))


def read_options(options: dict[str, Any]) -> Options:
    """Check keyword options, all at once and before anything is opened.

    Raises:
        TypeError: An option that does not exist, or a value of a wrong type.
        ValueError: A value out of its range.
    """
    return _read(options, frozenset())


def read_client_options(options: dict[str, Any]) -> tuple[Options, ClientOptions]:
    """Check a client's keyword options, as `read_options` does."""
    own = {name: options[name] for name in options if name in _CLIENTS}
    rest = {name: options[name] for name in options if name not in _CLIENTS}
    shared = _read(rest, _CLIENTS)
    if type(own.get("reconnect", False)) is not bool:
        raise TypeError(
            f"reconnect takes a bool, not {type(own['reconnect']).__name__}"
        )
    on_connect = own.get("on_connect")
    if on_connect is not None and not callable(on_connect):
        kind = type(on_connect).__name__
        raise TypeError(f"on_connect takes a function of the client, not {kind}")
    return shared, ClientOptions(**own)


def _read(options: dict[str, Any], others: frozenset[str]) -> Options:
    """Read the shared options; `others` are known too, and read elsewhere."""
    limits = {name: options[name] for name in options if name in _LIMITS}
    rest = {name: options[name] for name in options if name not in _LIMITS}
    known = {"unsafe_tracebacks": bool, "registry": ClassRegistry, "busy_poll": float}
    for name, value in rest.items():
        if name in _CLIENTS:
            raise TypeError(f"{name} is an option of clients, not of servers")
        if name not in known:
            names = ", ".join(sorted(_LIMITS | known.keys() | others))
            raise TypeError(f"no option {name!r}; the options are {names}")
        if name == "busy_poll":
            _check_poll(value)
        elif not isinstance(value, known[name]):
            wanted = known[name].__name__
            raise TypeError(f"{name} takes a {wanted}, not {type(value).__name__}")
    return Options(limits=Limits(**limits), **rest)


def _check_poll(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"busy_poll takes a number, not {type(seconds).__name__}")
    if not 0 <= seconds <= _LONGEST_POLL:
        raise ValueError(
            f"busy_poll={seconds!r} is not from 0 to {_LONGEST_POLL:g} seconds"
        )
