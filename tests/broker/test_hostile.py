"""A peer that means harm ends its own connection or fails its own call, no more."""

from __future__ import annotations

import random
from time import thread_time
from typing import Any

import pytest

import geopb as pb
from geopb.jelly import tags
from geopb.jelly.decode import Unjellier
from geopb.limits import Limits
from tests.broker.harness import Side, Thing, opened, refusal
from tests.jelly import hostile
from tests.timing import seconds
from tests.vectors.cbor import Raw, Tag, frame


def take(side: Side, *frames: bytes) -> Exception | None:
    """Receive frames; return what ended the connection, if anything did."""
    try:
        for each in frames:
            side.receive(each)
    except (pb.ProtocolError, pb.LimitExceeded) as error:
        return error
    return None


def call(*args: Any, number: int = 1) -> bytes:
    return frame([1, number, 0, "take", list(args)])


def works(side: Side) -> bool:
    """Whether the side runs and answers a call."""
    side.desk.taken.clear()
    side.take()
    side.receive(call("works", number=77))
    return side.desk.taken == ["works"] and b"\x83\x02\x18\x4d\x81\xf6" in side.take()


def test_one_refused_call_changes_nothing_for_the_next() -> None:
    side = opened()
    for number in range(1, 20):
        side.receive(call(Tag(35, "a*"), 1, 2, 3, number=number))
        assert b"InsecureJelly" in side.take()
        assert works(side)
    side.close()


