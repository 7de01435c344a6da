"""Messages about the peer's `Cacheable` objects, and which cache they go to.

Owns what each of these messages does. Never runs anything: the host does. Called by
the broker alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geopb.broker.caches import (
    AwaitState,
    CacheEntry,
    TakeFirstState,
    TakesEnd,
    TakesSnapshot,
)
from geopb.broker.calls import IncomingCall
from geopb.broker.host import Host
from geopb.broker.imports import Imports
from geopb.broker.intake import no_values
from geopb.errors import InsecureJelly, over_limit
from geopb.jelly.finish import Unfinished, abandon
from geopb.wire import messages

if TYPE_CHECKING:
    from geopb.broker.broker import Broker


class Following:
    """The caches of one connection, as messages reach them."""

    __slots__ = ("_broker", "_host", "_imports")

    def __init__(self, broker: Broker, host: Host, imports: Imports) -> None:
        self._broker = broker
        self._host = host
        self._imports = imports

    def update(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Something has changed: have the cache told."""
        question, number, name, args, kwargs, _ = messages.read_update(message)
        if len(name) > self._broker.limits.max_name_length:
            abandon(unfinished)
            limit = self._broker.limits.max_name_length
            error = over_limit("max_name_length", limit, "a method name", len(name))
            self._broker.refuse(question, error)
            return
        entry, cache = self._find(question, number, unfinished)
        if entry is None:
            return
        if not entry.current:
            abandon(unfinished)
            # Fresh state is on its way, which tells it, too.
            if question is not None:
                self._broker.post.send([messages.ANSWER, question, [None]])
            return
        call = IncomingCall(self._broker, question, cache, name, args, kwargs)
        call.unfinished = unfinished
        self._host.start_update(call, entry)

    def snapshot(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """Fresh state is here: have the cache take it."""
        question, number, state = messages.read_snapshot(message)
        entry, cache = self._find(question, number, unfinished)
        if entry is not None:
            entry.current = True
            _wait_for_others(unfinished, entry)
            target = TakesSnapshot(cache, entry)
            call = IncomingCall(self._broker, question, target, "", state, {})
            call.unfinished = unfinished
            self._host.start_update(call, entry)

    def updates_end(self, message: list[Any], unfinished: Unfinished | None) -> None:
        """The peer tells no more changes."""
        no_values(unfinished)
        number = messages.read_updates_end(message)
        entry, cache = self._find(None, number, None)
        if entry is not None:
            call = IncomingCall(self._broker, None, TakesEnd(cache, entry), "", [], {})
            self._host.start_update(call, entry)

    def _find(
        self, question: int | None, number: int, unfinished: Unfinished | None
    ) -> tuple[Any, Any]:
        """Return a cache that is held, and its entry; refuse for any other id."""
        entry = self._imports.cache_entry(number)
        cache = None if entry is None else entry.held_cache()
        if cache is None:
            # Dropped just now, most often: the peer learns that with the release.
            error = InsecureJelly(f"cache {number} is not held here")
        elif _brings_state(unfinished, entry):
            # It would wait for that, and that for it.
            error = InsecureJelly(f"cache {number} came first with what is told to it")
        else:
            return entry, cache
        abandon(unfinished)
        self._broker.refuse(question, error)
        return None, None


def _wait_for_others(unfinished: Unfinished | None, entry: CacheEntry) -> None:
    """Have a snapshot that names its own cache not wait for its own state."""
    if unfinished is not None:
        unfinished.steps = [
            step
            for step in unfinished.steps
            if type(step) is not AwaitState or step.entry is not entry
        ]


def _brings_state(unfinished: Unfinished | None, entry: CacheEntry | None) -> bool:
    """Whether a message brings the first state of a cache."""
    return unfinished is not None and any(
        type(step) is TakeFirstState and step.entry is entry
        for step in unfinished.steps
    )
