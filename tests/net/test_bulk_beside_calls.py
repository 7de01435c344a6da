"""Large bytes under way leave small calls answered; those who send more wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.testing import Pair as InMemory
from geopb.testing import settle
from tests.net.roots import Doing, root_of
from tests.support import client_connection, eventually

LinkedPair = Callable[..., InMemory]
MEBI = 1 << 20
#: Far below what is under way in these tests.
MARK = 100_000


@pytest.mark.parametrize(
    "value",
    [None, "small", [1, {"a": (2, "b")}], {"key": b"x" * 1000}],
    ids=["None", "text", "nested", "bytes"],
)
def test_a_small_call_is_sent_while_bulk_waits(
    pb_pair: LinkedPair, value: object
) -> None:
    pair = pb_pair(Doing(len), client_options={"max_unsent_bytes": MARK})
    remote = root_of(pair.client)
    # One batch of chunks at a time gets through.
    pair.link.to_server.delay(0.001)
    large = [remote.callRemote("do", bytes(8 * MEBI))]

    assert remote.callRemote("echo", value).get(timeout=5) == value
    assert not large[0].ready()
    assert client_connection(pair.client).broker.unsent > MARK
    assert large[0].get(timeout=20) == 8 * MEBI


def test_a_small_answer_is_sent_while_bulk_waits(pb_pair: LinkedPair) -> None:
    pair = pb_pair(
        Doing(lambda: bytes(8 * MEBI)), server_options={"max_unsent_bytes": MARK}
    )
    remote = root_of(pair.client)
    pair.link.to_client.delay(0.001)
    large = remote.callRemote("do")
    eventually(lambda: pair.server_connection.broker.unsent > MARK)

    assert remote.callRemote("echo", "small").get(timeout=5) == "small"
    with pytest.raises(pb.NoSuchMethod):
        remote.callRemote("nothing").get(timeout=5)
    assert pair.server_connection.broker.unsent > MARK
    assert len(large.get(timeout=20)) == 8 * MEBI


def test_who_sends_more_bulk_waits_and_small_calls_overtake(
    pb_pair: LinkedPair,
) -> None:
    pair = pb_pair(Doing(len), client_options={"max_unsent_bytes": MARK})
    remote = root_of(pair.client)
    pair.link.to_server.delay(0.001)
    large = [remote.callRemote("do", bytes(8 * MEBI))]
    more = gevent.spawn(lambda: large.append(remote.callRemote("do", bytes(MEBI))))
    gevent.sleep(0)

    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    assert len(large) == 1
    more.get(timeout=20)
    assert [each.get(timeout=20) for each in large] == [8 * MEBI, MEBI]


def test_small_calls_wait_where_small_calls_wait_to_be_sent(
    pb_pair: LinkedPair,
) -> None:
    pair = pb_pair(Doing(), client_options={"max_unsent_bytes": MARK})
    remote = root_of(pair.client)
    pair.link.to_server.stall()
    sent: list[Any] = []

    def call_on() -> None:
        while len(sent) < 20_000:
            sent.append(remote.callRemote("echo", ["x" * 100]))

    calling = gevent.spawn(call_on)
    settle()
    assert len(sent) < 20_000
    assert client_connection(pair.client).broker.unsent < 2 * MARK
    pair.link.resume()
    calling.get(timeout=20)
    assert len(pb.gather(sent).get(timeout=20)) == 20_000


def test_a_refusal_beside_bulk_does_not_end_the_connection(
    pb_pair: LinkedPair,
) -> None:
    pair = pb_pair(
        Doing(lambda: bytes(8 * MEBI)), server_options={"max_unsent_bytes": 1000}
    )
    remote = root_of(pair.client)
    pair.link.to_client.delay(0.001)
    large = remote.callRemote("do")
    eventually(lambda: pair.server_connection.broker.unsent > MEBI)

    with pytest.raises(pb.LimitExceeded, match="max_name_length"):
        remote.callRemote("x" * 300).get(timeout=5)

    assert len(large.get(timeout=20)) == 8 * MEBI
