"""An arena with a server of its own, for each test."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Serve
from tests.gauntlet.arena import Arena
from tests.net.roots import Doing

MakeArena = Callable[..., Arena]

if sys.platform != "linux":
    # What a process holds is told by Linux's own files.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def arena(serve: Serve, geopb_log: list[logging.LogRecord]) -> Iterator[MakeArena]:
    """Make an arena: ``arena(root, **options)``."""
    made: list[Arena] = []

    def make(root: Any = None, **options: Any) -> Arena:
        server = serve(Doing() if root is None else root, **options)
        made.append(Arena(server, geopb_log))
        # What is there already need not be looked at for each case.
        gc.collect()
        gc.freeze()
        return made[-1]

    yield make
    for each in made:
        each.close()
