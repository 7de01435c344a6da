"""Keys that are chosen to collide, as CBOR."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

from geopb.jelly import tags
from tests.vectors.cbor import Tag

#: ``hash(int)`` is the remainder by this.
MODULUS = 2**61 - 1


def integers(count: int) -> list[Any]:
    """Return different integers of one hash; most of them need a tag."""
    values = [MODULUS * n for n in range(1, count + 1)]
    return [
        n if n < 2**64 else Tag(2, n.to_bytes((n.bit_length() + 7) // 8, "big"))
        for n in values
    ]


def negative_pairs(count: int) -> list[Any]:
    """Return different tuples of one hash: that of -1 is that of -2."""
    return [
        Tag(tags.TUPLE, list(each))
        for each in islice(product((-1, -2), repeat=15), count)
    ]


def uuids(count: int) -> list[Any]:
    """Return different UUIDs of one hash."""
    return [
        Tag(tags.UUID_, (MODULUS * n).to_bytes(16, "big")) for n in range(1, count + 1)
    ]


def fractions(count: int) -> list[Any]:
    """Return different fractions, which are whole numbers of one hash."""
    return [Tag(tags.FRACTION, [each, 1]) for each in integers(count)]


def decimals(count: int) -> list[Any]:
    """Return different decimals of one hash."""
    return [Tag(tags.DECIMAL, str(MODULUS * n)) for n in range(1, count + 1)]


ALL = {
    "integers": integers,
    "tuples of -1 and -2": negative_pairs,
    "UUIDs": uuids,
    "fractions": fractions,
    "decimals": decimals,
}
