"""The promises that wait for a connection, of a root or of a login.

Owns `WaitingRoots`. Never lets them heap up while a server stays away: those that
nobody can see any more are forgotten. Called by the client.
"""

from __future__ import annotations

import sys
from typing import Any

from geopb.failure import Failure
from geopb.promise.promise import Promise

#: As many may wait before it is looked who is still wanted.
_FEW = 64


class WaitingRoots:
    """Promises that are given a root, or a failure, all at once."""

    def __init__(self) -> None:
        self._promises: list[Promise[Any]] = []
        self._look_at = _FEW

    def add(self, promise: Promise[Any]) -> None:
        """Keep `promise` until it is ended, or unwanted."""
        if len(self._promises) >= self._look_at:
            self.forget_unwanted()
            # Looked at as often as the number doubles: a constant cost for each.
            self._look_at = max(_FEW, 2 * len(self._promises))
        self._promises.append(promise)

    def give(self, root: Promise[Any]) -> None:
        """Have all of them follow `root`."""
        for promise in self.take():
            promise.set(root)

    def fail(self, failure: Failure) -> None:
        """End all of them with `failure`."""
        for promise in self.take():
            if not promise.ready():
                promise.settle(None, failure)

    def forget_unwanted(self) -> None:
        """Forget those that only this list holds, and for whose end nobody waits."""
        counted = zip(_references(self._promises), self._promises, strict=True)
        self._promises = [
            each for seen, each in counted if seen > _UNSEEN or each.is_followed()
        ]

    def take(self) -> list[Promise[Any]]:
        """Forget all of them; return them."""
        taken, self._promises = self._promises, []
        self._look_at = _FEW
        return taken

    def __len__(self) -> int:
        return len(self._promises)


def _references(promises: list[Any]) -> list[int]:
    return [sys.getrefcount(each) for each in promises]


#: What is counted of one that only a list holds.
(_UNSEEN,) = _references([object()])
