from __future__ import annotations

import array
from collections.abc import Callable
from time import thread_time
from typing import Any

import gevent
import numpy as np
import pytest

import geopb as pb
from geopb.jelly import tags
from geopb.wire import messages
from tests.net.peers import Peer
from tests.net.roots import Doing, root_of
from tests.support import eventually
from tests.timing import seconds
from tests.vectors.cbor import Tag, frame

Pair = Callable[..., tuple[pb.PBServer, pb.PBClientFactory]]
CLASSES = (np.ndarray, array.array, memoryview)
MEBI = 1 << 20


def registered(*classes: type) -> pb.ClassRegistry:
    made = pb.ClassRegistry()
    for cls in classes:
        made.setUnjellyableForClass(cls, cls)
    return made


@pytest.fixture
def remote(pair: Pair) -> Any:
    """A root that echoes, over a connection whose both sides take arrays."""
    _, client = pair(Doing(), registry=registered(*CLASSES))
    return root_of(client)


def test_arrays_arrive_both_ways(remote: Any) -> None:
    sent = np.arange(6, dtype=">f4").reshape(2, 3)
    values = [sent, array.array("d", [1.5]), memoryview(b"abc"), np.array(True)]

    arrived = remote.callRemote("echo", values).get(timeout=5)

    assert list(map(type, arrived)) == list(map(type, values))
    assert arrived[0].dtype == sent.dtype
    assert np.array_equal(arrived[0], sent)
    assert arrived[1:] == values[1:]


def test_a_large_array_arrives_both_ways_as_one_object(remote: Any) -> None:
    sent = np.arange(MEBI, dtype="f8").reshape(1024, -1)

    one, (other,) = remote.callRemote("echo", [sent, (sent,)]).get(timeout=5)

    assert one is other
    assert np.array_equal(one, sent)
    assert one.flags.writeable


def test_arrays_of_a_peer_may_be_changed(pair: Pair) -> None:
    def double(value: Any) -> Any:
        value *= 2
        return value

    _, client = pair(Doing(double), registry=registered(np.ndarray))
    remote = root_of(client)

    for count in (3, MEBI):
        arrived = remote.callRemote("do", np.ones(count)).get(timeout=5)
        assert (arrived == 2).all()


def test_what_the_caller_changes_while_it_is_sent_does_not_arrive(remote: Any) -> None:
    sent = np.zeros(MEBI)
    promise = remote.callRemote("echo", sent)
    sent[:] = 1

    assert not promise.get(timeout=5).any()


def test_arrays_stand_in_copies_and_keyword_arguments(pair: Pair) -> None:
    class Sample(pb.Copyable, pb.RemoteCopy):
        def __init__(self, values: Any) -> None:
            self.values = values

    known = registered(np.ndarray)
    known.setUnjellyableForClass(Sample, Sample)
    _, client = pair(Doing(lambda sample, weights: [sample, weights]), registry=known)
    values, weights = np.arange(10_000), np.arange(3)

    sample, again = (
        root_of(client).callRemote("do", Sample(values), weights=weights).get(timeout=5)
    )

    assert np.array_equal(sample.values, values)
    assert np.array_equal(again, weights)


@pytest.mark.parametrize("count", [3, MEBI])
def test_what_the_server_has_not_registered_fails_that_call(
    pair: Pair, count: int
) -> None:
    _, client = pair(Doing(), client_options={"registry": registered(np.ndarray)})
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match=r"not registered here: setUnjellyable"):
        remote.callRemote("echo", np.ones(count)).get(timeout=5)
    assert remote.callRemote("echo", 1).get(timeout=5) == 1


@pytest.mark.parametrize("count", [3, MEBI])
def test_what_the_client_has_not_registered_fails_that_answer(
    pair: Pair, count: int
) -> None:
    _, client = pair(
        Doing(lambda: np.ones(count)),
        server_options={"registry": registered(np.ndarray)},
    )
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match=r"not registered here: setUnjellyable"):
        remote.callRemote("do").get(timeout=5)
    assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_what_no_one_has_registered_is_refused_before_it_is_sent(pair: Pair) -> None:
    _, client = pair(Doing())

    promise = root_of(client).callRemote("echo", np.ones(3))

    with pytest.raises(pb.InsecureJelly, match=r"\(numpy\.ndarray, numpy\.ndarray\)"):
        promise.get(timeout=5)


