"""The notes on a message: what they hold, and that they end with it."""

from __future__ import annotations

from typing import Any

import pytest

from geopb.jelly import tags
from geopb.wire.codec import DecodeRefused
from tests.jelly.graphs import reader
from tests.vectors.cbor import Tag, item


def call(*args: Any) -> bytes:
    return item([1, 1, 0, "take", list(args)])


def note(x: Any) -> Tag:
    return Tag(tags.COPY, ["vectors.Note", {"x": x}])


def point(x: Any, y: Any = 1) -> Tag:
    return Tag(tags.COPY, ["vectors.Point", {"x": x, "y": y}])


@pytest.mark.parametrize(
    "content",
    [1, [1, {"a": 2}], Tag(tags.TUPLE, [1]), Tag(tags.ENUM, ["vectors.Color", "RED"])],
)
def test_plain_values_leave_nothing_to_do(content: Any) -> None:
    unjellier = reader()

    message = unjellier.read(call(content))

    assert unjellier.draft.unfinished(message) is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (note(1), True),
        (Tag(tags.COPY, ["vectors.Problem", [[], {}]]), True),
        (point(1), False),
        ([Tag(tags.DEFINE, [0, []]), Tag(tags.AGAIN, 0)], False),
        (Tag(tags.COPIES, ["vectors.Point", ["x", "y"], [[1, 2]], []]), False),
        (Tag(tags.SET, [point(1)]), True),
        (Tag(tags.FROZENSET, [point(1)]), True),
        (Tag(tags.MAP, [point(1), 1]), True),
        (Tag(tags.MAP, [1, point(1)]), False),
        (Tag(tags.TUPLE, [Tag(tags.SET, [1]), point(1)]), False),
    ],
    ids=range(10),
)
def test_what_runs_users_code_is_known_before_it_runs(content: Any, code: bool) -> None:
    unjellier = reader()

    unfinished = unjellier.draft.unfinished(unjellier.read(call(content)))

    assert unfinished is not None
    assert unfinished.runs_code == code


def test_notes_end_with_their_message() -> None:
    unjellier = reader()
    unjellier.read(call(note(1), Tag(tags.DEFINE, [0, []]), Tag(tags.BULK, [1, 1, 0])))
    assert unjellier.draft.used

    message = unjellier.read(call(1))

    assert not unjellier.draft.used
    assert unjellier.draft.slots == []
    assert unjellier.draft.unfinished(message) is None


def test_notes_of_a_refused_message_end_with_it() -> None:
    unjellier = reader()
    with pytest.raises(DecodeRefused):
        unjellier.read(call(note(1), Tag(99, 1)))

    message = unjellier.read(call(point(2)))
    unfinished = unjellier.draft.unfinished(message)

    assert unfinished is not None
    assert len(unfinished.steps) == 1


def test_what_is_left_of_one_message_is_kept_while_the_next_is_read() -> None:
    unjellier = reader()
    first = unjellier.read(call(Tag(tags.SET, [point(1)])))
    unfinished = unjellier.draft.unfinished(first)
    unjellier.draft.forget()
    unjellier.read(call(note(2)))
    assert unfinished is not None

    unfinished.finish()

    ((member,),) = first[4]
    assert member.x == 1


def test_a_step_that_fails_stops_those_behind_it_but_for_those_that_always_run() -> (
    None
):
    unjellier = reader()
    message = unjellier.read(
        call(note(1), Tag(tags.COPY, ["vectors.Note", 5]), note(2))
    )
    unfinished = unjellier.draft.unfinished(message)
    assert unfinished is not None
    unfinished.steps[2].always = True

    with pytest.raises(TypeError, match="dict of attributes"):
        unfinished.finish()

    first, _, last = message[4]
    assert (first.x, last.x) == (1, 2)
