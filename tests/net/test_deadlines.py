"""Deadlines: `RemoteReference.options`, `geopb.deadline`, and what travels of them."""

from __future__ import annotations

from decimal import Decimal
from time import monotonic, sleep
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.promise.deadline import until
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import (
    assert_released,
    client_connection,
    collect,
    eventually,
    server_connection,
    turns,
)
from tests.vectors.cbor import frame

#: Seconds after which a test's call is late; and far more than any of them takes.
SHORT, LONG = 0.03, 60.0


def left() -> float | None:
    """Return what is left of the deadline of the running call."""
    when = until.get()
    return None if when is None else when - monotonic()


class Slow(pb.Copyable, pb.RemoteCopy):
    """Packed, and taken, as slowly as the test says."""

    packing = taking = 0.0

    def getStateToCopy(self) -> dict[str, Any]:
        gevent.sleep(self.packing)
        return {}

    def setCopyableState(self, state: Any) -> None:
        gevent.sleep(self.taking)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the class; what a test sets on it is undone."""
    monkeypatch.setattr(Slow, "packing", 0.0)
    monkeypatch.setattr(Slow, "taking", 0.0)
    return Slow


@pytest.fixture
def registry() -> pb.ClassRegistry:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Slow, Slow)
    return registry


def test_a_call_past_its_timeout_fails_and_its_method_is_interrupted(
    pair: Pair,
) -> None:
    root = Holding()
    server, client = pair(root)
    remote = root_of(client)
    begun = monotonic()

    with pytest.raises(pb.DeadlineExceeded) as caught:
        remote.options(timeout=SHORT).callRemote("hold", 1).get(timeout=5)

    assert SHORT * 0.9 < monotonic() - begun < 1
    assert isinstance(caught.value, TimeoutError)
    eventually(lambda: root.interrupted)
    ((what, error),) = root.interrupted
    assert what == 1
    # Whoever's timer is first: it is the deadline that has struck.
    assert type(error) is pb.DeadlineExceeded
    eventually(lambda: not server_connection(server).service.running)


def test_the_method_always_sees_the_deadline_and_never_a_cancel(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    promises = [
        remote.options(timeout=SHORT + n / 1000).callRemote("hold", n)
        for n in range(50)
    ]
    for promise in promises:
        with pytest.raises(pb.DeadlineExceeded):
            promise.get(timeout=5)

    eventually(lambda: len(root.interrupted) == 50)
    assert {type(error) for _, error in root.interrupted} == {pb.DeadlineExceeded}


def test_calls_in_a_deadline_block_have_it(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)

    with pb.deadline(SHORT):
        promises = [remote.callRemote("hold", n) for n in range(3)]
    outside = remote.callRemote("hold", "outside")

    for promise in promises:
        with pytest.raises(pb.DeadlineExceeded):
            promise.get(timeout=5)
    eventually(lambda: len(root.interrupted) == 3)
    assert not outside.ready()
    root.go.set()
    assert outside.get(timeout=5) == "outside"


def test_the_end_of_the_block_does_not_end_the_calls(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)

    with pb.deadline(LONG):
        promise = remote.callRemote("hold", 1)
    root.go.set()

    assert promise.get(timeout=5) == 1


def test_the_remaining_time_travels_with_the_call(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)

    with pb.deadline(LONG):
        assert LONG - 5 < remote.callRemote("do").get(timeout=5) <= LONG
    assert LONG - 5 < remote.options(timeout=LONG).callRemote("do").get() <= LONG
    assert remote.callRemote("do").get(timeout=5) is None


def test_nested_calls_inherit_what_is_left(serve: Serve, pair: Pair) -> None:
    behind = serve(Doing(left))
    with pb.connect(behind.address) as inner:
        further = root_of(inner)

        def forward() -> Any:
            return further.callRemote("do").get(timeout=5)

        _, client = pair(Doing(forward))
        remote = root_of(client)

        got = remote.options(timeout=LONG).callRemote("do").get(timeout=5)

        assert LONG - 5 < got <= LONG
        assert remote.callRemote("do").get(timeout=5) is None


@pytest.mark.slow
def test_a_deadline_reaches_the_last_of_a_chain_of_servers(
    serve: Serve, pair: Pair
) -> None:
    last = Holding()
    behind = serve(last)
    with pb.connect(behind.address) as inner:
        further = root_of(inner)
        _, client = pair(Doing(lambda: further.callRemote("hold").get()))

        # Time enough to get there on a machine under load.
        with pytest.raises(pb.DeadlineExceeded):
            root_of(client).options(timeout=0.4).callRemote("do").get(timeout=5)

        eventually(lambda: last.interrupted)
        assert type(last.interrupted[0][1]) is pb.DeadlineExceeded


def test_of_nested_deadlines_the_earliest_counts() -> None:
    with pb.deadline(LONG), pb.deadline(2 * LONG):
        inner = left()
        assert inner is not None
        assert inner <= LONG
    with pb.deadline(2 * LONG), pb.deadline(LONG):
        inner = left()
        assert inner is not None
        assert inner <= LONG
    assert left() is None


def test_a_timeout_does_not_outlast_the_block_it_is_in(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)

    with pb.deadline(LONG):
        assert remote.options(timeout=2 * LONG).callRemote("do").get() <= LONG
        assert remote.options(timeout=LONG / 2).callRemote("do").get() <= LONG / 2
        assert LONG / 2 < remote.options(timeout=None).callRemote("do").get() <= LONG


def test_a_greenlet_spawned_inside_has_none(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)

    with pb.deadline(LONG):
        spawned = gevent.spawn(lambda: remote.callRemote("do").get(timeout=5))

        assert spawned.get(timeout=5) is None


def test_handlers_have_the_deadline_of_who_added_them(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)
    promise = remote.callRemote("echo", 1)

    with pb.deadline(LONG):
        promise.addCallback(lambda _: remote.callRemote("do"))

    assert 0 < promise.get(timeout=5) <= LONG


def test_a_call_on_a_result_has_the_deadline_of_where_it_was_made(pair: Pair) -> None:
    root = Doing()
    root.do = lambda what: root if what == "root" else left()
    _, client = pair(root)
    base = root_of(client).callRemote("do", "root")

    with pb.deadline(LONG):
        promise = base.callRemote("do", "left")

    assert 0 < promise.get(timeout=5) <= LONG


def test_an_exception_leaves_the_block_and_its_deadline() -> None:
    with pytest.raises(KeyError), pb.deadline(LONG):
        raise KeyError

    assert left() is None


def test_a_call_without_a_deadline_has_no_default_one(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    promise = root_of(client).callRemote("hold", 1)

    with pytest.raises(pb.Timeout):
        promise.get(timeout=SHORT)

    # It stopped waiting and nothing else.
    assert not root.interrupted
    root.go.set()
    assert promise.get(timeout=5) == 1


def test_a_deadline_that_has_passed_sends_nothing(pair: Pair) -> None:
    done: list[Any] = []
    _, client = pair(Doing(done.append))
    remote = root_of(client)
    asked = client_connection(client).broker.questions.last

    for seconds in (0, -1, -0.0, -1e300):
        with pytest.raises(pb.DeadlineExceeded):
            remote.options(timeout=seconds).callRemote("do", 1).get(timeout=5)
        with pb.deadline(seconds), pytest.raises(pb.DeadlineExceeded):
            remote.callRemote("do", 1).get(timeout=5)
        with pytest.raises(pb.DeadlineExceeded):
            remote.options(timeout=seconds).callRemoteOnly("do", 1)

    assert client_connection(client).broker.questions.last == asked
    assert not done


@pytest.mark.parametrize(
    "seconds", [float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)]
)
def test_no_finite_number_of_seconds_is_refused(pair: Pair, seconds: float) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    with pytest.raises(ValueError, match="seconds are no deadline"):
        remote.options(timeout=seconds)
    with (
        pytest.raises(ValueError, match="seconds are no deadline"),
        pb.deadline(seconds),
    ):
        pass


@pytest.mark.parametrize("seconds", ["1", True, Decimal(1), 1j, [1]])
def test_what_is_no_number_is_refused(pair: Pair, seconds: Any) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    with pytest.raises(TypeError, match="expected seconds"):
        remote.options(timeout=seconds)
    with pytest.raises(TypeError, match="expected seconds"), pb.deadline(seconds):
        pass


@pytest.mark.parametrize("seconds", [999_999_999, 1e9, 1e12, 1e300, 10**18])
def test_seconds_beyond_a_life_are_no_obstacle(pair: Pair, seconds: float) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    with pb.deadline(seconds):
        assert remote.callRemote("echo", 1).get(timeout=5) == 1
    assert remote.options(timeout=seconds).callRemote("echo", 2).get(timeout=5) == 2


def test_time_that_was_computed_before_the_call_does_not_count(pair: Pair) -> None:
    """The loop's own clock stands still while a greenlet computes."""
    _, client = pair(Doing())
    remote = root_of(client)
    turns()

    sleep(0.3)
    promise = remote.options(timeout=0.2).callRemote("echo", 1)

    assert promise.get(timeout=5) == 1


