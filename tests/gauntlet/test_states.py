"""Messages of every shape in every state: what breaks the protocol ends the connection.

In memory, as the rules are the broker's alone; those that end a connection are given to
a live server as well.
"""

from __future__ import annotations

from typing import Any

import pytest

import geopb as pb
from geopb.broker.state import State
from geopb.wire import messages
from tests.broker.harness import HELLO, Side, Thing
from tests.gauntlet.arena import Raw
from tests.gauntlet.conftest import MakeArena
from tests.gauntlet.corpus_tags import CONTENTS
from tests.vectors.cbor import Tag, frame, head

#: A good one of each kind, to a side that has asked question 1 and given object 1, and
#: how many of its fields are needed.
GOOD: dict[int, tuple[list[Any], int]] = {
    messages.HELLO: ([0, "geopb", {"versions": [1]}], 3),
    messages.CALL: ([1, 7, 0, "take", [1], {"a": 1}, {"nested": True}], 5),
    messages.ANSWER: ([2, 1, [5]], 3),
    messages.ERROR: ([3, 1, "t", "m", ["t"], [], {}, None, {}], 7),
    messages.RELEASE: ([4, 1, 1], 1),
    messages.CHUNK: ([5, 1, b"x"], 3),
    messages.GOODBYE: ([6, "enough"], 2),
    messages.UPDATE: ([7, 7, 5, "set", [], {}], 5),
    messages.SNAPSHOT: ([8, 7, 5, [1]], 4),
    messages.UPDATES_END: ([9, 5], 2),
    messages.CANCEL: ([10, 7, True], 2),
    messages.DRAINING: ([11, False], 2),
}
#: What stands in the place of a field that is spoilt.
ODD = {
    **CONTENTS,
    "zero": 0,
    "beyond ids": 2**63,
    "a great negative": -(2**63),
    "a bignum": Tag(2, b"\xff" * 9),
    "empty text": "",
    "a long text": "x" * 100_000,
    "a map of maps": {"a": {"b": {}}},
    "a bulk": Tag(60109, [1, 1, 0]),
}
REFUSALS = (pb.ProtocolError, pb.LimitExceeded)


def side_in(state: State) -> Side:
    side = Side()
    side.broker.begin()
    if state is not State.OPENING:
        side.broker.receive(HELLO)
        side.ask("take", Thing())
    if state is State.PARTED:
        side.receive(frame(GOOD[messages.GOODBYE][0]))
    side.take()
    return side


def refused(side: Side, message: Any) -> Exception | None:
    """Give a side a message; return what it refused the peer with, if it did."""
    try:
        side.receive(frame(message))
    except REFUSALS as error:
        found = error
    else:
        return None
    assert 0 < len(str(found)) < 1000
    assert str(found).isprintable()
    return found


def ended(side: Side) -> bool:
    side.close()
    assert side.tables() == {}
    assert side.raised == []
    return True


#: What may come in which state; a chunk only if it was announced.
TAKEN = {
    State.OPENING: {messages.HELLO},
    State.OPEN: set(GOOD) - {messages.HELLO, messages.CHUNK},
    State.PARTED: set(),
}


@pytest.mark.parametrize("state", TAKEN, ids=lambda state: state.value)
def test_each_message_in_each_state(state: State) -> None:
    """49, 50, 61, 62."""
    for kind, (message, _) in GOOD.items():
        side = side_in(state)

        error = refused(side, message)

        assert (error is None) == (kind in TAKEN[state]), (kind, error)
        assert ended(side)


@pytest.mark.parametrize("kind", [14, 23, 24, 255, 2**32, 2**63, -1, -12])
@pytest.mark.parametrize("state", TAKEN, ids=lambda state: state.value)
def test_a_kind_that_nobody_knows_ends_the_connection(state: State, kind: int) -> None:
    side = side_in(state)

    assert refused(side, [kind, 1, 2, 3]) is not None
    assert ended(side)


