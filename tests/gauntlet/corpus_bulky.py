"""Payloads of many small things: what one mebibyte may cost, and keys that collide.

Owns these families. Called by ``corpus``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import geopb as pb
from geopb.jelly import tags
from tests.gauntlet.corpus import (
    ANY,
    EITHER,
    ENDS,
    FAILS,
    FILLED,
    FULL,
    MEBI,
    TAKEN,
    Payload,
    each,
)
from tests.jelly import hostile
from tests.vectors.cbor import Tag, head, item
from tests.vectors.classes import Access, Color  # noqa: F401 (registered with the rest)

#: Keys of one dict or set that ordinary programs have.
HONEST_INTEGERS, HONEST_OTHERS = 200_000, 50_000


@pb.copyable
@dataclass
class Nothing:
    """A record without fields: its row is one byte."""


@pb.copyable
@dataclass(slots=True)
class Little:
    """A record of one field that lives in a slot."""

    a: Any


def payloads() -> Iterator[Payload]:
    """Return all of these families."""
    yield from _amplified()
    yield from _colliding()
    yield from _honest()


def filled(one: bytes, size: int = FILLED - 64) -> bytes:
    """Return an array of so many of one item that they fill a mebibyte."""
    count = size // len(one)
    return head(4, count) + one * count


def repeated(value: Any, count: int) -> bytes:
    """Return an array of so many of one value."""
    return head(4, count) + item(value) * count


def _amplified() -> Iterator[Payload]:
    """One mebibyte of the smallest things of each kind."""
    plain = {
        "empty arrays": b"\x80",
        "empty maps": b"\xa0",
        "maps of one": b"\xa1\x60\x00",
        "arrays of one": b"\x81\x00",
        "integers": b"\x00",
        "integers of 32 bits": b"\x1a\x00\x10\x00\x00",
        "empty texts": b"\x60",
        "short texts": b"\x62ab",
        "texts beyond ASCII": item("é"),
        "empty bytes": b"\x40",
        "short bytes": b"\x41\xff",
        "floats": b"\xf9\x3c\x01",
        "simple values": b"\xe5",
        "simple values of two bytes": b"\xf8\xff",
        "undefined": b"\xf7",
        "nulls": b"\xf6",
    }
    tagged: dict[str, Any] = {
        "bignums": Tag(2, b"\x01"),
        "tuples": Tag(tags.TUPLE, []),
        "tuples of one": Tag(tags.TUPLE, [0]),
        "sets": Tag(tags.SET, []),
        "sets of one": Tag(tags.SET, [0]),
        "frozensets": Tag(tags.FROZENSET, [0]),
        "dicts": Tag(tags.MAP, []),
        "dicts of one": Tag(tags.MAP, [0, 0]),
        "bytearrays": Tag(tags.BYTEARRAY, b""),
        "complex": Tag(tags.COMPLEX, [0.0, 0.0]),
        "dates": Tag(tags.DATE, [1, 1, 1]),
        "times": Tag(tags.TIME, [0, 0, 0, 0, 0, None]),
        "moments": Tag(tags.DATETIME, [1, 1, 1, 0, 0, 0, 0, 0, 1]),
        "timedeltas": Tag(tags.TIMEDELTA, [0, 0, 0]),
        "decimals": Tag(tags.DECIMAL, "1"),
        "fractions": Tag(tags.FRACTION, [1, 1]),
        "UUIDs": Tag(tags.UUID_, bytes(16)),
        "IPv4 addresses": Tag(tags.IPV4_ADDRESS, bytes(4)),
        "IPv6 addresses": Tag(tags.IPV6_ADDRESS, [bytes(16), None]),
        "IPv6 zones": Tag(tags.IPV6_ADDRESS, [bytes(16), "a"]),
        "IPv4 networks": Tag(tags.IPV4_NETWORK, [bytes(4), 0]),
        "IPv6 networks": Tag(tags.IPV6_NETWORK, [bytes(16), 0]),
        "copies": Tag(tags.COPY, ["vectors.Note", {}]),
        "records": Tag(tags.COPY, ["vectors.Point", {"x": 0, "y": 0}]),
        "exceptions": Tag(tags.COPY, ["vectors.Problem", [[], {}]]),
        "members": Tag(tags.ENUM, ["vectors.Color", "RED"]),
        "combined flags": Tag(tags.ENUM, ["vectors.Access", ["READ", "WRITE"]]),
        "undefined aliases": Tag(tags.AGAIN, 0),
        "references home": Tag(tags.YOURS, 1),
        "one reference": Tag(tags.MINE, 1),
        "sets of a reference": Tag(tags.SET, [Tag(tags.YOURS, 1)]),
        "dicts of a reference": Tag(tags.MAP, [Tag(tags.YOURS, 1), 0]),
        "bools in arrays": Tag(tags.BOOLS, Tag(tags.UINT8, b"")),
        "arrays of bytes": Tag(tags.UINT8, b""),
        "fractions of 8192 bits": Tag(
            tags.FRACTION, [Tag(2, b"\xff" * 1024), Tag(2, b"\xfe" * 1023 + b"\xff")]
        ),
        "decimals of 4,096 digits": Tag(tags.DECIMAL, "1" * 4096),
        "bignums of 8192 bits": Tag(2, b"\xff" * 1024),
        "refused tags": Tag(35, ""),
    }
    cases = plain | {name: item(value) for name, value in tagged.items()}
    outcome = {"refused tags": FAILS, "undefined aliases": FAILS}
    for name, one in cases.items():
        fits = TAKEN if name in plain else outcome.get(name, EITHER)
        yield from each("amplify", fits, {name: lambda one=one: filled(one)})
    # Bulk may be announced so often and no more: the connection ends.
    for name, case in _many_in_one():
        yield from each("amplify", ANY if name == "bulk" else EITHER, {name: case})


def _many_in_one() -> Iterator[tuple[str, Any]]:
    """A mebibyte each of things that are not all alike."""
    yield "definitions", lambda: _numbered(tags.DEFINE, b"\x82", b"\x80")
    yield (
        "definitions and aliases",
        lambda: _numbered(tags.DEFINE, b"\x82", b"\x81\x00"),
    )
    yield "references", lambda: _numbered(tags.MINE, b"", b"", 100_000)
    yield "bulk", lambda: _numbered(tags.BULK, b"\x83", b"\x01\x00", 90_000)
    yield "tuples of one alias", lambda: _shared(item(Tag(tags.TUPLE, [_FIRST])))
    yield "aliases of one", lambda: _shared(item(_FIRST))
    yield "frozensets of references", lambda: filled(_FROZEN)
    rows = {
        "rows of a record": ("vectors.Point", ["x", "y"], b"\x82\x00\x00"),
        "rows of nothing": (_name(Nothing), [], b"\x80"),
        "rows of a slot": (_name(Little), ["a"], b"\x81\x00"),
    }
    for name, (kind, fields, row) in rows.items():
        yield name, lambda kind=kind, fields=fields, row=row: table(kind, fields, row)
    yield "rows that are all defined", _defined_rows
    yield "rows of three zeros", lambda: _rows(["", "b", "c"])
    yield "rows of many keys", lambda: _rows([str(number) for number in range(1000)])
    yield "one text as key of many maps", lambda: filled(item({"x" * 20: 0}))
    yield "a long tuple", lambda: head(6, tags.TUPLE) + filled(b"\x00")
    yield "a dict of small integers", lambda: head(6, tags.MAP) + _pairs(150_000)
    yield "a set of small integers", lambda: head(6, tags.SET) + _integers(200_000)


_FIRST = Tag(tags.AGAIN, 0)
_FROZEN = item(Tag(tags.FROZENSET, [Tag(tags.YOURS, 1)]))


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _numbered(tag: int, before: bytes, behind: bytes, most: int = 90_000) -> bytes:
    count = most * FILLED // MEBI
    parts = [head(6, tag) + before + head(0, n + 1) + behind for n in range(count)]
    return head(4, count) + b"".join(parts)


def _shared(one: bytes) -> bytes:
    count = (FILLED - 100) // len(one)
    return head(4, count + 1) + item(Tag(tags.DEFINE, [0, []])) + one * count


def table(kind: str, fields: list[str], row: bytes) -> bytes:
    """Return a table of records that fills a mebibyte."""
    before = b"\x84" + item(kind) + item(fields)
    return head(6, tags.COPIES) + before + filled(row, FILLED - 200) + b"\x80"


def _rows(keys: list[str]) -> bytes:
    """Return a table of dicts of zeros that fills a mebibyte."""
    named = item(keys)
    count = (FILLED - 100 - len(named)) // len(keys) * len(keys)
    return head(6, tags.ROWS) + b"\x82" + named + head(4, count) + b"\x00" * count


def _defined_rows() -> bytes:
    count = 60_000 * FILLED // MEBI
    before = b"\x84" + item("vectors.Point") + item(["x", "y"])
    rows = head(4, count) + b"\x82\x00\x00" * count
    defined = b"".join(head(0, n) * 2 for n in range(count))
    return head(6, tags.COPIES) + before + rows + head(4, 2 * count) + defined


def _integers(count: int) -> bytes:
    return head(4, count) + b"".join(map(_integer, range(count)))


def _pairs(count: int) -> bytes:
    return head(4, 2 * count) + b"".join(_integer(n) + b"\x00" for n in range(count))


def _integer(value: int) -> bytes:
    return head(0, value) if value >= 0 else head(1, -1 - value)


def aimed(count: int, bits: int = 23) -> list[int]:
    """Return `count` integers below ``2**bits`` that visit few slots of a table.

    A table of ``2**k`` slots is entered at the low bits of the hash: multiples of a
    great power of two all begin at one slot, and are told apart by their high bits
    alone, five at each step.
    """
    found: list[int] = []
    shift = bits - 1
    while len(found) < count and shift >= 0:
        found += [n << shift for n in range(1, 1 << (bits - shift), 2)]
        shift -= 1
    return found[:count]


def _colliding() -> Iterator[Payload]:
    for name, make in hostile.ALL.items():
        for count in (2_000, 20_000) if FULL else (6_000,):
            fits = FAILS if count > 5_000 else EITHER
            cases: dict[str, Any] = {
                f"{name} {count} in a set": lambda make=make, count=count: Tag(
                    tags.SET, make(count)
                ),
                f"{name} {count} in a frozenset": lambda make=make, count=count: Tag(
                    tags.FROZENSET, make(count)
                ),
                f"{name} {count} in a dict": lambda make=make, count=count: Tag(
                    tags.MAP, [each_ for key in make(count) for each_ in (key, 0)]
                ),
            }
            if not FULL:
                # Sets are given to a broker in ``tests/broker/test_hostile.py``.
                cases = {key: case for key, case in cases.items() if "dict" in key}
            yield from each("collide", fits, cases)
    yield from _probing()
    many: dict[str, Any] = {
        "100 dicts of 1,000 keys": lambda: repeated(
            Tag(tags.MAP, [e for key in hostile.uuids(1000) for e in (key, 0)]), 100
        ),
        "2,000 sets of 30 keys": lambda: repeated(
            Tag(tags.SET, hostile.uuids(30)), 2000
        ),
        "20,000 sets of 5 keys": lambda: repeated(
            Tag(tags.SET, hostile.uuids(5)), 11_000
        ),
        "20,000 floats": lambda: Tag(tags.SET, [n / 7 for n in range(20_000)]),
        "NaN 100,000 times": lambda: (
            head(6, tags.SET) + head(4, 100_000) + b"\xf9\x7e\x00" * 100_000
        ),
        "definitions by number": lambda: [
            Tag(tags.DEFINE, [hostile.MODULUS * n % 2**63, []]) for n in range(1, 4)
        ],
        "tuples of tuples": lambda: Tag(
            tags.SET,
            [Tag(tags.TUPLE, [each_]) for each_ in hostile.negative_pairs(9000)],
        ),
        "frozensets of frozensets": lambda: Tag(
            tags.SET, [Tag(tags.FROZENSET, [n, -n]) for n in range(1, 40_000)]
        ),
    }
    yield from each("collide", EITHER, many)


def _probing() -> Iterator[Payload]:
    """Plain integers, chosen for how a dict looks for them."""

    def pairs() -> list[Any]:
        return [part for key in aimed(87_000) for part in (key, 0)]

    cases = {
        "87,000 integers aimed at a set": lambda: Tag(tags.SET, aimed(87_000)),
        "87,000 integers aimed at a dict": lambda: Tag(tags.MAP, pairs()),
    }
    yield from each("collide", EITHER, cases)
    in_map = {
        "87,000 integers aimed at a map": lambda: (
            head(5, 87_000) + b"".join(_integer(n) + b"\x00" for n in aimed(87_000))
        )
    }
    yield from each("collide", ENDS, in_map)


def _honest() -> Iterator[Payload]:
    """What the contract promises to take."""
    cases: dict[str, Any] = {
        "200,000 integers in a dict": lambda: head(6, tags.MAP) + _pairs(200_000),
        "200,000 integers in a set": lambda: head(6, tags.SET) + _integers(200_000),
        "50,000 UUIDs in a set": lambda: Tag(
            tags.SET, [Tag(tags.UUID_, _uuid(n)) for n in range(HONEST_OTHERS)]
        ),
        "50,000 tuples in a dict": lambda: Tag(
            tags.MAP,
            [
                e
                for n in range(HONEST_OTHERS)
                for e in (Tag(tags.TUPLE, [n, str(n)]), n)
            ],
        ),
        "50,000 texts in a map": lambda: {str(n): n for n in range(50_000)},
        "a mebibyte of bytes": lambda: item(b"x" * (MEBI - 100)),
        "a mebibyte of text": lambda: "x" * (MEBI - 100),
    }
    if not FULL:
        # These take long to make; ``tests/jelly/test_budget.py`` has them as well.
        cases = {name: cases[name] for name in list(cases) if "50,000" not in name}
    yield from each("honest", TAKEN, cases)


def _uuid(number: int) -> bytes:
    # As random ones are.
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128).to_bytes(16, "big")
