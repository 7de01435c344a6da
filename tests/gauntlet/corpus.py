"""Hostile payloads, made and not stored, each with what must become of it.

Owns what a payload is, and the list of all. The families are in ``corpus_wire`` (what
CBOR itself allows), ``corpus_tags`` (tags, the protocol's and others) and
``corpus_bulky`` (many of the same, keys that collide). Called by ``weigh``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.vectors.cbor import Raw, item

KIBI, MEBI = 1024, 1024 * 1024
#: Bytes of those that fill a mebibyte: a part is enough to tell, all of it is for
#: ``make gauntlet``.
FULL = os.environ.get("GAUNTLET") == "full"
FILLED = MEBI if FULL else MEBI // 16
#: Bodies from here on are weighed in a child each: none hides what another takes.
LARGE = 16 * KIBI

#: Payloads that may cost more than others: seconds and MiB for each MiB of them.
COSTLY: dict[str, tuple[float, float]] = {
    # A step behind the message for each nine bytes, and in it a hash that may be users'
    # code, or a copy of what waits for an alias.
    "amplify/frozensets of references": (1.5, 100.0),
    "amplify/sets of a reference": (1.2, 100.0),
    "amplify/dicts of a reference": (1.2, 100.0),
    "amplify/tuples of one alias": (1.0, 100.0),
    # Refused behind the 65,536th, where it cannot be told what else there is: read once
    # more, for what is to be given back.
    "amplify/bools in arrays": (1.2, 100.0),
    "amplify/arrays of bytes": (1.0, 100.0),
}

#: What a payload's call may come to. `ENDS`: the connection ends; `EITHER` of the
#: first two, `ANY` of the three.
TAKEN, FAILS, ENDS, EITHER, ANY = "taken", "fails", "ends", "either", "any"
#: What each of them may be.
MEANT = {
    TAKEN: {TAKEN},
    FAILS: {FAILS},
    ENDS: {ENDS},
    EITHER: {TAKEN, FAILS},
    ANY: {TAKEN, FAILS, ENDS},
}


@dataclass(frozen=True)
class Payload:
    """One argument of a call, or a whole body.

    Attributes:
        name: Family and case, ``"nesting/arrays 129"``.
        make: Returns the CBOR item that stands as argument; of a `whole` one the body.
        outcome: What the receiver does.
        whole: It is no argument.
        large: It takes some time to make.
    """

    name: str
    make: Callable[[], bytes]
    outcome: str
    whole: bool = False
    large: bool = False

    def body(self) -> bytes:
        """Return the body of its frame."""
        made = self.make()
        return made if self.whole else call_of(made)


def call_of(argument: bytes) -> bytes:
    """Return the body of a call whose one argument is that item."""
    return b"\x85\x01\x01\x00\x64take\x81" + argument


def bounds(name: str, size: int) -> tuple[float, float]:
    """Return CPU seconds and MiB that a body of `size` bytes may cost.

    One MiB may cost half a second and 100 MiB, unless `COSTLY` names the payload; what
    is small may cost the budget for hashing keys, and a page here and there.
    """
    each_seconds, each_mebibytes = COSTLY.get(name, (0.5, 100.0))
    share = size / MEBI
    return max(0.2, each_seconds * share), max(32.0, each_mebibytes * share)


def each(
    family: str, outcome: str, cases: dict[str, Any], *, whole: bool = False
) -> Iterator[Payload]:
    """Make a payload of each case: bytes, a value, or what returns one of these."""
    for name, case in cases.items():
        large = callable(case) or (type(case) is bytes and len(case) >= LARGE)
        yield Payload(f"{family}/{name}", _maker(case), outcome, whole, large)


def _maker(case: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        made = case() if callable(case) else case
        return made if type(made) is bytes else item(made)

    return make


def raw(text: str) -> Raw:
    """Return an item that is written in hexadecimal."""
    return Raw(bytes.fromhex(text), text)


def all_payloads() -> dict[str, Payload]:
    """Return all, by name."""
    # They use what is above.
    from tests.gauntlet import corpus_bulky, corpus_tags, corpus_wire

    families = (
        corpus_wire.payloads(),
        corpus_tags.payloads(),
        corpus_bulky.payloads(),
    )
    made = [payload for family in families for payload in family]
    found = {payload.name: payload for payload in made}
    assert len(found) == len(made), "two payloads of one name"
    return found
