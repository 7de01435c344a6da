from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from geopb.errors import LimitExceeded, ProtocolError
from geopb.jelly import tags
from geopb.limits import Limits
from tests.broker.harness import HELLO, Side, Thing, opened
from tests.properties.profile import many, usual
from tests.strategies import graphs, same, values
from tests.vectors.cbor import Raw, Tag, frame
from tests.vectors.samples import entries

SAMPLES = [
    b"".join(bytes.fromhex(each) for each in entry["frames"])
    for entry in entries()
    if entry["group"] != "hello" and 8 < len(entry["frames"][0]) < 4000
]
ALL_TAGS = [number for name, number in vars(tags).items() if type(number) is int]


def side() -> Side:
    """A side with questions and exports, and small limits."""
    made = opened(Limits(max_structure_size=16_384, max_message_size=65_536))
    made.ask("take", Thing(), Thing())
    made.ask("take")
    made.take()
    return made


def survives(made: Side, data: bytes) -> None:
    """The side takes the bytes, or refuses them as it should; then it ends clean."""
    try:
        made.receive(data)
    except (ProtocolError, LimitExceeded) as error:
        text = str(error)
        assert len(text) < 20_000
    made.close()
    assert made.tables() == {}


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return `data` cut at those places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


class Recipe(NamedTuple):
    """What travels as bulk: an example has room for 8 KiB, and is to be printed."""

    make: Callable[[bytes], bytes | bytearray]
    length: int
    first: int

    def made(self) -> bytes | bytearray:
        some = bytes(range(self.first, 256))
        return self.make((some * (self.length // len(some) + 1))[: self.length])


bulk = st.builds(
    Recipe,
    st.sampled_from([bytes, bytearray]),
    st.integers(33_000, 33_100) | st.integers(100_000, 600_000),
    st.integers(0, 255),
)


def is_bulk(value: Any) -> bool:
    return isinstance(value, bytes | bytearray) and len(value) > 32_000


@given(
    st.lists(values | graphs() | bulk, max_size=4),
    st.lists(st.integers(0, 2**20), max_size=20),
    st.booleans(),
)
@usual
def test_any_split_of_the_stream_gives_the_same_messages(
    drawn: list[Any], cuts: list[int], straight: bool
) -> None:
    """Also where the bytes of chunks are read straight to where they stay."""
    items = [each.made() if isinstance(each, Recipe) else each for each in drawn]
    sender, receiver = opened(), opened()
    for item in items:
        sender.ask("take", item)

    while data := sender.take():
        for piece in split(data, cuts):
            (receiver.read if straight else receiver.receive)(piece)
        # What was taken, so that more bulk may come.
        sender.receive(receiver.take())

    taken = receiver.desk.taken
    assert sorted(map(repr, map(type, taken))) == sorted(map(repr, map(type, items)))
    # A message with bulk starts when its last byte is there: only others keep order.
    small = [each for each in items if not is_bulk(each)]
    arrived = [each for each in taken if not is_bulk(each)]
    assert all(same(a, b) for a, b in zip(arrived, small, strict=True))
    large = sorted(each for each in items if is_bulk(each))
    assert sorted(each for each in taken if is_bulk(each)) == large
    for each in (sender, receiver):
        each.close()


@given(st.binary(max_size=200))
@many
def test_garbage_from_the_beginning_is_refused(data: bytes) -> None:
    made = Side()
    made.broker.begin()
    made.take()

    survives(made, data)


@given(st.binary(max_size=200))
@many
def test_garbage_behind_a_hello_is_refused(data: bytes) -> None:
    made = Side()
    made.broker.begin()
    made.take()

    survives(made, HELLO + data)


@given(st.binary(max_size=100))
@many
def test_a_frame_of_garbage_is_refused(body: bytes) -> None:
    survives(side(), len(body).to_bytes(4, "big") + body)


@given(
    st.sampled_from(SAMPLES),
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4
    ),
)
@many
def test_a_sample_with_changed_bytes_is_taken_or_refused(
    data: bytes, changes: list[tuple[int, int]]
) -> None:
    # Behind the length of the first frame, so that most reach the decoder.
    changed = bytearray(data)
    for place, byte in changes:
        changed[4 + place % (len(changed) - 4)] = byte

    survives(side(), bytes(changed))


@given(
    st.sampled_from(SAMPLES),
    st.integers(0, 2000),
    st.integers(0, 40),
    st.binary(max_size=40),
)
@many
def test_a_sample_with_replaced_bytes_is_taken_or_refused(
    data: bytes, place: int, length: int, new: bytes
) -> None:
    body = data[4:]
    place %= len(body)
    body = body[:place] + new + body[place + length :]

    survives(side(), len(body).to_bytes(4, "big") + body)


_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 10)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=5)
    | st.binary(max_size=20)
    | st.sampled_from([Raw(b"\xf7", "undefined"), Raw(b"\xe5", "simple(5)")])
)
#: Items that are well formed and mean little: tags of ours with anything in them.
items = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(Tag, st.sampled_from(ALL_TAGS), inner)
        | st.builds(Tag, st.sampled_from(ALL_TAGS), st.lists(inner, max_size=5))
    ),
    max_leaves=12,
)


@given(st.lists(st.lists(items, max_size=8), max_size=4))
@many
def test_messages_of_any_items_are_taken_or_refused(messages: list[list[Any]]) -> None:
    survives(side(), b"".join(map(frame, messages)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    [1, 1, 0, "take"],
                    [1, 1, 0, "echo"],
                    [1, None, 0, "take"],
                    [2, 1],
                    [2, 2],
                    [3, 1, "t", "m", []],
                    [4],
                    [5],
                    [6],
                ]
            ),
            st.lists(items, max_size=4),
        ),
        max_size=5,
    )
)
@many
def test_messages_of_a_kind_with_any_items_are_taken_or_refused(
    messages: list[tuple[list[Any], list[Any]]],
) -> None:
    survives(side(), b"".join(frame([*start, *rest]) for start, rest in messages))


@given(st.lists(items, max_size=3), st.lists(items, max_size=2))
@many
def test_a_call_of_any_arguments_is_run_or_answered(
    args: list[Any], more: list[Any]
) -> None:
    made = side()
    try:
        made.receive(frame([1, 1, 0, "echo", [args]]) + frame([1, 2, 0, "echo", [1]]))
    except (ProtocolError, LimitExceeded):
        made.close()
        return
    if not made.broker.in_the_middle:
        # Both have their answer, the second one with what it asked for.
        assert frame([2, 2, [1]]) in made.take()
    made.close()
    assert made.tables() == {}
