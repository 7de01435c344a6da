"""What follows the peer's `Cacheable` objects on this side.

Owns, for each `RemoteCache`, the order in which it takes its state and what changes:
one step after the other, state first. Never runs a step: the host does. Called by the
imports (made, dropped), the broker (updates in) and the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import ref

from geopb.broker.calls import IncomingCall
from geopb.broker.references import Import, Line
from geopb.errors import InsecureJelly
from geopb.failure import Failure
from geopb.flavors.cacheable import RemoteCache
from geopb.jelly.steps import Step

_new: Any = object.__new__
_set_attribute: Any = object.__setattr__


class CacheEntry(Import):
    """One cache in the table of imports.

    Attributes:
        line: Its connection.
        waiting: Updates that are not begun, in their order.
        busy: Whether the host runs one now.
        held: Whether none may be run yet: its first state is still to be taken.
        current: Whether its state has come: updates from before are forgotten.
        state_here: Settled when a state has been taken; whoever is given the cache
            waits for it.
        taken: Whether one has been.
    """

    __slots__ = ("busy", "current", "held", "line", "state_here", "taken", "waiting")

    def __init__(self, number: int, line: Line) -> None:
        super().__init__(number)
        self.line = line
        self.waiting: deque[IncomingCall] = deque()
        self.busy = False
        self.held = False
        self.current = False
        self.state_here: Any = line.promise()
        self.taken = False

    def make(self, cls: type) -> object:
        """Return an empty cache of that class; none of its code is run."""
        try:
            made = _new(cls)
        except TypeError:
            raise InsecureJelly(f"{cls.__name__} cannot be made empty") from None
        _set_attribute(made, "_geopb_entry", self)
        return made

    def watch(self, cache: RemoteCache) -> None:
        """Take note when the last reference to `cache` goes."""
        line = self.line
        # Runs in any greenlet or thread: it notes it, and nothing else.
        self.reference = ref(cache, lambda _: line.dropped(self))

    def held_cache(self) -> Any:
        """Return the cache while somebody holds it, else None."""
        return None if self.reference is None else self.reference()

    def state_is_here(self) -> None:
        """Let go on who waits for the state."""
        self.taken = True
        if not self.state_here.ready():
            self.state_here.settle(None)

    def state_was_refused(self) -> None:
        """Fail who waits for the state: it was sent, and could not be taken."""
        # An error of its own: that one's frames would keep the cache alive.
        self._fail_state(InsecureJelly(f"the state of cache {self.number} was refused"))

    def no_state_will_come(self) -> None:
        """Fail who waits for the state: its owner does not tell it any more."""
        error = f"the updates of cache {self.number} have ended: send it again"
        self._fail_state(InsecureJelly(error))

    def end(self, lost: Exception) -> None:
        """The connection has ended."""
        self.waiting.clear()
        self._fail_state(lost)

    def _fail_state(self, error: Exception) -> None:
        if not self.state_here.ready():
            self.state_here.settle(None, Failure(error, quiet=True))


class TakeFirstState(Step):
    """Give a cache the state that came with its name; then its updates may run.

    Attributes:
        entry: The cache's.
    """

    always = True

    def __init__(self, cache: Any, entry: CacheEntry, state: list[Any]) -> None:
        self._cache = cache
        self.entry = entry
        self.makes = (cache,)
        self.parts = (state,)

    def do(self) -> None:
        """Call its hook, and let the updates that have come meanwhile run."""
        try:
            self._cache.setCopyableState(self.parts[0][0])
            self.entry.state_is_here()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Fail who waits for the state, if it was not taken."""
        self.entry.state_was_refused()
        self.entry.line.resume(self.entry)


class AwaitState(Step):
    """Wait for the state of a cache that another message brings.

    Behind all else that a message does: another's state may wait for this one's.

    Attributes:
        entry: The cache's.
    """

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry
        self.parts = ()

    def do(self) -> None:
        """Block until it has been taken."""
        self.entry.state_here.get()


class TakesSnapshot:
    """What a fresh snapshot is sent to, in place of a cache: takes it."""

    serializing_perspective = None

    def __init__(self, cache: RemoteCache, entry: CacheEntry) -> None:
        self._cache = cache
        self._entry = entry

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> None:
        """Take the state that `args` hold."""
        try:
            self._cache.setCopyableState(args[0])
            self._entry.state_is_here()
        finally:
            self._entry.state_was_refused()


class TakesEnd:
    """What the end of a feed is sent to, in place of a cache."""

    serializing_perspective = None

    def __init__(self, cache: RemoteCache, entry: CacheEntry) -> None:
        self._cache = cache
        self._entry = entry

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> None:
        """Tell the cache; one that has no state gets none, and is nobody's."""
        if self._entry.current:
            self._cache.updates_ended()
        else:
            self._entry.no_state_will_come()
