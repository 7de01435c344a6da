"""Values through the encoder and the decoder, without a connection."""

from __future__ import annotations

from time import thread_time
from typing import Any

from geopb.jelly.decode import Unjellier
from geopb.jelly.encode import Encoder
from geopb.jelly.passing import Packed, Packing, State
from geopb.jelly.registry import ClassRegistry, Record
from geopb.jelly.steps import Step
from geopb.limits import Limits
from geopb.wire.codec import CBORTag, DecodeRefused
from tests.vectors.cbor import item


class Nobody:
    """Knows no objects but records: what a value without references needs."""

    def __init__(self) -> None:
        self.bulk = 0
        self.registry = ClassRegistry()

    def passed(self, value: object, packing: Packing) -> CBORTag | None:
        return None

    def copied(self, value: object, packing: Packing) -> State | CBORTag | None:
        return None

    def find_record(self, cls: type) -> Record | None:
        return self.registry.find_record(cls)

    def new_bulk(self) -> int:
        self.bulk += 1
        return self.bulk

    def find_array(self, name: str) -> type | None:
        return None

    def found_theirs(self, number: int) -> object:
        raise DecodeRefused("no references here")

    def found_ours(self, number: int) -> object:
        raise DecodeRefused("no references here")

    def found_stream(self, number: int) -> object:
        raise DecodeRefused("no streams here")

    def found_cache(
        self, number: int, cls: type, state: list[object]
    ) -> tuple[object, Step | None]:
        raise DecodeRefused("no caches here")


def pack(value: Any, limits: Limits | None = None) -> Packed:
    """Pack ``[value]`` as the arguments of a call."""
    kept = limits or Limits()
    return Encoder(Nobody(), lambda: kept).pack([1, 1, 0, "take"], (value,))


def sent(value: Any, limits: Limits | None = None) -> bytes:
    """Return the body of a call with `value`, which has no bulk."""
    packed = pack(value, limits)
    assert not packed.bulk
    return packed.body


def reader(limits: Limits | None = None) -> Unjellier:
    """Return a decoder of messages."""
    return Unjellier(Nobody(), limits or Limits(), thread_time, ClassRegistry())


def finished(unjellier: Unjellier, message: Any) -> Any:
    """Do what is left to do for a message that was read; return it."""
    unfinished = unjellier.draft.unfinished(message)
    if unfinished is not None:
        unfinished.finish()
    return message


def read(content: Any, limits: Limits | None = None) -> Any:
    """Return the value that a call with this CBOR as its argument brings."""
    unjellier = reader(limits)
    message = unjellier.read(item([1, 1, 0, "take", [content]]))
    return finished(unjellier, message)[4][0]


def crossed(value: Any, limits: Limits | None = None) -> Any:
    """Return what arrives of `value`."""
    packed = pack(value, limits)
    unjellier = reader(limits)
    message = unjellier.read(packed.body)
    for slot, bulk in zip(unjellier.draft.slots, packed.bulk, strict=True):
        assert slot.id == bulk.id
        assert slot.length == len(bulk.data)
        slot.fill([bulk.data])
    return finished(unjellier, message)[4][0]


def nested(depth: int, kind: Any = list) -> Any:
    """Return a container of that many levels."""
    value: Any = kind()
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value
