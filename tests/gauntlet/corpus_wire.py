"""Payloads of what CBOR itself allows: heads, lengths, nesting, text, and what is none.

Owns these families. Called by ``corpus``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from geopb.jelly import tags
from tests.gauntlet.corpus import (
    ENDS,
    FAILS,
    MEBI,
    TAKEN,
    Payload,
    call_of,
    each,
    raw,
)
from tests.vectors.cbor import Pairs, head, item

#: Levels that a receiver takes, and where the whole message is given up.
_MOST, _LEVELS = 128, 5 * 128 + 10


def payloads() -> Iterator[Payload]:
    """Return all of these families."""
    yield from _nesting()
    yield from _lengths()
    yield from _heads()
    yield from _indefinite()
    yield from _text()
    yield from _keys()
    yield from _floats_and_simple()
    yield from _cut_short()
    yield from _no_message()


def _nested(start: bytes, depth: int, inner: bytes = b"\x00") -> bytes:
    return start * depth + inner


def _nesting() -> Iterator[Payload]:
    starts = {"arrays": b"\x81", "maps": b"\xa1\x60", "mixed": b"\x81\xa1\x60"}
    depths = (100, 128, 129, 400, 600, 10_000, 500_000)
    for name, start in starts.items():
        step = len(start) - start.count(b"\x60")
        for levels in depths:
            times = levels // step
            outcome = TAKEN if times * step <= _MOST else FAILS
            if times * step > _LEVELS:
                outcome = ENDS
            made = _nested(start, times)
            yield from each("nesting", outcome, {f"{name} {levels}": made})
    for tag in (28, 256, 258, 55799, 24, 60_000):
        for levels in (1, 400, 10_000, 200_000):
            refused = ENDS if levels > _LEVELS else FAILS
            made = _nested(head(6, tag), levels)
            yield from each("nesting", refused, {f"tag {tag} {levels}": made})
    for name in ("TUPLE", "SET", "FROZENSET", "MAP", "DEFINE"):
        for levels in (1_000, 10_000, 100_000):
            start = head(6, getattr(tags, name)) + b"\x81"
            deep = {f"{name} {levels}": _nested(start, levels)}
            yield from each("nesting", ENDS, deep)


def _lengths() -> Iterator[Payload]:
    """More is announced than there is: nothing may be allotted for it."""
    for major, name in ((2, "bytes"), (3, "text"), (4, "array"), (5, "map")):
        for bits in (16, 24, 31, 32, 40, 63, 64):
            start = head(major, 2**bits - 1)
            cases = {
                f"{name} 2^{bits}": start,
                f"{name} 2^{bits} and a little": start + b"\x00" * 1000,
                f"{name} 2^{bits} in a tuple": head(6, tags.TUPLE) + start,
                f"{name} 2^{bits} in a bignum": head(6, 2) + start,
            }
            yield from each("lengths", ENDS, cases)
    many = {
        "2^32 in each level": head(4, 2**32 - 1) * 500,
        "arrays of arrays that are announced": head(4, 2**20) * 100 + b"\x00" * 1000,
        "of the message": head(4, 2**32) + call_of(b"\x00")[1:],
    }
    yield from each("lengths", ENDS, many, whole=True)


def _heads() -> Iterator[Payload]:
    for major in range(8):
        for info in (28, 29, 30):
            made = bytes([major << 5 | info])
            yield from each("heads", ENDS, {f"reserved {major}/{info}": made})
    longer: dict[str, Any] = {
        "integer in 9 bytes": raw("1b0000000000000001"),
        "negative in 5 bytes": raw("3a00000000"),
        "text in 9 bytes": raw("7b000000000000000161"),
        "map in 9 bytes": raw("bb0000000000000001616101"),
        "bytes in 3 bytes": raw("59000141"),
        "array in 5 bytes": raw("9a0000000101"),
        "tag in 9 bytes": raw("db000000000000eac68101"),
        "float in 3 bytes": raw("f93c00"),
        "float in 5 bytes": raw("fa3f800000"),
    }
    yield from each("heads", TAKEN, longer)
    odd = {
        "map without its value": raw("a16161"),
        "map without its second key": raw("a2616101"),
        "tag without content": raw("d9eac6"),
        "break alone": raw("ff"),
        "break in an array": raw("82ff00"),
        "simple value below 32 in 2 bytes": raw("f810"),
    }
    yield from each("heads", ENDS, odd)


def _indefinite() -> Iterator[Payload]:
    cases = {
        "empty bytes": raw("5fff"),
        "empty text": raw("7fff"),
        "empty array": raw("9fff"),
        "empty map": raw("bfff"),
        "bytes in chunks": raw("5f41004101ff"),
        "text in chunks": raw("7f61616162ff"),
        "a million empty chunks of bytes": b"\x5f" + b"\x40" * 10**6 + b"\xff",
        "a million empty chunks of text": b"\x7f" + b"\x60" * 10**6 + b"\xff",
        "a chunk of another kind": raw("5f6161ff"),
        "arrays, deep": b"\x9f" * 500_000,
        "without an end": b"\x9f" + b"\x00" * 10**5,
        "in a tuple": raw("d9eac69f01ff"),
        "in a bignum": raw("c25f4101ff"),
    }
    yield from each("indefinite", ENDS, cases)


def _text() -> Iterator[Payload]:
    wrong = {
        "a continuation": b"\x80",
        "no continuation": b"\xc3",
        "cut short": b"\xe2\x82",
        "overlong slash": b"\xc0\xaf",
        "overlong NUL": b"\xc0\x80",
        "overlong in three": b"\xe0\x80\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "FE and FF": b"\xfe\xff",
    }
    for name, data in wrong.items():
        long = b"x" * 70_000 + data + b"x" * 70_000
        cases = {
            f"{name}, short": head(3, len(data)) + data,
            f"{name}, long": head(3, len(long)) + long,
            f"{name}, as a key": b"\xa1" + head(3, len(data)) + data + b"\x01",
        }
        yield from each("text", ENDS, cases)
    odd = {
        "NUL": "\x00",
        "the last character": "\U0010ffff",
        "noncharacters": "\ufffe\uffff",
        "controls and escapes": "\x1b[31m\r\n\x07",
        "right to left": "\u202e\u2066",
        "combining": "a" + "\u0301" * 10_000,
    }
    yield from each("text", TAKEN, odd)


def _keys() -> Iterator[Payload]:
    """Maps of CBOR: their keys are text or bytes, each once."""
    wrong: dict[str, Any] = {
        "twice text": Pairs((("a", 1), ("a", 2))),
        "twice bytes": Pairs(((b"a", 1), (b"a", 2))),
        "the last of many twice": lambda: Pairs(
            (*((str(n), n) for n in range(5000)), ("7", 1))
        ),
        "an integer": Pairs(((1, 1),)),
        "a negative": Pairs(((-1, 1),)),
        "a float": Pairs(((1.5, 1),)),
        "NaN": Pairs(((float("nan"), 1),)),
        "true": Pairs(((True, 1),)),
        "null": Pairs(((None, 1),)),
        "undefined": Pairs(((raw("f7"), 1),)),
        "a simple value": Pairs(((raw("e5"), 1),)),
        "an array": Pairs((([], 1),)),
        "a map": Pairs((({}, 1),)),
        "1, true and 1.0": Pairs(((1, 1), (True, 2), (1.0, 3))),
        "a list of lists": lambda: Pairs((([[[]] * 100] * 10, 1),)),
    }
    yield from each("keys", ENDS, wrong)
    for name, key in (
        ("tuple", "d9eac680"),
        ("bignum", "c24101"),
        ("mine", "d9eac401"),
    ):
        made = raw("a1" + key + "01")
        yield from each("keys", ENDS, {f"a tag: {name}": made})
    taken = {
        "text and bytes alike": Pairs((("a", 1), (b"a", 2))),
        "dunder": {"__class__": 1, "__dict__": {}, "__reduce__": "os.system"},
        "empty": {"": 1},
        "ten thousand": lambda: {str(n): n for n in range(10_000)},
    }
    yield from each("keys", TAKEN, taken)


def _floats_and_simple() -> Iterator[Payload]:
    floats = {
        "NaN, signalling": raw("fb7ff0000000000001"),
        "NaN, negative": raw("fbfff8000000000000"),
        "NaN with a payload": raw("fb7ff8000000001234"),
        "half, denormal": raw("f90001"),
        "single, infinite": raw("faff800000"),
        "double, denormal": raw("fb0000000000000001"),
    }
    yield from each("floats", TAKEN, floats)
    simple = {f"simple {n}": bytes([0xE0 | n]) for n in range(20)}
    simple |= {f"simple {n}": bytes([0xF8, n]) for n in (32, 99, 255)}
    simple["undefined"] = b"\xf7"
    yield from each("simple", TAKEN, simple)


def _cut_short() -> Iterator[Payload]:
    whole = call_of(item([1, "text", b"bytes", {"a": [1.5, None]}]) + b"")
    cases = {f"after {n} bytes": whole[:n] for n in range(1, len(whole))}
    yield from each("cut short", ENDS, cases, whole=True)
    longer = {
        "a zero": whole + b"\x00",
        "a second message": whole + whole,
        "a break": whole + b"\xff",
        "a mebibyte of zeros": whole + b"\x00" * MEBI,
    }
    yield from each("bytes behind", ENDS, longer, whole=True)


def _no_message() -> Iterator[Payload]:
    lines = {
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "TLS": bytes.fromhex("16030100f7010000f303030000000000"),
        "SSH": b"SSH-2.0-OpenSSH_9.7\r\n",
        "JSON": b'{"jsonrpc": "2.0", "method": "x", "id": 1}',
        "pickle": bytes.fromhex(
            "80049517000000000000008c05706f736978948c0673797374656d"
        ),
        "newlines": b"\r\n" * 100,
        "an integer": b"\x01",
        "text": b"\x61a",
        "null": b"\xf6",
        "an empty array": b"\x80",
        "a map": b"\xa1\x61a\x01",
        "a bare tag": b"\xd9\xea\xc6\x80",
    }
    yield from each("no message", ENDS, lines, whole=True)
    noise = {
        f"random {seed}": random.Random(seed).randbytes(2000) for seed in range(20)
    }
    # An array of four or more that begins with a kind of message is none of these.
    yield from each("no message", ENDS, noise, whole=True)
