"""From a finalizer to the thread that may act on it.

Owns one queue for each event loop. ``__del__`` runs in any greenlet, any thread, even
the hub, at any point of any function: it may append here, and nothing else. Called by
references (releases) and promises (failures that nobody looked at).
"""

from __future__ import annotations

import atexit
import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub
from gevent.monkey import get_original

_log = logging.getLogger("geopb")

Action = Callable[[Any], object]

#: The system's thread, also where gevent has patched what tells it.
get_ident: Callable[[], int] = get_original("_thread", "get_ident")


class FinalizerQueue:
    """What finalizers left for one loop.

    Args:
        run: Runs a function in a greenlet where it may block (logging may).
    """

    def __init__(self, run: Callable[[Callable[[], object]], object]) -> None:
        self._loop = get_hub().loop
        self._run = run
        self._items: deque[tuple[Action, Any]] = deque()
        self._quick: deque[tuple[Action, Any]] = deque()
        self._called = False
        self._thread = get_ident()

    def put(self, action: Action, item: object) -> None:
        """Have ``action(item)`` called soon in the loop's thread.

        Safe in any greenlet and thread. Appending is atomic, and the loop is called
        once for each batch.
        """
        self._items.append((action, item))
        self._call_soon()

    def put_quick(self, action: Action, item: object) -> None:
        """Have ``action(item)`` called soon in the hub; it never blocks. As safe."""
        self._quick.append((action, item))
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._called:
            self._called = True
            try:
                if get_ident() == self._thread:
                    # Without the system calls that wake a loop from outside.
                    self._loop.run_callback(self._wake)
                else:
                    self._loop.run_callback_threadsafe(self._wake)
            except Exception:
                # The loop is gone, its hub was destroyed: atexit takes what is left.
                self._called = False

    def _wake(self) -> None:
        self._called = False
        quick = self._quick
        if len(quick) == 1:
            # Most often: a reference was dropped.
            action, item = quick.popleft()
            action(item)
        elif quick:
            self._call_quick()
        if self._items:
            self._run(self.drain)

    def _call_quick(self) -> None:
        try:
            while self._quick:
                action, item = self._quick.popleft()
                action(item)
        finally:
            if self._quick:
                # One has raised, which the hub tells: the next ones have their turn.
                self._call_soon()

    def drain(self) -> None:
        """Call what has been put, in its order."""
        self._call_quick()
        while self._items:
            action, item = self._items.popleft()
            try:
                action(item)
            except Exception:
                # The next ones have a right to be called too.
                _log.exception("what a finalizer left could not be done")


_queues: WeakKeyDictionary[Any, FinalizerQueue] = WeakKeyDictionary()


def finalizer_queue(run: Callable[[Callable[[], object]], object]) -> FinalizerQueue:
    """Return the queue of this thread's loop."""
    hub = get_hub()
    queue = _queues.get(hub)
    if queue is None:
        queue = _queues[hub] = FinalizerQueue(run)
    return queue


@atexit.register
def _drain_all() -> None:
    for queue in list(_queues.values()):
        queue.drain()
