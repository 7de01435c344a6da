"""When calls wait: ``max_pending_calls``, and bytes that the peer does not take."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.net import gate
from geopb.testing import Pair as InMemory
from geopb.testing import settle
from tests.conftest import Pair
from tests.net.roots import Doing, Holding, root_of
from tests.support import client_connection, eventually, server_connection, turns

LinkedPair = Callable[..., InMemory]


class Mutual(pb.Referenceable):
    """Calls the other side, which calls back, ``depth`` times, ``width`` at once."""

    def remote_nest(self, other: Any, depth: int, width: int) -> int:
        if not depth:
            return 1
        calls = [other.callRemote("nest", self, depth - 1, width) for _ in range(width)]
        return 1 + int(sum(pb.gather(calls).get(timeout=20)))


class MutualRoot(pb.Root):
    def remote_mutual(self) -> Mutual:
        return Mutual()


def test_3000_calls_at_once_are_all_answered(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    promises = [remote.callRemote("echo", number) for number in range(3000)]

    assert pb.gather(promises).get(timeout=20) == list(range(3000))


def test_a_call_over_the_limit_waits_until_there_is_room(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=3)
    remote = root_of(client)
    held = [remote.callRemote("hold", number) for number in range(3)]
    eventually(lambda: len(root.started) == 3)

    waiting = gevent.spawn(lambda: remote.callRemote("hold", 3).get(timeout=5))
    turns()
    assert root.started == [0, 1, 2]
    assert not waiting.ready()

    root.go.set()
    assert waiting.get(timeout=5) == 3
    assert pb.gather(held).get(timeout=5) == [0, 1, 2]


def test_the_limit_that_counts_is_the_callees(pair: Pair) -> None:
    root = Holding()
    _, client = pair(
        root,
        server_options={"max_pending_calls": 50},
        client_options={"max_pending_calls": 1},
    )
    remote = root_of(client)

    held = [remote.callRemote("hold", number) for number in range(50)]

    eventually(lambda: len(root.started) == 50)
    root.go.set()
    assert pb.gather(held).get(timeout=5) == list(range(50))


def test_those_that_wait_are_let_in_in_order(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=2)
    remote = root_of(client)

    def call(number: int) -> Any:
        return remote.callRemote("hold", number).get(timeout=10)

    running = [gevent.spawn(call, number) for number in range(40)]
    eventually(lambda: len(root.started) == 2)
    root.go.set()
    gevent.joinall(running, timeout=10, raise_error=True)

    assert root.started == list(range(40))
    assert [each.value for each in running] == list(range(40))


def test_a_timeout_ends_the_waiting_with_nothing_sent(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    held = remote.callRemote("hold", "first")
    eventually(lambda: root.started)

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        remote.callRemote("hold", "never")
    root.go.set()

    assert held.get(timeout=5) == "first"
    assert remote.callRemote("hold", "last").get(timeout=5) == "last"
    assert root.started == ["first", "last"]


def test_a_greenlet_that_waits_may_be_killed(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    held = remote.callRemote("hold", "first")
    eventually(lambda: root.started)
    waiting = [gevent.spawn(remote.callRemote, "hold", n) for n in ("never", "next")]
    turns()

    waiting[0].kill(timeout=5)
    root.go.set()

    assert held.get(timeout=5) == "first"
    assert waiting[1].get(timeout=5).get(timeout=5) == "next"
    assert root.started == ["first", "next"]


@pytest.mark.usefixtures("greenlet_errors")
def test_calls_that_wait_fail_when_the_connection_ends(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    held = remote.callRemote("hold")
    waiting = gevent.spawn(remote.callRemote, "hold")
    eventually(lambda: root.started)

    def caught() -> Any:
        try:
            return waiting.get(timeout=5)
        except pb.DeadReferenceError as error:
            return error

    watching = gevent.spawn(caught)
    client.disconnect()

    assert isinstance(watching.get(timeout=5), pb.DeadReferenceError)
    assert isinstance(held.exception, pb.PBConnectionLost)
    root.go.set()


@pytest.mark.parametrize(("limit", "depth", "width"), [(1, 10, 1), (4, 3, 2)])
def test_mutual_nested_calls_do_not_deadlock_on_the_limit(
    pair: Pair, limit: int, depth: int, width: int
) -> None:
    """Each is answered: with its result, or beyond twice the limit with an error."""
    _, client = pair(MutualRoot(), max_pending_calls=limit)
    far = root_of(client).callRemote("mutual").get(timeout=5)

    def call() -> Any:
        try:
            return far.callRemote("nest", Mutual(), depth, width).get(timeout=20)
        except pb.LimitExceeded:
            return "refused"

    running = [gevent.spawn(call) for _ in range(3 * limit)]
    gevent.joinall(running, timeout=20, raise_error=True)

    whole = sum(width**level for level in range(depth + 1))
    assert {each.value for each in running} <= {whole, "refused"}
    # And when the rush is over there is room again.
    assert far.callRemote("nest", Mutual(), 1, 1).get(timeout=5) == 2


@pytest.mark.slow
def test_1000_chains_to_and_fro_at_the_limit_all_end(pair: Pair) -> None:
    """A calls B, B calls A, A calls B: each at the limit of both."""
    server, client = pair(MutualRoot(), max_pending_calls=50)
    far = root_of(client).callRemote("mutual").get(timeout=5)
    ended: list[Any] = []

    def chain() -> None:
        try:
            ended.append(far.callRemote("nest", Mutual(), 3, 1).get(timeout=30))
        except pb.LimitExceeded:
            ended.append("refused")

    running = [gevent.spawn(chain) for _ in range(1000)]
    gevent.joinall(running, timeout=30, raise_error=True)

    assert len(ended) == 1000
    assert set(ended) <= {4, "refused"}
    assert ended.count(4) > 0
    for connection in (server_connection(server), client_connection(client)):
        eventually(lambda connection=connection: not connection.service.running)
        assert not connection.broker.questions


def test_a_nested_call_is_sent_though_the_limit_is_reached(pair: Pair) -> None:
    _, client = pair(MutualRoot(), max_pending_calls=1)
    far = root_of(client).callRemote("mutual").get(timeout=5)

    assert far.callRemote("nest", Mutual(), 2, 1).get(timeout=5) == 3


def test_a_call_in_a_handler_is_sent_though_the_limit_is_reached(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=2)
    remote = root_of(client)
    first = remote.callRemote("echo", 1)
    held = remote.callRemote("hold")
    first.get(timeout=5)
    held_too = remote.callRemote("hold")
    eventually(lambda: len(root.started) == 2)

    chained = first.addCallback(lambda _: remote.callRemote("echo", "in a handler"))

    assert chained.get(timeout=5) == "in a handler"
    root.go.set()
    pb.gather([held, held_too]).get(timeout=5)


# -- a long wait -----------------------------------------------------------------------


def long_waits(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    return [each for each in records if "has waited" in each.getMessage()]


def test_a_call_that_waits_long_for_room_is_logged_once(
    pair: Pair, geopb_log: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_LONG_WAIT", 0.02)
    root = Holding()
    _, client = pair(root, max_pending_calls=2)
    remote = root_of(client)
    held = [remote.callRemote("hold", number) for number in range(2)]
    eventually(lambda: len(root.started) == 2)
    waiting = gevent.spawn(remote.callRemote, "hold", 2)
    eventually(lambda: long_waits(geopb_log))

    # Another one, for much longer: both have had time for more lines than one.
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.07):
        remote.callRemote("hold", "never")
    eventually(lambda: len(long_waits(geopb_log)) > 1)
    turns()

    lines = [each.getMessage() for each in long_waits(geopb_log)]
    assert lines == 2 * [
        "a call has waited 0.02 s for room: the peer runs 2 calls of ours "
        "(max_pending_calls), which weigh 0 bytes (max_pending_bytes), 0 bytes are "
        "unsent"
    ]
    assert {each.levelno for each in long_waits(geopb_log)} == {logging.WARNING}
    root.go.set()
    held.append(waiting.get(timeout=5))
    assert pb.gather(held).get(timeout=5) == [0, 1, 2]


def test_calls_that_wait_no_longer_are_not_logged(
    pair: Pair, geopb_log: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was let in, one timed out, one was killed; the last is behind them all."""
    monkeypatch.setattr(gate, "_LONG_WAIT", 0.05)
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    held = [remote.callRemote("hold", "first")]
    let_in = gevent.spawn(remote.callRemote, "hold", "let in")
    killed = gevent.spawn(remote.callRemote, "hold", "killed")
    turns()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        remote.callRemote("hold", "timed out")
    killed.kill(timeout=5)
    root.go.set()
    held.append(let_in.get(timeout=5))
    pb.gather(held).get(timeout=5)
    assert not long_waits(geopb_log)

    root.go.clear()
    held.append(remote.callRemote("hold", "second"))
    last = gevent.spawn(remote.callRemote, "hold", "last")
    eventually(lambda: long_waits(geopb_log))
    turns()

    assert len(long_waits(geopb_log)) == 1
    root.go.set()
    held.append(last.get(timeout=5))
    pb.gather(held).get(timeout=5)
    assert root.started == ["first", "let in", "second", "last"]