@pytest.mark.parametrize("kind", GOOD)
def test_any_number_of_fields(kind: int) -> None:
    """53: too few end the connection, more are ignored where they mean nothing."""
    message, needed = GOOD[kind]
    state = State.OPENING if kind == messages.HELLO else State.OPEN
    for count in range(1, needed):
        side = side_in(state)
        error = refused(side, message[:count])
        assert error is not None or (kind, count) == (messages.RELEASE, 1), count
        assert ended(side)
    for more in ([None], [None, {}], [[], [], []]):
        side = side_in(state)
        error = refused(side, [*message, *more])
        keeps = kind not in (messages.RELEASE, messages.CHUNK)
        assert (error is None) == keeps, (more, error)
        assert ended(side)


@pytest.mark.parametrize("kind", GOOD)
def test_each_field_of_each_wrong_kind(kind: int) -> None:
    """54: taken, refused for its call, or the end: and the books are right."""
    message, _ = GOOD[kind]
    state = State.OPENING if kind == messages.HELLO else State.OPEN
    counts = {True: 0, False: 0}
    for field in range(len(message)):
        for odd in ODD.values():
            side = side_in(state)
            spoilt = [*message[:field], odd, *message[field + 1 :]]
            counts[refused(side, spoilt) is None] += 1
            assert ended(side)
    assert counts[False] > len(ODD) / 2


IDS = [
    0,
    -1,
    2**63,
    2**64 - 1,
    Tag(2, b"\x01" + bytes(8)),
    "1",
    1.0,
    True,
    None,
    b"1",
    [1],
]
#: Kind, field and what stands there all the same.
FINE = [(1, 1, None), (7, 1, None), (8, 1, None), (1, 2, 0), (1, 2, -1)]


def test_ids_that_are_none() -> None:
    """59: in the place of each id of each message."""
    places = {
        messages.CALL: (1, 2),
        messages.ANSWER: (1,),
        messages.ERROR: (1,),
        messages.RELEASE: (1, 2),
        messages.UPDATE: (1, 2),
        messages.SNAPSHOT: (1, 2),
        messages.UPDATES_END: (1,),
        messages.CANCEL: (1,),
    }
    for kind, fields in places.items():
        for field in fields:
            for number in IDS:
                message = list(GOOD[kind][0])
                message[field] = number
                side = side_in(State.OPEN)
                error = refused(side, message)
                # No question is no answer; target 0 is the lobby, -1 an answer.
                fine = any(
                    (kind, field) == each[:2] and number is each[2] for each in FINE
                )
                assert (error is None) == fine, (kind, field, number, error)
                assert ended(side)


#: ``[4, *[1, 1] * 500_000]``, without a step for each.
A_MILLION = head(4, 1_000_001) + b"\x04" + b"\x01" * 1_000_000
BREAKING = {
    "49 a call before the hello": (False, frame(GOOD[messages.CALL][0])),
    "51 an unknown version": (False, frame([0, "geopb", {"versions": [2, 99]}])),
    "51 no version": (False, frame([0, "geopb", {}])),
    "51 limits that are too small": (
        False,
        frame([0, "geopb", {"versions": [1], "limits": {"max_depth": 0}}]),
    ),
    "50 a second hello": (True, HELLO),
    "52 an unknown kind": (True, frame([99, 1])),
    "55 an answer to nothing": (True, frame([2, 1, [1]])),
    "56 an error to nothing": (True, frame([3, 1, "t", "m", [], [], {}])),
    "61 a call behind the goodbye": (
        True,
        frame([6, "bye"]) + frame([1, 1, 0, "getRootObject", []]),
    ),
    "82 a release of nothing": (True, frame([4, 99, 1])),
    "a chunk of nothing": (True, frame([5, 1, b"x"])),
    "a call that was not run for nothing": (True, frame([12, 1, 9])),
    "a call that was not run for itself": (True, frame([12, 1, 1])),
    "a release of a million": (True, len(A_MILLION).to_bytes(4, "big") + A_MILLION),
    "a deep message": (True, b"\x00\x00\x08\x00" + b"\x81" * 2048),
}


def test_what_breaks_the_protocol_ends_the_connection_of_who_does(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    ring = arena()
    for name, (hello, said) in BREAKING.items():
        with subtests.test(name), ring.case(cpu=1, mebibytes=20):
            raw: Raw = ring.raw(hello=hello)
            raw.say(said)
            assert raw.ends()
