"""Two brokers: calls, answers, errors, and how a connection begins and ends."""

from __future__ import annotations

from typing import Any

import pytest

import geopb as pb
from geopb.broker.broker import State
from geopb.failure import CopiedFailure
from geopb.limits import Limits
from tests.broker.harness import (
    HELLO,
    Answer,
    Pair,
    Side,
    Thing,
    byte_by_byte,
    in_pieces,
    joined,
    opened,
    refusal,
    whole,
)
from tests.vectors.cbor import frame

CALL = [1, 1, 0, "take", []]
DELIVERIES = {
    "whole": whole,
    "byte by byte": byte_by_byte,
    "in sevens": in_pieces(7),
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_call_is_answered(name: str) -> None:
    with joined() as pair:
        answer = pair.a.ask("echo", {"a": (1, [2])})

        pair.deliver(DELIVERIES[name])

        assert answer.get() == {"a": (1, [2])}
        pair.assert_released()


@pytest.mark.parametrize("length", [*range(225, 260), 400, 401, 65_535, 65_536])
def test_a_message_of_any_length_arrives(length: int) -> None:
    """Short ones have their frames' heads ready, and are written by hand."""
    with joined() as pair:
        answer = pair.a.ask("echo", "x" * length)

        pair.deliver()

        assert answer.get() == "x" * length


def test_both_sides_call() -> None:
    with joined() as pair:
        one, other = pair.a.ask("echo", "from a"), pair.b.ask("echo", "from b")

        pair.deliver()

        assert (one.get(), other.get()) == ("from a", "from b")


def test_calls_start_in_the_order_in_which_they_were_made() -> None:
    with joined() as pair:
        for number in range(100):
            pair.a.ask("take", number)

        pair.deliver(in_pieces(11))

        assert pair.b.desk.taken == list(range(100))


def test_answers_may_come_in_any_order() -> None:
    with joined() as pair:
        pair.b.holding = True
        answers = [pair.a.ask("echo", number) for number in range(5)]
        pair.deliver()

        for call in reversed(pair.b.held):
            pair.b.run(call)
        pair.deliver()

        assert [answer.get() for answer in answers] == list(range(5))


def test_keyword_arguments_arrive() -> None:
    with joined() as pair:
        pair.a.ask("take", 1, a=(2,), target=3, name=4, self_=5)

        pair.deliver()

        assert pair.b.desk.taken == [1]
        assert pair.b.desk.keywords == {"a": (2,), "target": 3, "name": 4, "self_": 5}


def test_a_one_way_call_is_run_and_not_answered() -> None:
    with joined() as pair:
        pair.a.call_only(0, "take", (1,), {})

        pair.deliver()

        assert pair.b.desk.taken == [1]
        pair.assert_released()


def test_a_one_way_call_that_fails_is_not_answered() -> None:
    with joined() as pair:
        pair.a.call_only(0, "nothing", (), {})
        pair.a.call_only(77, "take", (), {})

        pair.deliver()

        pair.assert_released()


def test_a_nested_call_says_so() -> None:
    with joined() as pair:
        pair.a.broker.call(0, "take", (1,), {"a": 2}, Answer(), {"nested": True})
        pair.a.ask("take", 3)

        pair.deliver()

        assert pair.b.nested == [True, False]
        assert pair.b.desk.taken == [1, 3]
        assert pair.b.desk.keywords == {"a": 2}


def test_calls_may_be_sent_before_the_peer_s_hello() -> None:
    pair = Pair()
    answers = [pair.a.ask("echo", 1), pair.b.ask("echo", 2)]

    pair.deliver()

    assert [answer.get() for answer in answers] == [1, 2]
    assert pair.a.opened_count == pair.b.opened_count == 1
    pair.close()


def test_before_the_peer_s_hello_at_most_the_least_limit_is_sent() -> None:
    side = Side()
    side.broker.begin()
    for _ in range(100):
        side.ask("take", "x" * 300)

    assert 15_000 < len(side.take()) <= 16_384
    assert side.take() == b""

    side.broker.receive(HELLO)
    assert len(side.take()) > 15_000
    side.close()


class Failing(pb.Referenceable):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def remote_fail(self) -> None:
        raise self.error


def failure(error: Exception, *limits: Limits) -> CopiedFailure:
    """Return the failure that a caller gets for what a method raises."""
    with joined(*limits) as pair:
        pair.b.desk.objects["it"] = Failing(error)
        target = pair.a.ask("get", "it")
        pair.deliver()
        answer = pair.a.call(target.get()._entry.number, "fail", (), {})
        pair.deliver()
        assert pair.a.error is pair.b.error is None, (pair.a.error, pair.b.error)
        assert answer.settled
        assert isinstance(answer.failure, CopiedFailure)
        target.drop()
        pair.assert_released()
        return answer.failure


def test_an_exception_arrives_as_a_failure() -> None:
    got = failure(KeyError("x", 1))

    assert got.type == "builtins.KeyError"
    assert got.check(KeyError) is KeyError
    assert isinstance(got.value, pb.RemoteError)
    assert isinstance(got.value, KeyError)
    assert got.value.args == ("x", 1)
    assert got.getErrorMessage() == "('x', 1)"


class Known(pb.Error):
    pass


def test_an_error_subclass_arrives_as_itself() -> None:
    got = failure(Known("a", (1, 2)))

    assert type(got.value) is Known
    assert got.value.args == ("a", (1, 2))


def test_a_call_of_what_is_not_there_fails() -> None:
    with joined() as pair:
        answer = pair.a.ask("nothing")
        pair.deliver()

        with pytest.raises(pb.NoSuchMethod):
            answer.get()


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Strange(Exception):
    __qualname__ = "a\nb" * 1000


class Surrogate(Exception):
    __qualname__ = "a\ud800"


def deep_cause(levels: int) -> Exception:
    error: Exception = ValueError("first")
    for number in range(levels):
        later = ValueError(number)
        later.__cause__ = error
        error = later
    return error


AWKWARD = {
    "str raises": Silent("x"),
    "name of many lines": Strange("x"),
    "name with a surrogate": Surrogate("x"),
    "text with a surrogate": ValueError("a\ud800"),
    "large text": ValueError("é" * 10_000_000),
    "large argument beside text": ValueError("x", b"y" * 10_000_000),
    "arguments that cannot cross": ValueError(object(), lambda: None, {1: object()}),
    "deep argument": ValueError([[[[[[[[[[1]]]]]]]]]]),
    "many arguments": ValueError(*range(100_000)),
    "causes": deep_cause(10_000),
    "a system's error": FileNotFoundError(2, "No such file", "a\udc80b"),
    "unicode error": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "group": ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [KeyError(2)])]),
    "limit": pb.LimitExceeded("x" * 100_000),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_exception_is_still_a_failure(name: str) -> None:
    got = failure(AWKWARD[name])

    assert len(got.getErrorMessage()) < 20_000
    assert got.type


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_exception_is_a_failure_for_a_peer_of_the_least_limits(
    name: str,
) -> None:
    least = Limits(max_structure_size=16 * 1024, max_message_size=16 * 1024)

    got = failure(AWKWARD[name], least, Limits())

    assert got.type


