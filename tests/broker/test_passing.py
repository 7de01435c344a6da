"""References between two brokers: counts, home, releases, refusals, limits."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import geopb as pb
from geopb.errors import LimitExceeded
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from tests.broker.harness import Pair, Side, Thing, joined, opened, refusal
from tests.vectors.cbor import Tag, frame

MINE, YOURS = 60100, 60101


def give(pair: Pair, thing: Thing, times: int = 1) -> list[Any]:
    """Send `thing` from a to b; return b's references."""
    pair.a.ask("take", *[thing] * times)
    pair.deliver()
    taken, pair.b.desk.taken = pair.b.desk.taken, []
    return taken


def counts(side: Side) -> dict[str, int]:
    return side.broker.exports.statistics()


def test_an_object_arrives_as_a_reference() -> None:
    with joined() as pair:
        thing = Thing("answer")
        (reference,) = give(pair, thing)
        assert isinstance(reference, pb.RemoteReference)

        answer = reference.callRemote("ask")
        pair.deliver()

        assert answer.get() == "answer"
        assert thing.calls == 1
        del reference
        pair.assert_released()


def test_a_one_way_call_through_a_reference_is_run() -> None:
    with joined() as pair:
        thing = Thing()
        (reference,) = give(pair, thing)

        reference.callRemoteOnly("ask", 1)
        pair.deliver()

        assert thing.calls == 1


def test_the_same_reference_sent_twice_counts_two() -> None:
    with joined() as pair:
        thing = Thing()

        first, second = give(pair, thing, 2)

        assert first is second
        assert counts(pair.a) == {"objects": 1, "references": 2}
        assert first._entry.count == 2
        del first, second
        pair.assert_released()


def test_a_held_reference_keeps_the_object_and_a_dropped_one_lets_it_go() -> None:
    with joined() as pair:
        thing = Thing()
        gone = weakref.ref(thing)
        (reference,) = give(pair, thing)
        del thing
        gc.collect()
        assert gone() is not None

        del reference
        pair.collect()

        assert gone() is None
        pair.assert_released()


def test_a_hundred_thousand_times_the_same_object_is_one_entry() -> None:
    with joined() as pair:
        thing = Thing()
        for _ in range(10):
            give(pair, thing, 10_000)
        gc.collect()
        pair.deliver()

        pair.assert_released()


def test_home_is_the_object_itself() -> None:
    with joined() as pair:
        thing = Thing()
        (reference,) = give(pair, thing)

        answers = [pair.b.ask("echo", reference), pair.b.ask("echo", [reference])]
        pair.b.ask("take", reference)
        pair.deliver()

        assert pair.a.desk.taken == [thing]
        assert pair.a.desk.taken[0] is thing
        assert answers[0].get() is reference
        pair.a.desk.taken.clear()
        del reference
        answers.clear()
        pair.assert_released()


def test_home_is_the_object_itself_when_it_was_the_last_reference() -> None:
    with joined() as pair:
        thing = Thing()
        gone = weakref.ref(thing)
        references = give(pair, thing)
        del thing

        pair.b.ask("take", references.pop())
        pair.collect()

        assert pair.a.desk.taken[0] is gone()
        assert counts(pair.a) == {"objects": 0, "references": 0}
        pair.a.desk.taken.clear()
        pair.assert_released()


def test_home_in_an_answer_is_the_object_itself_when_it_was_the_last() -> None:
    with joined() as pair:
        thing = Thing()
        pair.a.ask("take", thing)
        pair.deliver()
        pair.b.desk.objects["it"] = pair.b.desk.taken.pop()
        answer = pair.a.ask("get", "it")
        pair.b.holding = True
        pair.deliver()

        pair.b.run(pair.b.held.pop())
        pair.b.desk.objects.clear()
        gc.collect()
        pair.deliver()

        assert answer.get() is thing
        answer.drop()
        pair.assert_released()


def test_home_with_bulk_is_not_overtaken_by_its_release() -> None:
    with joined(Limits(max_message_size=200_000)) as pair:
        thing = Thing()
        references = give(pair, thing)
        # The second message waits for room; the reference in it is the last one.
        pair.b.ask("take", b"x" * 150_000)
        pair.b.ask("take", references.pop(), b"y" * 150_000)

        pair.collect()

        assert pair.a.desk.taken[1] is thing
        pair.a.desk.taken.clear()
        pair.assert_released()


