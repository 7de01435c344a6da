from __future__ import annotations

from geopb.broker.calls import IncomingCall, Questions
from tests.broker.harness import Answer, opened


def test_questions_are_taken_out_in_the_order_of_their_calls() -> None:
    questions = Questions()
    answers = [Answer() for _ in range(3)]
    for number, answer in zip((1, 2, 3), answers, strict=True):
        questions[number] = answer
    questions.pop(2)

    assert questions.take_all() == [answers[0], answers[2]]
    assert len(questions) == 0


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
