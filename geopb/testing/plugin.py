"""Fixtures for pytest, which finds them by itself where geopb is installed.

Owns the fixtures whose names begin with ``pb_``. Makes nothing, no hub of gevent's
either, until a test asks for one. Called by pytest, which imports it for all tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import geopb as pb
from geopb.testing import Clock, FaultProxy, MemoryLink, Pair, connected_pair


@pytest.fixture
def pb_pair() -> Iterator[Callable[..., Pair]]:
    """Make pairs in memory: ``pb_pair(root, **arguments of connected_pair)``.

    They are closed when the test has ended.
    """
    with ExitStack() as made:

        def make(root: pb.Root | pb.Portal, **arguments: Any) -> Pair:
            return made.enter_context(connected_pair(root, **arguments))

        yield make


@pytest.fixture
def pb_server() -> Iterator[Callable[..., pb.PBServer]]:
    """Serve roots on loopback: ``pb_server(root, **arguments of geopb.serve)``.

    The system chooses the port; the servers are stopped when the test has ended, and
    calls that still run are not waited for.
    """
    with ExitStack() as made:

        def make(
            root: pb.Root | pb.Portal, address: Any = "127.0.0.1:0", **arguments: Any
        ) -> pb.PBServer:
            return made.enter_context(pb.serve(root, address, **arguments))

        yield make


@pytest.fixture
def pb_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """Put proxies before servers: ``pb_proxy(address, **arguments of FaultProxy)``.

    They are closed when the test has ended.
    """
    with ExitStack() as made:

        def make(target: Any, **arguments: Any) -> FaultProxy:
            return made.enter_context(FaultProxy(target, **arguments))

        yield make


@pytest.fixture
def pb_link() -> Iterator[Callable[..., MemoryLink]]:
    """Make links whose ends are sockets: ``pb_link(**arguments of MemoryLink)``.

    The links are closed, and their ends, when the test has ended.
    """
    with ExitStack() as made:

        def make(**arguments: Any) -> MemoryLink:
            link = made.enter_context(MemoryLink(**arguments))
            made.callback(link.client_end.close)
            made.callback(link.server_end.close)
            return link

        yield make


@pytest.fixture
def pb_clock() -> Clock:
    """A clock that stands still until the test advances it."""
    return Clock()