def test_a_release_that_crosses_a_new_sending_is_harmless() -> None:
    with joined() as pair:
        thing = Thing("still here")
        references = give(pair, thing)

        # Neither side has seen what the other sends now.
        pair.a.ask("take", thing)
        references.clear()
        gc.collect()
        pair.deliver()

        assert counts(pair.a) == {"objects": 1, "references": 1}
        answer = pair.b.desk.taken[0].callRemote("ask")
        pair.deliver()
        assert answer.get() == "still here"
        pair.b.desk.taken.clear()
        pair.assert_released()


def test_a_reference_dropped_and_received_again_before_the_release_is_sent() -> None:
    with joined() as pair:
        thing = Thing("still here")
        references = give(pair, thing, 3)
        references.clear()
        gc.collect()
        assert len(pair.b.drops) == 1

        pair.a.ask("take", thing)
        pair.b.receive(pair.a.take())
        pair.deliver()

        assert counts(pair.a) == {"objects": 1, "references": 1}
        pair.b.desk.taken.clear()
        pair.assert_released()


def test_a_call_on_its_way_when_the_reference_is_dropped_is_run() -> None:
    with joined() as pair:
        thing = Thing("answer")
        references = give(pair, thing)

        answer = references.pop().callRemote("ask")
        pair.collect()

        assert answer.get() == "answer"
        pair.assert_released()


def test_the_target_of_a_call_that_waits_for_its_bulk_outlives_its_release() -> None:
    with joined() as pair:
        thing = Thing("answer")
        references = give(pair, thing)

        answer = references.pop().callRemote("ask", b"x" * 1_000_000)
        pair.collect()

        assert answer.get() == "answer"
        pair.assert_released()


def test_a_target_that_waits_for_bulk_cannot_be_released_twice() -> None:
    side = opened()
    side.ask("take", Thing())
    call = frame([1, 1, 1, "ask", [Tag(60109, [1, 1, 0])]])

    assert "release" in refusal(side, call, [4, 1, 2], [5, 1, b"x"])
    side.close()


def test_an_id_that_was_never_given_fails_the_call() -> None:
    with joined() as pair:
        for number in (1, 5, 2**62):
            answer = pair.a.call(number, "take", (), {})
            pair.deliver()
            with pytest.raises(pb.InsecureJelly, match=f"reference {number} was never"):
                answer.get()
        pair.assert_released()


def test_an_id_that_was_released_fails_the_call() -> None:
    with joined() as pair:
        references = give(pair, Thing())
        number = references.pop()._entry.number
        pair.collect()

        answer = pair.b.call(number, "ask", (), {})
        pair.deliver()

        with pytest.raises(pb.InsecureJelly, match="has been released"):
            answer.get()
        pair.assert_released()


def test_an_id_of_another_connection_is_not_known_here() -> None:
    with joined() as one, joined() as other:
        references = give(one, Thing())
        number = references[0]._entry.number

        answer = other.b.call(number, "ask", (), {})
        other.deliver()

        with pytest.raises(pb.InsecureJelly, match="never given"):
            answer.get()


@pytest.mark.parametrize("number", [0, 7, 2**40])
def test_a_forged_own_object_in_arguments_fails_the_call_alone(number: int) -> None:
    side = opened()

    side.receive(frame([1, 1, 0, "take", [Tag(YOURS, number)]]))
    assert b"InsecureJelly" in side.take()
    side.receive(frame([1, 2, 0, "take", [1]]))

    assert side.desk.taken == [1]
    side.close()


def test_a_forged_own_object_in_an_answer_fails_the_call_alone() -> None:
    side = opened()
    bad, good = side.ask("echo", 1), side.ask("echo", 2)

    side.receive(frame([2, 1, [Tag(YOURS, 9)]]) + frame([2, 2, ["good"]]))

    with pytest.raises(pb.InsecureJelly, match="reference 9 was never given"):
        bad.get()
    assert good.get() == "good"
    side.close()


