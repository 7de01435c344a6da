"""Payloads of tags: those that nobody takes, and the protocol's with wrong contents.

Owns these families. Called by ``corpus``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geopb.jelly import tags
from geopb.jelly.elements import ELEMENTS
from tests.gauntlet.corpus import (
    ANY,
    EITHER,
    ENDS,
    FAILS,
    KIBI,
    MEBI,
    TAKEN,
    Payload,
    each,
    raw,
)
from tests.vectors.cbor import Pairs, Tag, head, item

#: The protocol's own, by name; typed arrays have elements for names.
OWN = {
    name: number
    for name, number in vars(tags).items()
    if type(number) is int and name.isupper() and not name.startswith("BULK_")
}
#: All that is taken.
LISTED = frozenset(OWN.values())

#: Each tag is given each of these.
CONTENTS: dict[str, Any] = {
    "null": None,
    "true": True,
    "an integer": 5,
    "a negative": -5,
    "a great one": 2**64 - 1,
    "a float": 1.5,
    "text": "x",
    "bytes": b"x",
    "nothing in an array": [],
    "an array": [1, 2, 3, 4],
    "arrays": [[], [[]], [[[]]]],
    "a map": {"a": 1},
    "a simple value": raw("e5"),
    "undefined": raw("f7"),
    "an unlisted tag": Tag(35, "a*"),
    "a tuple": Tag(tags.TUPLE, [1]),
    "again": Tag(tags.AGAIN, 7),
}
#: Without their numbers a message cannot even be answered.
_NEEDED = ("MINE", "CACHE", "STREAM", "BULK")


def payloads() -> Iterator[Payload]:
    """Return all of these families."""
    yield from _unlisted()
    yield from _standard()
    yield from _shared()
    yield from _own()
    yield from _bignums()
    yield from _decimals()
    yield from _moments()
    yield from _others()
    yield from _deep()


def _unlisted() -> Iterator[Payload]:
    numbers = [n for n in range(400) if n not in LISTED]
    numbers += [1004, 1040, 43000, 55799, 60000, 60099, 60129, 60131, 2**16, 2**32]
    numbers += [2**63, 2**64 - 1]
    for number in numbers:
        yield from each("unlisted", FAILS, {str(number): Tag(number, [])})


def _standard() -> Iterator[Payload]:
    """What cbor2 would decode by itself, each with what is worst for it."""
    ranges = "(?i:" + "|".join(f"[{chr(n)}-\uffff]" for n in range(200, 3000)) + ")"
    alternatives = "|".join(f"a{n}" for n in range(60_000))
    digits = b"\xff" * (MEBI - 100)
    bomb = _bomb(20)
    worst: dict[str, Any] = {
        "0 date": Tag(0, "2026-01-01T00:00:00Z"),
        "0 date with NUL": Tag(0, "2026-01-01T00:00:00Z\x00"),
        "1 time": Tag(1, 1e300),
        "1 time NaN": Tag(1, float("nan")),
        "4 decimal 1m": lambda: Tag(4, [0, Tag(2, digits)]),
        "4 decimal exponent": Tag(4, [2**63 - 1, 1]),
        "4 decimal exponent negative": Tag(4, [-(2**63), 1]),
        "5 bigfloat 1m": lambda: Tag(5, [1, Tag(2, digits)]),
        "24 embedded": Tag(24, b"\xd8\x23\x61a"),
        "25 stringref": Tag(256, ["a" * 1000, *[Tag(25, 0)] * 1000]),
        "28 shared": Tag(28, []),
        "29 reference": Tag(29, 0),
        "30 rational": Tag(30, [1, 0]),
        "30 rational gcd 1m": lambda: Tag(
            30, [Tag(2, digits[: MEBI // 2]), Tag(2, b"\xfe" + digits[: MEBI // 2 - 9])]
        ),
        "35 regex": Tag(35, "(a*)*b"),
        "35 regex ignorecase": lambda: Tag(35, ranges),
        "35 regex alternatives": lambda: Tag(35, alternatives),
        "35 regex groups": Tag(35, "(" * 5000 + ")" * 5000),
        "35 regexes": lambda: [Tag(35, f"a{n}") for n in range(20_000)],
        "36 MIME": Tag(36, "From: x\r\n\r\n"),
        "36 MIME 1m": lambda: [Tag(36, "a: b\r\n\r\n")] * 20_000,
        "36 MIME nested": lambda: Tag(
            36, "Content-Type: message/rfc822\r\n\r\n" * 2000
        ),
        "37 UUID": Tag(37, bytes(16)),
        "37 UUID wrong": Tag(37, b"x"),
        "52 IPv4": Tag(52, bytes(4)),
        "54 IPv6": Tag(54, bytes(16)),
        "100 date": Tag(100, 10**9),
        "258 set": Tag(258, [1, 2]),
        "260 address": Tag(260, bytes(4)),
        "261 network": Tag(261, Pairs(((bytes(4), 24),))),
        "261 network, 1m": lambda: [Tag(261, {bytes([0, 0, 0, 0]): 24})] * 20_000,
        "261 laughs in an error": Tag(261, raw(bomb.hex())),
        "1004 date": Tag(1004, "2026-01-01"),
        "43000 complex": Tag(43000, [1.0, 2.0]),
        "55799 self-described": Tag(55799, [1]),
    }
    yield from each("standard", FAILS, worst)
    # A key that is a tag: such a map does not even close.
    hashed = {"laughs as a key": b"\xa1" + _bomb(30) + b"\x01"}
    yield from each("standard", ENDS, hashed)


def _bomb(levels: int) -> bytes:
    """Return a value of cbor2's tags 28 and 29 that unfolds to 10**levels."""
    inner = b"\xd8\x1c\x81\x60"
    for number in range(levels):
        inner = b"\xd8\x1c\x8a" + inner + (b"\xd8\x1d" + head(0, number)) * 9
    return inner


