"""What a `Cacheable` tells its changes to, and one such change on its way.

Owns the shapes that users and answers hold of a feed. Called by users (`callRemote`)
and answers (`settle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geopb.broker.calls import Answerable
from geopb.failure import Failure
from geopb.flavors.referenceable import method_name
from geopb.jelly.passing import Packed, Packing

if TYPE_CHECKING:
    from geopb.broker.observers import Feed


class Observer:
    """What a `Cacheable` tells its changes to: one peer's copy of it.

    Equal to itself alone; hashable. It is given out anew when the peer has been sent
    fresh state.
    """

    __slots__ = ("__weakref__", "_feed")

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run ``observe_<method>(*args, **kwargs)`` at the peer; never blocks.

        What the arguments hold now is what arrives. Updates run one after the other,
        in their order.

        Returns:
            A promise: of what the method returned, or of None for an update that was
            not needed any more: the peer has dropped its copy or gets fresh state.

        Raises:
            TypeError: `method` is neither text nor a remote method.
        """
        name = method if type(method) is str else method_name(method)
        return self._feed.update(self, name, args, kwargs)

    def __repr__(self) -> str:
        return f"<Observer of {self._feed!r}>"


@dataclass(slots=True, eq=False)
class Update:
    """An update on its way: what the answer ends, and what waits until it is sent."""

    feed: Feed
    promise: Answerable
    packing: Packing
    question: int
    #: None while it is being packed, and once it is sent.
    packed: Packed | None = None
    genuine: tuple[type[Exception], ...] = ()

    def settle(self, value: object, failure: Failure | None = None) -> None:
        """Its answer is here."""
        self.promise.settle(value, self.feed.answered(failure))


class Restart:
    """Has a feed that its class has dropped go on when its name has been sent again."""

    __slots__ = ("_feed",)

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def sent(self) -> None:
        """The name is on its way: fresh state may follow."""
        self._feed.restart()

    def failed(self, *, named: bool) -> None:
        """It was not sent: all stays as it is."""