def test_the_peer_cannot_name_its_own_object_as_ours() -> None:
    side = opened()
    side.receive(frame([1, 1, 0, "take", [Tag(MINE, 5)]]))
    side.take()

    side.receive(frame([1, 2, 5, "ask", []]))

    assert b"never given" in side.take()
    side.desk.taken.clear()
    side.close()


def test_a_reference_to_a_third_party_is_refused() -> None:
    with joined() as one, joined() as other:
        references = give(one, Thing())

        answer = other.a.ask("take", references)

        with pytest.raises(pb.InsecureJelly, match="third party"):
            answer.get()
        one.b.desk.objects["it"] = references
        references = []


def test_an_object_of_another_connection_is_exported_anew() -> None:
    thing = Thing()
    with joined() as one, joined() as other:
        give(one, Thing())
        (reference,) = give(one, thing)
        (again,) = give(other, thing)

        assert reference is not again
        assert reference != again


def test_references_of_a_refused_frame_are_released() -> None:
    with joined() as pair:
        thing = Thing()
        pair.a.ask("take", [thing, thing], Thing(), "MARK")
        data = pair.a.take().replace(b"\x64MARK", b"\xd8\x63\x62AB")
        assert counts(pair.a) == {"objects": 2, "references": 3}

        pair.feed(pair.b, data)
        pair.deliver()

        assert pair.b.desk.taken == []
        pair.assert_released()


def test_references_of_a_refused_answer_are_released() -> None:
    with joined() as pair:
        pair.b.desk.objects["it"] = [Thing(), Thing(), "MARK"]
        answer = pair.a.ask("get", "it")
        pair.b.receive(pair.a.take())
        data = pair.b.take().replace(b"\x64MARK", b"\xd8\x63\x62AB")

        pair.feed(pair.a, data)
        pair.deliver()

        with pytest.raises(pb.InsecureJelly, match="refused by the receiver"):
            answer.get()
        pair.assert_released()


def test_a_held_reference_in_a_refused_frame_stays_good() -> None:
    with joined() as pair:
        thing = Thing("answer")
        (reference,) = give(pair, thing)
        pair.a.ask("take", thing, "MARK")
        pair.feed(pair.b, pair.a.take().replace(b"\x64MARK", b"\xd8\x63\x62AB"))
        pair.deliver()

        answer = reference.callRemote("ask")
        pair.deliver()

        assert answer.get() == "answer"
        assert reference._entry.count == 1
        assert counts(pair.a) == {"objects": 1, "references": 1}
        del reference
        pair.assert_released()


def test_many_references_of_a_refused_frame_are_given_back_in_few_messages() -> None:
    side = opened()
    args = [*[Tag(MINE, 1)] * 10_000, Tag(99, 0)]

    side.receive(frame([1, 1, 0, "take", args]))

    assert len(side.take()) < 5000
    side.close()


def test_an_encoding_that_fails_takes_its_exports_back() -> None:
    with joined() as pair:
        kept = Thing()
        references = give(pair, kept)

        for bad in (object(), "\ud800", 2**9000):
            answer = pair.a.ask("take", kept, Thing(), [Thing(), bad])
            with pytest.raises((pb.InsecureJelly, pb.LimitExceeded)):
                answer.get()

        assert counts(pair.a) == {"objects": 1, "references": 1}
        references.clear()
        pair.assert_released()


def test_a_result_that_fails_takes_its_exports_back() -> None:
    with joined() as pair:
        pair.b.desk.objects["it"] = [Thing(), object()]
        answer = pair.a.ask("get", "it")
        pair.deliver()

        with pytest.raises(pb.InsecureJelly):
            answer.get()
        pair.assert_released()


def test_arguments_of_an_exception_that_stay_behind_take_their_exports_back() -> None:
    class Failing(pb.Referenceable):
        def remote_ask(self) -> None:
            raise ValueError([Thing(), object()], "x")

    with joined() as pair:
        pair.b.desk.objects["it"] = Failing()
        target = pair.a.ask("get", "it")
        pair.deliver()
        answer = target.get().callRemote("ask")
        pair.deliver()

        assert answer.failure is not None
        assert answer.failure.value.args == ("x",)
        target.drop()
        pair.assert_released()


