"""Nothing of a user's class runs while a message is being read.

Not even what Python runs unasked: looking for an attribute, setting one, asking an
object for its class. All of that waits for the worker that runs the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Flag
from typing import Any

import pytest

import geopb as pb
from geopb.jelly import tags
from tests.broker.harness import Side, opened
from tests.vectors.cbor import Tag, frame

RAN: list[str] = []


class Spy:
    """Tells of everything that is done with its objects."""

    def __getattribute__(self, name: str) -> Any:
        RAN.append(f"get {name}")
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append(f"set {name}")
        super().__setattr__(name, value)

    def __hash__(self) -> int:
        RAN.append("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        RAN.append("eq")
        return self is other

    def __bool__(self) -> bool:
        RAN.append("bool")
        return True

    def __len__(self) -> int:
        RAN.append("len")
        return 1

    def __repr__(self) -> str:
        RAN.append("repr")
        return "spy"


class Copied(Spy, pb.RemoteCopy):
    def setCopyableState(self, state: Any) -> None:
        RAN.append("state")


class Cached(Spy, pb.RemoteCache):
    def setCopyableState(self, state: Any) -> None:
        RAN.append("state")


@pb.copyable
@dataclass(eq=False)
class Recorded(Spy):
    x: Any = None


class Raised(Spy, Exception):
    pass


class Owned(Spy, pb.Referenceable):
    pass


class Access(Flag):
    READ = 1
    WRITE = 2
    RUN = 4

    @classmethod
    def _missing_(cls, value: object) -> Any:
        RAN.append("missing")
        return super()._missing_(value)


REGISTRY = pb.ClassRegistry()
for _name, _cls in {
    "a.Copy": Copied,
    "a.Cache": Cached,
    "a.Record": Recorded,
    "a.Raised": Raised,
    "a.Access": Access,
}.items():
    REGISTRY.setUnjellyableForClass(_name, _cls)

COPY = Tag(tags.COPY, ["a.Copy", {"x": 1}])
CACHE = Tag(tags.CACHE, [5, "a.Cache", {"x": 1}])
SAME_CACHE = Tag(tags.CACHE, [5, "a.Cache"])
RECORD = Tag(tags.COPY, ["a.Record", {"x": COPY}])
RAISED = Tag(tags.COPY, ["a.Raised", [[1], {"x": 1}]])
OWNED = Tag(tags.YOURS, 1)
AGAIN = Tag(tags.AGAIN, 0)


def wrapped(value: Any) -> dict[str, Any]:
    """Return an object in all the places that there are."""
    return {
        "alone": [value],
        "in a list": [[value]],
        "in a tuple": [Tag(tags.TUPLE, [value])],
        "in a tuple of tuples": [Tag(tags.TUPLE, [Tag(tags.TUPLE, [value, 1])])],
        "in a set": [Tag(tags.SET, [value])],
        "in a frozenset": [Tag(tags.FROZENSET, [value])],
        "as a key": [Tag(tags.MAP, [value, 1])],
        "in a key": [Tag(tags.MAP, [Tag(tags.TUPLE, [value]), 1])],
        "as a value": [Tag(tags.MAP, [1, value])],
        "in a map": [{"a": value}],
        "in a copy": [Tag(tags.COPY, ["a.Copy", {"x": value}])],
        "in a record": [Tag(tags.COPY, ["a.Record", {"x": value}])],
        "in a cache": [Tag(tags.CACHE, [9, "a.Cache", value])],
        "beside an alias": [Tag(tags.DEFINE, [0, []]), Tag(tags.TUPLE, [AGAIN, value])],
        "deep": [_deep(value)],
        "beside what is refused": [value, Tag(35, "")],
        "beside bulk": [value, Tag(tags.BULK, [1, 1, 0])],
        "as an enum's member": [Tag(tags.ENUM, ["a.Access", value])],
        "with a nonsensical number": [Tag(tags.DEFINE, [0, value])],
    }


def _deep(value: Any) -> Any:
    for _ in range(100):
        value = Tag(tags.TUPLE, [value])
    return value


VALUES = {
    "a copy": COPY,
    "a cache": CACHE,
    "a record": RECORD,
    "an exception": RAISED,
    "an own object": OWNED,
    "rows": Tag(tags.COPIES, ["a.Record", ["x"], [[1], [2]], [1, 0]]),
    "an alias of a copy": Tag(tags.TUPLE, [Tag(tags.DEFINE, [7, COPY])]),
}


@pytest.fixture
def side() -> Iterator[Side]:
    side = opened(registry=REGISTRY)
    side.ask("take", Owned())
    side.take()
    RAN.clear()
    yield side
    side.close()
    RAN.clear()


@pytest.mark.parametrize("place", wrapped(None))
@pytest.mark.parametrize("name", VALUES)
def test_reading_runs_nothing_of_a_class(side: Side, name: str, place: str) -> None:
    args = wrapped(VALUES[name])[place]

    side.broker.receive(frame([1, 1, 0, "take", args]))

    assert RAN == []


def test_a_cache_that_is_known_is_not_asked_what_it_is(side: Side) -> None:
    side.broker.receive(frame([1, 1, 0, "take", [CACHE]]))
    side.run_due()
    RAN.clear()

    for again in (SAME_CACHE, Tag(tags.MINE, 5), CACHE, Tag(tags.STREAM, [5])):
        side.broker.receive(frame([1, 2, 0, "take", [again]]))

    assert RAN == []


@pytest.mark.parametrize("name", VALUES)
def test_a_message_of_the_wrong_shape_is_told_without_it(side: Side, name: str) -> None:
    for message in (
        [2, 1, [VALUES[name], 1]],
        [1, 1, 0, VALUES[name], []],
        [VALUES[name], 1],
    ):
        with pytest.raises(pb.ProtocolError):
            side.broker.receive(frame(message))

    assert RAN == []


def test_what_is_put_off_is_run_for_the_method(side: Side) -> None:
    """What the other tests are worth: all of this is noticed."""
    side.broker.receive(frame([1, 1, 0, "take", [Tag(tags.SET, [COPY, RECORD])]]))
    side.run_due()

    assert {"state", "hash", "get setCopyableState"} <= set(RAN)


def test_a_combined_flag_is_made_by_flag_alone(side: Side) -> None:
    side.broker.receive(
        frame([1, 1, 0, "take", [Tag(tags.ENUM, ["a.Access", ["READ", "RUN"]])]])
    )

    assert RAN == []
    side.run_due()
    assert side.desk.taken == [Access.READ | Access.RUN]