# -- bytes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_64_mib_pass_and_more_does_not(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    limit = 64 * 1024 * 1024
    large = bytes(limit - 1000)

    assert remote.callRemote("echo", large).get(timeout=30) == large
    del large
    for size in (limit + 1, limit):
        with pytest.raises(pb.LimitExceeded, match=rf"max_message_size={limit}"):
            remote.callRemote("echo", bytes(size)).get(timeout=30)

    assert remote.callRemote("echo", "alive").get(timeout=5) == "alive"


def test_large_bytes_of_many_calls_at_once_all_arrive(pair: Pair) -> None:
    _, client = pair(Doing(), max_message_size=4 * 1024 * 1024)
    remote = root_of(client)

    promises = [
        remote.callRemote("echo", bytes([number]) * 3_000_000) for number in range(10)
    ]

    for number, promise in enumerate(promises):
        assert promise.get(timeout=20) == bytes([number]) * 3_000_000


def test_small_calls_pass_between_large_bytes(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    large = remote.callRemote("echo", bytes(32 * 1024 * 1024))

    small = remote.callRemote("echo", "small")

    assert small.get(timeout=10) == "small"
    assert not large.ready()
    assert len(large.get(timeout=20)) == 32 * 1024 * 1024


def test_a_caller_waits_while_too_many_bytes_are_unsent(pb_pair: LinkedPair) -> None:
    pair = pb_pair(Doing(), client_options={"max_unsent_bytes": 1_000_000})
    remote = root_of(pair.client)
    connection = client_connection(pair.client)
    promises: list[Any] = []

    def call_on() -> None:
        while len(promises) < 50:
            promise = remote.callRemote("echo", bytes(200_000))
            promises.append(promise)

    pair.link.to_server.stall()
    calling = gevent.spawn(call_on)
    settle()
    sent = len(promises)
    assert 1_000_000 < connection.statistics()["unsent"] <= 1_300_000
    settle()
    assert len(promises) == sent
    pair.link.resume()
    calling.get(timeout=20)

    assert len(pb.gather(promises).get(timeout=20)) == 50


def test_unsent_bytes_at_it_over_it_overridden(pb_pair: LinkedPair) -> None:
    """A call is let through while no more are unsent than may be."""

    def calls_let_through(limit: int) -> tuple[int, int]:
        """Return how many of ten are, and what was unsent behind the third."""
        pair = pb_pair(Doing(), client_options={"max_unsent_bytes": limit})
        remote = root_of(pair.client)
        unsent: list[int] = []

        def call_on() -> None:
            for _ in range(10):
                promises.append(remote.callRemote("echo", "x" * 10_000))
                unsent.append(client_connection(pair.client).statistics()["unsent"])

        promises: list[Any] = []
        pair.link.to_server.stall()
        # What the line takes first is not unsent.
        while not client_connection(pair.client).statistics()["unsent"]:
            promises.append(remote.callRemote("echo", "x" * 10_000))
            settle()
        calling = gevent.spawn(call_on)
        settle()
        found = len(unsent), unsent[2]
        pair.link.resume()
        calling.get(timeout=20)
        pb.gather(promises).get(timeout=20)
        return found

    count, size = calls_let_through(1_000_000)
    assert count == 10

    assert calls_let_through(size) == (4, size)
    assert calls_let_through(size - 1) == (3, size)
    assert calls_let_through(size + 1) == (4, size)


def test_a_caller_may_time_out_while_large_bytes_leave(pb_pair: LinkedPair) -> None:
    """A timeout that strikes while bytes leave never leaves half a message."""
    pair = pb_pair(Doing())
    remote = root_of(pair.client)

    for number in range(10):
        pair.link.to_server.stall()
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
            remote.callRemote("echo", bytes([number]) * 1_000_000).get()
        pair.link.to_server.resume()

    assert remote.callRemote("echo", b"whole" * 100_000).get(timeout=20)
