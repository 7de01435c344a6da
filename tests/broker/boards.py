"""A `Cacheable` and its caches, which tests of both sides use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopb as pb
from tests.broker.harness import Pair

#: What a board did, in order: ("observed" or "stopped", perspective, observer).
Events = list[tuple[str, Any, Any]]


class Board(pb.Cacheable):
    """A dict that tells its observers what changes."""

    max_queued_updates = 5

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.observers: list[Any] = []
        self.events: Events = []
        #: Run while a snapshot is being taken.
        self.meanwhile: Callable[[], object] = lambda: None

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.events.append(("observed", perspective, observer))
        self.meanwhile()
        self.observers.append(observer)
        return dict(self.values)

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.events.append(("stopped", perspective, observer))
        self.observers.remove(observer)

    def getTypeToCopy(self) -> str:
        return "boards.Board"

    def set(self, key: str, value: Any) -> list[Any]:
        """Change a value and tell it; return the promises."""
        self.values[key] = value
        return [each.callRemote("set", key, value) for each in self.observers]

    @property
    def told(self) -> list[str]:
        """What happened, without with whom."""
        return [event for event, _, _ in self.events]


class DroppingBoard(Board):
    """Drops observers that are too slow."""

    when_too_slow = "drop"


class ShownBoard(pb.RemoteCache):
    """What a board becomes: the same values, and the updates that it was told."""

    def setCopyableState(self, state: Any) -> None:
        self.values = dict(state)
        self.states = [*getattr(self, "states", []), dict(state)]
        self.updates: list[Any] = getattr(self, "updates", [])
        self.ended = 0

    def observe_set(self, key: str, value: Any) -> int:
        self.values[key] = value
        self.updates.append((key, value))
        return len(self.updates)

    def observe_fail(self) -> None:
        raise KeyError("failed")

    def observe__hidden(self) -> None:
        raise AssertionError("hidden")

    def updates_ended(self) -> None:
        self.ended += 1


pb.setUnjellyableForClass("boards.Board", ShownBoard)


class Meanwhile(pb.Copyable, pb.RemoteCopy):
    """A copy whose hook does something while its message is being packed."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def getStateToCopy(self) -> Any:
        self.act()
        return {}


pb.setUnjellyableForClass(Meanwhile, Meanwhile)


def show(pair: Pair, *values: Any) -> Any:
    """Send `values` from a to b; return what has arrived, the first if there is one."""
    answer = pair.a.ask("take", *values)
    pair.deliver()
    answer.get()
    taken, pair.b.desk.taken = pair.b.desk.taken, []
    return taken[0] if len(values) == 1 else taken
