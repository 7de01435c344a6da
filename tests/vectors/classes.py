"""The classes that the samples name; the receiver of each sample knows them.

They stand for no module: another implementation knows them by these names alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any, TypeVar

import geopb as pb

C = TypeVar("C", bound=type)


def _named(cls: C) -> C:
    cls.__module__ = "vectors"
    return cls


@pb.copyable
@_named
@dataclass(frozen=True)
class Point:
    """Crosses as a record."""

    x: Any
    y: Any


@_named
class Note(pb.Copyable, pb.RemoteCopy):
    """Crosses as a copy: its state is a map of its attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Note) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(vars(self)))


@_named
class Color(Enum):
    """Its members cross by name."""

    RED = 1
    GREEN = 2


@_named
class Access(Flag):
    """Its members may be combined."""

    READ = 1
    WRITE = 2


@_named
class Problem(Exception):
    """Crosses as itself, also as a value."""

    code = 0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Problem)
            and other.args == self.args
            and other.code == self.code
        )

    def __hash__(self) -> int:
        return hash(self.args)


@_named
class Table(pb.Cacheable):
    """The original of a cache."""

    def __init__(self) -> None:
        self.observer: Any = None

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        self.observer = observer
        return {"rows": 1}


@_named
class ShownTable(pb.RemoteCache):
    """What a `Table` becomes."""

    rows: int
    ended = False

    def observe_set(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def updates_ended(self) -> None:
        self.ended = True


for _name, _cls in {
    "vectors.Note": Note,
    "vectors.Color": Color,
    "vectors.Access": Access,
    "vectors.Problem": Problem,
    "vectors.Table": ShownTable,
}.items():
    pb.setUnjellyableForClass(_name, _cls)