def _shared() -> Iterator[Payload]:
    """Aliases of ours: linear, and never in a key."""
    chain = [Tag(tags.DEFINE, [n, [Tag(tags.AGAIN, n + 1)] * 2]) for n in range(100)]
    chain.append(Tag(tags.DEFINE, [100, []]))
    lists = {
        "laughs": chain,
        "a cycle": Tag(tags.DEFINE, [0, [Tag(tags.AGAIN, 0)]]),
        "a cycle through a tuple": Tag(
            tags.DEFINE, [0, [Tag(tags.TUPLE, [Tag(tags.AGAIN, 0)])]]
        ),
        "one text in many places": ["x" * 60_000, *[Tag(tags.AGAIN, 0)] * 1000],
    }
    yield from each("shared", TAKEN, {k: lists[k] for k in list(lists)[:3]})
    again = Tag(tags.AGAIN, 0)
    wrong: dict[str, Any] = {
        "a text": Tag(tags.DEFINE, [0, "x"]),
        "a tuple": Tag(tags.DEFINE, [0, Tag(tags.TUPLE, [])]),
        "a set": Tag(tags.DEFINE, [0, Tag(tags.SET, [])]),
        "a frozenset": Tag(tags.DEFINE, [0, Tag(tags.FROZENSET, [again])]),
        "an alias": Tag(tags.DEFINE, [0, again]),
        "undefined": again,
        "one text in many places": lists["one text in many places"],
        "twice": [Tag(tags.DEFINE, [0, []]), Tag(tags.DEFINE, [0, []])],
        "number below 0": Tag(tags.DEFINE, [-1, []]),
        "number of 64 bits": Tag(tags.DEFINE, [2**63, []]),
        "number that is true": Tag(tags.DEFINE, [True, []]),
        "as a key": [Tag(tags.DEFINE, [0, []]), Tag(tags.MAP, [again, 1])],
        "as a member": [Tag(tags.DEFINE, [0, []]), Tag(tags.SET, [again])],
        "in a key": [
            Tag(tags.DEFINE, [0, []]),
            Tag(tags.MAP, [Tag(tags.TUPLE, [again]), 1]),
        ],
        "that holds itself as a key": Tag(tags.DEFINE, [0, Tag(tags.MAP, [again, 1])]),
        "laughs as a key": Tag(tags.MAP, [Tag(tags.TUPLE, chain), 1]),
    }
    yield from each("shared", FAILS, {f"wrong: {k}": v for k, v in wrong.items()})


def _own() -> Iterator[Payload]:
    """Each tag of ours with each content."""
    for tag, number in OWN.items():
        for name, content in CONTENTS.items():
            outcome = EITHER
            if tag in _NEEDED:
                # Without a number it ends the connection.
                outcome = ANY
            yield from each("own", outcome, {f"{tag} of {name}": Tag(number, content)})
    for element, about in ELEMENTS.items():
        odd = {f"{element} of {about.size + 1} bytes": Tag(element, b"x" * 33)}
        yield from each("own", EITHER, odd)


