"""Root objects that tests in this folder share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.event import Event

import geopb as pb


class Doing(pb.Root):
    """Does what the test says.

    Attributes:
        do: What ``do`` runs with the arguments of the call.
    """

    def __init__(self, do: Callable[..., Any] = lambda: None) -> None:
        self.do = do

    def remote_do(self, *args: Any, **kwargs: Any) -> Any:
        return self.do(*args, **kwargs)

    def remote_echo(self, value: Any = None) -> Any:
        return value


class Holding(pb.Root):
    """Holds calls until the test lets them go on.

    Attributes:
        interrupted: ``(what, error)`` of those that were stopped while they waited.
    """

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.finished: list[Any] = []
        self.interrupted: list[tuple[Any, Exception]] = []
        self.go = Event()

    def remote_hold(self, what: Any = None) -> Any:
        self.started.append(what)
        try:
            self.go.wait()
        except (pb.Cancelled, pb.DeadlineExceeded) as error:
            self.interrupted.append((what, error))
            raise
        self.finished.append(what)
        return what

    def remote_echo(self, value: Any = None) -> Any:
        return value


def root_of(client: pb.PBClientFactory) -> Any:
    """Return a reference to the server's root."""
    return client.getRootObject().get(timeout=5)
