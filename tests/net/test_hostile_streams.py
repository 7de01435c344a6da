"""Peers that ask a stream for what it has not, or send streams that are none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.jelly import tags
from geopb.wire import messages
from tests.conftest import Guard, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, Holding, root_of
from tests.support import eventually, turns
from tests.vectors.cbor import Tag, frame

#: The id of the first thing that a server gives out behind its root.
STREAM = 2


def counting() -> Iterator[int]:
    yield from itertools.count()


def a_stream(peer: Peer) -> None:
    """Have the peer be given a stream."""
    peer.call(2, "do")
    (tagged,) = peer.read_answer(2)[2]
    assert (tagged.tag, list(tagged.value)) == (tags.STREAM, [STREAM])


def fetch(peer: Peer, number: int, *args: Any) -> list[Any]:
    peer.call(number, "next", *args, target=STREAM)
    return peer.read_answer(number)


MANY = 2**31
REFUSED = [
    (),
    (0,),
    (0, 0),
    (0, 0, 0),
    (0, 0, 1, 1),
    (-1, 0, 1),
    (0, -1, 1),
    (0, 0, -1),
    (True, 0, 1),
    (0, False, 1),
    (0.0, 0, 1),
    ("0", 0, 1),
    (None, None, None),
    (1, 0, 1),
    (2**63, 0, 1),
    (Tag(tags.POSITIVE_BIGNUM, bytes([1] * 20)), 0, 1),
    ([], {}, 1),
]


@pytest.mark.parametrize("args", REFUSED, ids=repr)
def test_a_wrong_question_is_refused_and_the_stream_goes_on(
    serve: Serve, args: tuple[Any, ...]
) -> None:
    with Peer(serve(Doing(counting))) as peer:
        a_stream(peer)

        assert fetch(peer, 3, *args)[:3] == [messages.ERROR, 3, "geopb.InsecureJelly"]
        assert fetch(peer, 4, 0, 0, 2) == [messages.ANSWER, 4, [[[0, 1], True]]]
        assert peer.connection.lost is None


def test_what_was_acknowledged_is_gone_and_what_was_not_is_sent_again(
    serve: Serve,
) -> None:
    with Peer(serve(Doing(counting))) as peer:
        a_stream(peer)

        assert fetch(peer, 3, 0, 0, 3)[2] == [[[0, 1, 2], True]]
        assert fetch(peer, 4, 0, 0, 1)[2] == [[[0], True]]
        assert fetch(peer, 5, 2, 0, 2)[2] == [[[2, 3], True]]
        assert fetch(peer, 6, 0, 0, 1)[2] == "geopb.InsecureJelly"
        assert fetch(peer, 7, 1, 0, 1)[2] == "geopb.InsecureJelly"
        assert fetch(peer, 8, 4, 4, 1)[2] == [[[4], True]]


def test_who_takes_nothing_is_sent_on_and_cannot_make_the_owner_run_ahead(
    serve: Serve,
) -> None:
    made: list[int] = []

    def watched() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    with Peer(serve(Doing(watched))) as peer:
        a_stream(peer)
        position = 0
        for number in range(3, 60):
            items, more = fetch(peer, number, position, 0, MANY)[2][0]
            assert items == list(range(position, position + len(items)))
            assert more is True
            position += len(items)
            turns()
            assert len(made) <= position + 256
        # Nor one who says to have taken what was never sent.
        fetch(peer, 60, position, 2**62, 1)
        turns(20)
        assert len(made) <= position + 1 + 256


def test_a_second_question_is_refused_while_the_first_waits(serve: Serve) -> None:
    go = Event()

    def waiting() -> Iterator[int]:
        go.wait()
        yield 1

    with Peer(serve(Doing(waiting))) as peer:
        a_stream(peer)
        peer.call(3, "next", 0, 0, MANY, target=STREAM)
        assert fetch(peer, 4, 0, 0, MANY)[2] == "geopb.InsecureJelly"
        go.set()
        assert peer.read_answer(3) == [messages.ANSWER, 3, [[[1], False]]]
        assert fetch(peer, 5, 1, 1, MANY) == [messages.ANSWER, 5, [[[], False]]]
        assert fetch(peer, 6, 1, 1, MANY) == [messages.ANSWER, 6, [[[], False]]]


@pytest.mark.parametrize("name", ["close", "__next__", "_run", "", "x" * 200])
def test_a_stream_has_no_other_method(serve: Serve, name: str) -> None:
    with Peer(serve(Doing(counting))) as peer:
        a_stream(peer)
        peer.call(3, name, target=STREAM)

        assert peer.read_answer(3)[2] == "geopb.NoSuchMethod"


def test_thirty_thousand_questions_at_once_cost_nobody_else(serve: Serve) -> None:
    go = Event()

    def waiting() -> Iterator[int]:
        go.wait()
        yield 1

    server = serve(Doing(waiting))
    call = [messages.CALL, 0, STREAM, "next", [0, 0, MANY]]
    with pb.connect(server.address) as other, Peer(server) as peer:
        remote = root_of(other)
        a_stream(peer)

        def flood() -> None:
            for start in range(10, 30_000, 500):
                peer.send(
                    b"".join(
                        frame([call[0], number, *call[2:]])
                        for number in range(start, start + 500)
                    )
                )

        flooding = gevent.spawn(flood)
        reading = gevent.spawn(peer.read_answer, 29_000)
        for number in range(20):
            assert remote.callRemote("echo", number).get(timeout=5) == number
        flooding.get(timeout=30)
        reading.get(timeout=30)
        assert peer.connection.service.running == 0
        go.set()
        assert peer.read_answer(10)[2] == [[[1], False]]


def test_one_way_questions_and_keywords_are_no_questions(serve: Serve) -> None:
    with Peer(serve(Doing(counting))) as peer:
        a_stream(peer)
        peer.send(frame([messages.CALL, None, STREAM, "next", [0, 0, 1]]))
        peer.send(frame([messages.CALL, 3, STREAM, "next", [0, 0, 1], {"more": 1}]))

        assert peer.read_answer(3)[2] == "geopb.InsecureJelly"
        assert fetch(peer, 4, 0, 0, 1)[2] == [[[0], True]]


def test_a_stream_that_is_released_is_closed_and_stands_for_nothing(
    serve: Serve,
) -> None:
    endings: list[str] = []

    def watched() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            endings.append("finally")

    with Peer(serve(Doing(watched))) as peer:
        a_stream(peer)
        fetch(peer, 3, 0, 0, 1)
        peer.send(frame([messages.RELEASE, STREAM, 1]))
        eventually(lambda: endings == ["finally"])

        assert fetch(peer, 4, 1, 1, 1)[2] == "geopb.InsecureJelly"
        assert endings == ["finally"]
        # Again is more than was given.
        peer.send(frame([messages.RELEASE, STREAM, 1]))
        eventually(lambda: peer.connection.lost is not None)


def test_a_release_behind_a_question_answers_it(serve: Serve) -> None:
    def never() -> Iterator[int]:
        Event().wait()
        yield 1

    with Peer(serve(Doing(never))) as peer:
        a_stream(peer)
        peer.call(3, "next", 0, 0, 1, target=STREAM)
        peer.send(frame([messages.RELEASE, STREAM, 1]))

        assert peer.read_answer(3) == [messages.ANSWER, 3, [[[], False]]]


def test_a_stream_of_the_owners_does_not_come_home(serve: Serve) -> None:
    with Peer(serve(Doing(counting))) as peer:
        a_stream(peer)
        peer.call(3, "echo", Tag(tags.YOURS, STREAM))

        assert peer.read_answer(3)[2] == "geopb.InsecureJelly"
        assert fetch(peer, 4, 0, 0, 1)[2] == [[[0], True]]


@pytest.mark.parametrize("content", [[7, 8], [0], [-1], [2**63]], ids=repr)
def test_a_stream_with_a_wrong_id_fails_that_call(serve: Serve, content: Any) -> None:
    with Peer(serve(Doing())) as peer:
        peer.call(2, "echo", Tag(tags.STREAM, content))

        assert peer.read_answer(2)[2] == "geopb.InsecureJelly"
        assert peer.connection.lost is None


@pytest.mark.parametrize(
    "content", [None, 7, [], ["7"], [True], {}, [[7]], b"7"], ids=repr
)
def test_a_stream_without_an_id_ends_the_connection(
    serve: Serve, content: Any, guard: Guard
) -> None:
    guard.expects_log = True
    with Peer(serve(Doing())) as peer:
        peer.call(2, "echo", Tag(tags.STREAM, content))

        eventually(lambda: peer.connection.lost is not None)
        assert "cannot be read" in str(peer.connection.lost)


def test_a_stream_that_is_given_twice_fails_the_second_call(serve: Serve) -> None:
    root = Holding()
    with Peer(serve(root)) as peer:
        peer.call(2, "hold", Tag(tags.STREAM, [7]))
        eventually(lambda: root.started)
        peer.call(3, "echo", [Tag(tags.STREAM, [7])])
        assert peer.read_answer(3)[2] == "geopb.InsecureJelly"
        peer.call(4, "echo", [Tag(tags.STREAM, [8]), Tag(tags.STREAM, [8])])
        assert peer.read_answer(4)[2] == "geopb.InsecureJelly"
        root.started.clear()
        root.finished.clear()
        root.go.set()
        turns(20)
        assert peer.connection.lost is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [[1]],
        [[1], 1],
        [1, True],
        [[], True],
        [[1], True, 2],
        {},
        "x",
        [(), False],
    ],
    ids=repr,
)
def test_an_answer_that_is_none_ends_the_stream(serve: Serve, value: Any) -> None:
    caught: list[Exception] = []

    class Reading(pb.Root):
        def remote_read(self, items: Any) -> None:
            try:
                list(items)
            except Exception as error:
                caught.append(error)
            assert next(items, "over") == "over"

    with Peer(serve(Reading())) as peer:
        peer.send(frame([messages.CALL, 2, 1, "read", [Tag(tags.STREAM, [7])]]))
        question = next_question(peer)
        if value == [(), False]:
            value = [Tag(tags.TUPLE, []), False]
        peer.send(frame([messages.ANSWER, question, [value]]))

        assert peer.read_answer(2) == [messages.ANSWER, 2, [None]]
        (error,) = caught
        assert isinstance(error, pb.InsecureJelly)


def next_question(peer: Peer) -> int:
    """Read the call of ``next`` that the server makes; return its question."""
    for message in peer._messages:
        if message[0] == messages.CALL:
            assert message[2:5] == [7, "next", [0, 0, MANY]]
            return int(message[1])
    raise AssertionError("it has ended")


def test_what_the_peer_says_of_an_error_is_raised(serve: Serve) -> None:
    class Reading(pb.Root):
        def remote_read(self, items: Any) -> str:
            try:
                return repr(list(items))
            except ValueError as error:
                return str(error)

    with Peer(serve(Reading())) as peer:
        peer.send(frame([messages.CALL, 2, 1, "read", [Tag(tags.STREAM, [7])]]))
        question = next_question(peer)
        names = ["builtins.ValueError", "builtins.Exception"]
        peer.send(
            frame(
                [messages.ERROR, question, names[0], "no more", names, ["no more"], {}]
            )
        )

        assert peer.read_answer(2) == [messages.ANSWER, 2, ["no more"]]
