"""Large bytes under way leave small calls answered; those who send more wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.broker.credit import LEAST_WINDOW
from geopb.testing import Pair as InMemory
from geopb.testing import settle
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, root_of
from tests.support import client_connection, eventually, server_connection
from tests.vectors.cbor import frame

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
        while len(sent) < 5_000:
            sent.append(remote.callRemote("echo", ["x" * 100]))

    calling = gevent.spawn(call_on)
    settle()
    assert len(sent) < 5_000
    assert client_connection(pair.client).broker.unsent < 2 * MARK
    pair.link.resume()
    calling.get(timeout=20)
    assert len(pb.gather(sent).get(timeout=20)) == 5_000


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


def test_what_is_held_is_sent_before_the_connection_is_closed(pair: Pair) -> None:
    """It waits for what the peer tells, and not for the kernel."""
    taken: list[bytes] = []
    _, client = pair(Doing(taken.append))

    root_of(client).callRemoteOnly("do", bytes(8 * MEBI))
    client.disconnect()

    eventually(lambda: taken)
    assert taken == [bytes(8 * MEBI)]


def test_a_client_that_goes_is_not_held_up_by_what_it_has_not_taken(pair: Pair) -> None:
    """The server has more for it, and would send that when it is told so."""
    server, client = pair(Doing(lambda: bytes(8 * MEBI)))
    large = root_of(client).callRemote("do")
    eventually(lambda: server_connection(server).broker.unsent > MEBI)
    begun = monotonic()

    client.disconnect()

    assert monotonic() - begun < 0.5
    with pytest.raises(pb.PBConnectionLost):
        large.get(timeout=5)


class Telling(Peer):
    """A peer that reads all, and tells what it has taken when the test says so."""

    def read_bulk(self, size: int) -> int:
        """Read until so many bytes of bulk have come; return how many there were."""
        read = 0
        while read < size:
            message = next(self._messages)
            if message[0] == messages.CHUNK:
                read += len(message[2])
        return read


def test_a_peer_that_tells_nothing_is_sent_a_window_and_small_answers(
    serve: Serve,
) -> None:
    server = serve(Doing(lambda: bytes(8 * MEBI)))
    with Telling(server) as peer:
        peer.call(2, "do")
        assert peer.read_bulk(LEAST_WINDOW) == LEAST_WINDOW
        settle()

        peer.call(3, "echo", "small")
        assert peer.read_answer(3) == [messages.ANSWER, 3, ["small"]]
        assert peer.connection.broker.unsent == 8 * MEBI - LEAST_WINDOW

        peer.send(frame([messages.TAKEN, LEAST_WINDOW]))
        peer.read_bulk(LEAST_WINDOW)
        other = root_of(pb.connect(server.address))
        assert other.callRemote("echo", "served").get(timeout=5) == "served"


@pytest.mark.slow
def test_a_peer_that_tells_nothing_for_long_is_not_reading(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    """Though its kernel has taken all that was sent."""
    server = serve(Doing(lambda: bytes(8 * MEBI)), keepalive=0.5)
    with Telling(server) as peer:
        peer.call(2, "do")
        peer.read_bulk(LEAST_WINDOW)
        begun = monotonic()

        eventually(lambda: not server.connections)

        assert 0.4 < monotonic() - begun < 2
        (record,) = eventually(lambda: geopb_log)
        assert "is not reading" in record.getMessage()


@pytest.mark.slow
def test_a_peer_that_tells_a_little_now_and_then_is_kept(serve: Serve) -> None:
    server = serve(Doing(lambda: bytes(8 * MEBI)), keepalive=0.5)
    with Telling(server) as peer:
        peer.call(2, "do")
        peer.read_bulk(LEAST_WINDOW)
        # The chunks that come.
        reading = gevent.spawn(peer.read_bulk, 8 * MEBI)
        until = monotonic() + 1.5
        while monotonic() < until:
            peer.send(frame([messages.TAKEN, 1000]))
            gevent.sleep(0.1)

        assert peer.connection in server.connections
        reading.kill()


@pytest.mark.slow
def test_what_a_peer_has_told_is_not_overlooked_by_a_side_that_was_busy(
    serve: Serve,
) -> None:
    """It waits to be read here when the time is over."""
    server = serve(Doing(lambda: bytes(8 * MEBI)), keepalive=0.3)
    with Telling(server) as peer:
        peer.call(2, "do")
        peer.read_bulk(LEAST_WINDOW)
        # Since when nothing has been taken.
        eventually(lambda: peer.connection._watch._seen[1] == 0)

        peer.send(frame([messages.TAKEN, LEAST_WINDOW]))
        # Nobody has a turn for longer than that.
        sleep(0.5)
        peer.read_bulk(LEAST_WINDOW)

        assert peer.connection in server.connections
