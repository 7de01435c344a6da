"""Short messages of plain scalars, written by hand: most calls and answers.

Owns a second way to the very bytes that cbor2 makes, for the few forms that make up
most of the traffic: cbor2 looks each list up among Python's abstract classes, which
costs more than all the rest. Three forms are read by hand, too: two that hold nothing
but ids, and the answer that is one small scalar. Whatever has another form is left to
the codec. Called by the broker for each call and answer.
"""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct, calcsize
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
#: Integers from here on have more than one byte.
_LONG = 24
#: The heads of ids of 8, 16 and 32 bits, their formats, and the least id of each.
_ID_FORMS = ((24, "BB", _LONG), (25, "BH", 2**8), (26, "BI", 2**16))
_ANSWER_START, _RELEASE_START, _MARK = 0x8302, 0x8304, 0x81D9EAC4
#: The first byte of what is read here.
BRIEF = 0x83
#: By the head of the question and the length: how to read an answer that is a
#: reference, the least question, the head of the reference's number, and its least.
_REFERENCES = {
    (head, len(REFERENCE) + calcsize(f">H{form}{other}")): (
        Struct(f">H{form}I{other}").unpack,
        least,
        other_head,
        other_least,
    )
    for head, form, least in _ID_FORMS
    for other_head, other, other_least in _ID_FORMS
}
#: By the length: how to read a release, the head of its number, and the least.
_RELEASES = {
    calcsize(f">H{form}B"): (Struct(f">H{form}B").unpack, head, least)
    for head, form, least in _ID_FORMS
}
#: By the head of the question: how to read an answer up to its value's head, how many
#: bytes that are, and the least question.
_ANSWERS = {
    head: (Struct(f">H{form}BB").unpack_from, calcsize(f">H{form}BB"), least)
    for head, form, least in _ID_FORMS
}
_ONE = 0x81
_CONSTANTS = {False: b"\xf4", True: b"\xf5", None: _NULL}
#: Values of one byte.
_VALUES: dict[int, object] = {
    **{number: number for number in range(_LONG)},
    **{0x20 + number: -1 - number for number in range(_LONG)},
    **{head[0]: value for value, head in _CONSTANTS.items()},
}
#: By the head of an integer: the bytes behind it, and the least that has so many.
_MORE = {24: (1, _LONG), 25: (2, 2**8), 26: (4, 2**16)}
#: The head of a text of up to 255 bytes.
_TEXT_8 = _TEXT | 24
#: Bytes of the shortest message that is read here, and of the longest.
LEAST_READ = min(_RELEASES)
MOST_READ = max(length for _, length, _ in _ANSWERS.values()) + 1 + 255
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


def read_reference(body: bytes) -> tuple[int, int] | None:
    """Return the ids of ``[ANSWER, question, [MINE number]]``; None where it is not so.

    And where an id has one byte, as few have, or is longer than it has to be.

    Args:
        body: Of three bytes at least.
    """
    form = _REFERENCES.get((body[2], len(body)))
    if form is None:
        return None
    read, least_question, expected, least_number = form
    start, _, question, mark, told, number = read(body)
    if (
        start == _ANSWER_START
        and mark == _MARK
        and told == expected
        and question >= least_question
        and number >= least_number
    ):
        return question, number
    return None


def read_scalar(body: bytes) -> tuple[int, Any] | None:
    """Return the ids of ``[ANSWER, question, [value]]``, and its value.

    None where the value is not a text of up to 255 bytes, an integer from -24 to
    2**32 - 1, a boolean or None; and where the question has one byte, or something is
    longer than it has to be.

    Args:
        body: Of three bytes at least.
    """
    form = _ANSWERS.get(body[2])
    if form is None:
        return None
    read, end, least = form
    size = len(body) - end
    if size < 0:
        return None
    start, _, question, array, head = read(body)
    if start != _ANSWER_START or array != _ONE or question < least:
        return None
    if head == _TEXT + size and size < _LONG:
        text = body[end:]
    elif not size:
        return (question, _VALUES[head]) if head in _VALUES else None
    elif head == _TEXT_8 and body[end] == size - 1 >= _LONG:
        text = body[end + 1 :]
    else:
        behind, least = _MORE.get(head, (0, 0))
        value = int.from_bytes(body[end:], "big")
        return (question, value) if size == behind and value >= least else None
    try:
        return question, text.decode()
    except UnicodeDecodeError:
        return None


def release_body(number: int, count: int) -> bytes:
    """Return ``[RELEASE, number, count]``."""
    return b"".join((b"\x83\x04", _integer(number), _integer(count)))


def read_release(body: bytes) -> tuple[int, int] | None:
    """Return what ``[RELEASE, number, count]`` tells; None where it is not short.

    And where the id has one byte, as few have, or is longer than it has to be.
    """
    form = _RELEASES.get(len(body))
    if form is None:
        return None
    read, expected, least = form
    start, told, number, count = read(body)
    if start == _RELEASE_START and told == expected and number >= least:
        return (number, count) if 0 < count < _LONG else None
    return None


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
