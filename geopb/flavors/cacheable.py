"""State that is shown elsewhere and stays current.

Owns `Cacheable` (the original, which tells its observers what changes) and
`RemoteCache` (what follows it on the other side). Never keeps an observer: the user's
class does, and the broker knows which were given. Hooks are called by the encoder
(snapshots), by workers (the end of an observer, updates); users derive from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from geopb.flavors.copyable import Copyable, RemoteCopy
from geopb.flavors.referenceable import find_method


class Cacheable(Copyable):
    """An object whose state a peer holds, and that tells the peer what changes.

    The first time it crosses to a peer, its state does, and an observer is made for
    that peer; later only a name for it crosses. Each peer's `RemoteCache` gets all
    updates in their order, each once, from exactly the state that was sent.

    Spec: Perspective Broker's "Passing Complex Types", "pb.Cacheable".
    """

    __slots__ = ()

    #: Updates that may wait for one slow observer.
    max_queued_updates: ClassVar[int] = 1000
    #: What happens to an observer for which more would wait. ``"collapse"``: its
    #: updates are forgotten, `stoppedObserving` is called for it, and when the peer
    #: has caught up `getStateToCacheAndObserveFor` is asked for fresh state and a
    #: new observer. ``"drop"``: `stoppedObserving` is called for it, and the peer's
    #: cache is told that it is not current any more.
    when_too_slow: ClassVar[Literal["collapse", "drop"]] = "collapse"

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        """Return the state as it is now, and tell `observer` all changes from now on.

        Args:
            perspective: The avatar or perspective whose call is being answered, None
                where there is none.
            observer: Keep it. ``observer.callRemote("name", ...)`` runs
                ``observe_name(...)`` at the peer. It never blocks, and it may be used
                from the start: what it is told arrives behind the state returned
                here. It is hashable and equal to itself alone.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has to define getStateToCacheAndObserveFor"
        )

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        """Forget `observer`: its peer has dropped the cache, is gone, or is too slow.

        Called exactly once for each observer that was given out, with the
        perspective that it was given for; in a greenlet of its own.
        """


class RemoteCache(RemoteCopy):
    """What a peer's `Cacheable` is seen as here; it stays current while it is held.

    The same object each time it is received, while one is held; sent home it is the
    original. Dropping the last one tells the original to stop.
    """

    __slots__ = ("__weakref__", "_geopb_entry")

    _geopb_entry: Any
    #: As of a `Referenceable`: updates are nobody's calls.
    serializing_perspective: ClassVar[None] = None

    def remoteMessageReceived(
        self, broker: object, message: str, args: Sequence[Any], kw: Mapping[str, Any]
    ) -> Any:
        """Run ``observe_<message>(*args, **kw)``: something has changed over there.

        Called once at a time, in the order of the changes. It may block.

        Raises:
            NoSuchMethod: There is no such ``observe_*`` method.
        """
        return find_method(self, "observe_", message)(*args, **kw)

    def updates_ended(self) -> None:
        """Take note that no more updates will come, though the peer is there.

        Called once when this side was too slow for a `Cacheable` that drops such
        observers (`Cacheable.when_too_slow`).
        """