def _bignums() -> Iterator[Payload]:
    for tag in (2, 3):
        taken = {
            f"{tag} of {n} bytes": Tag(tag, b"\x01" * n) for n in (0, 1, 8, 9, 1024)
        }
        yield from each("bignums", TAKEN, taken)
        refused = {
            f"{tag} of {n} bytes": Tag(tag, b"\x01" * n)
            for n in (1025, 4096, 64 * KIBI, MEBI - 100)
        }
        yield from each("bignums", FAILS, refused)
    zeros = {"a kibibyte of zeros and more": Tag(2, b"\x00" * 2000)}
    yield from each("bignums", FAILS, zeros)


def _decimals() -> Iterator[Payload]:
    taken = ("1.50", "-0", "1E+5", "1E-7", "NaN", "-NaN12", "sNaN", "Infinity")
    yield from each(
        "decimals", TAKEN, {each_: Tag(tags.DECIMAL, each_) for each_ in taken}
    )
    wrong = {
        "4,097 digits": "1" * 4097,
        "a mebibyte of digits": "1" * (MEBI - 100),
        "a mebibyte of zeros": "0" * (MEBI - 100),
        "an exponent of ten digits": "1E+1000000000",
        "an exponent of 10,000": "1E+10000",
        "a negative exponent": "1E-10000",
        "an exponent beyond 64 bits": "1E+99999999999999999999",
        "underscores": "1_000",
        "blanks": " 1 ",
        "digits of another script": "\u0661\u0662",
        "a small e": "1e5",
        "empty": "",
        "NUL": "1\x00",
        "zeros in front": "007",
        "NaN of many digits": "NaN" + "1" * 4097,
        "inf": "inf",
    }
    yield from each(
        "decimals", FAILS, {k: Tag(tags.DECIMAL, v) for k, v in wrong.items()}
    )


def _moments() -> Iterator[Payload]:
    day, hour = [2026, 1, 1], [0, 0, 0, 0, 0, None]
    wrong: dict[str, Any] = {
        "year 0": Tag(tags.DATE, [0, 1, 1]),
        "year 10000": Tag(tags.DATE, [10000, 1, 1]),
        "month 13": Tag(tags.DATE, [2026, 13, 1]),
        "February 29": Tag(tags.DATE, [2026, 2, 29]),
        "a year beyond 64 bits": Tag(tags.DATE, [Tag(2, b"\xff" * 1000), 1, 1]),
        "a float": Tag(tags.DATE, [2026.0, 1, 1]),
        "true": Tag(tags.DATE, [2026, True, 1]),
        "hour 24": Tag(tags.TIME, [24, *hour[1:]]),
        "second 60": Tag(tags.TIME, [0, 0, 60, 0, 0, None]),
        "fold 2": Tag(tags.TIME, [0, 0, 0, 0, 2, None]),
        "an offset of a day": Tag(tags.DATETIME, [*day, *hour[:5], 86_400_000_000]),
        "an offset beyond all": Tag(tags.DATETIME, [*day, *hour[:5], 2**63]),
        "an offset in text": Tag(tags.DATETIME, [*day, *hour[:5], "Europe/Berlin"]),
        "seconds of a day": Tag(tags.TIMEDELTA, [0, 86_400, 0]),
        "days beyond all": Tag(tags.TIMEDELTA, [10**9, 0, 0]),
        "nine numbers": Tag(tags.TIMEDELTA, [0] * 9),
    }
    yield from each("moments", FAILS, wrong)