def test_arguments_that_cannot_cross_stay_behind() -> None:
    got = failure(ValueError("a", object(), 5))

    assert got.value.args == ("a", 5)


def test_a_reference_in_an_exception_arrives() -> None:
    thing = Thing()

    with joined() as pair:
        pair.b.desk.objects["it"] = Failing(Known(thing, thing))
        target = pair.a.ask("get", "it")
        pair.deliver()
        answer = pair.a.call(target.get()._entry.number, "fail", (), {})
        pair.deliver()
        assert answer.failure is not None
        one, other = answer.failure.value.args
        assert one is other
        assert one._entry.count == 2
        del one, other, answer
        target.drop()
        pair.assert_released()


@pytest.mark.parametrize(
    "bad", [object(), {1: object()}, "\ud800", 2**9000, [[]] and {1j: [len]}]
)
def test_a_result_that_cannot_cross_fails_its_call_alone(bad: Any) -> None:
    with joined() as pair:
        pair.b.desk.objects["it"] = bad
        bad_answer, good_answer = pair.a.ask("get", "it"), pair.a.ask("echo", 1)
        pair.deliver()

        with pytest.raises((pb.InsecureJelly, pb.LimitExceeded)):
            bad_answer.get()
        assert good_answer.get() == 1
        pair.assert_released()


