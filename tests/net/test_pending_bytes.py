"""What the calls of a peer may weigh that are not answered: ``max_pending_bytes``.

At it, over it, overridden; on both sides of a connection.
"""

from __future__ import annotations

from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.limits import LIGHT_STRUCTURE, STRUCTURE_WEIGHT
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Holding, root_of
from tests.support import SOON, client_connection, eventually, server_connection, turns
from tests.vectors.cbor import frame

KIBI = 1024
#: Bytes that travel as bulk, and so weigh about as much as they are.
BULK = 100 * KIBI
#: What two of these do not reach, and three do.
LIMIT = 250 * KIBI


class Keeping(Holding):
    """Tells how many calls run at a time."""

    most = 0

    def remote_hold(self, what: Any = None) -> Any:
        self.most = max(self.most, 1 + len(self.started) - len(self.finished))
        return super().remote_hold(what)

    def remote_size(self, what: Any) -> int:
        return len(what)


def load(server: pb.PBServer) -> int:
    """Return what the calls of a server's one peer weigh."""
    return server_connection(server).service.load.weight


def weight(client: pb.PBClientFactory) -> int:
    """Return what the calls of a client weigh."""
    return client_connection(client).broker.questions.weight


def test_calls_wait_while_others_weigh_as_much_as_the_limit(pair: Pair) -> None:
    root = Keeping()
    server, client = pair(root, server_options={"max_pending_bytes": LIMIT})
    remote = root_of(client)
    held = [remote.callRemote("hold", b"x" * BULK) for _ in range(3)]
    eventually(lambda: len(root.started) == 3)
    assert LIMIT < weight(client) < LIMIT + BULK
    # It is counted in bytes of structure here.
    assert 0 <= weight(client) - load(server) < 3 * STRUCTURE_WEIGHT

    waiting = gevent.spawn(lambda: remote.callRemote("hold", b"y" * BULK))
    turns()
    assert len(root.started) == 3
    # A light one passes: nobody waits for news of what is heavy.
    assert remote.callRemote("echo", "how far?").get(timeout=SOON) == "how far?"
    assert not waiting.ready()

    root.go.set()
    assert waiting.get(timeout=SOON).get(timeout=SOON) == b"y" * BULK
    pb.gather(held).get(timeout=SOON)
    assert (weight(client), load(server)) == (0, 0)


