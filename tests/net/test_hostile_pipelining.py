"""Peers that name answers as no honest peer does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event

import geopb as pb
from geopb.jelly import tags
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.peers import ROOT, Peer
from tests.support import eventually, turns
from tests.vectors.cbor import Tag, frame


class Root(pb.Root):
    def __init__(self) -> None:
        self.ran: list[Any] = []
        self.go = Event()
        self.waiting = 0

    def remote_me(self) -> Root:
        return self

    def remote_new(self) -> Root:
        return Root()

    def remote_slow(self) -> Root:
        self.waiting += 1
        self.go.wait()
        return self

    def remote_run(self, *args: Any) -> int:
        self.ran.append(args)
        return len(self.ran)

    def remote_large(self) -> list[str]:
        return ["x" * 1000] * 60


@pytest.fixture
def root() -> Root:
    return Root()


@pytest.fixture
def peer(root: Root, serve: Serve) -> Iterator[Peer]:
    with Peer(serve(root)) as peer:
        yield peer


def named(question: int) -> Tag:
    return Tag(tags.ANSWER_OF, question)


def lives(peer: Peer, number: int = 1000) -> bool:
    """Whether the connection goes on: the next call is answered."""
    peer.call(number, "me")
    return peer.read_answer(number)[0] == messages.ANSWER


@pytest.mark.parametrize("question", [5, 6, 2**63 - 1])
@pytest.mark.parametrize("where", ["target", "argument"])
def test_a_question_that_was_not_asked_before_fails_the_call(
    peer: Peer, root: Root, question: int, where: str
) -> None:
    """Its own question among them: so calls cannot wait for one another."""
    if where == "target":
        peer.call(5, "run", target=-question)
    else:
        peer.call(5, "run", [named(question)])

    error = peer.read_answer(5)

    assert error[2] == "geopb.InsecureJelly"
    assert "was not asked before" in error[3]
    assert not root.ran
    assert lives(peer)


@pytest.mark.parametrize("question", [0, -1, 2**63, True, 1.0, None, "1", [1]])
def test_what_is_no_question_fails_the_call(
    peer: Peer, root: Root, question: Any
) -> None:
    peer.call(5, "run", Tag(tags.ANSWER_OF, question))

    assert peer.read_answer(5)[2] == "geopb.InsecureJelly"
    assert not root.ran
    assert lives(peer)


def test_a_question_that_is_unknown_is_not_run(peer: Peer, root: Root) -> None:
    """One that was never asked looks like one whose answer is forgotten."""
    peer.call(50, "run", target=-40)
    peer.call(51, "run", named(41))
    peer.call(52, "run", named(42), target=-1)

    assert lives(peer)
    told = [each for each in peer.others if each[0] == messages.NOT_RUN]
    assert told == [
        [messages.NOT_RUN, 50, 40],
        [messages.NOT_RUN, 51, 41],
        [12, 52, 42],
    ]
    assert not root.ran


def test_a_question_that_is_asked_again_while_it_waits_ends_the_connection(
    peer: Peer, root: Root
) -> None:
    peer.call(2, "slow")
    peer.call(3, "run", target=-2)
    peer.call(3, "run", target=-2)

    assert peer.connection.closed.wait(5)
    assert not root.ran


def test_a_question_that_is_asked_again_when_it_is_answered_leaves_nothing(
    peer: Peer, root: Root
) -> None:
    """It must not; what is kept of answers stays whole, and does not grow."""
    exports = peer.connection.broker.exports
    for name in ["me", "new", "new", "me"] * 5:
        peer.call(5, name)
        peer.answers.pop(5, None)
        peer.read_answer(5)
    peer.call(6, "run", target=-5)
    assert peer.read_answer(6)[2] == [1]
    assert sum(len(each.answers or ()) for each in exports._by_id.values()) == 2

    for number in range(ROOT, ROOT + len(exports)):
        peer.send(frame([messages.RELEASE, number, exports._by_id[number].count]))

    peer.call(7, "getRootObject", target=0)
    assert peer.read_answer(7)[0] == messages.ANSWER
    assert len(exports._answers) == 1


@pytest.mark.parametrize(
    "message",
    [
        [messages.NOT_RUN, 9, 1],
        [messages.NOT_RUN, 0, 1],
        [messages.NOT_RUN, 1],
        [messages.NOT_RUN, 1, -1],
        [messages.CALL, None, -1, "run", []],
        [messages.CALL, None, ROOT, "run", [named(1)]],
        [messages.ANSWER, 9, [named(1)]],
        [messages.UPDATE, 9, -1, "run", []],
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(
    peer: Peer, root: Root, message: list[Any]
) -> None:
    peer.send(frame(message))

    assert peer.connection.closed.wait(5)
    assert not root.ran


def test_more_calls_that_wait_than_may_run_are_not_run(
    serve: Serve, root: Root
) -> None:
    with Peer(serve(root, max_pending_calls=10)) as peer:
        peer.call(2, "slow")
        for number in range(3, 1003):
            peer.call(number, "run", target=-2)
        eventually(lambda: sum(each[0] == 12 for each in read_on(peer)) == 991)

        assert peer.connection.service.waiting == 9
        root.go.set()
        assert peer.read_answer(11)[2] == [9]
        assert lives(peer, 2000)


def read_on(peer: Peer) -> list[list[Any]]:
    """Return what was read besides answers, after all that is there."""
    number = 10_000 + len(peer.others)
    peer.send(frame([messages.CALL, number, ROOT, "me", [], {}, {"nested": True}]))
    peer.read_answer(number)
    return peer.others


def test_one_that_takes_no_refusals_is_dropped(serve: Serve, root: Root) -> None:
    server = serve(root, max_unsent_bytes=1000)
    with Peer(server) as peer:
        for number in range(100, 30_000):
            peer.call(number, "run", target=-2)

        assert peer.connection.closed.wait(5)
    with pb.connect(server.address) as honest:
        assert honest.getRootObject().callRemote("run").get(timeout=5) == 1


def test_arguments_cannot_blow_up(peer: Peer, root: Root) -> None:
    """One answer in many places is one object; many answers have a bound together."""
    peer.call(2, "slow")
    peer.call(3, "large")
    peer.read_answer(3)
    numbers = range(10, 30)
    for number in numbers:
        peer.call(number, "large", target=-2)
    peer.call(40, "run", *[named(2)] * 10_000)
    peer.call(41, "run", *map(named, numbers))
    root.go.set()

    assert peer.read_answer(40)[2] == [1]
    (given,) = root.ran
    assert len(given) == 10_000
    assert lives(peer)
    assert any(each[:2] == [messages.NOT_RUN, 41] for each in peer.others)


def test_one_answer_is_not_read_for_any_number_of_calls(peer: Peer, root: Root) -> None:
    """Each has a list of its own; the first few of them are made of its bytes."""
    peer.call(2, "slow")
    peer.call(3, "large", target=-2)
    numbers = range(10, 60)
    for number in numbers:
        peer.call(number, "run", named(3), number)
    root.go.set()

    assert lives(peer)
    read_on(peer)
    ran = [number for _, number in root.ran]
    not_run = [each[1] for each in peer.others if each[0] == messages.NOT_RUN]
    assert ran == list(numbers)[: len(ran)]
    assert not_run == list(numbers)[len(ran) :]
    assert 0 < len(ran) < 10


def test_a_named_answer_in_a_key_or_set_is_hashed_within_bounds(
    peer: Peer, root: Root
) -> None:
    peer.call(2, "me")
    peer.read_answer(2)
    peer.call(3, "run", Tag(tags.SET, [named(2)]), Tag(tags.MAP, [named(2), 1]))
    peer.call(4, "large")
    peer.call(5, "run", Tag(tags.SET, [named(4)]))

    assert peer.read_answer(3)[2] == [1]
    assert root.ran == [({root}, {root: 1})]
    assert lives(peer)
    assert root.ran == [({root}, {root: 1})]


def test_the_end_of_the_connection_ends_what_waits(peer: Peer, root: Root) -> None:
    peer.call(2, "slow")
    for number in range(3, 100):
        peer.call(number, "run", target=1 - number)
    eventually(lambda: peer.connection.service.waiting == 97)

    peer.close()

    eventually(lambda: not peer.connection.service.waiting)
    turns()
    assert not root.ran
    assert peer.connection.service.running == 0


def test_cancelling_what_waits_answers_it_and_those_behind_it(
    peer: Peer, root: Root
) -> None:
    peer.call(2, "slow")
    peer.call(3, "run", target=-2)
    peer.call(4, "run", target=-3)
    peer.call(5, "run", named(4))
    peer.send(frame([messages.CANCEL, 3]))

    assert peer.read_answer(3)[2] == "geopb.Cancelled"
    assert lives(peer)
    assert [12, 4, 3] in peer.others
    assert [12, 5, 4] in peer.others
    root.go.set()
    peer.read_answer(2)
    assert not root.ran


def test_nothing_is_kept_of_calls_that_were_stopped_while_they_waited(
    peer: Peer, root: Root
) -> None:
    peer.call(2, "slow")
    peer.call(3, "slow")
    for number in range(10, 60):
        peer.call(number, "run", named(2), named(3), "x" * 1000)
        peer.send(frame([messages.CANCEL, number]))
    peer.call(60, "run", named(3))
    peer.read_answer(59)

    waiting = peer.connection.broker.pipeline.waiting
    assert {question: len(calls) for question, calls in waiting.items()} == {3: 1}
    root.go.set()
    assert peer.read_answer(60)[2] == [1]


def test_a_long_chain_of_calls_that_fail_is_told_in_turn(
    serve: Serve, root: Root
) -> None:
    with Peer(serve(root, max_pending_calls=10_000)) as peer:
        peer.call(2, "slow", "an argument too many")
        for number in range(3, 5000):
            peer.call(number, "run", target=1 - number)

        assert peer.read_answer(2)[0] == messages.ERROR
        eventually(lambda: sum(each[0] == 12 for each in read_on(peer)) == 4997)
        assert not root.ran
