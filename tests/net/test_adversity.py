"""Facts that once were not so: each was found by trying to break a connection."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb import testing
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually, turns

Pair = Callable[..., tuple[pb.PBServer, pb.PBClientFactory]]


class Two(pb.Referenceable):
    def remote_len(self, value: Any) -> int:
        return len(value)


def test_a_call_made_while_the_line_breaks_ends(
    pb_pair: Callable[..., testing.Pair], geopb_log: Any
) -> None:
    linked = pb_pair(Doing())
    remote = root_of(linked.client)
    linked.link.reset()

    promises: list[Any] = []
    with pytest.raises(pb.DeadReferenceError):
        promises.extend(remote.callRemote("echo", "x" * 300) for _ in range(1000))

    assert promises
    for promise in promises:
        promise.wait(timeout=5)
        assert promise.failed()


def test_one_way_calls_beyond_the_limit_all_run_in_order(pair: Pair) -> None:
    seen: list[int] = []
    _, client = pair(Doing(seen.append), max_pending_calls=4)
    remote = root_of(client)

    for number in range(200):
        remote.callRemoteOnly("do", number)

    assert remote.callRemote("echo", "behind").get(timeout=5) == "behind"
    assert seen == list(range(200))


def test_a_flood_of_one_way_calls_ends_the_connection(
    pair: Pair, geopb_log: Any
) -> None:
    root = Holding()
    _, client = pair(root, server_options={"max_pending_calls": 1})
    remote = root_of(client)

    def flood() -> None:
        for _ in range(10_000):
            remote.callRemoteOnly("hold")
            turns(1)

    with pytest.raises(pb.DeadReferenceError):
        flood()

    assert [each for each in geopb_log if "max_pending_calls=64" in each.getMessage()]
    # What was sent before the end is begun, and stopped where it waits.
    eventually(lambda: len(root.interrupted) == len(root.started) == 65)
    assert not root.finished


def test_a_call_with_bulk_keeps_the_target_that_is_dropped(pair: Pair) -> None:
    _, client = pair(Doing(Two))
    data = b"x" * 1_000_000

    two = root_of(client).callRemote("do").get(timeout=5)
    answer = two.callRemote("len", data)
    del two

    assert answer.get(timeout=5) == 1_000_000


def test_a_call_that_waits_for_room_is_not_overtaken(pair: Pair) -> None:
    _, client = pair(Doing(), max_pending_calls=1)
    remote = root_of(client)
    done: list[int] = []

    def call_on() -> None:
        while len(done) < 500:
            remote.callRemote("echo").get(timeout=5)
            done.append(1)

    greedy = gevent.spawn(call_on)
    turns(2)
    assert remote.callRemote("echo", 2).get(timeout=5) == 2
    assert len(done) < 100
    greedy.get(timeout=10)


def test_many_roots_may_be_asked_for_before_the_connection(pair: Pair) -> None:
    server, _ = pair(Doing(), max_pending_calls=1)
    with pb.PBClientFactory() as client:
        promises = [client.getRootObject() for _ in range(100)]
        client.connect(server.address)

        roots = pb.gather(promises).get(timeout=5)

        assert len(set(map(id, roots))) == 1


@pytest.mark.parametrize("value", ["x" * 1_000_000, ["abc"] * 400_000, b"x" * 200_000])
def test_the_message_size_bounds_every_kind_of_value(pair: Pair, value: Any) -> None:
    _, client = pair(Doing(), server_options={"max_message_size": 100_000})
    remote = root_of(client)

    with pytest.raises(pb.LimitExceeded, match="100000"):
        remote.callRemote("echo", value).get(timeout=5)

    assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_timeout_in_a_disconnect_callback_does_not_silence_the_next(
    pair: Pair,
) -> None:
    _, client = pair(Doing())
    remote = root_of(client)
    told: list[Any] = []

    def raise_timeout(reference: Any) -> None:
        raise gevent.Timeout(1)

    remote.notifyOnDisconnect(raise_timeout)
    remote.notifyOnDisconnect(told.append)
    client.disconnect()

    eventually(lambda: told == [remote])


def test_a_handler_may_return_a_gather_that_has_ended() -> None:
    promise: pb.Promise[int] = pb.Promise()
    gathered = pb.gather([promise])
    promise.set(1)
    assert gathered.get(timeout=5) == [1]

    assert promise.addCallback(lambda _: gathered).get(timeout=5) == [1]


def test_a_get_that_raises_leaves_no_cycle() -> None:
    class Big:
        pass

    def look(big: Big) -> None:
        with pytest.raises(ValueError, match="1"):
            promise.get()

    promise = pb.fail(ValueError(1))
    big = Big()
    kept = weakref.ref(big)
    gc.disable()
    try:
        look(big)
        del big
        assert kept() is None
    finally:
        gc.enable()


def test_a_disconnect_is_quiet_through_chains_and_gathers(
    pair: Pair, geopb_log: Any
) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    remote.callRemote("hold").addCallback(str)
    pb.gather([remote.callRemote("hold")])
    eventually(lambda: len(root.started) == 2)

    client.disconnect()
    gc.collect()
    turns()

    assert not [each for each in geopb_log if "Unhandled" in each.getMessage()]
    eventually(lambda: len(root.interrupted) == 2)


def test_a_failed_connect_fails_later_questions_with_the_same_error() -> None:
    client = pb.PBClientFactory()
    client.connect("127.0.0.1:1")
    with pytest.raises(ConnectionRefusedError):
        client.getRootObject().get(timeout=5)

    with pytest.raises(ConnectionRefusedError):
        client.getRootObject().get(timeout=5)


def test_a_calls_promise_cannot_be_set_by_hand(pair: Pair) -> None:
    _, client = pair(Doing())
    promise = root_of(client).callRemote("echo", "answer")

    with pytest.raises(RuntimeError, match="set already"):
        promise.set("mine")

    assert promise.get(timeout=5) == "answer"


def test_a_remote_method_takes_any_keyword(pair: Pair) -> None:
    class AnyKeyword(pb.Root):
        def remote_take(self, /, **keywords: Any) -> Any:
            return keywords

    _, client = pair(AnyKeyword())

    call = root_of(client).remoteMethod("take")

    assert call(self=1, method=2).get(timeout=5) == {"self": 1, "method": 2}


def test_a_copy_of_a_reference_is_the_reference(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    assert copy.copy(remote) is remote
    assert copy.deepcopy([remote])[0] is remote


def test_an_attribute_of_the_greenlet_is_not_seen_by_the_next_call(pair: Pair) -> None:
    def mark(value: str) -> Any:
        current: Any = gevent.getcurrent()
        before = getattr(current, "user", None)
        current.user = value
        return before

    _, client = pair(Doing(mark))
    remote = root_of(client)

    assert remote.callRemote("do", "one").get(timeout=5) is None
    assert remote.callRemote("do", "two").get(timeout=5) is None


def test_a_log_line_of_a_failure_cannot_be_forged(pair: Pair, geopb_log: Any) -> None:
    def fail() -> None:
        raise pb.Error("text\n2026 CRITICAL forged\x1b[31m")

    _, client = pair(Doing(fail))
    promise = root_of(client).callRemote("do")
    promise.wait(timeout=5)
    del promise
    gc.collect()
    eventually(lambda: geopb_log)

    (record,) = geopb_log
    assert not [
        line for line in record.getMessage().splitlines() if line.startswith("2026")
    ]
    assert "\x1b" not in record.getMessage()


def test_the_record_of_a_promise_that_failed_shows_where(
    pair: Pair, geopb_log: Any
) -> None:
    def inner(_: Any) -> None:
        raise ValueError("why")

    _, client = pair(Doing(lambda: pb.succeed(1).addCallback(inner)))
    with pytest.raises(ValueError, match="why"):
        root_of(client).callRemote("do").get(timeout=5)

    eventually(lambda: geopb_log)
    assert "in inner" in geopb_log[0].getMessage()


def test_a_method_that_stops_its_server_may_answer_later(pair: Pair) -> None:
    def stop() -> Any:
        answer: pb.Promise[str] = pb.Promise()
        server.stop()
        gevent.spawn(answer.set, "late")
        return answer

    server, client = pair(Doing(stop))

    assert root_of(client).callRemote("do").get(timeout=5) == "late"


def test_one_way_calls_that_wait_for_bytes_are_let_in_by_a_send(pair: Pair) -> None:
    """Nothing is received meanwhile that could let them in."""
    seen: list[bytes] = []
    _, client = pair(Doing(seen.append), client_options={"max_unsent_bytes": 100})
    remote = root_of(client)

    def send() -> None:
        for _ in range(20):
            remote.callRemoteOnly("do", b"x" * 300)

    gevent.joinall([gevent.spawn(send) for _ in range(3)], timeout=5)

    eventually(lambda: len(seen) == 60)
