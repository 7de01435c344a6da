"""A small CBOR writer of its own, so that samples do not lean on what they test.

It writes what it is told, also what no careful encoder would: `Raw` is bytes as they
are, `Pairs` a map whose keys may repeat or be of any kind.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any


# Not frozen: tests make hundreds of thousands.
@dataclass(slots=True)
class Tag:
    """A tagged item."""

    number: int
    content: Any


@dataclass(frozen=True)
class Raw:
    """Bytes that stand for themselves, and how to write them in diagnostic form."""

    data: bytes
    text: str


@dataclass(frozen=True)
class Pairs:
    """A map, as a sequence of keys and values."""

    items: tuple[tuple[Any, Any], ...]


_BYTES = [bytes([value]) for value in range(256)]


def head(major: int, value: int) -> bytes:
    """Return the shortest head of an item."""
    if 0 <= value < 24:
        return _BYTES[major << 5 | value]
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << (8 * size):
            return _BYTES[major << 5 | code] + value.to_bytes(size, "big")
    raise ValueError("a head holds 64 bits")


def item(value: Any) -> bytes:
    """Return `value` as one CBOR item."""
    if type(value) is Tag:
        return head(6, value.number) + item(value.content)
    return _WRITERS[type(value)](value)


def _pairs(value: Pairs) -> bytes:
    body = b"".join(item(key) + item(each) for key, each in value.items)
    return head(5, len(value.items)) + body


def _integer(value: int) -> bytes:
    return head(0, value) if value >= 0 else head(1, -1 - value)


def _text(value: str) -> bytes:
    data = value.encode()
    return head(3, len(data)) + data


#: These are written with half precision.
_FLOATS = {"nan": b"\xf9\x7e\x00", "inf": b"\xf9\x7c\x00", "-inf": b"\xf9\xfc\x00"}
_WRITERS: dict[type, Any] = {
    Raw: lambda value: value.data,
    Pairs: _pairs,
    type(None): lambda _: b"\xf6",
    bool: lambda value: b"\xf5" if value else b"\xf4",
    int: _integer,
    float: lambda value: _FLOATS.get(repr(value)) or b"\xfb" + struct.pack(">d", value),
    str: _text,
    bytes: lambda value: head(2, len(value)) + value,
    list: lambda value: head(4, len(value)) + b"".join(map(item, value)),
    dict: lambda value: item(Pairs(tuple(value.items()))),
}


def frame(value: Any) -> bytes:
    """Return the frame of the message `value`."""
    body = item(value)
    return struct.pack(">I", len(body)) + body


def diagnostic(value: Any) -> str:
    """Return `value` in CBOR diagnostic notation."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Tag):
        return f"{value.number}({diagnostic(value.content)})"
    if isinstance(value, Pairs):
        pairs = (f"{diagnostic(key)}: {diagnostic(each)}" for key, each in value.items)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, dict):
        return diagnostic(Pairs(tuple(value.items())))
    if isinstance(value, list):
        return "[" + ", ".join(map(diagnostic, value)) + "]"
    if isinstance(value, bytes):
        cut = value.hex() if len(value) <= 32 else f"{value[:8].hex()}..."
        return f"h'{cut}'"
    if isinstance(value, str):
        cut = value if len(value) <= 60 else f"{value[:8]}..."
        return json.dumps(cut, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    names = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
    return names.get(repr(value), repr(value))