def test_the_bytes_of_the_structure_weigh_more(pair: Pair) -> None:
    root = Keeping()
    limit = 10 * KIBI * STRUCTURE_WEIGHT
    _, client = pair(root, server_options={"max_pending_bytes": limit})
    remote = root_of(client)
    values = list(range(256, 256 + 11 * KIBI // 3))

    held = remote.callRemote("hold", values)
    waiting = gevent.spawn(remote.callRemote, "hold", values)
    eventually(lambda: root.started)
    turns()

    assert len(root.started) == 1
    assert limit < weight(client) < limit * 1.2
    root.go.set()
    assert waiting.get(timeout=SOON).get(timeout=SOON) == values
    assert held.get(timeout=SOON) == values


def test_it_can_be_overridden(pair: Pair) -> None:
    root = Keeping()
    _, client = pair(root, server_options={"max_pending_bytes": LIMIT + BULK})
    remote = root_of(client)

    held = [remote.callRemote("hold", b"x" * BULK) for _ in range(4)]
    eventually(lambda: len(root.started) == 4)
    waiting = gevent.spawn(remote.callRemote, "hold", b"x" * BULK)
    turns()

    assert len(root.started) == 4
    root.go.set()
    held.append(waiting.get(timeout=SOON))
    pb.gather(held).get(timeout=SOON)


def test_one_call_alone_passes_whatever_it_weighs(pair: Pair) -> None:
    _, client = pair(Keeping(), server_options={"max_pending_bytes": 16 * KIBI})
    remote = root_of(client)

    for size in (KIBI * KIBI, 30 * KIBI, KIBI * KIBI):
        assert remote.callRemote("size", b"x" * size).get(timeout=SOON) == size


def test_those_that_wait_are_let_in_one_by_one_and_in_order(pair: Pair) -> None:
    """Each is weighed before the next: so many let in at once would be refused."""
    root = Keeping()
    root.go.set()
    _, client = pair(root, server_options={"max_pending_bytes": LIMIT})
    remote = root_of(client)

    def call(number: int) -> Any:
        return remote.callRemote("hold", bytes([number]) * BULK).get(timeout=SOON)

    running = [gevent.spawn(call, number) for number in range(40)]
    gevent.joinall(running, timeout=SOON, raise_error=True)

    assert [each.value[0] for each in running] == list(range(40))
    assert [each[0] for each in root.started] == list(range(40))
    assert root.most <= 3
    assert weight(client) == 0


def test_what_ends_a_call_ends_its_weight(pair: Pair) -> None:
    """A failure, a refusal, a cancelled call: each lets the next one in."""
    root = Keeping()
    server, client = pair(root, server_options={"max_pending_bytes": 16 * KIBI})
    remote = root_of(client)

    with pytest.raises(pb.NoSuchMethod):
        remote.callRemote("none", b"x" * BULK).get(timeout=SOON)
    assert weight(client) == 0
    held = remote.callRemote("hold", b"x" * BULK)
    eventually(lambda: root.started)
    held.cancel()
    assert remote.callRemote("size", b"x" * BULK).get(timeout=SOON) == BULK
    with pytest.raises(pb.Cancelled):
        held.get(timeout=SOON)
    eventually(lambda: (weight(client), load(server)) == (0, 0))


def test_a_timeout_ends_the_waiting_with_nothing_sent(pair: Pair) -> None:
    root = Keeping()
    _, client = pair(root, server_options={"max_pending_bytes": 16 * KIBI})
    remote = root_of(client)
    held = remote.callRemote("hold", b"x" * BULK)
    eventually(lambda: root.started)

    with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
        remote.callRemote("hold", b"y" * BULK)
    with pytest.raises(pb.DeadlineExceeded):
        remote.options(timeout=0.02).callRemote("hold", b"z" * BULK).get(timeout=SOON)
    root.go.set()

    assert held.get(timeout=SOON) == b"x" * BULK
    assert remote.callRemote("size", b"last" * BULK).get(timeout=SOON) == 4 * BULK
    assert root.started == [b"x" * BULK]


class Nest(pb.Referenceable):
    """Calls the other side with all it was given, which calls back."""

    def remote_nest(self, other: Any, depth: int, data: bytes) -> int:
        if not depth:
            return 1
        return 1 + int(
            other.callRemote("nest", self, depth - 1, data).get(timeout=SOON)
        )


class NestRoot(pb.Root):
    def remote_nest(self) -> Nest:
        return Nest()


def test_nested_calls_never_wait_for_it(pair: Pair) -> None:
    """Each side has a call of the other's in hand that reaches the limit."""
    _, client = pair(NestRoot(), max_pending_bytes=LIMIT)
    other = root_of(client).callRemote("nest").get(timeout=SOON)

    depth = other.callRemote("nest", Nest(), 5, b"x" * BULK).get(timeout=SOON)

    assert depth == 6


def test_nested_calls_are_refused_beyond_twice_the_limit(pair: Pair) -> None:
    _, client = pair(NestRoot(), max_pending_bytes=16 * KIBI)
    other = root_of(client).callRemote("nest").get(timeout=SOON)

    promise = other.callRemote("nest", Nest(), 5, b"x" * BULK)

    with pytest.raises(pb.LimitExceeded, match="max_pending_bytes=16384"):
        promise.get(timeout=SOON)
    assert other.callRemote("nest", Nest(), 1, b"x" * BULK).get(timeout=SOON) == 2


def test_one_way_calls_wait_for_it_too(pair: Pair) -> None:
    root = Keeping()
    server, client = pair(root, server_options={"max_pending_bytes": LIMIT})
    remote = root_of(client)

    def call() -> None:
        for _ in range(10):
            remote.callRemoteOnly("hold", b"x" * BULK)

    calling = gevent.spawn(call)
    eventually(lambda: len(root.started) == 3)
    turns()
    assert len(root.started) == 3
    assert load(server) < LIMIT + BULK

    root.go.set()
    calling.get(timeout=SOON)
    eventually(lambda: len(root.finished) == 10)
    eventually(lambda: weight(client) == 0)
    assert root.most <= 3


def test_light_one_way_calls_are_not_answered(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)

    remote.callRemoteOnly("hold", "x" * 1000)
    eventually(lambda: root.started)

    assert not client_connection(client).broker.questions
    root.go.set()


def test_calls_that_name_answers_are_weighed(pair: Pair) -> None:
    root = Keeping()
    server, client = pair(root, server_options={"max_pending_bytes": LIMIT})
    remote = root_of(client)
    first = remote.callRemote("hold", 1)
    data = [b"x" * 20_000] * 3

    second = remote.callRemote("hold", [first, data])
    eventually(lambda: load(server) > LIMIT)
    assert weight(client) == load(server)
    waiting = gevent.spawn(remote.callRemote, "hold", data)
    turns()
    assert not waiting.ready()

    root.go.set()
    assert second.get(timeout=SOON) == [1, data]
    assert waiting.get(timeout=SOON).get(timeout=SOON) == data
    assert (weight(client), load(server)) == (0, 0)


# -- peers that do not keep it ---------------------------------------------------------


def heavy(number: int | None, size: int) -> bytes:
    """Return a call with bytes in its structure."""
    return frame([messages.CALL, number, 1, "hold", [b"x" * size]])


@pytest.mark.parametrize("limit", [100 * KIBI, 200 * KIBI])
def test_a_peer_that_goes_on_is_refused_beyond_twice_the_limit(
    serve: Serve, limit: int
) -> None:
    root = Holding()
    size = 10 * KIBI
    each = STRUCTURE_WEIGHT * size
    fits = -(-2 * limit // each)
    with Peer(serve(root, max_pending_bytes=limit)) as peer:
        for number in range(2, 2 + fits):
            peer.send(heavy(number, size))
        eventually(lambda: len(root.started) == fits)
        peer.send(heavy(50, size))
        peer.call(51, "hold", "light")

        kind, _, error, text, *_ = peer.read_answer(50)

        assert (kind, error) == (messages.ERROR, "geopb.LimitExceeded")
        assert f"exceeds max_pending_bytes={limit}" in text
        eventually(lambda: len(root.started) == fits + 1)
        root.go.set()
        for number in (*range(2, 2 + fits), 51):
            assert peer.read_answer(number)[0] == messages.ANSWER
        peer.send(heavy(60, size))
        assert peer.read_answer(60)[0] == messages.ANSWER


def test_one_way_calls_that_hold_too_much_end_the_connection(serve: Serve) -> None:
    """Nobody can be told that one of them is refused."""
    root = Holding()
    with Peer(serve(root, max_pending_bytes=100 * KIBI)) as peer:
        for _ in range(5):
            peer.send(heavy(None, 10 * KIBI))
        eventually(lambda: peer.connection.lost)

        assert "max_pending_bytes=102400" in str(peer.connection.lost)
    root.go.set()


def test_a_peer_that_tells_no_bound_is_not_waited_for(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was written before there was one, and refuses nothing for it."""
    told = pb.Limits.told

    def before(limits: pb.Limits) -> dict[str, int]:
        sizes = told(limits)
        del sizes["max_pending_bytes"]
        return sizes

    monkeypatch.setattr(pb.Limits, "told", before)
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    questions = client_connection(client).broker.questions

    held = [remote.callRemote("hold", b"x" * BULK) for _ in range(10)]
    remote.callRemoteOnly("hold", b"x" * BULK)
    eventually(lambda: len(root.started) == 11)

    assert (questions.bounded, questions.full, len(questions)) == (False, False, 10)
    root.go.set()
    pb.gather(held).get(timeout=SOON)


def test_what_is_light_weighs_nothing(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root, max_pending_bytes=16 * KIBI)
    remote = root_of(client)
    size = LIGHT_STRUCTURE - 100

    held = [remote.callRemote("hold", b"x" * size) for _ in range(100)]
    eventually(lambda: len(root.started) == 100)

    assert weight(client) == 0
    root.go.set()
    pb.gather(held).get(timeout=SOON)
