"""Large bytes between two brokers."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest

import geopb as pb
from geopb.broker.credit import LEAST_WINDOW, Credit
from geopb.broker.credit import TOLD_FROM_BYTES as TOLD
from geopb.limits import Limits
from tests.broker.harness import Side, Thing, in_pieces, joined, opened, refusal, whole
from tests.jelly.hostile import integers
from tests.strategies import same
from tests.timing import seconds
from tests.vectors.cbor import Tag, frame

BULK = 60109
MEBI = 1024 * 1024
SMALL = Limits(max_structure_size=16 * 1024, max_message_size=300_000)


def call(number: int, *bulk: tuple[int, Any, int], extra: Any = ()) -> bytes:
    """Return a call whose arguments are bulk."""
    args = [Tag(BULK, list(each)) for each in bulk]
    return frame([1, number, 0, "take", [*args, *extra]])


@pytest.mark.parametrize(
    "pieces", [whole, in_pieces(1000), in_pieces(65_537)], ids=range(3)
)
@pytest.mark.parametrize("limits", [Limits(), SMALL], ids=["default", "small"])
def test_large_values_come_back_as_they_went(pieces: Any, limits: Limits) -> None:
    values = [
        b"x" * 100_000,
        bytearray(range(256)) * 400,
        "é" * 40_000,
        [b"a" * 33_000, {"k": (bytearray(b"b" * 33_000),)}],
    ]
    with joined(limits) as pair:
        answers = [pair.a.ask("echo", value) for value in values]
        pair.deliver(pieces)

        assert pair.a.error is pair.b.error is None, (pair.a.error, pair.b.error)
        for answer, value in zip(answers, values, strict=True):
            assert same(answer.get(), value)
        pair.assert_released()


def test_many_large_values_share_the_line() -> None:
    with joined(SMALL) as pair:
        answers = [pair.a.ask("echo", bytes([n]) * 100_000) for n in range(20)]
        small = pair.a.ask("echo", "small")

        pair.deliver(in_pieces(20_000))

        assert pair.a.error is pair.b.error is None, (pair.a.error, pair.b.error)
        for n, answer in enumerate(answers):
            assert answer.get() == bytes([n]) * 100_000
        assert small.get() == "small"
        pair.assert_released()


def test_both_ways_at_once() -> None:
    with joined(SMALL) as pair:
        answers = [
            side.ask("echo", bytes([n]) * 200_000)
            for n in range(10)
            for side in (pair.a, pair.b)
        ]

        pair.deliver(in_pieces(30_000))

        assert all(len(answer.get()) == 200_000 for answer in answers)
        pair.assert_released()


def test_small_calls_pass_large_ones() -> None:
    with joined() as pair:
        pair.a.ask("take", b"x" * 10_000_000)
        pair.b.receive(pair.a.take())

        pair.a.ask("take", "small")
        pair.deliver()

        assert pair.b.desk.taken == ["small", b"x" * 10_000_000]


def test_a_message_over_the_peer_s_limit_is_refused_at_the_sender() -> None:
    with joined(Limits(), Limits(max_message_size=100_000)) as pair:
        at = pair.a.ask("take", b"x" * 99_900)
        over = pair.a.ask("take", b"x" * 100_000)
        both = pair.a.ask("take", b"x" * 50_000, b"x" * 50_000)
        pair.deliver()

        assert at.get() is None
        for answer in (over, both):
            with pytest.raises(pb.LimitExceeded, match="max_message_size=100000"):
                answer.get()
        pair.b.desk.taken.clear()
        pair.assert_released()


def test_references_in_a_message_with_bulk_are_counted_when_it_is_announced() -> None:
    with joined() as pair:
        pair.a.ask("take", Thing(), b"x" * 1_000_000)
        pair.b.receive(pair.a.broker.post.outbox.take())

        assert pair.b.desk.taken == []
        assert pair.b.broker.statistics()["imports"] == 1
        pair.deliver()
        assert len(pair.b.desk.taken) == 2
        pair.b.desk.taken.clear()
        pair.assert_released()


def test_bulk_of_a_refused_message_is_thrown_away() -> None:
    side = opened()

    side.receive(call(1, (1, 5, 0), (2, 3, 1), extra=[Tag(99, 0)]))
    assert b"InsecureJelly" in side.take()
    assert side.broker.statistics()["bulk_in"] == 2
    side.receive(frame([5, 1, b"ab"]) + frame([5, 2, b"abc"]) + frame([5, 1, b"cde"]))

    assert side.broker.statistics()["bulk_in"] == 0
    side.receive(call(2, (3, 1, 0)) + frame([5, 3, b"z"]))
    assert side.desk.taken == [b"z"]
    side.close()


def test_bulk_text_that_is_not_utf_8_fails_its_call_alone() -> None:
    side = opened()

    side.receive(call(1, (1, 1, 2), (2, 1, 0), extra=[Tag(60100, 5)]))
    side.receive(frame([5, 1, b"\xff"]) + frame([5, 2, b"a"]))
    assert b"UTF-8" in side.take()
    side.release_dropped()

    side.receive(call(2, (1, 1, 2)) + frame([5, 1, b"a"]))
    assert side.desk.taken == ["a"]
    side.close()


def test_bulk_text_that_is_not_utf_8_fails_an_answer_alone() -> None:
    side = opened()
    bad, good = side.ask("echo", 1), side.ask("echo", 2)

    side.receive(frame([2, 1, [Tag(BULK, [1, 1, 2])]]) + frame([2, 2, ["good"]]))
    assert good.get() == "good"
    assert not bad.settled
    side.receive(frame([5, 1, b"\xff"]))

    with pytest.raises(pb.InsecureJelly, match="UTF-8"):
        bad.get()
    side.close()


@pytest.mark.parametrize(
    "message",
    [
        [Tag(BULK, [1, 1, 2])],
        [Tag(BULK, [1, 1, 0])],
        [1, Tag(BULK, [1, 1, 2])],
        [1, 1, 0, Tag(BULK, [1, 1, 2]), []],
        [1, 1, 0, "take", Tag(BULK, [1, 1, 0])],
        [2, Tag(BULK, [1, 1, 2]), [1]],
        [3, 1, "t", Tag(BULK, [1, 1, 2]), [], []],
        [4, Tag(BULK, [1, 1, 0]), 1],
        [4, 1, Tag(BULK, [1, 1, 0])],
        [5, 1, Tag(BULK, [1, 1, 0])],
        [5, Tag(BULK, [1, 1, 0]), b"x"],
        [6, Tag(BULK, [1, 1, 2])],
        [0, "geopb", Tag(BULK, [1, 1, 0])],
        [7, Tag(BULK, [1, 1, 0])],
        ["x", Tag(BULK, [1, 1, 0])],
    ],
)
@pytest.mark.parametrize("data", [b"\xff", b"a"], ids=["not UTF-8", "UTF-8"])
def test_bulk_in_an_unusual_place_raises_nothing_unusual(
    message: list[Any], data: bytes
) -> None:
    side = opened()
    side.ask("echo", 1)
    try:
        side.receive(frame(message) + frame([5, 1, data]))
    except (pb.ProtocolError, pb.LimitExceeded):
        pass
    side.close()
    assert side.tables() == {}


def test_a_part_of_a_chunk_behind_the_end_is_ignored() -> None:
    """As all else: it may have been read while this side was closing."""
    side = opened()
    side.receive(call(1, (1, 200_000, 0)))
    side.receive(frame([5, 1, bytes(200_000)])[:-100_000])
    assert side.broker.frames.chunk_left == 100_000
    room = side.broker.room()
    assert room is not None
    side.broker.close(pb.PBConnectionLost("over"))

    assert side.broker.room() is None
    side.broker.receive(bytes(10))
    side.broker.filled(10)


def test_messages_that_wait_for_one_another_do_not_nest() -> None:
    side = opened()
    stream = b"".join(
        frame([5, number + 1, Tag(BULK, [number, 1, 0])]) for number in range(1, 2000)
    )
    try:
        side.receive(stream + frame([5, 1, b"a"]))
    except (pb.ProtocolError, pb.LimitExceeded):
        pass
    side.close()


@pytest.mark.parametrize(
    "messages",
    [
        [[5, 1, b"a"]],
        [call(1, (1, 1, 0)), [5, 2, b"a"]],
        [call(1, (1, 1, 0)), [5, 1, b"ab"]],
        [call(1, (1, 2, 0)), [5, 1, b"a"], [5, 1, b"bc"]],
        [call(1, (1, 1, 0)), [5, 1, b"a"], [5, 1, b"a"]],
        [call(1, (1, 1, 0)), [5, 1, b""]],
        [[5, 1, b""]],
        [call(1, (1, 1, 0), (1, 1, 0))],
        [call(1, (1, 1, 0)), call(2, (1, 1, 0))],
        [call(1, (1, 64 * 2**20 + 1, 0))],
        [call(1, (1, 40 * 2**20, 0)), call(2, (2, 40 * 2**20, 0))],
        [call(1, (1, 2**63, 0))],
        [call(1, (1, 1, 0), extra=[Tag(99, 0)]), [5, 1, b"ab"]],
        [call(1, (1, 2**40, 0), extra=[Tag(99, 0)])],
    ],
    ids=range(14),
)
def test_wrong_bulk_ends_the_connection(messages: list[Any]) -> None:
    side = opened()

    assert refusal(side, *messages)

    side.close()
    assert side.tables() == {}


def test_a_huge_announcement_is_refused_whatever_the_integers_allowed() -> None:
    side = opened(Limits(max_integer_bits=100_000))
    huge = Tag(2, b"\xff" * 10_000)

    text = refusal(side, call(1, (1, huge, 0)))

    assert len(text) < 10_000
    side.close()


def test_bulk_ids_cannot_be_chosen_to_collide() -> None:
    side = opened()
    bulk = [Tag(BULK, [number, 1, 0]) for number in integers(8000)]
    begun = thread_time()
    try:
        side.receive(frame([1, 1, 0, "take", bulk]))
    except (pb.ProtocolError, pb.LimitExceeded):
        pass

    assert thread_time() - begun < seconds(0.25)
    side.close()


def test_many_bulks_in_one_message_arrive_or_fail_their_call_alone() -> None:
    # A list of many values of 32 KiB, for a peer that takes a gigabyte.
    with joined(Limits(max_message_size=2**30)) as pair:
        answer = pair.a.ask("take", [b"x" * 32_768] * 5000)

        if not answer.settled:
            pair.feed(pair.b, pair.a.broker.post.outbox.take())
        assert pair.b.error is None, pair.b.error


def test_what_is_announced_before_the_end_is_forgotten() -> None:
    side = opened()
    side.receive(call(1, (1, 1000, 0)) + frame([5, 1, b"x" * 500]))

    side.close()

    assert side.tables() == {}


def test_no_bulk_may_be_announced_before_the_hello() -> None:
    side = Side()
    side.broker.begin()
    side.take()

    assert refusal(side, [0, "geopb", Tag(BULK, [1, 1, 0])])


def test_no_bulk_may_be_announced_after_a_goodbye() -> None:
    side = opened()
    side.receive(frame([6, "bye"]))

    assert refusal(side, call(1, (1, 1, 0)))


def test_no_more_bulk_is_ahead_of_a_small_call_than_a_window() -> None:
    with joined() as pair:
        large = pair.a.ask("echo", bytes(8 * MEBI))
        sent = len(pair.a.take())
        small = pair.a.ask("echo", "small")

        assert sent < LEAST_WINDOW + MEBI // 4
        assert b"small" in pair.a.take()
        # Those bytes are lost: the pair is not to wait for them.
        assert not large.settled
        assert not small.settled


def test_the_peer_is_told_what_was_taken_also_of_what_is_thrown_away() -> None:
    side = opened()
    refused = frame([1, 1, 0, "take", [Tag(BULK, [1, TOLD, 0]), Tag(35, "a*")]])

    for start in range(0, TOLD, 1024):
        side.receive(refused if not start else b"")
        side.receive(frame([5, 1, bytes(1024)]))
        if start < TOLD - 1024:
            assert frame([13, TOLD]) not in side.take()

    assert side.take() == frame([13, TOLD])
    side.close()


def test_what_was_taken_is_told_at_the_end_of_a_chunk_and_not_before() -> None:
    side = opened()
    side.receive(call(1, (1, 5 * TOLD, 0)))
    chunk = frame([5, 1, bytes(3 * TOLD)])

    side.receive(chunk[: 2 * TOLD])
    assert side.take() == b""
    side.receive(chunk[2 * TOLD :])
    assert side.take() == frame([13, 3 * TOLD])

    side.receive(frame([5, 1, bytes(TOLD - 1)]))
    assert side.take() == b""
    side.receive(frame([5, 1, bytes(2)]))
    assert side.take() == frame([13, TOLD + 1])
    side.close()


@pytest.mark.parametrize("behind", [0, 1, TOLD])
def test_it_is_told_also_where_the_next_chunk_comes_along(behind: int) -> None:
    """Its sender may wait for that in the middle of it."""
    side = opened()
    side.receive(call(1, (1, 3 * TOLD, 0)))
    last = frame([5, 1, bytes(2 * TOLD)])
    head = len(last) - 2 * TOLD

    side.receive(frame([5, 1, bytes(TOLD)]) + last[: head + behind])

    assert side.take() == frame([13, TOLD])
    side.close()


def test_bulk_still_comes_in_while_the_goodbye_waits_for_this_side_s() -> None:
    """Each side's last bulk waits for what the other one tells."""
    with joined() as pair:
        pair.a.ask("take", b"a" * 4 * MEBI)
        pair.b.ask("take", b"b" * 3 * MEBI)
        pair.a.broker.say_goodbye("a has ended")
        pair.b.broker.say_goodbye("b has ended")

        pair.deliver()

        assert pair.a.desk.taken == [b"b" * 3 * MEBI]
        assert pair.a.goodbye == "b has ended"
        assert pair.a.error is pair.b.error is None


