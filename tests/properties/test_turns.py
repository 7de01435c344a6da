"""Calls on one promise start in the order made, whatever they wait for."""

from __future__ import annotations

from typing import Any

import gevent
from hypothesis import given
from hypothesis import strategies as st

import geopb as pb
from geopb.testing import connected_pair
from tests.properties.profile import usual


class Note(pb.Copyable, pb.RemoteCopy):
    """A copy, which a call cannot be given at the other side."""


pb.setUnjellyableForClass(Note, Note)


class Log(pb.Referenceable):
    """Remembers which calls have begun, and answers some turns of the loop later."""

    def __init__(self, name: int, begun: list[tuple[int, int]]) -> None:
        self._name = name
        self._begun = begun

    def remote_tell(self, number: int, gives: str, turns: int, *more: Any) -> Any:
        self._begun.append((self._name, number))
        for _ in range(turns):
            gevent.sleep(0)
        if gives == "fails":
            raise pb.Error("no")
        return {"number": number, "copy": Note(), "large": "x" * 300}[gives]


class Root(pb.Root):
    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.logs = [Log(name, self.begun) for name in range(2)]

    def remote_log(self, name: int, turns: int) -> Log:
        for _ in range(turns):
            gevent.sleep(0)
        return self.logs[name]

    def remote_give(self, value: Any) -> Any:
        return value


#: On which log, what the call gives and after how many turns, which earlier results are
#: its arguments and whether through a handler, what happens then, and to which call.
steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["number", "number", "copy", "large", "fails"]),
        st.integers(0, 12),
        st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=2),
        st.sampled_from(["go on"] * 6 + ["turn"] * 3 + ["wait", "cancel", "cancel"]),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=14,
)


@given(steps, st.lists(st.integers(0, 12), min_size=2, max_size=2), st.booleans())
@usual
def test_calls_on_one_promise_start_in_the_order_made(
    program: list[Any], turns: list[int], in_a_handler: bool
) -> None:
    root = Root()
    with connected_pair(root) as pair:
        remote = pair.client.getRootObject()
        logs = [remote.callRemote("log", n, turns[n]) for n in range(2)]
        if in_a_handler:
            # All of it is made in one job.
            played = pb.succeed(None).addCallback(lambda _: play(program, remote, logs))
            called, expected = played.get(timeout=20)
        else:
            called, expected = play(program, remote, logs)
        for promise in called:
            promise.wait(timeout=20)
            assert promise.ready()
            # Looked at.
            assert promise.exception is None or promise.failed()

    for name in range(2):
        numbers = [number for log, number in root.begun if log == name]
        assert numbers == sorted(numbers), "one has overtaken another"
        assert len(numbers) == len(set(numbers)), "one has run twice"
    begun = {number for _, number in root.begun}
    for number in expected:
        failed = called[number].exception
        assert number in begun or isinstance(failed, pb.Error), "one has not begun"


def play(
    program: list[Any], remote: Any, logs: list[Any]
) -> tuple[list[Any], set[int]]:
    """Make the calls; return their promises, and which of them should begin."""
    called: list[Any] = []
    handled_ones: list[Any] = []
    expected: set[int] = set()
    for number, (on, gives, turns, given_to_it, then, which) in enumerate(program):
        args = []
        for index, handled in given_to_it if called else []:
            promise = called[index % len(called)]
            if handled:
                # What its chain gives only this side knows.
                promise = remote.callRemote("give", promise).addCallback(same)
                handled_ones.append(promise)
            args.append(promise)
        called.append(logs[on].callRemote("tell", number, gives, turns, *args))
        expected.add(number)
        if then == "turn":
            gevent.sleep(0)
        elif then == "wait":
            called[which % len(called)].wait(timeout=20)
        elif then == "cancel":
            called[which % len(called)].cancel()
            expected.discard(which % len(called))
    for promise in handled_ones:
        promise.addErrback(lambda failure: None)
    return called, expected


def same(value: Any) -> Any:
    return value