# -- max_references ------------------------------------------------------------------


@pytest.mark.parametrize("small", ["the sender", "the receiver"])
def test_references_at_the_limit_cross_and_one_more_is_refused(small: str) -> None:
    few, many = Limits(max_references=5), Limits()
    limits = (few, many) if small == "the sender" else (many, few)
    with joined(*limits) as pair:
        things = [Thing() for _ in range(5)]
        pair.a.ask("take", *things)
        pair.deliver()
        assert len(pair.b.desk.taken) == 5

        over = pair.a.ask("take", Thing())
        again = pair.a.ask("echo", things[0])

        with pytest.raises(
            pb.LimitExceeded, match="a table of 6 exceeds max_references=5"
        ):
            over.get()
        pair.deliver()
        assert again.get() is things[0]

        pair.b.desk.taken.clear()
        pair.collect()
        pair.a.ask("take", Thing())
        pair.deliver()
        assert len(pair.b.desk.taken) == 1
        pair.b.desk.taken.clear()
        again.drop()
        pair.assert_released()


def test_a_peer_that_sends_more_than_the_limit_fails_its_calls_alone() -> None:
    side = opened(Limits(max_references=5))

    side.receive(frame([1, 1, 0, "take", [Tag(MINE, n) for n in range(1, 7)]]))
    assert b"LimitExceeded" in side.take()
    assert side.broker.statistics()["imports"] == 0

    side.receive(frame([1, 2, 0, "take", [Tag(MINE, n) for n in range(1, 6)]]))
    assert len(side.desk.taken) == 5
    side.receive(frame([1, 3, 0, "take", [Tag(MINE, 9)]]))
    assert b"a table of 6 exceeds max_references=5" in side.take()
    side.receive(frame([1, 4, 0, "take", [Tag(MINE, 1)]]))
    assert len(side.desk.taken) == 6
    side.desk.taken.clear()
    side.close()


# -- releases that are wrong -----------------------------------------------------------


@pytest.mark.parametrize(
    "release",
    [
        [4, 1, 2],
        [4, 2, 1],
        [4, 0, 1],
        [4, 1, 0],
        [4, 1, -1],
        [4, -1, 1],
        [4, 1, 2**63],
        [4, 2**63, 1],
        [4, 1, 1, 1, 1],
        [4, 1, 1, 2, 1],
    ],
)
def test_a_wrong_release_ends_the_connection(release: list[int]) -> None:
    side = opened()
    side.ask("take", Thing())

    assert refusal(side, release)
    side.close()


def test_releasing_twice_ends_the_connection() -> None:
    with joined() as pair:
        references = give(pair, Thing())
        references.clear()
        pair.collect()

        pair.feed(pair.a, frame([4, 1, 1]))

        assert isinstance(pair.a.error, pb.ProtocolError)
        assert "release of 1 references to 1, 0 held" in str(pair.a.error)


def test_a_refusal_of_a_reference_does_not_release_what_is_no_id() -> None:
    for number in (0, 2**63):
        side = opened()
        side.receive(frame([1, 1, 0, "take", [Tag(MINE, number)]]))
        sent = side.take()
        assert b"\x83\x04" not in sent, sent
        side.close()


class Problem(Exception):
    """An exception that is sent as a value."""


def test_exceptions_that_may_be_sent_as_values_may_be_received_at_the_limit() -> None:
    registry = ClassRegistry()
    registry.setUnjellyableForClass(Problem, Problem)
    limits = Limits(max_depth=9)
    at = Problem(1)
    for _ in range(8):
        at = Problem(at)

    with joined(limits, a_registry=registry, b_registry=registry) as pair:
        pair.a.ask("take", at)
        pair.deliver()
        over = pair.a.ask("take", Problem(at))

        (taken,) = pair.b.desk.taken
        for _ in range(8):
            (taken,) = taken.args
        assert taken.args == (1,)
        with pytest.raises(LimitExceeded, match="max_depth=9"):
            over.get()
        pair.b.desk.taken.clear()