def test_options_give_the_same_reference(pair: Pair) -> None:
    seen: list[Any] = []
    root = Doing(seen.append)
    _, client = pair(root)
    remote = root_of(client)
    timed = remote.options(timeout=LONG)

    assert timed == remote
    assert remote == timed
    assert hash(timed) == hash(remote)
    assert len({timed, remote, timed.options(timeout=1)}) == 1
    # And it comes home as the original.
    remote.callRemote("do", timed).get(timeout=5)
    assert seen == [root]
    assert seen[0] is root


def test_options_alone_hold_the_reference(pair: Pair) -> None:
    server, client = pair(Doing())
    timed = root_of(client).options(timeout=LONG)
    collect()

    assert timed.callRemote("echo", 1).get(timeout=5) == 1
    assert server_connection(server).statistics()["exports"] == 1

    del timed
    assert_released([server_connection(server), client_connection(client)])


def test_options_of_options_are_the_last(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)

    timed = remote.options(timeout=SHORT).options(timeout=LONG)

    assert SHORT < timed.callRemote("do").get(timeout=5) <= LONG
    assert timed.options(timeout=None).callRemote("do").get(timeout=5) is None


def test_a_method_of_a_timed_reference_has_the_timeout(pair: Pair) -> None:
    _, client = pair(Doing(left))
    remote = root_of(client)

    do = remote.options(timeout=LONG).remoteMethod("do")

    assert 0 < do().get(timeout=5) <= LONG