def test_a_result_that_may_not_cross_fails_that_call(pair: Pair) -> None:
    known = registered(np.ndarray)
    _, client = pair(Doing(lambda: np.array([object()])), registry=known)

    with pytest.raises(pb.InsecureJelly, match="dtype object"):
        root_of(client).callRemote("do").get(timeout=5)


def test_an_array_larger_than_a_message_is_refused_at_the_sender(pair: Pair) -> None:
    _, client = pair(
        Doing(),
        registry=registered(np.ndarray),
        server_options={"max_message_size": MEBI},
    )
    remote = root_of(client)

    with pytest.raises(pb.LimitExceeded, match="max_message_size=1048576"):
        remote.callRemote("echo", np.zeros(MEBI + 1, "u1")).get(timeout=5)
    assert remote.callRemote("echo", np.zeros(3)).get(timeout=5).size == 3


HOSTILE = [
    Tag(tags.ARRAY, [[2**40], Tag(tags.UINT8, b"a")]),
    Tag(tags.ARRAY, [[-1], Tag(tags.UINT8, b"a")]),
    Tag(tags.ARRAY, [[1] * 33, Tag(tags.UINT8, b"a")]),
    Tag(tags.ARRAY, [[2**62] * 32, Tag(tags.UINT8, b"a")]),
    Tag(tags.ARRAY, [[1], Tag(tags.FLOAT64_LE, b"abc")]),
    Tag(tags.ARRAY, [[1], Tag(tags.BOOLS, Tag(tags.UINT8, b"\2"))]),
    Tag(tags.ARRAY, [[1], b"a"]),
    Tag(tags.MEMORYVIEW, [[0, 0], Tag(tags.UINT8, b"")]),
    Tag(tags.BOOLS, Tag(tags.UINT8, b"\1")),
    Tag(tags.SET, [Tag(tags.MEMORYVIEW, [[1], Tag(tags.UINT8, b"a")])]),
    Tag(tags.SET, [Tag(tags.ARRAY, [[1], Tag(tags.UINT8, b"a")])]),
    Tag(tags.UINT8, "a"),
    Tag(87, bytes(16)),
]


def test_hostile_arrays_fail_their_call_and_nothing_else(
    serve: Callable[..., pb.PBServer], geopb_log: Any
) -> None:
    server = serve(Doing(), registry=registered(*CLASSES))
    with Peer(server) as peer:
        for number, value in enumerate(HOSTILE, 10):
            peer.call(number, "echo", value)
            answer = peer.read_answer(number)
            assert answer[:3] == [messages.ERROR, number, "geopb.InsecureJelly"], value

        peer.call(99, "echo", 1)
        assert peer.read_answer(99)[2] == [1]


def test_bulk_for_a_shape_that_does_not_fit_is_thrown_away(
    serve: Callable[..., pb.PBServer], geopb_log: Any
) -> None:
    server = serve(Doing(), registry=registered(*CLASSES))
    announced = Tag(tags.BULK, [1, 4, tags.BULK_BYTEARRAY])
    with Peer(server) as peer:
        peer.call(10, "echo", Tag(tags.ARRAY, [[2**40], Tag(tags.UINT8, announced)]))
        assert peer.read_answer(10)[2] == "geopb.InsecureJelly"
        assert peer.connection.broker.statistics()["bulk_in"] == 1

        peer.send(frame([messages.CHUNK, 1, b"abcd"]))
        eventually(lambda: peer.connection.broker.statistics()["bulk_in"] == 0)
        peer.call(11, "echo", 1)
        assert peer.read_answer(11)[2] == [1]


@pytest.mark.slow
def test_eight_mebibytes_cost_no_step_an_element(remote: Any) -> None:
    """Both ways, both ends in this thread: two million steps would take 100 ms."""
    sent = np.arange(MEBI, dtype="f8")
    best = 9.0
    for _ in range(4):
        begun = thread_time()
        arrived = remote.callRemote("echo", sent).get(timeout=10)
        best = min(best, thread_time() - begun)
        gevent.sleep(0)

    assert np.array_equal(arrived, sent)
    assert best < seconds(0.06)