def test_a_side_tells_nothing_behind_its_goodbye() -> None:
    side = opened()
    side.receive(call(1, (1, TOLD, 0)))
    side.broker.say_goodbye("enough")
    assert side.take().endswith(b"enough")

    side.receive(b"".join(frame([5, 1, bytes(1024)]) for _ in range(TOLD // 1024)))

    assert side.take() == b""
    side.close()


@pytest.mark.parametrize("count", [1, 2**63 - 1])
def test_a_peer_that_tells_of_bulk_that_was_not_sent_is_ended(count: int) -> None:
    side = opened()

    assert "none were sent" in refusal(side, [13, count])

    side = opened()
    side.ask("take", bytes(40_000))
    side.take()
    assert "40000 were sent" in refusal(side, [13, 40_000], [13, count])


def test_told_before_the_hello_or_behind_the_goodbye_is_an_error() -> None:
    side = opened()
    side.receive(frame([6, "enough"]))

    assert "kind 13 while parted" in refusal(side, [13, 1])


def test_a_peer_that_tells_nothing_holds_up_its_own_bulk_alone() -> None:
    side = opened()
    large = side.ask("echo", bytes(8 * MEBI))
    side.take()

    for number in range(1, 100):
        side.receive(frame([1, number, 0, "echo", ["small"]]))
        assert side.take() == frame([2, number, ["small"]])
    assert side.broker.unsent > 7 * MEBI
    side.close()
    assert large.settled
    assert side.broker.unsent == 0


def test_small_messages_beside_bulk_are_noted_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(Credit, "beside", lambda credit: noted.append("small"))
    with joined() as pair:
        # Nothing but bulk, and what is told of it.
        both = [pair.a.ask("echo", bytes(MEBI)), pair.b.ask("echo", bytes(MEBI))]
        pair.deliver()
        assert all(each.get() == bytes(MEBI) for each in both)
        pair.a.ask("take", "small")
        pair.deliver()
        assert noted == []

        pair.a.ask("take", bytes(MEBI))
        pair.a.ask("take", "small")
        assert noted == ["small"]
        pair.deliver()
