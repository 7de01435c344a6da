"""How objects cross: which become references, which copies, and what these become.

Owns the decision, for the encoder (`passed`, `copied`) and the decoder (`found_*`),
over one connection's tables of exports and imports. Never sends. Made by the broker.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import Any

from geopb.broker.caches import AwaitState, TakeFirstState
from geopb.broker.exports import Exports
from geopb.broker.feeds import Feeds
from geopb.broker.imports import Imports
from geopb.broker.observer import Restart
from geopb.broker.observers import Feed
from geopb.broker.pending import NO_ARGUMENT, Pending, PromiseMet
from geopb.broker.references import Line, RemoteReference
from geopb.errors import InsecureJelly, over_limit
from geopb.failure.fresh import arguments, told_attributes
from geopb.flavors.cacheable import Cacheable, RemoteCache
from geopb.flavors.copyable import Copyable
from geopb.flavors.referenceable import Referenceable
from geopb.flavors.streamed import Stream, as_stream
from geopb.flavors.viewable import AvatarReference, Viewable, ViewPoint
from geopb.jelly import tags
from geopb.jelly.passing import Instead, Packing, State
from geopb.jelly.registry import ClassRegistry, enum_name
from geopb.jelly.steps import Step
from geopb.limits import Limits
from geopb.wire import messages
from geopb.wire.codec import CBORTag, DecodeRefused

#: For whom the running call is served: hooks of copies that it sends get this one.
serving_perspective: ContextVar[Any] = ContextVar("serving_perspective", default=None)


class Objects:
    """The objects of one connection, as messages see them."""

    # fmt: off
    __slots__ = (
        "_bulk_ids",
        "_exports",
        "_feeds",
        "_imports",
        "_line",
        "_max_exports",
        "_max_streams",
        "_registry",
        "make_feeds"
    )
    # fmt: on

    #: Set by the broker: makes what keeps the peer's caches current.
    make_feeds: Callable[[], Feeds]
    #: How objects of a class cross as records: see `ClassRegistry`.
    find_record = property(attrgetter("_registry.find_record"))
    #: Which arrays may cross.
    find_array = property(attrgetter("_registry.find_array"))

    def __init__(
        self,
        line: Line,
        exports: Exports,
        imports: Imports,
        limits: Limits,
        registry: ClassRegistry,
    ) -> None:
        self._line = line
        self._exports = exports
        self._imports = imports
        self._max_exports = limits.max_references
        self._max_streams = limits.max_streams
        self._bulk_ids = 0
        self._registry = registry
        # Made when needed: most connections show no caches.
        self._feeds: Feeds | None = None

    def opened(self, peers_max_references: int) -> None:
        """The peer's hello is in: it holds no more references than that."""
        self._max_exports = min(self._max_exports, peers_max_references)

    # -- out -------------------------------------------------------------------------

    def passed(self, value: object, packing: Packing) -> CBORTag | Instead | None:
        """Return how an object crosses as a reference, None if it does not."""
        if isinstance(value, RemoteReference):
            self._check_line(value._line)
            return CBORTag(tags.YOURS, value._entry.number)
        if isinstance(value, Pending):
            return self._awaited(value, packing)
        if isinstance(value, RemoteCache):
            entry = getattr(value, "_geopb_entry", None)
            if entry is None:
                return None
            self._check_line(entry.line)
            return CBORTag(tags.YOURS, entry.number)
        number = self.export(value, packing.perspective)
        if number is not None:
            packing.exported.append(number)
            return CBORTag(tags.MINE, number)
        stream = as_stream(value)
        return None if stream is None else self._streamed(stream, packing)

    def export(self, value: object, perspective: Any) -> int | None:
        """Count one more reference to an object of this side; return its id.

        None if it is no object that is called from the other side.

        Args:
            value: Any.
            perspective: For whom it is; None takes the running call's.

        Raises:
            LimitExceeded: The table is full. Nothing was counted.
        """
        if isinstance(value, Referenceable):
            return self._exports.export(value, self._max_exports)
        if not isinstance(value, Viewable):
            return None
        if perspective is None:
            perspective = serving_perspective.get()
        return self._exports.export_view(
            value,
            perspective,
            partial(ViewPoint, perspective, value),
            self._max_exports,
        )

    def copied(self, value: object, packing: Packing) -> State | CBORTag | None:
        """Return how an object crosses by value, None if it does not."""
        if isinstance(value, Cacheable):
            return self._cached(value, packing)
        if isinstance(value, Copyable):
            perspective = self._perspective(packing)
            name = value.getTypeToCopyFor(perspective)
            state = value.getStateToCopyFor(perspective)
            return State(tags.COPY, [_checked(name)], state)
        known = self._registry.find_name(type(value))
        if known is None:
            return None
        if isinstance(value, Enum):
            return CBORTag(tags.ENUM, [known, enum_name(value)])
        if isinstance(value, Exception):
            told = [list(arguments(value)), told_attributes(value)]
            # The exception itself is the one container around what it holds.
            return State(tags.COPY, [known], told, around=1)
        return None

    def new_bulk(self) -> int:
        """Allot an id for bulk bytes."""
        self._bulk_ids += 1
        return self._bulk_ids

    def _awaited(self, pending: Pending, packing: Packing) -> CBORTag | Instead:
        if not packing.is_call:
            raise InsecureJelly(NO_ARGUMENT)
        if packing.promises is None:
            raise PromiseMet
        stands = pending.stand_in(self._line)
        packing.promises.append((pending, stands))
        if isinstance(stands, Instead):
            return stands
        return CBORTag(tags.ANSWER_OF, stands.question)

    def _streamed(self, stream: Stream, packing: Packing) -> CBORTag:
        count, most = self._exports.streams + 1, self._max_streams
        if count > most:
            raise over_limit("max_streams", most, "streams under way", count)
        stream.give()
        producer = self._line.producer(stream, self._perspective(packing))
        try:
            number = self._exports.export_stream(producer, self._max_exports)
        except BaseException:
            stream.take_back()
            raise
        packing.exported.append(number)
        packing.begun.append((producer, number))
        return CBORTag(tags.STREAM, [number])

    def _cached(self, value: Cacheable, packing: Packing) -> State | CBORTag:
        perspective = self._perspective(packing)
        name = _checked(value.getTypeToCopyFor(perspective))
        number = self._exports.export(value, self._max_exports)
        packing.exported.append(number)
        known = self._exports.feed(number)
        if known is not None:
            if known.ended:
                packing.begun.append((Restart(known), number))
            return CBORTag(tags.CACHE, [number, name])
        self._feeds = self._feeds or self.make_feeds()
        feed = Feed(self._feeds, value, number, perspective)
        self._exports.set_feed(number, feed)
        packing.begun.append((feed, number))
        return State(tags.CACHE, [number, name], feed.begin())

    def _perspective(self, packing: Packing) -> Any:
        if packing.perspective is None:
            packing.perspective = serving_perspective.get()
        return packing.perspective

    def _check_line(self, line: Line) -> None:
        if line is not self._line:
            raise InsecureJelly(
                "a reference to an object of another peer may not be sent to a "
                "third party"
            )

    # -- in --------------------------------------------------------------------------

    def found_theirs(self, number: int) -> object:
        """Return the reference to an object of the peer's."""
        if not number:
            raise DecodeRefused(f"reference {number} is no id")
        return self._imports.find(number)

    def found_stream(self, number: int) -> object:
        """Return what iterates a stream of the peer's."""
        if not messages.is_id(number):
            raise DecodeRefused(f"stream {number} is no id")
        return self._line.iterator(self._imports.find_new(number))

    def found_cache(
        self, number: int, cls: type, state: list[object]
    ) -> tuple[object, Step | None]:
        """Return the cache of an object of the peer's, and what is left to do."""
        if not messages.is_id(number):
            raise DecodeRefused(f"cache {number} is no id")
        found, entry = self._imports.find_cache(number, cls, with_state=bool(state))
        if state:
            return found, TakeFirstState(found, entry, state)
        return found, None if entry.taken else AwaitState(entry)

    def found_ours(self, number: int) -> object:
        """Return an object of this side that the peer names."""
        found: Any = self._exports.find_home(number) if number else None
        if found is None:
            raise DecodeRefused(unknown_reference(number))
        # By type: isinstance() asks the object, too, which may be users' code.
        return found.object if issubclass(type(found), AvatarReference) else found


def _checked(name: object) -> str:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise TypeError(f"getTypeToCopyFor() returned {kind}, not a name")
    return str(name)


def unknown_reference(number: int) -> str:
    """Say that an id stands for nothing."""
    return f"reference {number} was never given to you, or has been released"
