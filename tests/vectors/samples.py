"""The samples of protocol version 1, from which ``v1.json`` is written.

``python -m tests.vectors`` writes the file anew. It is stored, so that another
implementation needs the file alone; a test keeps the two the same.

All messages of a sample are received in one setting, `SETTING`. `VALUES` are the Python
values that the value samples stand for, by name.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

from geopb.jelly import tags
from tests.vectors.cbor import Pairs, Raw, Tag, diagnostic, frame, item
from tests.vectors.classes import Access, Color, Note, Point, Problem

PATH = Path(__file__).with_name("v1.json")

#: What the receiver of every sample (but those of a stream's beginning) has behind it.
SETTING = (
    "The receiver has the peer's hello. It has asked questions 1, 2 and 3, which are "
    "open. It has sent its object 1 twice and its object 2 once, and 524,288 of the "
    "1,000,000 bytes of bulk that belong to question 3. The lobby (target 0) "
    "has a method `take`, which takes anything, and `echo`, which returns what it is "
    "given; the objects have `ask`. It knows these classes: "
    "vectors.Point, a record with the fields x and y; vectors.Note, copies whose "
    "state is a map; vectors.Color, an enumeration of RED and GREEN; "
    "vectors.Access, flags READ and WRITE; vectors.Problem, an exception; "
    "vectors.Table, caches whose state is a map and whose update `set` is "
    "given a key of it and its value."
)

ZONE = timezone(timedelta(hours=5, minutes=30))
WEST = timezone(timedelta(hours=-8))


def _values() -> dict[str, tuple[Any, Any, str]]:
    """Return name -> (Python value, its CBOR, what it is)."""
    shared: list[Any] = [1]
    cycle: list[Any] = []
    cycle.append(cycle)
    ring: dict[str, Any] = {}
    ring["me"] = ring
    numbers = {1: "one"}
    through: list[Any] = []
    through.append((through,))
    point = Point(1, 2)
    problem = Problem("x")
    problem.code = 5
    return {
        "null": (None, None, "nothing"),
        "false": (False, False, "a truth value"),
        "true": (True, True, "a truth value"),
        "zero": (0, 0, "an integer"),
        "int-23": (23, 23, "the last integer in one byte"),
        "int-24": (24, 24, "the first integer in two bytes"),
        "int-negative": (-500, -500, "a negative integer"),
        "int-64-bits": (2**64 - 1, 2**64 - 1, "the greatest of major type 0"),
        "int-64-bits-negative": (-(2**64), -(2**64), "the least of major type 1"),
        "bignum": (
            2**64,
            Tag(tags.POSITIVE_BIGNUM, (2**64).to_bytes(9, "big")),
            "the first integer that takes tag 2",
        ),
        "bignum-negative": (
            -(2**64) - 1,
            Tag(tags.NEGATIVE_BIGNUM, (2**64).to_bytes(9, "big")),
            "the first integer that takes tag 3: -1 minus the number in the bytes",
        ),
        "bignum-8192-bits": (
            2**8192 - 1,
            Tag(tags.POSITIVE_BIGNUM, b"\xff" * 1024),
            "the greatest integer that is taken by default",
        ),
        "float": (1.5, 1.5, "a float, always with double precision"),
        "float-negative-zero": (-0.0, -0.0, "the sign of zero is kept"),
        "float-infinity": (float("inf"), float("inf"), "infinity"),
        "float-nan": (float("nan"), float("nan"), "not a number"),
        "text": ("häh?", "häh?", "text is UTF-8"),
        "text-empty": ("", "", "text without characters"),
        "bytes": (b"\x00\xff", b"\x00\xff", "bytes"),
        "bytearray": (
            bytearray(b"\x00\xff"),
            Tag(tags.BYTEARRAY, b"\x00\xff"),
            "bytes that the receiver may change",
        ),
        "list": ([1, "a", None], [1, "a", None], "a list"),
        "list-empty": ([], [], "a list of nothing"),
        "dict": ({"a": 1, "b": 2}, {"a": 1, "b": 2}, "a dict of text keys, in order"),
        "dict-bytes-keys": (
            {"a": 1, b"a": 2},
            Pairs((("a", 1), (b"a", 2))),
            "a dict whose keys are all text or bytes is a CBOR map",
        ),
        "dict-other-keys": (
            numbers,
            Tag(tags.MAP, [1, "one"]),
            "any other dict is a flat array: key, value, key, value",
        ),
        "tuple": ((1, "a"), Tag(tags.TUPLE, [1, "a"]), "a tuple"),
        "tuple-empty": ((), Tag(tags.TUPLE, []), "a tuple of nothing"),
        "set": ({7}, Tag(tags.SET, [7]), "a set; the order of members means nothing"),
        "frozenset": (
            frozenset({(1, 2)}),
            Tag(tags.FROZENSET, [Tag(tags.TUPLE, [1, 2])]),
            "a frozenset that holds a tuple",
        ),
        "complex": (
            1.0 - 2.0j,
            Tag(tags.COMPLEX, [1.0, -2.0]),
            "a complex number: two floats",
        ),
        "datetime-naive": (
            datetime(2026, 2, 3, 4, 5, 6, 7),
            Tag(tags.DATETIME, [2026, 2, 3, 4, 5, 6, 7, 0, None]),
            "a date and time that names no zone",
        ),
        "datetime-utc": (
            datetime(1, 1, 1, tzinfo=UTC),
            Tag(tags.DATETIME, [1, 1, 1, 0, 0, 0, 0, 0, 0]),
            "the offset of UTC is 0",
        ),
        "datetime-offset": (
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=ZONE, fold=1),
            Tag(tags.DATETIME, [9999, 12, 31, 23, 59, 59, 999999, 1, 19_800_000_000]),
            "five and a half hours east of UTC, the second of two such times",
        ),
        "date": (date(2026, 2, 28), Tag(tags.DATE, [2026, 2, 28]), "a date"),
        "time": (
            time(23, 59, 58, 1, tzinfo=WEST),
            Tag(tags.TIME, [23, 59, 58, 1, 0, -28_800_000_000]),
            "a time of day, eight hours west of UTC",
        ),
        "time-naive": (time(), Tag(tags.TIME, [0, 0, 0, 0, 0, None]), "midnight"),
        "timedelta": (
            timedelta(days=-1, microseconds=1),
            Tag(tags.TIMEDELTA, [-1, 0, 1]),
            "a length of time: minus one day, and one microsecond",
        ),
        "decimal": (
            Decimal("1.50"),
            Tag(tags.DECIMAL, "1.50"),
            "a decimal, exact to the digit",
        ),
        "decimal-exponent": (
            Decimal("-1E+9999"),
            Tag(tags.DECIMAL, "-1E+9999"),
            "the greatest exponent that is taken",
        ),
        "decimal-nan": (
            Decimal("-sNaN12"),
            Tag(tags.DECIMAL, "-sNaN12"),
            "a signalling NaN with its payload",
        ),
        "fraction": (
            Fraction(-1, 3),
            Tag(tags.FRACTION, [-1, 3]),
            "a fraction in lowest terms",
        ),
        "uuid": (
            UUID("12345678-1234-5678-1234-567812345678"),
            Tag(tags.UUID_, bytes.fromhex("12345678123456781234567812345678")),
            "a UUID",
        ),
        "ipv4-address": (
            ip_address("192.0.2.1"),
            Tag(tags.IPV4_ADDRESS, b"\xc0\x00\x02\x01"),
            "an IPv4 address",
        ),
        "ipv6-address": (
            ip_address("2001:db8::1"),
            Tag(
                tags.IPV6_ADDRESS,
                [bytes.fromhex("20010db8000000000000000000000001"), None],
            ),
            "an IPv6 address without a zone",
        ),
        "ipv6-address-zone": (
            ip_address("fe80::1%eth0"),
            Tag(
                tags.IPV6_ADDRESS,
                [bytes.fromhex("fe800000000000000000000000000001"), "eth0"],
            ),
            "an IPv6 address with its zone",
        ),
        "ipv4-network": (
            ip_network("192.0.2.0/24"),
            Tag(tags.IPV4_NETWORK, [b"\xc0\x00\x02\x00", 24]),
            "an IPv4 network",
        ),
        "ipv6-network": (
            ip_network("2001:db8::/32"),
            Tag(
                tags.IPV6_NETWORK,
                [bytes.fromhex("20010db8000000000000000000000000"), 32],
            ),
            "an IPv6 network",
        ),
        "alias": (
            [shared, shared],
            [Tag(tags.DEFINE, [0, [1]]), Tag(tags.AGAIN, 0)],
            "one list in two places",
        ),
        "alias-of-other-keys": (
            [numbers, numbers],
            [Tag(tags.DEFINE, [0, Tag(tags.MAP, [1, "one"])]), Tag(tags.AGAIN, 0)],
            "one dict, whose keys are not text, in two places",
        ),
        "cycle": (
            cycle,
            Tag(tags.DEFINE, [0, [Tag(tags.AGAIN, 0)]]),
            "a list that holds itself",
        ),
        "cycle-dict": (
            ring,
            Tag(tags.DEFINE, [0, {"me": Tag(tags.AGAIN, 0)}]),
            "a dict that holds itself",
        ),
        "cycle-through-tuple": (
            through,
            Tag(tags.DEFINE, [0, [Tag(tags.TUPLE, [Tag(tags.AGAIN, 0)])]]),
            "a list that holds a tuple that holds the list",
        ),
        "copy": (
            Note(text="a"),
            Tag(tags.COPY, ["vectors.Note", {"text": "a"}]),
            "a copy with its state",
        ),
        "copy-nested": (
            Note(inner=[Note()]),
            Tag(
                tags.COPY,
                ["vectors.Note", {"inner": [Tag(tags.COPY, ["vectors.Note", {}])]}],
            ),
            "a copy in the state of a copy",
        ),
        "copy-record": (
            point,
            Tag(tags.COPY, ["vectors.Point", {"x": 1, "y": 2}]),
            "a record: its state is a map of all its fields, in their order",
        ),
        "copy-record-key": (
            {point: (point,)},
            Tag(
                tags.MAP,
                [
                    Tag(
                        tags.DEFINE,
                        [0, Tag(tags.COPY, ["vectors.Point", {"x": 1, "y": 2}])],
                    ),
                    Tag(tags.TUPLE, [Tag(tags.AGAIN, 0)]),
                ],
            ),
            "one record as a key and in its value",
        ),
        "copy-exception": (
            problem,
            Tag(tags.COPY, ["vectors.Problem", [["x"], {"code": 5}]]),
            "an exception as a value: its arguments and its attributes",
        ),
        "copies": (
            [Point(1, "a"), Point(2, None)],
            Tag(tags.COPIES, ["vectors.Point", ["x", "y"], [[1, "a"], [2, None]], []]),
            "a list of records as a table",
        ),
        "copies-again": (
            [[Point(3, 4), point], point],
            [
                Tag(
                    tags.COPIES,
                    ["vectors.Point", ["x", "y"], [[3, 4], [1, 2]], [0, 1]],
                ),
                Tag(tags.AGAIN, 0),
            ],
            "row 1 of the table has number 0 and stands in another place, too",
        ),
        "rows": (
            [{"a": n, "b": True, "c": ""} for n in range(8)],
            Tag(
                tags.ROWS,
                [["a", "b", "c"], [e for n in range(8) for e in (n, True, "")]],
            ),
            "a list of dicts with the same keys as a table",
        ),
        "enum": (
            Color.RED,
            Tag(tags.ENUM, ["vectors.Color", "RED"]),
            "a member of an enumeration, by name",
        ),
        "enum-flags": (
            Access.READ | Access.WRITE,
            Tag(tags.ENUM, ["vectors.Access", ["READ", "WRITE"]]),
            "a flag that is made of two",
        ),
        "enum-no-flag": (
            Access(0),
            Tag(tags.ENUM, ["vectors.Access", []]),
            "a flag that is made of none",
        ),
    }


VALUES = _values()

LIMITS = {
    "max_message_size": 67_108_864,
    "max_structure_size": 4_194_304,
    "max_depth": 128,
    "max_references": 10_000,
    "max_pending_calls": 1024,
    "max_integer_bits": 8192,
    "max_decimal_digits": 4096,
    "max_pending_bytes": 67_108_864,
}
HELLO = [
    0,
    "geopb",
    {
        "versions": [1],
        "limits": LIMITS,
        "features": [],
        "software": "geopb-python",
    },
]
LARGE = bytes(range(256)) * 128
TABLE = Tag(tags.CACHE, [5, "vectors.Table", {"rows": 1}])


def _call(*args: Any) -> list[Any]:
    return [1, 1, 0, "take", list(args)]


#: name -> (frames, whether an encoder writes it so, what happens, meaning)
Sample = tuple[list[Any], bool, str, str]


def _hellos() -> dict[str, Sample]:
    later = {**HELLO[2], "versions": [2, 1], "later": [1, 2]}
    return {
        "hello": ([HELLO], True, "open", "the hello that this library sends"),
        "hello-least": (
            [[0, "geopb", {"versions": [1]}]],
            False,
            "open",
            "nothing but the version: each limit is the least there is",
        ),
        "hello-later": (
            [[0, "geopb", later, "more"]],
            False,
            "open",
            "other versions, unknown keys and fields behind are no obstacle",
        ),
        "hello-other-version": (
            [[0, "geopb", {"versions": [2]}]],
            False,
            "ends",
            "no version in common",
        ),
        "hello-small-limit": (
            [[0, "geopb", {"versions": [1], "limits": {"max_structure_size": 16383}}]],
            False,
            "ends",
            "a limit below the least that may be told",
        ),
        "hello-no-map": ([[0, "geopb", []]], False, "ends", "a hello tells a map"),
        "call-before-hello": (
            [_call()],
            False,
            "ends",
            "a stream that does not begin with a hello is taken for another protocol",
        ),
        "http": (
            [Raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.1 ...")],
            False,
            "ends",
            "another protocol, told by its first bytes",
        ),
    }


def _messages() -> dict[str, Sample]:
    mine, yours = Tag(tags.MINE, 5), Tag(tags.YOURS, 1)
    bases = ("KeyError", "LookupError", "Exception", "BaseException")
    parents = [f"builtins.{name}" for name in bases]
    error = [3, 1, "builtins.KeyError", "'x'", parents, ["x"], {}, None, {}]
    return {
        "call": ([[1, 1, 0, "take", [1]]], True, "call", "a call, with one argument"),
        "call-keywords": (
            [[1, 1, 0, "take", [], {"a": 1}]],
            True,
            "call",
            "a call with a keyword argument",
        ),
        "call-nested": (
            [[1, 1, 0, "take", [], {}, {"nested": True}]],
            True,
            "call",
            "a call that is made while serving a call",
        ),
        "call-timeout": (
            [[1, 1, 0, "take", [], {}, {"timeout": 1.5}]],
            True,
            "call",
            "a call that has a second and a half",
        ),
        "call-timeout-past": (
            [[1, 1, 0, "take", [], {}, {"timeout": -1}]],
            False,
            "call",
            "a call whose time is over counts as one with 0 seconds",
        ),
        "cancel": (
            [[10, 1]],
            False,
            "cancel",
            "the peer does not want the answer to its question 1",
        ),
        "cancel-late": (
            [[10, 1, True]],
            False,
            "cancel",
            "the same, as the time of its call is over",
        ),
        "cancel-later": (
            [[10, 1, False, "more"]],
            False,
            "cancel",
            "fields behind are ignored",
        ),
        "draining": (
            [[11, False]],
            True,
            "draining",
            "the peer takes no new calls from now on",
        ),
        "draining-again": (
            [[11, False], [11, False]],
            False,
            "draining",
            "it is acknowledged once",
        ),
        "draining-seen": (
            [[11, True]],
            False,
            "draining-seen",
            "the peer has read that this side takes no new calls",
        ),
        "answer-called": (
            [[1, 1, 0, "echo", [yours]], [1, 2, -1, "ask", []]],
            True,
            "on-answer",
            "the second call is on what the first one returns, object 1",
        ),
        "answer-passed": (
            [[1, 1, 0, "echo", [[7]]], [1, 2, 0, "take", [Tag(tags.ANSWER_OF, 1)]]],
            True,
            "call",
            "a call whose argument is what the first one returns",
        ),
        "answer-unknown": (
            [[1, 2, -1, "ask", []]],
            False,
            "not-run",
            "a call on an answer that is not known (any more)",
        ),
        "answer-no-object": (
            [[1, 1, 0, "echo", [7]], [1, 2, -1, "ask", []]],
            False,
            "not-run",
            "what is wrong with calling a value is the caller's to say",
        ),
        "taken": (
            [[13, 131072]],
            True,
            "taken",
            "the peer has taken so many bytes of bulk off the line",
        ),
        "taken-later": (
            [[13, 131072, "more"]],
            False,
            "taken",
            "fields behind are ignored",
        ),
        "call-one-way": (
            [[1, None, 0, "take", [1]]],
            True,
            "call",
            "a call that wants no answer",
        ),
        "call-later": (
            [[1, 1, 0, "take", [], {}, {"later": 1}, "more"]],
            False,
            "call",
            "unknown options and fields behind are ignored",
        ),
        "call-long-heads": (
            [Raw(bytes.fromhex("98051801190001 1a00000000 7804") + b"take\x80", "...")],
            False,
            "call",
            "a message whose heads are longer than they need to be is taken",
        ),
        "reference": (
            [_call(mine)],
            True,
            "call",
            "a reference to object 5 of the sender",
        ),
        "reference-home": (
            [_call(yours)],
            True,
            "call",
            "object 1 of the receiver, at home again",
        ),
        "answer": ([[2, 1, [42]]], True, "answer", "the answer to question 1: 42"),
        "answer-null": ([[2, 1, [None]]], True, "answer", "the answer None"),
        "error": ([error], True, "error", "question 1 ended with KeyError('x')"),
        "error-shortest": (
            [error[:7]],
            False,
            "error",
            "without a traceback and details",
        ),
        "error-system": (
            [
                [
                    3,
                    1,
                    "builtins.FileNotFoundError",
                    "[Errno 2] No such file: 'x'",
                    ["builtins.FileNotFoundError", "builtins.OSError"],
                    [2, "No such file"],
                    {},
                    None,
                    {"errno": 2, "strerror": "No such file", "filename": "x"},
                ]
            ],
            False,
            "error",
            "an error of the system, with its details",
        ),
        "error-registered": (
            [
                [
                    3,
                    1,
                    "vectors.Problem",
                    "x",
                    ["vectors.Problem", *parents[2:]],
                    ["x"],
                    {"code": 5},
                    None,
                    {},
                ]
            ],
            True,
            "error",
            "an exception of a registered class, with its attributes",
        ),
        "cache": (
            [_call(TABLE)],
            True,
            "call",
            "object 5 of the sender, which the receiver caches, with its state",
        ),
        "cache-again": (
            [_call(TABLE, Tag(tags.CACHE, [5, "vectors.Table"]))],
            True,
            "call",
            "the same cache twice: the state comes once",
        ),
        "stream": (
            [_call(Tag(tags.STREAM, [5]))],
            True,
            "call",
            "a stream, object 5 of the sender",
        ),
        "update": (
            [_call(TABLE), [7, 2, 5, "set", ["rows", 2]]],
            True,
            "update",
            "the cache is told that its rows are 2, and answers",
        ),
        "update-keywords": (
            [_call(TABLE), [7, None, 5, "set", [], {"name": "rows", "value": 2}]],
            False,
            "update",
            "the same by name, and without an answer",
        ),
        "snapshot": (
            [_call(TABLE), [8, 2, 5, [{"rows": 2}]]],
            False,
            "update",
            "the cache is given fresh state",
        ),
        "updates-end": (
            [_call(TABLE), [9, 5]],
            False,
            "call",
            "the cache will not be told of changes any more",
        ),
        "update-not-held": (
            [[7, 1, 9, "set", ["rows", 2]]],
            False,
            "fails",
            "a cache that the receiver does not hold",
        ),
        "update-of-reference": (
            [[1, None, 0, "take", [mine]], [7, 1, 5, "set", ["rows", 2]]],
            False,
            "fails",
            "a reference is no cache",
        ),
        "snapshot-not-held": (
            [[8, 1, 9, [{}]]],
            False,
            "fails",
            "a cache that the receiver does not hold",
        ),
        "release": ([[4, 1, 2]], True, "release", "both references to object 1"),
        "release-two": (
            [[4, 1, 1, 2, 1]],
            False,
            "release",
            "one reference to object 1 and one to object 2, in one message",
        ),
        "bulk": (
            [_call(Tag(tags.BULK, [1, len(LARGE), 0])), [5, 1, LARGE]],
            True,
            "call",
            "32 KiB of bytes beside their message, in one chunk",
        ),
        "bulk-bytearray": (
            [_call(Tag(tags.BULK, [1, 3, 1])), [5, 1, b"ab"], [5, 1, b"c"]],
            False,
            "call",
            "a bytearray in two chunks, however small it is",
        ),
        "bulk-text": (
            [_call(Tag(tags.BULK, [1, 2, 2])), [5, 1, "é".encode()]],
            False,
            "call",
            "text in a chunk",
        ),
        "bulk-interleaved": (
            [
                _call(Tag(tags.BULK, [1, 2, 0])),
                [1, 2, 0, "take", [Tag(tags.BULK, [2, 2, 0])]],
                [5, 1, b"a"],
                [5, 2, b"cd"],
                [5, 1, b"b"],
            ],
            False,
            "calls",
            "the chunks of two messages may alternate; each starts when it is whole",
        ),
        "goodbye": ([[6, "enough"]], True, "parted", "nothing more will come"),
    }


def _refused_values() -> dict[str, tuple[Any, str]]:
    day = [2026, 2, 3]
    wrong: dict[str, tuple[Any, str]] = {
        "unknown-tag": (Tag(60099, 0), "a tag that is not in the table"),
        "cbor-datetime-text": (Tag(0, "2026-02-03T04:05:06Z"), "CBOR's own tag 0"),
        "cbor-shared-value": (Tag(28, []), "CBOR's sharing of values"),
        "cbor-set": (Tag(258, [1]), "CBOR's own sets"),
        "cbor-regular-expression": (Tag(35, "a*"), "CBOR's regular expressions"),
        "bignum-too-large": (
            Tag(tags.POSITIVE_BIGNUM, b"\x01" + b"\x00" * 1024),
            "more bits than max_integer_bits",
        ),
        "bignum-of-text": (Tag(tags.POSITIVE_BIGNUM, "1"), "a big integer is bytes"),
        "reference-unknown": (Tag(tags.YOURS, 9), "an object that was never given"),
        "reference-lobby": (Tag(tags.YOURS, 0), "the lobby is called, not passed"),
        "tuple-no-array": (Tag(tags.TUPLE, 1), "a tuple's content is an array"),
        "set-member-twice": (Tag(tags.SET, [1, 1]), "a set holds a member once"),
        "set-of-lists": (Tag(tags.SET, [[]]), "a list cannot be hashed"),
        "map-key-twice": (
            Tag(tags.MAP, [1, "a", True, "b"]),
            "1 and true are the same key",
        ),
        "map-odd": (Tag(tags.MAP, [1]), "a key without a value"),
        "bytearray-of-text": (
            Tag(tags.BYTEARRAY, "a"),
            "a bytearray's content is bytes",
        ),
        "define-text": (Tag(tags.DEFINE, [0, "a"]), "aliases are of lists and dicts"),
        "define-twice": (
            [Tag(tags.DEFINE, [0, []]), Tag(tags.DEFINE, [0, []])],
            "a number is defined once",
        ),
        "again-undefined": (Tag(tags.AGAIN, 3), "a number that is not defined"),
        "again-as-key": (
            [Tag(tags.DEFINE, [0, []]), Tag(tags.SET, [Tag(tags.AGAIN, 0)])],
            "an alias stands for what cannot be hashed",
        ),
        "bulk-unknown-kind": (Tag(tags.BULK, [1, 1, 3]), "kinds of bulk are 0, 1, 2"),
        "complex-of-integers": (Tag(tags.COMPLEX, [1, 2]), "two floats"),
        "datetime-no-such-day": (
            Tag(tags.DATETIME, [2026, 2, 30, 0, 0, 0, 0, 0, None]),
            "the 30th of February",
        ),
        "datetime-short": (Tag(tags.DATETIME, day), "nine items"),
        "datetime-fold": (
            Tag(tags.DATETIME, [*day, 0, 0, 0, 0, 2, None]),
            "the fold is 0 or 1",
        ),
        "datetime-offset-of-a-day": (
            Tag(tags.DATETIME, [*day, 0, 0, 0, 0, 0, 86_400_000_000]),
            "an offset is less than a day",
        ),
        "date-true": (Tag(tags.DATE, [2026, True, 1]), "true is no month"),
        "time-24": (Tag(tags.TIME, [24, 0, 0, 0, 0, None]), "hours are 0 to 23"),
        "timedelta-not-normal": (
            Tag(tags.TIMEDELTA, [0, 86_400, 0]),
            "seconds are less than a day",
        ),
        "decimal-not-canonical": (
            Tag(tags.DECIMAL, "1.5e3"),
            "another text than the decimal's own, 1.5E+3",
        ),
        "decimal-exponent-too-large": (
            Tag(tags.DECIMAL, "1E+10000"),
            "an exponent above 9999",
        ),
        "decimal-too-long": (Tag(tags.DECIMAL, "1" * 4097), "too many digits"),
        "fraction-by-zero": (Tag(tags.FRACTION, [1, 0]), "denominators begin at 1"),
        "fraction-not-lowest": (Tag(tags.FRACTION, [2, 4]), "lowest terms: 1/2"),
        "uuid-short": (Tag(tags.UUID_, b"\x00" * 15), "16 bytes"),
        "ipv4-address-long": (Tag(tags.IPV4_ADDRESS, b"\x00" * 5), "4 bytes"),
        "ipv6-address-zone-empty": (
            Tag(tags.IPV6_ADDRESS, [b"\x00" * 16, ""]),
            "a zone has 1 to 64 characters",
        ),
        "ipv4-network-host-bits": (
            Tag(tags.IPV4_NETWORK, [b"\xc0\x00\x02\x01", 24]),
            "bits behind the prefix are 0",
        ),
        "ipv6-network-prefix": (
            Tag(tags.IPV6_NETWORK, [b"\x00" * 16, 129]),
            "a prefix of 0 to 128",
        ),
        "reference-id-zero": (Tag(tags.MINE, 0), "ids begin at 1"),
        **_refused_rows(),
        **_refused_copies(),
    }
    return wrong


def _refused_rows() -> dict[str, tuple[Any, str]]:
    def rows(*content: Any) -> Tag:
        return Tag(tags.ROWS, list(content))

    keys = ["a", "b", "c"]
    return {
        "rows-no-values": (rows(keys), "keys, and values"),
        "rows-of-arrays": (rows(keys, [[1, 2, 3]], []), "keys and values alone"),
        "rows-values-map": (rows(keys, {"a": 1}), "values in an array"),
        "rows-few-keys": (rows(["a", "b"], [1, 2]), "three keys at the least"),
        "rows-key-twice": (rows(["a", "b", "a"], []), "each key stands once"),
        "rows-key-bytes": (rows(["a", "b", b"c"], []), "keys are text"),
        "rows-row-short": (rows(keys, [1, 2, 3, 4]), "a value for each key"),
    }


def _refused_copies() -> dict[str, tuple[Any, str]]:
    point, fields = "vectors.Point", ["x", "y"]

    def copy(*content: Any) -> Tag:
        return Tag(tags.COPY, list(content))

    def copies(*content: Any) -> Tag:
        return Tag(tags.COPIES, [point, *content])

    one = Tag(tags.COPY, [point, {"x": 1, "y": 2}])
    return {
        "copy-unknown-type": (copy("os.system", {}), "a type that is not registered"),
        "copy-no-state": (copy("vectors.Note"), "a copy has a state"),
        "copy-type-bytes": (copy(b"vectors.Note", {}), "a type is named by text"),
        "copy-state-text": (copy("vectors.Note", "a"), "the class takes a map"),
        "copy-of-cache": (copy("vectors.Table", {}), "caches are sent as such"),
        "copy-of-enum": (copy("vectors.Color", {}), "members are sent as such"),
        "copy-field-missing": (copy(point, {"x": 1}), "a field is missing"),
        "copy-field-unknown": (
            copy(point, {"x": 1, "y": 2, "z": 3}),
            "a field that is not known",
        ),
        "copy-record-no-map": (copy(point, [1, 2]), "the state is a map of fields"),
        "copy-exception-no-args": (
            copy("vectors.Problem", {"code": 5}),
            "the arguments and the attributes",
        ),
        "copies-of-copies": (
            Tag(tags.COPIES, ["vectors.Note", fields, [], []]),
            "only records come as a table",
        ),
        "copies-row-short": (copies(fields, [[1]], []), "a value for each field"),
        "copies-field-twice": (
            copies(["x", "y", "x"], [], []),
            "each field stands once",
        ),
        "copies-no-such-row": (copies(fields, [[1, 2]], [0, 1]), "rows count from 0"),
        "copies-number-alone": (copies(fields, [[1, 2]], [0]), "a number and its row"),
        "copies-number-twice": (
            copies(fields, [[1, 2], [3, 4]], [0, 0, 0, 1]),
            "a number is defined once",
        ),
        "copies-number-negative": (
            copies(fields, [[1, 2]], [-1, 0]),
            "numbers are from 0 on",
        ),
        "copies-shared-key": (
            Tag(tags.SET, [Tag(tags.DEFINE, [0, one]), Tag(tags.AGAIN, 0)]),
            "a member twice",
        ),
        "enum-no-such-member": (
            Tag(tags.ENUM, ["vectors.Color", "BLUE"]),
            "no such member",
        ),
        "enum-by-value": (Tag(tags.ENUM, ["vectors.Color", 1]), "members by name"),
        "enum-combined": (
            Tag(tags.ENUM, ["vectors.Color", ["RED", "GREEN"]]),
            "only flags are combined",
        ),
        "enum-of-class": (
            Tag(tags.ENUM, ["vectors.Note", "RED"]),
            "a class that is no enumeration",
        ),
        "cache-of-copy": (
            Tag(tags.CACHE, [5, "vectors.Note", {}]),
            "a class of copies, not of caches",
        ),
        "cache-unknown-type": (
            Tag(tags.CACHE, [5, "os.system", {}]),
            "a type that is not registered",
        ),
        "stream-id-zero": (Tag(tags.STREAM, [0]), "ids begin at 1"),
        "stream-and-more": (Tag(tags.STREAM, [5, 6]), "an id and nothing else"),
        "stream-twice": (
            [Tag(tags.STREAM, [5]), Tag(tags.STREAM, [5])],
            "a stream is given once",
        ),
        "stream-home": (
            [Tag(tags.STREAM, [5]), Tag(tags.YOURS, 5)],
            "no object of the receiver has that id",
        ),
        "cache-id-zero": (Tag(tags.CACHE, [0, "vectors.Table", {}]), "ids begin at 1"),
        "cache-is-reference": (
            [Tag(tags.MINE, 5), Tag(tags.CACHE, [5, "vectors.Table", {}])],
            "an object is a reference or a cache",
        ),
        "cache-state-twice": (
            [Tag(tags.CACHE, [5, "vectors.Table", {}])] * 2,
            "the state comes once",
        ),
    }


def _endings() -> dict[str, Sample]:
    def ends(meaning: str, *frames: Any) -> Sample:
        return list(frames), False, "ends", meaning

    call = item(_call())
    return {
        "length-zero": ends("a frame of nothing", Raw(b"", "")),
        "not-cbor": ends("a body that is no CBOR", Raw(b"\x1c", "...")),
        "not-an-array": ends("a message is an array", {"a": 1}),
        "empty-array": ends("a message has a kind", []),
        "unknown-kind": ends("kinds are 0 to 9", [10]),
        "kind-true": ends("true is no kind", [True, None, 0, "take", []]),
        "truncated": ends("a body that ends too early", Raw(call[:-1], "...")),
        "trailing": ends("bytes behind the message", Raw(call + b"\x00", "...")),
        "indefinite": ends(
            "lengths are always told",
            Raw(b"\x9f" + call[1:] + b"\xff", '[_ 1, 1, 0, "take", []]'),
        ),
        "duplicate-key": ends(
            "a key of a map twice", _call(Pairs((("a", 1), ("a", 2))))
        ),
        "map-of-integer-keys": ends(
            "keys of CBOR maps are text or bytes", _call({1: 2})
        ),
        "not-utf-8": ends("text that is not UTF-8", _call(Raw(b"\x61\xff", '"..."'))),
        "hello-again": ends("one hello, first", HELLO),
        "call-id-zero": ends("question ids begin at 1", [1, 0, 0, "take", []]),
        "call-no-args": ends("a call has five fields at least", [1, 1, 0, "take"]),
        "call-keyword-bytes": ends(
            "names of keyword arguments are text", [1, 1, 0, "take", [], {b"a": 1}]
        ),
        "answer-not-asked": ends("a question that is not open", [2, 9, [1]]),
        "answer-twice": ends("an answer ends its question", [2, 1, [1]], [2, 1, [1]]),
        "answer-two-values": ends("an answer is one value", [2, 1, [1, 2]]),
        "release-too-many": ends("more than were sent", [4, 1, 3]),
        "release-unknown": ends("an object that was never given", [4, 9, 1]),
        "release-count-zero": ends("counts begin at 1", [4, 1, 0]),
        "chunk-not-announced": ends("bulk that no message told of", [5, 1, b"a"]),
        "chunk-too-long": ends(
            "more than was announced",
            _call(Tag(tags.BULK, [1, 1, 0])),
            [5, 1, b"ab"],
        ),
        "chunk-empty": ends(
            "a chunk brings something", _call(Tag(tags.BULK, [1, 1, 0])), [5, 1, b""]
        ),
        "bulk-twice": ends(
            "an id of bulk under way",
            _call(Tag(tags.BULK, [1, 1, 0]), Tag(tags.BULK, [1, 1, 0])),
        ),
        "bulk-too-much": ends(
            "more unfinished bulk than max_message_size",
            _call(Tag(tags.BULK, [1, 67_108_865, 0])),
        ),
        "update-cache-zero": ends("ids begin at 1", [7, 1, 0, "set", []]),
        "update-no-args": ends("an update has five fields", [7, 1, 5, "set"]),
        "snapshot-two-states": ends("a snapshot is one state", [8, 1, 5, [1, 2]]),
        "updates-end-no-cache": ends("an id of a cache", [9]),
        "call-timeout-nan": ends(
            "a timeout is a finite number",
            [1, 1, 0, "take", [], {}, {"timeout": float("nan")}],
        ),
        "call-timeout-text": ends(
            "a timeout is a number", [1, 1, 0, "take", [], {}, {"timeout": "1"}]
        ),
        "call-timeout-too-long": ends(
            "a timeout is less than 1,000,000,000 seconds",
            [1, 1, 0, "take", [], {}, {"timeout": 1_000_000_000}],
        ),
        "cancel-no-question": ends("what is cancelled is named", [10, None]),
        "cancel-no-bool": ends("late or not", [10, 1, 1]),
        "not-run-names-nothing": ends(
            "what names no answer cannot be put off", [12, 1, 2]
        ),
        "not-run-not-open": ends("a question that is not open", [12, 9, 1]),
        "not-run-of-nothing": ends("what is to be waited for is named", [12, 1]),
        "answer-named-in-answer": ends(
            "answers are named in calls only",
            [3, 9, "a", "", [], [Tag(tags.ANSWER_OF, 1)], {}],
        ),
        "answer-named-one-way": ends(
            "a call that names an answer wants one", [1, None, -1, "ask", []]
        ),
        "taken-nothing": ends("at least one byte was taken", [13, 0]),
        "taken-no-number": ends("so many bytes", [13, True]),
        "taken-too-much": ends("more bulk than was sent", [13, 262145]),
        "draining-no-bool": ends("announced or seen", [11, None]),
        "error-no-attributes": ends(
            "an error has seven fields", [3, 1, "a.B", "text", ["a.B"], []]
        ),
        "copy-number-less": ends(
            "what is sent and not understood has to be released: its id is needed",
            _call(Tag(tags.CACHE, ["vectors.Table", 5, {}])),
        ),
        "stream-number-less": ends(
            "its id is needed, as that of a copy is", _call(Tag(tags.STREAM, []))
        ),
        "after-goodbye": ends("a message behind the last", [6, "enough"], _call()),
    }


def _frame(value: Any) -> str:
    if isinstance(value, Raw):
        return (struct.pack(">I", len(value.data)) + value.data).hex()
    return frame(value).hex()


def _entry(group: str, name: str, sample: Sample) -> dict[str, Any]:
    frames, canonical, outcome, meaning = sample
    encoded = [_frame(each) for each in frames]
    if name == "http":
        encoded = [frames[0].data.hex()]
    return {
        "name": name,
        "group": group,
        "meaning": meaning,
        "outcome": outcome,
        "canonical": canonical,
        "diagnostic": [diagnostic(each) for each in frames],
        "frames": encoded,
    }


def entries() -> list[dict[str, Any]]:
    """Return all samples as they stand in the file."""
    made = [_entry("hello", name, each) for name, each in _hellos().items()]
    made += [_entry("message", name, each) for name, each in _messages().items()]
    for name, (_, content, meaning) in VALUES.items():
        made.append(_entry("value", name, ([_call(content)], True, "call", meaning)))
    for name, (content, meaning) in _refused_values().items():
        sample = ([_call(content)], False, "fails", meaning)
        made.append(_entry("refused", name, sample))
    made += [_entry("ending", name, each) for name, each in _endings().items()]
    return made


def document() -> str:
    """Return the text of ``v1.json``."""
    outcomes = {
        "open": "the connection is open",
        "call": "the method runs, with what the meaning says",
        "update": "the method runs, and the cache it was given has 2 rows then",
        "calls": "two methods run, the second message's first",
        "answer": "question 1 ends with a value",
        "error": "question 1 ends with an exception",
        "release": "the references are given back",
        "cancel": "the call of question 1 is stopped, if it runs",
        "on-answer": "object 1 runs the second call, and answers it",
        "not-run": "[12, 2, 1] is sent: question 2 is not run",
        "draining": "[11, true] is sent, once, and no new calls",
        "draining-seen": "the peer's new calls are refused, if it was told so before",
        "taken": "at least as many bytes of bulk more are sent",
        "parted": "the peer has gone",
        "fails": "the call is answered with an error, the connection goes on",
        "ends": "the receiver ends the connection",
    }
    told = {
        "protocol": 1,
        "frames": "hexadecimal, each with its four bytes of length",
        "setting": SETTING,
        "outcomes": outcomes,
        "samples": entries(),
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"