def test_an_argument_that_cannot_cross_is_told_through_the_answer() -> None:
    with joined() as pair:
        answer = pair.a.ask("take", object())

        assert answer.settled
        with pytest.raises(pb.InsecureJelly, match="object may not cross"):
            answer.get()
        pair.assert_released()


def test_a_one_way_call_that_cannot_be_sent_raises() -> None:
    with joined() as pair:
        with pytest.raises(pb.InsecureJelly):
            pair.a.call_only(0, "take", (object(),), {})
        with pytest.raises(pb.LimitExceeded):
            pair.a.call_only(0, "take", (2**9000,), {})
        pair.assert_released()


def test_a_method_s_name_at_the_limit_is_looked_up_and_over_it_refused() -> None:
    with joined(Limits(max_name_length=20)) as pair:
        at, over = pair.a.ask("x" * 20), pair.a.ask("x" * 21)
        pair.deliver()

        with pytest.raises(pb.NoSuchMethod):
            at.get()
        with pytest.raises(pb.LimitExceeded, match="of 21 exceeds max_name_length=20"):
            over.get()


def test_a_name_of_a_mebibyte_fails_its_call_alone() -> None:
    with joined() as pair:
        answers = [pair.a.ask("x" * 1_000_000), pair.a.ask("x" * 5_000_000)]
        pair.deliver()

        for answer in answers:
            with pytest.raises(pb.LimitExceeded):
                answer.get()
        pair.assert_released()


@pytest.mark.parametrize(
    "limit", ["max_depth", "max_integer_bits", "max_structure_size"]
)
def test_the_peer_s_limit_is_kept_by_the_sender(limit: str) -> None:
    values: dict[str, tuple[int, Any, Any]] = {
        "max_depth": (3, [[[1]]], [[[[1]]]]),
        "max_integer_bits": (100, 2**100 - 1, 2**100),
        "max_structure_size": (20_000, "x" * 19_000, "x" * 20_000),
    }
    size, at, over = values[limit]
    with joined(Limits(), Limits(**{limit: size})) as pair:
        good, bad = pair.a.ask("echo", at), pair.a.ask("echo", over)

        with pytest.raises(pb.LimitExceeded, match=f"{limit}={size}"):
            bad.get()
        pair.deliver()
        assert good.get() == at
        pair.assert_released()


def test_a_result_over_the_caller_s_limit_fails_the_call() -> None:
    with joined(Limits(max_depth=3), Limits()) as pair:
        pair.b.desk.objects["it"] = [[[[1]]]]
        answer = pair.a.ask("get", "it")
        pair.deliver()

        with pytest.raises(pb.LimitExceeded, match="max_depth=3"):
            answer.get()


def test_a_peer_cannot_make_the_encoder_go_deeper_than_this_side_allows() -> None:
    # cbor2 crashes some thousand levels down; a peer may tell any depth.
    limits = {**Limits().told(), "max_depth": 10**9}
    side = opened(hello=frame([0, "geopb", {"versions": [1], "limits": limits}]))
    value: Any = []
    for _ in range(1500):
        value = [value]

    answer = side.ask("take", value)

    with pytest.raises(pb.LimitExceeded, match="max_depth"):
        answer.get()
    side.close()


# -- ending -----------------------------------------------------------------------


def test_closing_fails_what_is_pending_in_order_and_empties_all() -> None:
    order = []

    class Ordered(Answer):
        def settle(self, *args: Any, **kw: Any) -> None:
            super().settle(*args, **kw)
            order.append(self)

    with joined() as pair:
        pair.b.holding = True
        answers = [Ordered() for _ in range(3)]
        for answer in answers:
            pair.a.broker.call(0, "take", (Thing(), b"x" * 100_000), {}, answer)
        lost = pb.PBConnectionLost("gone")

        pair.a.broker.close(lost, quiet=True)

        assert order == answers
        for answer in answers:
            assert answer.failure is not None
            assert answer.failure.quiet
            with pytest.raises(pb.PBConnectionLost, match="gone"):
                answer.get()
        assert pair.a.tables() == {}
        assert pair.a.take() == b""


