"""Values through the encoder and the decoder, without a connection."""

from __future__ import annotations

from time import thread_time
from typing import Any

from geopb.jelly.decode import Unjellier
from geopb.jelly.encode import Encoder, Packed
from geopb.limits import Limits
from geopb.wire.codec import CBORTag, DecodeRefused
from tests.vectors.cbor import item


class Nobody:
    """Knows no objects: what a value without references needs."""

    def __init__(self) -> None:
        self.bulk = 0

    def passed(self, value: object) -> CBORTag | None:
        return None

    def new_bulk(self) -> int:
        self.bulk += 1
        return self.bulk

    def found_theirs(self, number: int) -> object:
        raise DecodeRefused("no references here")

    def found_ours(self, number: int) -> object:
        raise DecodeRefused("no references here")


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
    return Unjellier(Nobody(), limits or Limits(), thread_time)


def read(content: Any, limits: Limits | None = None) -> Any:
    """Return the value that a call with this CBOR as its argument brings."""
    return reader(limits).read(item([1, 1, 0, "take", [content]]))[4][0]


def crossed(value: Any, limits: Limits | None = None) -> Any:
    """Return what arrives of `value`."""
    packed = pack(value, limits)
    unjellier = reader(limits)
    message = unjellier.read(packed.body)
    if packed.bulk:
        for slot, bulk in zip(unjellier.slots, packed.bulk, strict=True):
            assert slot.id == bulk.id
            assert slot.length == len(bulk.data)
            slot.fill([bulk.data])
        unjellier.finish(message)
    return message[4][0]


def nested(depth: int, kind: Any = list) -> Any:
    """Return a container of that many levels."""
    value: Any = kind()
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else kind([value])
    return value
