"""The shape of each message, as a broker takes or refuses it off the line."""

from __future__ import annotations

from typing import Any

import pytest

from geopb.errors import LimitExceeded, ProtocolError
from geopb.jelly import tags
from geopb.limits import LEAST_TOLD, NOT_TOLD, TOLD, Limits
from geopb.wire import messages
from tests.broker.harness import Answer, Side, Thing, opened, refusal
from tests.vectors.cbor import Tag, frame

CALL = [1, 1, 0, "take", [], {}, {}]
ANSWER = [2, 1, [None]]
ERROR = [3, 1, "type", "text", ["type"], [], {}, None, {}]
RELEASE = [4, 1, 1]
CHUNK = [5, 1, b"a"]
GOODBYE = [6, "text"]
UPDATE = [7, 1, 1, "name", [], {}]
SNAPSHOT = [8, 1, 1, [None]]
UPDATES_END = [9, 1]

#: One value of each kind that a field may hold, by name.
ONE_OF_EACH: dict[str, Any] = {
    "null": None,
    "true": True,
    "one": 1,
    "zero": 0,
    "negative": -1,
    "2**63": 2**63,
    "bignum": Tag(2, b"\x01" + b"\x00" * 9),
    "float": 1.0,
    "text": "text",
    "bytes": b"bytes",
    "empty list": [],
    "list of one": [1],
    "empty map": {},
    "map": {"key": 1},
    "map of bytes": {b"key": 1},
    "map of numbers": Tag(tags.MAP, [1, 2]),
    "tuple": Tag(tags.TUPLE, []),
    "bytearray": Tag(tags.BYTEARRAY, b"x"),
    "Decimal": Tag(tags.DECIMAL, "1"),
    "NaN": Tag(tags.DECIMAL, "NaN"),
    "signalling NaN": Tag(tags.DECIMAL, "sNaN"),
    "Fraction": Tag(tags.FRACTION, [1, 1]),
    "complex": Tag(tags.COMPLEX, [1.0, 0.0]),
    "reference": Tag(tags.MINE, 9),
    "own object": Tag(tags.YOURS, 1),
    "bulk": Tag(tags.BULK, [9, 1, 0]),
}


def taken(message: list[Any]) -> bool:
    """Whether a broker in `OPEN` takes a message. It fails in no other way."""
    side = opened()
    answers = [side.ask("take", Thing()) for _ in range(2)]
    side.take()
    try:
        side.receive(frame(message))
    except (ProtocolError, LimitExceeded):
        return False
    else:
        return True
    finally:
        side.close()
        assert side.tables() == {}
        assert all(answer.settled for answer in answers)


def right_values(message: list[Any], field: int) -> set[str]:
    """Return which of `ONE_OF_EACH` a field may have."""
    return {
        name
        for name, value in ONE_OF_EACH.items()
        if taken([*message[:field], value, *message[field + 1 :]])
    }


MAPS = {"empty map", "map", "map of bytes", "map of numbers"}
LISTS = {"empty list", "list of one"}


@pytest.mark.parametrize(
    ("message", "field", "right"),
    [
        (CALL, 0, {"one"}),
        (CALL, 1, {"null", "one"}),
        (CALL, 2, {"one", "zero", "negative"}),
        (CALL, 3, {"text"}),
        (CALL, 4, LISTS),
        (CALL, 5, {"empty map", "map"}),
        (CALL, 6, MAPS),
        (ANSWER, 1, {"one"}),
        (ANSWER, 2, {"list of one"}),
        (ERROR, 1, {"one"}),
        (ERROR, 2, {"text"}),
        (ERROR, 3, {"text"}),
        (ERROR, 4, {"empty list"}),
        (ERROR, 5, LISTS),
        (ERROR, 6, {"empty map", "map"}),
        (ERROR, 7, {"null", "text"}),
        (ERROR, 8, MAPS),
        (RELEASE, 1, {"one"}),
        (RELEASE, 2, {"one"}),
        (CHUNK, 1, set()),
        (CHUNK, 2, set()),
        (GOODBYE, 1, {"text"}),
        # 0 is the target of a call alone, and no cache.
        (UPDATE, 1, {"null", "one"}),
        (UPDATE, 2, {"one"}),
        (UPDATE, 3, {"text"}),
        (UPDATE, 4, LISTS),
        (UPDATE, 5, {"empty map", "map"}),
        (SNAPSHOT, 1, {"null", "one"}),
        (SNAPSHOT, 2, {"one"}),
        (SNAPSHOT, 3, {"list of one"}),
        (UPDATES_END, 1, {"one"}),
    ],
)
def test_what_a_field_may_be(message: list[Any], field: int, right: set[str]) -> None:
    # Bulk may stand for text or bytes; the message then waits for it.
    assert right_values(message, field) - {"bulk"} == right


@pytest.mark.parametrize(
    ("message", "least"),
    [
        (CALL, 5),
        (ANSWER, 3),
        (ERROR, 7),
        (GOODBYE, 2),
        (UPDATE, 5),
        (SNAPSHOT, 4),
        (UPDATES_END, 2),
    ],
)
def test_fewer_fields_are_refused_and_more_ignored(
    message: list[Any], least: int
) -> None:
    longer = [*message, "more", {"later": 1}]

    for count in range(1, len(longer) + 1):
        assert taken(longer[:count]) == (count >= least), count


def test_a_release_is_of_pairs() -> None:
    assert taken([4])
    assert taken([4, 1, 1, 2, 1])
    assert not taken([4, 1])
    assert not taken([4, 1, 1, 1])