def test_closing_twice_does_nothing() -> None:
    with joined() as pair:
        answer = pair.a.ask("echo", 1)
        pair.a.close(pb.PBConnectionLost("first"))
        pair.a.close(pb.PBConnectionLost("second"))

        with pytest.raises(pb.PBConnectionLost, match="first"):
            answer.get()


def test_a_closed_broker_takes_nothing_in() -> None:
    with joined() as pair:
        pair.a.ask("take", 1)
        data = pair.a.take()
        pair.b.close()

        pair.b.receive(data)
        pair.b.receive(b"garbage")

        assert pair.b.desk.taken == []
        assert pair.b.tables() == {}


def test_a_late_answer_of_a_closed_side_goes_nowhere() -> None:
    with joined() as pair:
        pair.b.holding = True
        pair.a.ask("echo", Thing())
        pair.a.ask("echo", 1)
        pair.deliver()
        pair.b.close()

        pair.b.run(pair.b.held[0])
        pair.b.broker.fail(pair.b.held[1], ValueError("late"))

        assert pair.b.tables() == {}
        pair.b.held.clear()


def test_a_reference_dropped_after_the_end_sends_nothing() -> None:
    with joined() as pair:
        pair.a.ask("take", Thing())
        pair.deliver()
        pair.b.close()

        pair.b.desk.taken.clear()
        pair.b.release_dropped()

        assert pair.b.tables() == {}


def test_goodbye_tells_the_reason_and_ends_what_comes() -> None:
    with joined() as pair:
        pair.a.broker.say_goodbye("so long\nand thanks")
        pair.deliver()

        assert pair.b.goodbye == r"so long\nand thanks"
        assert pair.b.broker.state is State.PARTED
        pair.b.close()


@pytest.mark.parametrize(
    "message",
    [
        [0, "geopb", {"versions": [1]}],
        CALL,
        [2, 1, [1]],
        [3, 1, "t", "m", [], []],
        [4],
        [5, 1, b"a"],
        [5, 1, b""],
        [6, "again"],
        [1, 1, 0, "take", [b"x"], {}, {}],
    ],
)
def test_nothing_may_follow_a_goodbye(message: list[Any]) -> None:
    side = opened()
    side.receive(frame([6, "bye"]))

    assert refusal(side, message)
    side.close()


def test_a_side_that_said_goodbye_sends_nothing_more() -> None:
    with joined() as pair:
        pair.a.ask("take", Thing())
        pair.deliver()
        pair.a.holding = True
        pair.b.ask("echo", 1)
        pair.deliver()
        assert len(pair.b.desk.taken) == 1

        pair.b.broker.say_goodbye("bye")
        pair.b.desk.taken.clear()
        pair.deliver()

        assert pair.a.goodbye == "bye"
        assert pair.a.error is None, pair.a.error
        pair.a.held.clear()


def test_bulk_that_is_queued_arrives_ahead_of_the_goodbye() -> None:
    with joined() as pair:
        pair.a.ask("take", b"x" * 1_000_000)

        pair.a.broker.say_goodbye("bye")
        pair.deliver()

        assert pair.b.error is None, pair.b.error
        assert pair.b.desk.taken == [b"x" * 1_000_000]
        assert pair.b.goodbye == "bye"


def test_the_middle_of_a_message_is_told() -> None:
    with joined() as pair:
        pair.a.ask("take", b"x" * 100_000)
        data = pair.a.take()
        assert not pair.b.broker.in_the_middle

        for end in (1, 10, 1000, len(data) - 1):
            side = opened()
            side.broker.receive(data[:end])
            assert side.broker.in_the_middle
            side.close()
        pair.b.receive(data)
        assert not pair.b.broker.in_the_middle


def test_a_broker_reads_as_its_state() -> None:
    with joined() as pair:
        pair.a.ask("take", Thing())

        text = repr(pair.a.broker)

        assert text.startswith("<Broker open: exports=1, imports=0, questions=1,")
