"""Two brokers that do anything in any order keep the same books, and end empty."""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geopb.limits import Limits
from tests.broker.harness import Answer, Pair, Side, Thing
from tests.properties.profile import TIMES, usual

LIMITS = Limits(max_references=6, max_message_size=100_000, max_structure_size=16_384)
sides = st.sampled_from(["a", "b"])


class TwoBrokers(RuleBasedStateMachine):
    """Exports, calls, drops, sends again, delivers a part at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(LIMITS)
        self.things: dict[str, list[Thing]] = {
            name: [Thing((name, n)) for n in range(8)] for name in "ab"
        }
        #: Answers by who asked, with what they must be: a value, or a test of it.
        self.answers: list[tuple[Answer, Any]] = []
        #: Bytes on the line, by who sent them.
        self.line = {"a": b"", "b": b""}
        self.ended = False

    def side(self, name: str) -> Side:
        side: Side = getattr(self.pair, name)
        return side

    def held(self, name: str) -> list[Any]:
        """What a side was given: references, and its own objects at home."""
        return self.side(name).desk.taken

    # -- what users do

    @rule(name=sides, number=st.integers(0, 7), times=st.integers(1, 3))
    def give(self, name: str, number: int, times: int) -> None:
        thing = self.things[name][number]
        self.expect(self.side(name).ask("take", *[thing] * times), None)

    @rule(name=sides, number=st.integers(0, 7), size=st.integers(33_000, 90_000))
    def give_with_bulk(self, name: str, number: int, size: int) -> None:
        thing = self.things[name][number]
        self.expect(self.side(name).ask("take", thing, b"x" * size), None)

    @rule(name=sides, number=st.integers(0, 7))
    def give_what_cannot_cross(self, name: str, number: int) -> None:
        answer = self.side(name).ask("take", self.things[name][number], object())
        assert answer.failure is not None

    @rule(name=sides, number=st.integers(0, 7))
    def ask_back(self, name: str, number: int) -> None:
        thing = self.things[name][number]
        self.expect(self.side(name).ask("echo", thing), thing)

    @rule(name=sides, index=st.integers(0, 20))
    def send_home(self, name: str, index: int) -> None:
        held = self.held(name)
        if held:
            self.expect(self.side(name).ask("take", held[index % len(held)]), None)

    @rule(name=sides, index=st.integers(0, 20))
    def call(self, name: str, index: int) -> None:
        held = [each for each in self.held(name) if hasattr(each, "callRemote")]
        if held:
            self.expect(held[index % len(held)].callRemote("ask"), ...)

    @rule(name=sides, index=st.integers(0, 20))
    def drop(self, name: str, index: int) -> None:
        held = self.held(name)
        if held:
            del held[index % len(held)]

    @rule(name=sides)
    def drop_all(self, name: str) -> None:
        self.held(name).clear()

    def expect(self, answer: Answer, value: Any) -> None:
        self.answers.append((answer, value))

    # -- what the line does

    @rule(name=sides)
    def release(self, name: str) -> None:
        self.side(name).release_dropped()

    @rule(name=sides)
    def send(self, name: str) -> None:
        self.line[name] += self.side(name).take()

    @rule(name=sides, size=st.integers(1, 200_000))
    def deliver(self, name: str, size: int) -> None:
        data, self.line[name] = self.line[name][:size], self.line[name][size:]
        self.side("b" if name == "a" else "a").receive(data)

    @rule(name=sides)
    def deliver_all(self, name: str) -> None:
        self.send(name)
        self.deliver(name, len(self.line[name]))

    @rule()
    @precondition(lambda self: not self.ended)
    def settle(self) -> None:
        """Bring all that is under way to its end."""
        for _ in range(1000):
            for name in "ab":
                self.side(name).release_dropped()
                self.deliver_all(name)
            waits = [self.side(name).broker.unsent for name in "ab"]
            drops = [self.side(name).drops for name in "ab"]
            if not any(waits) and not any(drops) and not any(self.line.values()):
                break
        for answer, wanted in self.answers:
            assert answer.settled
            if answer.failure is not None:
                # The table was full, on one side or the other.
                assert answer.failure.type == "geopb.LimitExceeded", answer.failure
            elif wanted is not ...:
                assert answer.get() is wanted
        self.answers.clear()

    @invariant()
    def tables_keep_their_limits(self) -> None:
        for name in "ab":
            tables = self.side(name).broker.statistics()
            assert tables["exports"] <= 6
            assert tables["imports"] <= 6

    def teardown(self) -> None:
        self.settle()
        self.ended = True
        # What each side still holds is what the other one exports to it.
        for name, other in ("ab", "ba"):
            held = {id(each) for each in self.held(name) if hasattr(each, "callRemote")}
            assert self.side(name).tables().get("imports", 0) == len(held)
            assert self.side(other).tables().get("exports", 0) == len(held)
        self.held("a").clear()
        self.held("b").clear()
        gc.collect()
        self.settle()
        self.pair.assert_released()
        self.pair.close()


TestTwoBrokers = TwoBrokers.TestCase
TestTwoBrokers.settings = settings(
    usual, max_examples=40 * TIMES, stateful_step_count=40
)