def test_a_one_way_call_is_interrupted_too(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)

    root_of(client).options(timeout=SHORT).callRemoteOnly("hold", 1)

    eventually(lambda: root.interrupted)
    assert type(root.interrupted[0][1]) is pb.DeadlineExceeded


def test_a_deadline_that_passes_while_waiting_for_room(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    first = remote.callRemote("hold", 1)

    begun = monotonic()
    late = remote.options(timeout=SHORT).callRemote("hold", 2)
    with pytest.raises(pb.DeadlineExceeded):
        late.get(timeout=5)
    assert monotonic() - begun < 1
    with pytest.raises(pb.DeadlineExceeded), pb.deadline(SHORT):
        remote.callRemoteOnly("hold", 3)

    root.go.set()
    assert first.get(timeout=5) == 1
    assert remote.callRemote("hold", 4).get(timeout=5) == 4
    assert root.started == [1, 4]


def test_waiting_for_room_counts_against_the_deadline(pair: Pair) -> None:
    root = Holding()
    root_left: list[float | None] = []

    class Root(Holding):
        def remote_left(self) -> None:
            root_left.append(left())

    root = Root()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    first = remote.callRemote("hold", 1)
    gevent.spawn_later(0.1, root.go.set)

    remote.options(timeout=LONG).callRemote("left").get(timeout=5)

    assert first.get(timeout=5) == 1
    (got,) = root_left
    assert got is not None
    assert got < LONG - 0.09


def test_a_gevent_timeout_ends_the_wait_for_room_with_nothing_sent(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_calls=1)
    remote = root_of(client)
    first = remote.callRemote("hold", 1)
    asked = client_connection(client).broker.questions.last

    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(SHORT):
        remote.options(timeout=LONG).callRemote("hold", 2)

    assert not isinstance(caught.value, pb.Timeout)
    assert client_connection(client).broker.questions.last == asked
    root.go.set()
    first.get(timeout=5)


def test_a_deadline_that_passes_while_arguments_are_packed(
    pair: Pair, slow: Any, registry: pb.ClassRegistry
) -> None:
    slow.packing = 0.2
    _, client = pair(Doing(lambda _: None), registry=registry)
    remote = root_of(client)

    promise = remote.options(timeout=0.05).callRemote("do", Slow())

    # Not as many seconds once more.
    begun = monotonic()
    with pytest.raises(pb.DeadlineExceeded):
        promise.get(timeout=5)
    assert monotonic() - begun < 0.04


def test_a_deadline_that_passes_while_the_callee_takes_the_arguments(
    pair: Pair, slow: Any, registry: pb.ClassRegistry
) -> None:
    slow.taking = LONG
    done: list[Any] = []
    server, client = pair(Doing(done.append), registry=registry)

    with pytest.raises(pb.DeadlineExceeded):
        root_of(client).options(timeout=SHORT).callRemote("do", Slow()).get(timeout=5)

    eventually(lambda: not server_connection(server).service.running)
    assert not done


def test_a_deadline_that_passes_while_the_answer_is_taken(
    pair: Pair, slow: Any, registry: pb.ClassRegistry
) -> None:
    slow.taking = 0.2
    _, client = pair(Doing(Slow), registry=registry)
    promise = root_of(client).options(timeout=0.05).callRemote("do")

    begun = monotonic()
    with pytest.raises(pb.DeadlineExceeded):
        promise.get(timeout=5)
    assert monotonic() - begun < 0.15
    gevent.sleep(0.2)
    with pytest.raises(pb.DeadlineExceeded):
        promise.get(block=False)


def test_a_deadline_that_passes_while_the_answer_waits_for_bytes(serve: Serve) -> None:
    """The method has ended; the worker that answers is not interrupted."""
    server = serve(Doing(lambda: "x" * 200_000), max_unsent_bytes=50_000)
    with Peer(server) as peer:
        options = {"timeout": SHORT}
        for number in range(2, 30):
            peer.send(frame([messages.CALL, number, 1, "do", [], {}, options]))
        eventually(lambda: peer.connection._gate.waited_for)
        gevent.sleep(3 * SHORT)

        for number in range(2, 30):
            answer = peer.read_answer(number)
            assert answer[0] == messages.ANSWER or answer[2] == "geopb.DeadlineExceeded"
        peer.call(50, "echo", 1)
        assert peer.read_answer(50) == [messages.ANSWER, 50, [1]]


def test_a_method_that_swallows_the_deadline_does_not_hang_the_caller(
    pair: Pair,
) -> None:
    go, ended = Event(), Event()

    def stubborn() -> str:
        try:
            Event().wait()
        except pb.DeadlineExceeded:
            go.wait()
        ended.set()
        return "late"

    _, client = pair(Doing(stubborn))
    promise = root_of(client).options(timeout=SHORT).callRemote("do")

    with pytest.raises(pb.DeadlineExceeded):
        promise.get(timeout=5)
    go.set()
    assert ended.wait(5)


def test_a_method_that_computes_past_its_deadline_has_failed(pair: Pair) -> None:
    """It cannot be interrupted where it does not block; its result is late."""
    _, client = pair(Doing(lambda: sleep(0.1)))

    with pytest.raises(pb.DeadlineExceeded):
        root_of(client).options(timeout=SHORT).callRemote("do").get(timeout=5)


def test_the_timer_is_stopped_when_the_answer_is_there(pair: Pair) -> None:
    _, client = pair(Doing())
    promise: Any = root_of(client).options(timeout=LONG).callRemote("echo", 1)

    promise.get(timeout=5)

    assert promise._timer is None


def test_a_method_may_not_claim_the_callers_deadline(pair: Pair) -> None:
    """What it raises about its own peers is a remote error to one without one."""

    def work() -> None:
        raise pb.DeadlineExceeded("of mine")

    _, client = pair(Doing(work))

    with pytest.raises(pb.RemoteError) as caught:
        root_of(client).callRemote("do").get(timeout=5)
    assert caught.value.remote_type == "geopb.DeadlineExceeded"
    assert not isinstance(caught.value, pb.DeadlineExceeded)


def test_nothing_is_logged_of_a_call_that_was_late(pair: Pair, geopb_log: Any) -> None:
    root = Holding()
    server, client = pair(root)

    with pytest.raises(pb.DeadlineExceeded):
        root_of(client).options(timeout=SHORT).callRemote("hold").get(timeout=5)

    eventually(lambda: not server_connection(server).service.running)
    assert not geopb_log


@pytest.mark.parametrize(
    "timeout",
    [float("nan"), float("inf"), -float("inf"), 1e9, 2**63, -(2**64), "1", True, [1]],
)
def test_a_peer_with_a_timeout_that_is_none_is_ended(
    serve: Serve, timeout: Any
) -> None:
    done: list[Any] = []
    server = serve(Doing(done.append))
    with Peer(server) as peer:
        peer.send(frame([messages.CALL, 2, 1, "do", [1], {}, {"timeout": timeout}]))

        eventually(lambda: not server.connections)
    assert not done


@pytest.mark.parametrize("timeout", [0, -1, -1e8, 0.0, 5e-324])
def test_a_peer_with_a_timeout_in_the_past_is_told_so(
    serve: Serve, timeout: float
) -> None:
    root = Holding()
    server = serve(root)
    with Peer(server) as peer:
        peer.send(frame([messages.CALL, 2, 1, "hold", [1], {}, {"timeout": timeout}]))

        assert peer.read_answer(2)[2] == "geopb.DeadlineExceeded"


def test_a_peers_null_timeout_is_none(serve: Serve) -> None:
    server = serve(Doing(left))
    with Peer(server) as peer:
        peer.send(frame([messages.CALL, 2, 1, "do", [], {}, {"timeout": None}]))

        assert peer.read_answer(2) == [messages.ANSWER, 2, [None]]


def test_none_gives_no_deadline_and_keeps_the_one_that_counts(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    with pb.deadline(SHORT), pb.deadline(None):
        ends = remote.callRemote("hold")
    with pb.deadline(None):
        goes_on = remote.callRemote("hold")

    with pytest.raises(pb.DeadlineExceeded):
        ends.get(timeout=5)
    root.go.set()
    assert goes_on.get(timeout=5) is None
