from __future__ import annotations

from geopb.broker.calls import NO_BOUND, IncomingCall, Questions
from geopb.limits import LIGHT_WEIGHT
from tests.broker.harness import Answer, opened

#: The least that is weighed.
HEAVY = LIGHT_WEIGHT + 1


def test_questions_are_taken_out_in_the_order_of_their_calls() -> None:
    questions = Questions()
    answers = [Answer() for _ in range(3)]
    for number, answer in zip((1, 2, 3), answers, strict=True):
        questions[number] = answer
    questions.pop(2)

    assert questions.take_all() == [answers[0], answers[2]]
    assert len(questions) == 0


def weighing(bound: int, *weights: int) -> Questions:
    """Return questions of these weights, numbered from 1."""
    questions = Questions()
    questions.bound(bound)
    for number, weight in enumerate(weights, 1):
        questions[number] = Answer()
        questions.weigh(number, weight)
    return questions


def test_questions_are_full_at_the_bound_and_not_below() -> None:
    most = 2 * HEAVY

    assert not weighing(most + 1, HEAVY, HEAVY).full
    assert weighing(most, HEAVY, HEAVY).full
    assert weighing(most - 1, HEAVY, HEAVY).full
    assert not weighing(NO_BOUND, HEAVY, 2**62).full
    assert not weighing(1, LIGHT_WEIGHT, LIGHT_WEIGHT).full


def test_each_answer_takes_its_weight_away_once() -> None:
    questions = weighing(2 * HEAVY, HEAVY, HEAVY, HEAVY, LIGHT_WEIGHT)
    left = []

    for number in (4, 1, 1, 2, 3):
        questions.pop(number, None)
        questions.lighten(number)
        left.append((questions.weight // HEAVY, questions.full))

    assert left == [(3, True), (2, True), (2, True), (1, False), (0, False)]


def test_nothing_is_weighed_that_is_answered_or_gone() -> None:
    questions = weighing(HEAVY, HEAVY)
    questions.weigh(9, HEAVY)
    assert questions.weight == HEAVY

    questions.take_all()

    assert (questions.weight, questions.full, questions.weights) == (0, False, {})


def test_a_bound_that_comes_later_counts_what_is_open() -> None:
    """Calls may be made before the peer's hello is in."""
    questions = weighing(NO_BOUND, HEAVY)

    questions.bound(HEAVY)

    assert questions.full


def test_question_ids_are_never_used_twice() -> None:
    side = opened()

    side.ask("echo", object())
    side.ask("echo", 1)
    side.ask("echo", 2)

    sent = side.take()
    assert b"\x85\x01\x02" in sent
    assert b"\x85\x01\x03" in sent
    assert b"\x85\x01\x01" not in sent
    side.close()


def test_an_incoming_call_names_its_question_and_method() -> None:
    call = IncomingCall(None, 5, None, "echo", [], {})

    assert repr(call) == "<IncomingCall 5 echo>"
