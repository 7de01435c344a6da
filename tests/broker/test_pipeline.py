"""What one side keeps of its answers, and the calls that wait for them."""

from __future__ import annotations

from typing import Any

import pytest

from geopb.broker import exports, pipeline
from geopb.broker.pending import Named
from geopb.jelly import tags
from geopb.wire import messages
from tests.broker.harness import Answer, Pair, Side, Thing, joined
from tests.vectors.cbor import Tag, frame


class Asked(Named):
    """The answer to a question of a side's, as an argument."""

    def __init__(self, question: int) -> None:
        self.question = question

    def stand_in(self, line: object) -> Named:
        return self


class Early(Answer):
    """What waits for the answer to a call that names others."""

    def __init__(self) -> None:
        super().__init__()
        self.put_off: list[int] = []

    def not_run(self, question: int) -> bool:
        self.put_off.append(question)
        return True


def ask_early(side: Side, target: int, name: str, *args: Any) -> tuple[int, Early]:
    early = Early()
    question, _ = side.broker.call_early(target, name, args, {}, early, None)
    return question, early


def ask(side: Side, name: str, *args: Any) -> tuple[int, Answer]:
    answer = side.ask(name, *args)
    return side.broker.questions.last, answer


def test_calls_on_an_answer_run_when_it_is_given_and_in_their_order() -> None:
    with joined() as pair:
        thing = pair.b.desk.objects["thing"] = Thing("asked")
        question, answer = ask(pair.a, "get", "thing")
        called = [ask_early(pair.a, -question, "ask")[1] for _ in range(3)]

        pair.deliver()

        assert [each.get() for each in called] == ["asked"] * 3
        assert thing.calls == 3
        assert not any(each.put_off for each in called)
        answer.drop()
        pair.assert_released()


def test_an_answer_that_is_an_object_is_known_while_the_peer_holds_it() -> None:
    with joined() as pair:
        pair.b.desk.objects["thing"] = Thing("asked")
        question, answer = ask(pair.a, "get", "thing")
        pair.deliver()

        _, early = ask_early(pair.a, -question, "ask")
        pair.deliver()
        assert early.get() == "asked"

        answer.drop()
        pair.assert_released()
        _, late = ask_early(pair.a, -question, "ask")
        pair.deliver()
        assert late.put_off == [question]
        assert not pair.b.broker.exports._answers


def test_numbers_of_objects_are_kept_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exports, "_MOST_ANSWERS", 5)
    with joined() as pair:
        pair.b.desk.objects["one"] = Thing()
        pair.b.desk.objects["two"] = Thing()
        asked = [ask(pair.a, "get", name) for name in ("one", "two") * 5]
        pair.deliver()

        assert list(pair.b.broker.exports._answers) == [q for q, _ in asked[5:]]
        for _, answer in asked:
            answer.drop()
        pair.assert_released()
        assert not pair.b.broker.exports._answers


def test_the_last_small_values_are_kept() -> None:
    with joined() as pair:
        first, _ = ask(pair.a, "echo", "first")
        pair.deliver()
        _, at_once = ask_early(pair.a, 0, "echo", Asked(first))
        pair.deliver()
        assert at_once.get() == "first"

        for number in range(pipeline.KEPT):
            ask(pair.a, "echo", number)
        pair.deliver()
        _, late = ask_early(pair.a, 0, "echo", Asked(first))
        pair.deliver()

        assert late.put_off == [first]
        assert len(pair.b.broker.pipeline.kept) == pipeline.KEPT


@pytest.mark.parametrize("extra", [0, 1])
def test_a_value_is_kept_up_to_so_many_bytes(extra: int) -> None:
    # [2, question, ["..."]]: the heads are 6 bytes.
    text = "x" * (pipeline.KEPT_BYTES - 6 + extra)
    with joined() as pair:
        question, _ = ask(pair.a, "echo", text)
        pair.deliver()

        _, early = ask_early(pair.a, 0, "echo", Asked(question))
        pair.deliver()

        assert early.put_off == ([question] if extra else [])


def test_a_failure_is_not_passed_on_but_told_to_have_come() -> None:
    with joined() as pair:
        question, _ = ask(pair.a, "get", "nothing")
        numbers: list[int] = [question]
        called: list[Early] = []
        for _ in range(2000):
            number, early = ask_early(pair.a, -numbers[-1], "ask")
            numbers.append(number)
            called.append(early)

        pair.deliver()

        assert [each.put_off for each in called] == [[n] for n in numbers[:-1]]


@pytest.mark.parametrize("content", [5, [1], Tag(tags.YOURS, 1)])
def test_only_an_object_of_its_own_is_called(content: Any) -> None:
    with joined() as pair:
        kept = Thing()
        pair.a.ask("take", kept)
        pair.a.broker.receive(frame([messages.CALL, 1, 0, "echo", [content]]))
        pair.a.run_due()

        pair.a.broker.receive(frame([messages.CALL, 2, -1, "ask", []]))

        told = pair.a.take()
        # Its own object, which the peer has named, is an object to call.
        expected = isinstance(content, Tag)
        assert told.endswith(frame([messages.NOT_RUN, 2, 1])) is not expected
        pair.a.run_due()
        assert kept.calls == expected


def test_closing_forgets_what_waits() -> None:
    pair = Pair()
    pair.deliver()
    pair.b.holding = True
    question, _ = ask(pair.a, "get", "thing")
    _, early = ask_early(pair.a, -question, "ask")
    pair.deliver()
    assert pair.b.broker.statistics()["waited_for"] == 1

    pair.close()

    assert early.failure is not None
