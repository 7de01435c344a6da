"""Objects with state that tests in this folder watch from elsewhere."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from gevent.event import Event

import geopb as pb
from tests.support import eventually, turns


class Log(pb.Cacheable):
    """Numbers in the order in which they were added.

    Attributes:
        items: What was added.
        observers: Who is told now, with the perspective they were given for.
        story: ``("began" | "stopped", perspective, observer)``, in order.
        before_state, after_state: Run around the moment of the snapshot.
        more: What the state holds besides.
    """

    def __init__(self, **more: Any) -> None:
        self.items: list[Any] = []
        self.observers: dict[Any, Any] = {}
        self.story: list[tuple[str, Any, Any]] = []
        self.before_state: Callable[[], object] = lambda: None
        self.after_state: Callable[[], object] = lambda: None
        self.more = more

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.before_state()
        self.story.append(("began", perspective, observer))
        self.observers[observer] = perspective
        state = {**self.more, "items": list(self.items)}
        self.after_state()
        return state

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        self.story.append(("stopped", perspective, observer))
        # Exactly once: there is no second to remove.
        assert self.observers.pop(observer) is perspective

    def add(self, item: Any) -> list[Any]:
        self.items.append(item)
        return [each.callRemote("added", item) for each in list(self.observers)]

    def told(self, what: str) -> list[Any]:
        """The observers that began, or stopped, in order."""
        return [each for told, _, each in self.story if told == what]

    def assert_balanced(self) -> None:
        """Each observer was stopped, once, behind its beginning."""
        assert sorted(map(id, self.told("began"))) == sorted(
            map(id, self.told("stopped"))
        )
        assert not self.observers


class Brief(Log):
    """Lets few updates wait, then starts anew."""

    max_queued_updates = 10


class Strict(Brief):
    """Lets few updates wait, then drops the observer."""

    when_too_slow = "drop"


class Followed(pb.RemoteCache):
    """Follows a log.

    Attributes:
        states: How often it took a state.
        ended: How often it was told that no more will come.
        hold: What an update named ``hold`` waits for.
    """

    items: list[Any]
    states = 0
    ended = 0
    initialised = False
    hold = Event()
    held = 0

    def __init__(self) -> None:
        self.initialised = True

    def setCopyableState(self, state: Any) -> None:
        vars(self).update(state)
        self.states += 1

    def observe_added(self, item: Any) -> None:
        self.items.append(item)

    def observe_hold(self) -> None:
        self.held += 1
        Followed.hold.wait()

    def observe_fail(self) -> None:
        raise ValueError("an observe method failed")

    def observe_call(self, function: Any) -> Any:
        return function.callRemote("go", self).get(timeout=5)

    def observe_size(self) -> int:
        return len(self.items)

    def updates_ended(self) -> None:
        self.ended += 1

    def _observe_hidden(self) -> None:
        raise AssertionError("not to be called")

    def observe__hidden(self) -> None:
        raise AssertionError("not to be called")


for _cls in (Log, Brief, Strict):
    pb.setUnjellyableForClass(_cls, Followed)


def fetch(remote: Any) -> Any:
    """Get what the root's ``do`` returns."""
    return remote.callRemote("do").get(timeout=5)


def until(predicate: Callable[[], Any]) -> None:
    """Wait, collecting garbage meanwhile: references go when they go."""

    def collected() -> Any:
        gc.collect()
        turns(2)
        return predicate()

    eventually(collected)
