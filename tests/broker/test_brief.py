"""What is acted on at once is acted on as the general way does it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geopb as pb
from geopb.broker import broker as acting
from geopb.broker import inbox
from geopb.broker.brief import take_brief
from geopb.jelly.registry import ClassRegistry
from geopb.limits import STRUCTURE_WEIGHT, Limits
from tests.broker.harness import Answer, Side, Thing, opened
from tests.properties.profile import many
from tests.vectors.cbor import Tag, frame, item

#: Ids from here on have more than one byte: others are left to the general way.
FIRST = 30
#: The callee's id.
CALLEE = 1
LONGEST_NAME = 16
MINE, CACHE, BULK = 60100, 60125, 60109


class Follower(pb.RemoteCache):
    """Takes no notice."""

    def setCopyableState(self, state: Any) -> None:
        """Take nothing."""


class Told:
    """A side that has asked and exported, and all that can be told of it."""

    def __init__(self) -> None:
        registry = ClassRegistry()
        registry.setUnjellyableForClass("test.Follower", Follower)
        limits = Limits(
            max_references=6, max_name_length=LONGEST_NAME, max_message_size=100_000
        )
        self.side = opened(limits, registry=registry)
        self.side.broker.questions.last = FIRST - 1
        self.answers = [self.side.ask("any") for _ in range(6)]
        self.things = [Thing() for _ in range(3)]
        exports = self.side.broker.exports
        self.side.desk.objects["thing"] = self.callee = Thing("asked")
        self.take([[1, 9, 0, "get", ["thing"]]])
        exports._next = FIRST
        # One is given twice, and one is needed by a message that waits for bulk.
        for question, thing in enumerate([*self.things, self.things[0]], 1):
            self.side.desk.objects["thing"] = thing
            self.take([[1, question, 0, "get", ["thing"]]])
        exports.pin(FIRST + 2)
        self.side.take()
        self.error = ""

    def take(self, messages: list[Any]) -> None:
        """Take messages that come together; end where one breaks the protocol."""
        try:
            self.side.receive(b"".join(map(frame, messages)))
        except pb.Error as error:
            self.error = repr(error)
            self.side.close()

    def step(self, step: Any) -> None:
        """Take messages, let go of an answer, or give back what was let go of."""
        if self.error:
            return
        if type(step) is list:
            self.take(step)
        elif step is None:
            self.side.release_dropped()
        else:
            self.answers[step].drop()

    def state(self) -> tuple[Any, ...]:
        """Return the state of all tables."""
        broker = self.side.broker
        imports, exports = broker.imports, broker.exports
        return (
            self.error,
            self.side.tables(),
            {n: (type(entry), entry.count) for n, entry in imports._by_id.items()},
            [(entry.number, entry.count) for entry in self.side.drops],
            {n: (one.count, one.answers) for n, one in exports._by_id.items()},
            list(exports._ids.values()),
            exports._answers,
            list(map(told, self.answers)),
            self.callee.calls,
            broker.statistics(),
            {n: one.pins for n, one in exports._by_id.items()},
            self.side.cancelled,
            repr(self.side.desk.taken),
            self.side.take(),
        )


def told(answer: Answer) -> tuple[Any, ...]:
    """Return how a question was answered."""
    value = answer._value
    if type(value) is pb.RemoteReference:
        value = value._entry.number
    elif type(value) not in PLAIN:
        value = None
    return answer.settled, repr(answer.failure), type(answer._value), value


PLAIN = (int, str, bool)
SCALARS = st.sampled_from([None, True, 0, -1, -24, -25, 255, 2**32, "", "é", "x" * 255])
NUMBERS = st.integers(FIRST, FIRST + 8)
QUESTIONS = st.integers(100, 200)
ARGS = st.lists(SCALARS, max_size=3)
#: Id, length and kind of bulk.
ANNOUNCED = st.tuples(
    NUMBERS,
    st.sampled_from([300, 300, 255, 40_000, 70_000]),
    st.sampled_from([0, 0, 2]),
)
CALLS = st.builds(
    lambda question, target, name, args: [1, question, target, name, args],
    QUESTIONS,
    # The desk, the callee, one that nobody was given, and the answer to a question.
    st.sampled_from([0, CALLEE, CALLEE + 1, -9]),
    st.sampled_from(["take", "ask", "echo", "none", "_take", "x" * 16, "x" * 17]),
    ARGS,
)
MESSAGES = st.one_of(
    st.builds(lambda q, n: [2, q, [Tag(MINE, n)]], NUMBERS, NUMBERS),
    st.builds(lambda n, count: [4, n, count], NUMBERS, st.integers(0, 3)),
    st.builds(lambda q, value: [2, q, [value]], NUMBERS, SCALARS),
    # What is never acted on at once, between these.
    st.builds(lambda q, value: [2, q, [value, value]], NUMBERS, SCALARS),
    st.builds(lambda q, value: [2, q, [[value]]], NUMBERS, SCALARS),
    st.builds(lambda q, n: [2, q, [[Tag(MINE, n)]]], NUMBERS, NUMBERS),
    st.builds(
        lambda q, n: [2, q, [Tag(CACHE, [n, "test.Follower", {}])]], NUMBERS, NUMBERS
    ),
    st.builds(lambda q: [1, q, 0, "get", ["thing"]], QUESTIONS),
    CALLS,
    st.builds(lambda call, kw: [*call, kw], CALLS, st.sampled_from([{}, {"a": 1}])),
    st.builds(lambda call: [*call, {}, {"nested": True}], CALLS),
    st.builds(lambda q, args: [1, None, *q, args], st.just((0, "take")), ARGS),
    st.just([4, CALLEE, 1]),
    st.builds(
        lambda call, bulk: [*call[:4], [Tag(BULK, list(bulk))]], CALLS, ANNOUNCED
    ),
    st.builds(lambda q, bulk: [2, q, [Tag(BULK, list(bulk))]], NUMBERS, ANNOUNCED),
    # The parts of what was announced, whole and not, and of what was not.
    st.builds(
        lambda n, size: [5, n, b"x" * size],
        NUMBERS,
        st.sampled_from([300, 300, 100, 200, 40_000, 70_000]),
    ),
    st.builds(lambda q, late: [10, q, late], QUESTIONS, st.booleans()),
    st.just([13, 2**16]),
)
STEPS = st.lists(MESSAGES, min_size=1, max_size=3) | st.integers(0, 5) | st.none()


def go_both_ways(steps: list[Any]) -> None:
    """Take steps at once and in the general way: all is the same behind each."""
    brief, general = Told(), Told()

    with patch.object(inbox, "MAX_BULK", 3):
        for step in steps:
            brief.step(step)
            with patch.object(acting, "take_brief", lambda broker, body: False):
                general.step(step)
            assert brief.state() == general.state()


@given(st.lists(STEPS, max_size=12))
@many
def test_the_general_way_does_the_same(steps: list[Any]) -> None:
    go_both_ways(steps)


#: Bulk, its parts, and what happens between these.
LARGE = st.one_of(
    st.builds(
        lambda question, target, bulk: [1, question, target, "ask", [Tag(BULK, bulk)]],
        st.integers(100, 102),
        st.sampled_from([0, CALLEE, CALLEE + 1]),
        st.tuples(
            st.integers(FIRST, FIRST + 3),
            st.sampled_from([300, 300, 70_000]),
            st.just(0),
        ).map(list),
    ),
    st.builds(
        lambda question, number: [2, question, [Tag(BULK, [number, 300, 0])]],
        st.integers(FIRST, FIRST + 2),
        st.integers(FIRST, FIRST + 3),
    ),
    st.builds(
        lambda number, size: [5, number, b"x" * size],
        st.integers(FIRST, FIRST + 3),
        st.sampled_from([300, 150]),
    ),
    st.builds(lambda question, late: [10, question, late], QUESTIONS, st.booleans()),
    st.just([4, CALLEE, 1]),
)


@given(st.lists(LARGE.map(lambda message: [message]), max_size=20))
@many
def test_the_general_way_does_the_same_with_bulk(steps: list[Any]) -> None:
    go_both_ways(steps)


@pytest.mark.parametrize(
    "head", [[1, 100, CALLEE, "ask"], [2, FIRST]], ids=["call", "answer"]
)
def test_bytes_alone_are_expected_at_once(head: list[Any]) -> None:
    told = Told()

    assert take_brief(told.side.broker, item([*head, [Tag(BULK, [FIRST, 300, 0])]]))

    assert told.side.broker.statistics()["bulk_in"] == 1


def test_a_call_that_is_answered_at_once_weighs_nothing_any_more() -> None:
    told = Told()
    questions = told.side.broker.questions
    questions.weigh(FIRST, 100_000)

    assert take_brief(told.side.broker, item([2, FIRST, [None]]))

    assert (questions.weight, questions.weights) == (0, {})


def test_a_target_is_kept_that_is_given_back_before_the_bytes_have_come() -> None:
    told = Told()

    call = [1, 100, CALLEE, "ask", [Tag(BULK, [FIRST, 300, 0])]]
    told.take([call])
    told.take([[4, CALLEE, 1], [5, FIRST, bytes(300)]])
    # What the call weighs.
    assert told.side.broker.intake.size == len(item(call)) + 300 // STRUCTURE_WEIGHT

    assert (told.error, told.callee.calls) == ("", 1)
    assert told.side.broker.exports.find(CALLEE) is None


def test_a_call_is_cancelled_before_its_bytes_have_come() -> None:
    told = Told()

    told.take([[1, 100, CALLEE, "ask", [Tag(BULK, [FIRST, 300, 0])]], [10, 100, False]])
    assert told.side.cancelled == []
    told.take([[5, FIRST, bytes(300)]])

    assert told.side.cancelled == [(100, False)]


@pytest.mark.parametrize(
    ("bulk", "reason"),
    [
        ([FIRST, 300, 0], "announced twice"),
        ([FIRST + 1, 100_000, 0], "max_message_size"),
    ],
)
def test_bytes_that_may_not_come_end_the_connection(
    bulk: list[int], reason: str
) -> None:
    brief, general = Told(), Told()

    for told in (brief, general):
        told.take([[2, FIRST, [Tag(BULK, [FIRST, 300, 0])]]])
    brief.take([[2, FIRST + 1, [Tag(BULK, bulk)]]])
    with patch.object(acting, "take_brief", lambda broker, body: False):
        general.take([[2, FIRST + 1, [Tag(BULK, bulk)]]])

    assert reason in brief.error
    assert brief.state() == general.state()


def test_an_object_is_given_at_once() -> None:
    told = Told()

    assert take_brief(told.side.broker, item([2, FIRST, [Tag(MINE, 70)]]))
    assert take_brief(told.side.broker, item([2, FIRST + 1, [Tag(MINE, 70)]]))

    first, second = told.answers[0].get(), told.answers[1].get()
    assert first is second
    assert (first._entry.number, first._entry.count) == (70, 2)


@pytest.mark.parametrize("value", [None, False, 7, -7, 70_000, "", "hello", "x" * 99])
def test_a_scalar_is_given_at_once(value: Any) -> None:
    told = Told()

    assert take_brief(told.side.broker, item([2, FIRST, [value]]))
    assert not take_brief(told.side.broker, item([2, FIRST, [value]]))

    assert told.answers[0].get() == value
    assert type(told.answers[0].get()) is type(value)
    assert FIRST not in told.side.broker.questions


@pytest.mark.parametrize("args", [[], ["hello"], [1, None, "é", 0.5, b"x"], ["x" * 99]])
def test_a_call_is_made_at_once_as_in_the_general_way(args: list[Any]) -> None:
    told = Told()
    made: list[Any] = []

    with patch.object(Side, "start", lambda side, call: made.append(call)):
        assert take_brief(told.side.broker, item([1, 32, CALLEE, "ask", args]))
        told.take([[1, 32, CALLEE, "ask", args, {}]])

    at_once, general = map(vars, made)
    assert at_once == general
    assert at_once["target"] is told.callee
    assert at_once["args"] == args


@pytest.mark.parametrize(
    "error", [pb.ProtocolError("twice"), pb.LimitExceeded("too many")], ids=repr
)
def test_a_call_that_may_not_be_made_ends_the_connection(error: pb.Error) -> None:
    told = Told()

    with (
        patch.object(Side, "start", side_effect=error),
        pytest.raises(type(error), match=str(error)),
    ):
        take_brief(told.side.broker, item([1, 32, CALLEE, "ask", []]))


def test_a_text_that_is_none_ends_the_connection_with_a_reason() -> None:
    told = Told()

    body = b"\x83\x02\x18" + bytes([FIRST]) + b"\x81\x62\xc3("

    with pytest.raises(pb.ProtocolError, match="text string"):
        told.side.receive(len(body).to_bytes(4, "big") + body)

    assert not told.answers[0].settled


def test_an_object_is_given_back_at_once() -> None:
    told = Told()

    assert take_brief(told.side.broker, item([4, FIRST + 1, 1]))
    assert not take_brief(told.side.broker, item([4, FIRST + 1, 1]))

    assert told.side.broker.exports.find(FIRST + 1) is None
    assert told.side.broker.exports.find_answer(2) is None


def test_an_object_that_is_needed_stays_when_it_is_given_back() -> None:
    told = Told()
    exports = told.side.broker.exports

    assert take_brief(told.side.broker, item([4, FIRST + 2, 1]))

    assert exports.find(FIRST + 2) is told.things[2]
    exports.unpin(FIRST + 2)
    assert exports.find(FIRST + 2) is None


@pytest.mark.parametrize(
    "message",
    [
        [2, FIRST + 50, [Tag(MINE, 70)]],
        [2, FIRST + 50, ["hello"]],
        [4, FIRST + 1, 2],
        [4, FIRST + 50, 1],
        [4, 0, 1],
        [2, FIRST, [Tag(MINE, 0)]],
        [1, 32, CALLEE + 1, "ask", []],
        [1, 32, CALLEE, "x" * (LONGEST_NAME + 1), []],
    ],
    ids=repr,
)
def test_nothing_is_done_with_what_is_refused(message: list[Any]) -> None:
    told = Told()
    before = told.state()

    assert not take_brief(told.side.broker, item(message))
    assert told.state() == before


def test_nothing_is_given_before_the_hello_and_after_the_end() -> None:
    unopened = Side()
    unopened.broker.begin()
    ended = Told()
    ended.take([[6, "the end"]])

    for broker in (unopened.broker, ended.side.broker):
        assert not take_brief(broker, item([2, FIRST, [Tag(MINE, 70)]]))
        assert not take_brief(broker, item([2, FIRST, ["hello"]]))
        assert not take_brief(broker, item([4, FIRST, 1]))
        assert not take_brief(broker, item([1, FIRST, 0, "echo", [1]]))


def test_the_limit_of_references_is_kept() -> None:
    told = Told()
    told.take([[2, FIRST + place, [Tag(MINE, 70 + place)]] for place in range(6)])
    one_more = told.side.ask("any")

    told.take([[2, FIRST + 6, [Tag(MINE, 90)]]])

    assert len(told.side.broker.imports) == 6
    with pytest.raises(pb.LimitExceeded, match="max_references"):
        one_more.get()
