"""Short messages of plain scalars, written by hand: most calls and answers.

Owns a second way to the very bytes that cbor2 makes, for the few forms that make up
most of the traffic: cbor2 looks each list up among Python's abstract classes, which
costs more than all the rest. Whatever has another form is left to the codec. They are
read in `brief`. Called by the broker, and by jelly for what is bulk alone.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from types import NoneType
from typing import Any

#: Bytes of a text or of bytes. Eight of them stay far below the least size limit.
_SHORT = 400
#: As many values as are written here.
_FEW = 8
#: Names of methods that were written, and their bytes: those that this side calls.
_names: dict[str, bytes] = {}
_MOST_NAMES = 1000

_BYTES, _TEXT = 0x40, 0x60
_two, _four = Struct(">BH").pack, Struct(">BI").pack
_eight, _double = Struct(">BQ").pack, Struct(">Bd").pack


def _heads(major: int, most: int) -> list[bytes]:
    """Return the heads with the arguments 0 to `most`."""
    few = [bytes((major | n,) if n < 24 else (major | 24, n)) for n in range(256)]
    return [*few, *(_two(major | 25, n) for n in range(256, _SHORT + 1))][: most + 1]


_INTEGERS, _NEGATIVES = _heads(0, 255), _heads(0x20, 255)
_BYTES_HEADS, _TEXT_HEADS = _heads(_BYTES, _SHORT), _heads(_TEXT, _SHORT)
_ARRAYS = _heads(0x80, _FEW)
_NULL = b"\xf6"
#: What stands before the number of an answer that is a reference.
REFERENCE = b"\x81\xd9\xea\xc4"
_CONSTANTS = {False: b"\xf4", True: b"\xf5", None: _NULL}
#: What stands before the id of bulk: its tag, and the head of its three fields.
BULK = b"\xd9\xea\xcd\x83"
#: What every peer takes is at least of 64 bits, with its sign.
_INT64, _LEAST_INT64 = 2**63, -(2**63)
_INFINITY = float("inf")


def call_body(
    question: int | None, target: int, name: str, args: Collection[object]
) -> bytes:
    """Return ``[CALL, question, target, name, args]``; empty where it is not short."""
    written = _names.get(name) or _name(name)
    if not written or len(args) > _FEW:
        return b""
    parts = [
        b"\x85\x01",
        _NULL if question is None else _integer(question),
        _INTEGERS[target] if target < 256 else _integer(target),
        written,
        _ARRAYS[len(args)],
    ]
    for value in args:
        scalar = _scalar(value)
        if not scalar:
            return b""
        parts.append(scalar)
    return b"".join(parts)


def answer_body(question: int, value: object) -> bytes:
    """Return ``[ANSWER, question, [value]]``; empty where it is not short."""
    scalar = _scalar(value)
    if not scalar:
        return b""
    return b"".join((b"\x83\x02", _integer(question), b"\x81", scalar))


def reference_body(question: int, number: int) -> bytes:
    """Return ``[ANSWER, question, [MINE number]]``."""
    return b"".join((b"\x83\x02", _integer(question), REFERENCE, _integer(number)))


def bulk_body(head: Collection[object], number: int, length: int) -> bytes:
    """Return ``[*head, [BULK [number, length, BULK_BYTES]]]``; empty if not short."""
    parts = list(map(_scalar, head))
    if len(parts) >= _FEW or not all(parts):
        return b""
    start, end = (_ARRAYS[len(parts) + 1], *parts, b"\x81", BULK), b"\x00"
    return b"".join((*start, _integer(number), _integer(length), end))


def release_body(number: int, count: int) -> bytes:
    """Return ``[RELEASE, number, count]``."""
    return b"".join((b"\x83\x04", _integer(number), _integer(count)))


def taken_body(count: int) -> bytes:
    """Return ``[TAKEN, count]``."""
    return b"\x82\x0d" + _integer(count)


def _scalar(value: Any) -> bytes:
    """Return a plain scalar as it is written; empty for another, or a long one."""
    kind = type(value)
    if kind is str:
        try:
            data: bytes = value.encode()
            return _TEXT_HEADS[len(data)] + data
        except (UnicodeEncodeError, IndexError):
            # No text that UTF-8 carries, or a long one.
            return b""
    if kind is int:
        if 0 <= value < 256:
            return _INTEGERS[value]  # type: ignore[no-any-return]
        return _integer(value) if _LEAST_INT64 <= value < _INT64 else b""
    if kind is NoneType or kind is bool:
        return _CONSTANTS[value]
    if kind is bytes:
        return _BYTES_HEADS[len(value)] + value if len(value) <= _SHORT else b""
    if kind is float and -_INFINITY < value < _INFINITY:
        return _double(0xFB, value)
    return b""


def _integer(value: int) -> bytes:
    if value < 0:
        value = -1 - value
        if value < 256:
            return _NEGATIVES[value]
        major = 0x20
    elif value < 256:
        return _INTEGERS[value]
    else:
        major = 0
    if value < 0x10000:
        return _two(major | 25, value)
    if value < 0x100000000:
        return _four(major | 26, value)
    return _eight(major | 27, value)


def _name(name: str) -> bytes:
    """Return a method's name as it is written; empty if it is none of the usual."""
    if len(name) > _SHORT or not name.isascii():
        return b""
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    data = name.encode()
    _names[name] = _TEXT_HEADS[len(data)] + data
    return _names[name]