def _others() -> Iterator[Payload]:
    big = Tag(2, b"\xff" * 1025)
    wrong: dict[str, Any] = {
        "fraction over 0": Tag(tags.FRACTION, [1, 0]),
        "fraction over less": Tag(tags.FRACTION, [1, -1]),
        "fraction not in lowest terms": Tag(tags.FRACTION, [2, 4]),
        "fraction over 8192 bits": Tag(tags.FRACTION, [1, big]),
        "complex of integers": Tag(tags.COMPLEX, [1, 2]),
        "UUID of 15 bytes": Tag(tags.UUID_, bytes(15)),
        "IPv4 of 5 bytes": Tag(tags.IPV4_ADDRESS, bytes(5)),
        "IPv6 with a path for zone": Tag(tags.IPV6_ADDRESS, [bytes(16), "../x"]),
        "IPv6 with a long zone": Tag(tags.IPV6_ADDRESS, [bytes(16), "z" * 65]),
        "network of 33 bits": Tag(tags.IPV4_NETWORK, [bytes(4), 33]),
        "network with host bits": Tag(tags.IPV4_NETWORK, [b"\x01" * 4, 8]),
        "set with a member twice": Tag(tags.SET, [1, 1]),
        "set of 1, true and 1.0": Tag(tags.SET, [1, True, 1.0]),
        "set of a list": Tag(tags.SET, [[]]),
        "set of a set": Tag(tags.SET, [Tag(tags.SET, [])]),
        "map of 1, true and 1.0": Tag(tags.MAP, [1, 1, True, 2, 1.0, 3]),
        "map without a value": Tag(tags.MAP, [1]),
        "rows of one key": Tag(tags.ROWS, [["a"], [1]]),
        "rows with an object for key": Tag(
            tags.ROWS, [["a", "b", Tag(tags.YOURS, 1)], []]
        ),
        "rows of a list for key": Tag(tags.ROWS, [["a", "b", []], []]),
        "rows of a map": Tag(tags.ROWS, {"a": 1}),
        "rows, the last of them short": Tag(tags.ROWS, [["a", "b", "c"], [1] * 2999]),
        "map of a list": Tag(tags.MAP, [[], 1]),
        "map of a signalling NaN": Tag(tags.MAP, [Tag(tags.DECIMAL, "sNaN"), 1]),
        "yours that was never given": Tag(tags.YOURS, 2**62),
        "yours 0, the lobby": Tag(tags.YOURS, 0),
        "yours below 0": Tag(tags.YOURS, -1),
        "mine 0": Tag(tags.MINE, 0),
        "mine of 64 bits": Tag(tags.MINE, 2**63),
        "copy of a name to import": Tag(tags.COPY, ["os.system", "true"]),
        "copy of a builtin": Tag(tags.COPY, ["builtins.object", {}]),
        "copy of a mebibyte": lambda: Tag(tags.COPY, ["x" * (MEBI - 100), {}]),
        "copies of a name to import": Tag(
            tags.COPIES, ["subprocess.Popen", [], [], []]
        ),
        "member of a name to import": Tag(tags.ENUM, ["signal.Signals", "SIGKILL"]),
        "member that is none": Tag(tags.ENUM, ["vectors.Color", "__members__"]),
        "member that is called mro": Tag(tags.ENUM, ["vectors.Color", "mro"]),
        "flag of many": lambda: Tag(tags.ENUM, ["vectors.Access", ["READ"] * 10**5]),
        "record without fields": Tag(tags.COPY, ["vectors.Point", {}]),
        "record with more": Tag(tags.COPY, ["vectors.Point", {"x": 1, "y": 2, "z": 3}]),
        "record with its class": Tag(
            tags.COPY, ["vectors.Point", {"x": 1, "__class__": 2}]
        ),
        "exception with its workings": Tag(
            tags.COPY, ["vectors.Problem", [[], {"__class__": "x"}, 1]]
        ),
        "cache as a copy": Tag(tags.COPY, ["vectors.Table", {}]),
        "bulk of kind 9": Tag(tags.BULK, [1, 1, 9]),
    }
    yield from each("others", FAILS, wrong)
    ends = {
        "bulk of more than all": Tag(tags.BULK, [1, 2**62, 0]),
        "bulk of no byte": Tag(tags.BULK, [1, 0, 0]),
        "bulk 0": Tag(tags.BULK, [0, 1, 0]),
        "bulk announced twice": [Tag(tags.BULK, [1, 1, 0])] * 2,
        "mine of a text": Tag(tags.MINE, "x"),
        "stream of nothing": Tag(tags.STREAM, []),
    }
    yield from each("others", ENDS, ends)


def _deep() -> Iterator[Payload]:
    """Each container of ours at the depth that is taken, and one deeper."""
    starts = {
        "TUPLE": head(6, tags.TUPLE) + b"\x81",
        "FROZENSET": head(6, tags.FROZENSET) + b"\x81",
        "MAP": head(6, tags.MAP) + b"\x82\x01",
        "list DEFINEd": None,
    }
    for name, start in starts.items():
        for levels, outcome in ((127, TAKEN), (128, TAKEN), (129, FAILS)):
            if start is None:
                made = b"".join(
                    head(6, tags.DEFINE) + b"\x82" + head(0, n) + b"\x81"
                    for n in range(levels)
                )
            else:
                made = start * levels
            made += item(1)
            yield from each("depth", outcome, {f"{name} {levels}": made})
