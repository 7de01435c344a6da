"""What a connection costs in greenlets: one, which reads."""

from __future__ import annotations

import gc

import greenlet

import geopb as pb
from geopb.workers import Worker
from tests.conftest import Pair
from tests.net.roots import Doing, root_of
from tests.support import eventually


def alive() -> set[int]:
    """Return the greenlets that have begun and not ended, but for parked workers."""
    return {
        id(each)
        for each in gc.get_objects()
        if issubclass(type(each), greenlet.greenlet)
        and type(each) is not Worker
        and bool(each)
    }


def test_each_end_of_a_connection_at_rest_has_one_greenlet(pair: Pair) -> None:
    server, client = pair(Doing())
    root_of(client)
    before = alive()

    more = [pb.connect(server.address) for _ in range(5)]
    for each in more:
        root_of(each)

    eventually(lambda: len(alive() - before) == 2 * len(more))
    for each in more:
        each.disconnect()
    eventually(lambda: not alive() - before)
