"""An answer that is read where it was sent is what its receiver would send back."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest
from hypothesis import given

from geopb.jelly import tags
from geopb.jelly.encode import Encoder
from geopb.jelly.own import OwnReader
from geopb.limits import Limits
from geopb.wire import messages
from geopb.wire.codec import DecodeRefused
from tests.jelly.graphs import Nobody
from tests.properties.profile import usual
from tests.strategies import graphs, same, values
from tests.vectors.cbor import Tag, item


class Hashed:
    """An object whose hash is users' code."""

    def __hash__(self) -> int:
        raise AssertionError("it was hashed by the reader")


class Objects(Nobody):
    """Knows this side's object 1, and the peer's object 2."""

    def __init__(self) -> None:
        super().__init__()
        self.mine, self.theirs = Hashed(), object()

    def found_theirs(self, number: int) -> object:
        return {1: self.mine}[number]

    def found_ours(self, number: int) -> object:
        return {2: self.theirs}[number]


def own() -> OwnReader:
    return OwnReader(Limits(), thread_time)


def answer(content: Any, question: int = 7) -> bytes:
    return item([messages.ANSWER, question, [content]])


@given(values | graphs())
@usual
def test_any_value_is_read_as_its_receiver_reads_it(value: Any) -> None:
    packed = Encoder(Nobody(), Limits).pack([messages.ANSWER, 7], (value,))

    assert same(own().value(Nobody(), 7, packed.body), value)


def test_references_are_what_they_are_at_home() -> None:
    objects = Objects()

    found = own().value(
        objects, 7, answer([Tag(tags.MINE, 1), {"a": Tag(tags.YOURS, 2)}])
    )

    assert found == [objects.mine, {"a": objects.theirs}]


@pytest.mark.parametrize(
    "content",
    [
        Tag(tags.COPY, ["vectors.Note", {}]),
        Tag(tags.ENUM, ["vectors.Color", "RED"]),
        Tag(tags.CACHE, [1, "vectors.Table"]),
        Tag(tags.STREAM, [1]),
        Tag(tags.BULK, [1, 1, 0]),
        Tag(tags.ANSWER_OF, 1),
        Tag(tags.SET, [Tag(tags.MINE, 1)]),
        Tag(tags.MAP, [Tag(tags.MINE, 1), 1]),
    ],
    ids=["copy", "enum", "cache", "stream", "bulk", "answer", "set", "map"],
)
def test_what_is_the_receivers_to_make_is_refused(content: Any) -> None:
    reader = own()

    with pytest.raises(DecodeRefused):
        reader.value(Objects(), 7, answer(content))

    assert reader.value(Objects(), 7, answer(5)) == 5


def test_the_answer_to_another_question_is_refused() -> None:
    with pytest.raises(DecodeRefused, match="another question"):
        own().value(Nobody(), 7, answer(1, question=39))
