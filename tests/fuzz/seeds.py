"""Good inputs, to be spoilt: the test vectors, and a conversation that was recorded.

Owns nothing that is stored: all of it is made from the vectors and from what two
brokers say to each other.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import product

from tests.broker.harness import Pair, Side
from tests.fuzz.conversation import talk
from tests.fuzz.ends import CHANGE_BYTES, OPENING, RAW, SEPARATOR, _frames
from tests.vectors.samples import PATH

#: Longer bodies make slow mutants, and say nothing that shorter ones do not.
_LONGEST = 2048


class _Recorded(Pair):
    """Keeps what was said, by who said it."""

    def __init__(self) -> None:
        self.said: dict[str, list[bytes]] = {"a": [], "b": []}
        super().__init__()

    def feed(self, receiver: Side, data: bytes) -> None:
        sender = "b" if receiver is self.a else "a"
        self.said[sender] += _frames(data)
        super().feed(receiver, data)


@cache
def one_end() -> tuple[bytes, ...]:
    """Return inputs of `ends.check_one_end`."""
    told = json.loads(PATH.read_text(encoding="utf-8"))
    seeds = []
    for sample in told["samples"]:
        frames = [bytes.fromhex(each) for each in sample["frames"]]
        bodies = [each[4:] for each in frames if len(each) <= _LONGEST]
        if not bodies:
            continue
        flags = OPENING if sample["group"] == "hello" else 0
        seeds.append(bytes([flags]) + SEPARATOR.join(bodies))
        if flags:
            seeds.append(bytes([flags | RAW]) + b"".join(frames))
    seeds += [b"\x00" + SEPARATOR.join(each) for each in recorded()]
    return tuple(seeds)


@cache
def recorded() -> tuple[tuple[bytes, ...], ...]:
    """Return what two sides said to each other, each without its hello."""
    pair = _Recorded()
    talk(pair)
    pair.close()
    return tuple(
        tuple(body for body in said[1:] if len(body) <= _LONGEST)
        for said in pair.said.values()
    )


@cache
def two_ends() -> tuple[bytes, ...]:
    """Return inputs of `ends.check_two_ends`: one change in each frame."""
    count = max(map(len, recorded()))
    return tuple(
        bytes([whose, number, what]) + (7 * number).to_bytes(2, "big") + b"\x1b"
        for whose, number, what in product((0, 1), range(min(count, 256)), (0, 3, 6))
    )


assert all(len(seed) == 1 + CHANGE_BYTES for seed in two_ends())
