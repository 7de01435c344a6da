"""Changes by chance, the same in each run.

Owns the ways in which a good input is spoilt. `mutants` yields inputs of
`ends.check_one_end`, `changes` of `ends.check_two_ends`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.ends import BYTEWISE, CHANGE_BYTES, SEPARATOR

#: Bytes that mean something to a decoder: heads of all kinds, ends of ranges.
_TELLING = bytes.fromhex(
    "0001171b3b3f5b5f787b7f80829b9fa0bbbfc2c3d8d9dbf4f6f7f8f9fbfeff"
)
#: Behind a head of 1, 2, 4 or 8 bytes.
_EDGES = tuple(
    bytes.fromhex(each)
    for each in ("00", "ff", "ffff", "7fffffff", "ffffffff", "8000000000000000")
)
#: One in so many comes byte by byte.
_BYTEWISE_EACH = 16


def mutants(seed: int, seeds: Sequence[bytes]) -> Iterator[bytes]:
    """Yield inputs without end: a seed each, changed in one to six places."""
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            _change(chance, data, seeds)
        if not chance.randrange(_BYTEWISE_EACH):
            data[0] |= BYTEWISE
        yield bytes(data)


def changes(seed: int, seeds: Sequence[bytes]) -> Iterator[bytes]:
    """Yield inputs without end: one to four changes of what one side says."""
    chance = random.Random(seed)
    while True:
        some = [chance.choice(seeds) for _ in range(chance.choice((1, 1, 2, 4)))]
        told = b"".join(each[1:3] + chance.randbytes(CHANGE_BYTES - 2) for each in some)
        yield some[0][:1] + told


def _change(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    where = chance.randrange(1, len(data) + 1)
    some = chance.choice((1, 1, 2, 4, 9, 30))
    what = chance.randrange(9)
    if what == 0 and where < len(data):
        data[where] ^= 1 << chance.randrange(8)
    elif what == 1:
        data.insert(where, chance.randrange(256))
    elif what == 2:
        del data[where : where + some]
    elif what == 3 and where < len(data):
        data[where] = chance.choice(_TELLING)
    elif what == 4:
        data[where:where] = data[where : where + some]
    elif what == 5:
        other = chance.choice(seeds)
        begin = chance.randrange(1, len(other) + 1)
        data[where : where + some] = other[begin : begin + chance.choice((some, 300))]
    elif what == 6:
        data += SEPARATOR + chance.choice(seeds)[1:]
    elif what == 7:
        edge = chance.choice(_EDGES)
        data[where : where + len(edge)] = edge
    else:
        data[where:where] = bytes([chance.choice(_TELLING)]) + chance.randbytes(some)