def test_a_chunk_has_three_fields() -> None:
    call = frame([1, 1, 0, "take", [Tag(tags.BULK, [1, 1, 0])]])
    for chunk in ([5], [5, 1], [5, 1, b"a", "more"]):
        side = opened()
        assert "chunk" in refusal(side, call, chunk)


@pytest.mark.parametrize("kind", [0, 7, 8, -1, 2**63, 100, 1.0, True, None, "1", [1]])
def test_no_other_kinds_are_known(kind: Any) -> None:
    for fields in ([], [1], [1, [None]], ["geopb", {"versions": [1]}]):
        assert not taken([kind, *fields])


def test_the_first_message_is_a_hello() -> None:
    for message in (CALL, ANSWER, ERROR, RELEASE, CHUNK, GOODBYE):
        side = Side()
        side.broker.begin()
        side.take()
        assert refusal(side, message)


def test_the_hello_tells_version_limits_and_features() -> None:
    message = messages.hello(Limits().told(), ("later",))

    kind, magic, told = message
    assert (kind, magic) == (0, "geopb")
    assert isinstance(told, dict)
    assert told["versions"] == [1]
    assert set(told["limits"]) == set(TOLD)
    assert told["features"] == ["later"]


def hello(told: Any, *more: Any) -> bytes:
    return frame([0, "geopb", told, *more])


def limits_of(data: bytes) -> dict[str, int]:
    """Return the limits that are kept after that hello."""
    peer_limits = opened(hello=data).broker.peer_limits
    return {name: getattr(peer_limits, name) for name in TOLD}


def test_limits_that_are_told_are_kept() -> None:
    limits = Limits(max_depth=7, max_references=8).told()

    assert limits_of(hello({"versions": [1], "limits": limits})) == limits


def test_limits_that_are_not_told_are_the_least_or_none_that_came_later() -> None:
    assert limits_of(hello({"versions": [1]})) == LEAST_TOLD | NOT_TOLD
    assert list(NOT_TOLD) == ["max_pending_bytes"]


def test_a_part_is_no_larger_than_the_whole() -> None:
    limits = {"max_message_size": 20_000, "max_structure_size": 30_000}

    kept = limits_of(hello({"versions": [1], "limits": limits}))

    assert kept["max_structure_size"] == 20_000


def test_unknown_keys_versions_and_fields_are_ignored() -> None:
    told = {"versions": [3, 1, "x"], "limits": {"other": "x"}, "other": [1]}

    assert limits_of(hello(told, "more")) == LEAST_TOLD | NOT_TOLD


@pytest.mark.parametrize("name", TOLD)
def test_each_limit_has_a_least_value(name: str) -> None:
    least = LEAST_TOLD[name]

    def told(value: object) -> bytes:
        # A part is no larger than the whole, so the whole is told as well.
        whole = {"max_message_size": 2**63}
        return hello({"versions": [1], "limits": {**whole, name: value}})

    assert limits_of(told(least))[name] == least
    assert limits_of(told(2**63))[name] == 2**63
    for value in (least - 1, 0, -1, float(least), str(least), None, True, [], {}):
        side = Side()
        assert name in refusal(side, told(value))


@pytest.mark.parametrize(
    "message",
    [
        [0, "geopb", []],
        [0, "geopb", None],
        [0, "geopb", {}],
        [0, "geopb", Tag(tags.BULK, [1, 1, 0])],
        [0, "geopb", {"versions": 1}],
        [0, "geopb", {"versions": []}],
        [0, "geopb", {"versions": [2]}],
        [0, "geopb", {"versions": ["1"]}],
        [0, "geopb", {"versions": [Tag(tags.DECIMAL, "sNaN")]}],
        [0, "geopb", {"versions": [1], "limits": []}],
        [0, "geopb", {"versions": [1], "limits": None}],
        [0, "geopb", {"versions": [1], "later": Tag(35, "a*")}],
    ],
)
def test_a_wrong_hello_is_refused(message: list[Any]) -> None:
    side = Side()

    refusal(side, message)


def test_what_the_peer_offers_is_named_when_no_version_is_common() -> None:
    side = Side()

    text = refusal(side, hello({"versions": [2, 3]}))

    assert text == "the peer speaks versions [2, 3], this side 1"


def test_a_refusal_repeats_what_came_in_bounded_printable_form() -> None:
    for message in (
        [1, "\x1b[31m\n" * 10_000, ["x"] * 10_000],
        ["\x1b[31m\n" * 10_000],
        [6, ["\x1b[31m\n" * 10_000]],
        [1, [Tag(tags.DEFINE, [0, [Tag(tags.AGAIN, 0)] * 1000])]],
    ):
        text = refusal(opened(), message)
        assert len(text) < 500
        assert text.isprintable()


def test_a_goodbye_s_reason_is_one_short_printable_line() -> None:
    side = opened()

    side.receive(frame([6, "a\nb" + "x" * 100_000]))

    assert side.goodbye is not None
    assert side.goodbye.startswith(r"a\nbx")
    assert len(side.goodbye) < 300


def test_a_later_answer_does_not_settle_another_question() -> None:
    side = opened()
    first, second = side.ask("echo", 1), side.ask("echo", 2)

    side.receive(frame([2, 2, ["second"]]))

    assert isinstance(first, Answer)
    assert not first.settled
    assert second.get() == "second"
    side.close()