def test_what_was_read_to_its_end_is_not_read_again_to_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its references and its bulk are known: to find them once more costs as much."""
    monkeypatch.delattr(Unjellier, "salvage")
    side = opened()

    side.receive(
        call(
            Tag(tags.MINE, 5),
            Tag(tags.DEFINE, [3, []]),
            Tag(tags.DEFINE, [3, []]),
            Tag(tags.BULK, [8, 2, tags.BULK_BYTES]),
            number=1,
        )
    )
    refused = side.take()
    side.receive(frame([5, 8, b"ab"]))

    assert frame([4, 5, 1]) in refused
    assert b"a map that holds a key twice" in refused
    assert works(side)
    side.close()


def test_a_refused_answer_changes_nothing_for_the_next() -> None:
    side = opened()
    for number in range(1, 10):
        answer = side.ask("echo", 1)
        side.receive(frame([2, number, [[Tag(35, "a*"), 1, 2, 3]]]))
        with pytest.raises(pb.InsecureJelly, match="CBOR tag 35 is not accepted"):
            answer.get()
    assert works(side)
    side.close()


def test_a_deep_call_changes_nothing_for_the_next() -> None:
    side = opened()
    value: Any = 1
    for _ in range(100):
        value = Tag(tags.TUPLE, [value])

    side.receive(call(value))

    assert works(side)
    side.close()


def test_a_refused_one_way_call_is_not_answered() -> None:
    side = opened()

    side.receive(frame([1, None, 0, "take", [Tag(35, "a*")]]))

    assert side.take() == b""
    assert works(side)
    side.close()


def test_a_refused_error_answer_fails_its_call() -> None:
    side = opened()
    answer = side.ask("echo", 1)

    side.receive(frame([3, 1, "t", "m", [], [Tag(35, "a*")], {}]))

    with pytest.raises(pb.InsecureJelly):
        answer.get()
    assert works(side)
    side.close()


@pytest.mark.parametrize(
    "message",
    [
        [0, Tag(35, "a*")],
        [1, 0, 0, "take", [Tag(35, "a*")]],
        [1, "1", 0, "take", [Tag(35, "a*")]],
        [2, 9, [Tag(35, "a*")]],
        [2, None, [Tag(35, "a*")]],
        [3, 9, "t", "m", [], [Tag(35, "a*")], {}],
        [4, Tag(35, "a*")],
        [5, 1, Tag(35, "a*")],
        [6, Tag(35, "a*")],
        [7, 0, 1, "x", [Tag(35, "a*")]],
        [8, "1", 1, [Tag(35, "a*")]],
        [9, Tag(35, "a*")],
        [10, Tag(35, "a*")],
        [Tag(35, "a*"), 1],
        [Tag(35, "a*")],
        Tag(35, "a*"),
        [True, 1, Tag(35, "a*")],
        [1.0, 1, Tag(35, "a*")],
        [Tag(tags.DECIMAL, "sNaN"), 1, Tag(35, "a*")],
        [None, None, Tag(35, "a*")],
    ],
)
def test_a_refused_message_that_is_nobody_s_call_ends_the_connection(
    message: Any,
) -> None:
    assert refusal(opened(), message)


@pytest.mark.parametrize(
    "answer", [[2, 1, [1]], [3, 1, "t", "m", [], [], {}], [2, 1, [Tag(35, "a*")]]]
)
def test_an_answer_that_nobody_asked_for_ends_the_connection(answer: list[Any]) -> None:
    assert "question 1, which is not open" in refusal(opened(), answer)


@pytest.mark.parametrize("number", [0, -1, 2, 2**63, 2**64 - 1, "1", 1.0, None, True])
def test_an_answer_to_no_question_of_ours_ends_the_connection(number: Any) -> None:
    for message in ([2, number, [1]], [3, number, "t", "m", [], [], {}]):
        side = opened()
        side.ask("echo", 1)
        assert refusal(side, message)
        side.close()


def test_a_question_id_that_is_used_twice_is_answered_twice() -> None:
    side = opened()

    side.receive(call(1) + call(2))

    assert side.take() == frame([2, 1, [None]]) * 2
    side.close()


KEEPS_GOING = {
    "alias bomb": [
        *[Tag(tags.DEFINE, [n, [Tag(tags.AGAIN, n + 1)] * 2]) for n in range(50)],
        Tag(tags.DEFINE, [50, []]),
    ],
    "cycle": [Tag(tags.DEFINE, [0, [Tag(tags.AGAIN, 0)]])],
    "undefined and simple values": [
        Raw(b"\xf7", "undefined"),
        Raw(b"\xe5", "simple(5)"),
    ],
    "huge integer": [Tag(2, b"\xff" * 1024)],
    "NaN of all kinds": [
        Tag(tags.DECIMAL, "sNaN"),
        Tag(tags.DECIMAL, "NaN"),
        float("nan"),
    ],
}


@pytest.mark.parametrize("name", KEEPS_GOING)
def test_an_odd_value_can_be_echoed_or_refused(name: str) -> None:
    side = opened()
    begun = thread_time()

    side.receive(frame([1, 1, 0, "echo", [KEEPS_GOING[name]]]))

    assert thread_time() - begun < seconds(0.5)
    assert side.take()
    assert works(side)
    side.close()


@pytest.mark.parametrize("name", KEEPS_GOING)
def test_an_odd_value_in_any_field_raises_nothing_unusual(name: str) -> None:
    odd = KEEPS_GOING[name][0]
    for message in (
        [1, 1, 0, "take", []],
        [2, 1, [1]],
        [3, 1, "t", "m", [], [], None, {}],
        [4, 1, 1],
        [5, 1, b"a"],
        [6, "x"],
    ):
        for field in range(len(message)):
            side = opened()
            side.ask("take", Thing())
            error = take(side, frame([*message[:field], odd, *message[field + 1 :]]))
            assert error is None or len(str(error)) < 1000
            side.close()


def test_names_that_look_like_attributes_reach_nothing() -> None:
    side = opened()
    names = ["__init__", "__class__", "remote_echo", "_x", "a.b", "", "\x00", "objects"]
    for number, name in enumerate(names, 1):
        side.receive(frame([1, number, 0, name, []]))
        assert b"NoSuchMethod" in side.take()
    assert works(side)
    side.close()


def test_keyword_arguments_with_dunder_names_are_only_names() -> None:
    side = opened()

    side.receive(frame([1, 1, 0, "take", [], {"__class__": 1, "__dict__": 2, "": 3}]))

    assert side.desk.keywords == {"__class__": 1, "__dict__": 2, "": 3}
    side.close()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "builtins.SystemExit"])
def test_an_error_answer_makes_no_class_that_was_not_registered(name: str) -> None:
    side = opened()
    answer = side.ask("echo", 1)

    names = [name, "builtins.KeyboardInterrupt"]
    side.receive(frame([3, 1, name, "m", names, ["x"], {"errno": 5}]))

    with pytest.raises(pb.RemoteError) as raised:
        answer.get()
    assert raised.value.remote_type == name
    assert type(raised.value) is pb.RemoteError
    side.close()


def test_an_error_answer_of_a_mebibyte_is_a_failure() -> None:
    side = opened()
    answer = side.ask("echo", 1)

    told = ["t" * 10**6, "m" * 10**6, ["p"] * 10**5, ["a"] * 10**5, {}]
    side.receive(frame([3, 1, *told]))

    assert answer.failure is not None
    assert len(answer.failure.type) < 2000
    side.close()


def test_an_error_of_one_peer_can_be_told_to_another() -> None:
    least = {"versions": [1]}
    side, other = opened(), opened(hello=frame([0, "geopb", least]))
    answer = side.ask("echo", 1)
    details = {"errno": Tag(tags.FRACTION, [1, 2]), "x": Tag(tags.SET, [1])}
    told = ["t", "m" * 10**6, ["t"], [], {"a": 1}, "tb" * 10**5, details]
    side.receive(frame([3, 1, *told]))
    assert answer.failure is not None
    other.holding = True
    other.receive(call())

    other.broker.fail(other.held.pop(), answer.failure.fresh())

    peer = opened(Limits(max_structure_size=16 * 1024))
    asked = peer.ask("echo", 1)
    assert take(peer, other.take()) is None
    assert asked.failure is not None
    assert asked.failure.type == "t"
    for each in (side, other, peer):
        each.close()


@pytest.mark.parametrize("name", hostile.ALL)
def test_keys_that_collide_fail_their_call_alone(name: str) -> None:
    side = opened()
    keys = hostile.ALL[name](20_000)
    begun = thread_time()

    side.receive(call(Tag(tags.SET, keys)))

    assert thread_time() - begun < seconds(0.5)
    assert b"collide" in side.take()
    assert works(side)
    side.close()


@pytest.mark.parametrize("refused", [False, True])
def test_a_quarter_of_a_mebibyte_of_references_costs_little(refused: bool) -> None:
    side = opened()
    args = b"\xd9\xea\xc4\x01" * 65_000 + (b"\xd8\x63\x00" if refused else b"\x00")
    body = b"\x85\x01\x01\x00\x64take\x9a" + (65_001).to_bytes(4, "big") + args
    data = len(body).to_bytes(4, "big") + body
    begun = thread_time()

    side.broker.receive(data)

    assert thread_time() - begun < seconds(0.25)
    side.close()


def test_a_million_releases_in_a_message_cost_little() -> None:
    side = opened()
    side.ask("take", *[Thing()] * 3)
    begun = thread_time()

    assert refusal(side, [4, *[1, 1] * 200_000])

    assert thread_time() - begun < seconds(0.5)
    side.close()


def test_random_bytes_behind_a_hello_end_the_connection() -> None:
    for seed in range(300):
        side = opened()
        data = random.Random(seed).randbytes(2000)
        error = take(side, data)
        assert error is not None or side.broker.in_the_middle
        side.close()
        assert side.tables() == {}
