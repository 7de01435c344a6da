"""What was found by fuzzing and by attack, each once and for ever."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import geopb as pb
from geopb.jelly import tags
from geopb.jelly.decode import Unjellier
from geopb.jelly.slots import Salvaged
from tests.broker.harness import opened
from tests.fuzz.ends import check_one_end
from tests.vectors.cbor import Raw, Tag, frame, item
from tests.vectors.classes import Note

#: A megabyte that is refused with the rest of its message.
_LARGE = b"x" * 1_000_000

REFUSED = {
    "a tag": [Tag(35, "a"), _LARGE],
    "an integer over its limit": [_LARGE, Tag(2, b"\xff" * 2000)],
    "a depth over its limit": [_LARGE, Raw(b"\x81" * 200 + b"\x00", "deep")],
    "a name that is not registered": [_LARGE, Tag(tags.COPY, ["no.such", {}])],
    "an alias of nothing": [_LARGE, Tag(tags.AGAIN, 3)],
    "references over their limit": [
        _LARGE,
        *[Tag(tags.MINE, n) for n in range(1, 10_050)],
    ],
}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector is off: what is freed is freed by itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_message_is_held_by_nobody(name: str) -> None:
    """A peer that sent nothing else had hundreds of MiB kept until a collection."""
    side = opened()

    side.receive(frame([1, 1, 0, "take", REFUSED[name]]))

    assert b"\x89\x03\x01" in side.take()
    found = gc.collect()
    assert found == 0, f"{found} objects hold each other"
    side.close()


@pytest.mark.usefixtures("uncollected")
def test_a_refused_answer_holds_no_frame() -> None:
    side = opened()
    answer = side.ask("echo", 1)

    side.receive(frame([2, 1, [[_LARGE, Tag(2, b"\xff" * 2000)]]]))

    failure = answer.failure
    assert failure is not None
    assert failure.value.__traceback__ is None
    assert failure.value.__context__ is None
    side.close()
    assert gc.collect() == 0


@pytest.mark.usefixtures("uncollected")
def test_nothing_of_a_message_is_held_while_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both readings at once were twice the memory of one."""
    held: list[int] = []
    salvage = Unjellier.salvage

    def look(self: Unjellier, body: bytes) -> Salvaged:
        held.append(sum(type(each) is Note for each in gc.get_objects()))
        return salvage(self, body)

    monkeypatch.setattr(Unjellier, "salvage", look)
    side = opened()
    notes = [Tag(tags.COPY, ["vectors.Note", {}])] * 10

    side.receive(frame([1, 1, 0, "take", [notes, Tag(35, "")]]))
    side.receive(frame([1, 2, 0, "take", [notes, Tag(2, b"\xff" * 2000)]]))

    assert held == [0, 0]
    side.close()


@pb.copyable
@dataclass
class _Nothing:
    """A record without fields."""


def test_a_table_of_records_without_fields_is_refused() -> None:
    """Each byte of it was an object."""
    side = opened()

    table = Tag(tags.COPIES, [f"{__name__}._Nothing", [], [[]] * 10, []])
    side.receive(frame([1, 1, 0, "take", [table]]))

    assert b"which has no fields" in side.take()
    side.close()


_TABLE = Tag(tags.CACHE, [5, "vectors.Table", {"rows": 1}])
_RING = Tag(tags.COPY, ["vectors.Point", {"x": Tag(tags.AGAIN, 0), "y": 1}])
#: Messages that ``make fuzz`` has kept, in a readable form.
INPUTS: dict[str, list[Any]] = {
    "a ring of records as a key": [
        *(1, 1, 0, "take"),
        [Tag(tags.MAP, [Tag(tags.DEFINE, [0, _RING]), 1])],
    ],
    # It waited behind the state that it brought, and so did all who were given the
    # cache, to the end of the connection.
    "a snapshot that brings its cache": [8, 2, 5, [_TABLE]],
    "a snapshot that brings its cache, unasked": [8, None, 5, [[_TABLE]]],
    "an update that brings its cache": [7, 2, 5, "set", ["rows", _TABLE]],
    "an update that brings it by keyword": [7, None, 5, "set", [], {"name": _TABLE}],
}


def _shared_records(levels: int) -> list[Any]:
    """Return records each of which holds the next one twice."""
    made = [
        Tag(tags.COPY, ["vectors.Point", dict.fromkeys("xy", Tag(tags.AGAIN, n + 1))])
        for n in range(levels)
    ]
    return [Tag(tags.DEFINE, [n, each]) for n, each in enumerate([*made, []])]


@pytest.mark.parametrize(
    "message",
    [
        [2, 1, _shared_records(60)],
        [3, 1, _shared_records(60)],
        [1, 1, 0, _shared_records(60), []],
        [6, _shared_records(60)],
        [_shared_records(60), 1],
    ],
    ids=["answer", "error", "call", "goodbye", "kind"],
)
def test_a_message_of_the_wrong_shape_is_shown_in_little_time(message: Any) -> None:
    """What it was refused with had the repr() of records that unfold without end."""
    side = opened()
    side.ask("echo", 1)

    with pytest.raises(pb.ProtocolError, match=r"wrong shape|of kind"):
        side.receive(frame(message))

    side.close()


def test_a_failure_whose_arguments_unfold_without_end_is_shown() -> None:
    side = opened()
    answer = side.ask("echo", 1)
    lists = [[Tag(tags.AGAIN, n + 1)] * 2 for n in range(60)]
    args = [Tag(tags.DEFINE, [n, each]) for n, each in enumerate([*lists, []])]

    side.receive(frame([3, 1, "geopb.Error", "text", ["geopb.Error"], args, {}]))

    assert repr(answer.failure) == "<CopiedFailure geopb.Error: text>"
    side.close()


def test_a_snapshot_that_names_its_own_cache_does_not_wait_for_itself() -> None:
    """The state of a cache may hold the cache, which was dropped and named anew."""
    side = opened()
    named = Tag(tags.CACHE, [5, "vectors.Table"])
    call = frame([1, 1, 0, "take", [named]])

    side.broker.receive(call + frame([8, 2, 5, [{"rows": 1, "me": named}]]))
    side.run_due()

    (table,) = side.desk.taken
    assert table.rows == 1
    assert table.me is table
    del table.me, table
    side.close()


@pytest.mark.parametrize("name", INPUTS)
def test_what_was_found_once_is_harmless(name: str) -> None:
    refused = check_one_end(b"\x00" + item(INPUTS[name]))

    assert refused is None
