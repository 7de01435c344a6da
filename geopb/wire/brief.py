"""Short messages, read by hand: most calls and answers, releases, and what was taken.

Owns a second way to what the codec reads, for the forms that make up most of the
traffic and that `short` writes: a few plain scalars, or bulk alone. The codec has a
body read through a file, by tables that these do not need. Whatever has another form,
or is wrong, is left to the codec, which says why. Called by the broker for each small
message.
"""

from __future__ import annotations

import struct
from struct import Struct, calcsize
from typing import Any

from geopb.wire.messages import ANSWER, CALL
from geopb.wire.short import BULK

#: The most bytes of a message that is read here, all of them light, and the least.
MOST_READ, LEAST_READ = 512, 5
#: As many arguments as are read here.
_FEW = 8

_BYTES, _TEXT, _ARRAY = 0x40, 0x60, 0x80
#: The least length, or integer, that does not stand in the head itself.
_LONG = 24
#: The heads of ids of 8, 16 and 32 bits, their formats, and the least id of each.
_ID_FORMS = ((24, "BB", _LONG), (25, "BH", 2**8), (26, "BI", 2**16))
_CALL_START, _ANSWER_START, _RELEASE_START = 0x8501, 0x8302, 0x8304
#: What stands before a count of 32 bits, as that of a chunk's bytes is.
_TAKEN_START, _read_taken = b"\x82\x0d\x1a", Struct(">3xI").unpack
#: By the head of the question: how to read it and the two bytes behind it, how many
#: bytes all that is, and the least question.
_STARTS = {
    head: (Struct(f">H{form}BB").unpack_from, calcsize(f">H{form}BB"), least)
    for head, form, least in _ID_FORMS
}
#: The head of the tag of a reference, and its number.
_TAG, _MINE = 0xD9, 0xEAC4
#: By the length behind that head: how to read a reference, the head of its id, and
#: the least.
_REFERENCES = {
    calcsize(f">H{form}"): (Struct(f">H{form}").unpack_from, head, least)
    for head, form, least in _ID_FORMS
}
#: By the length: how to read a release, the head of its id, and the least.
_RELEASES = {
    calcsize(f">H{form}B"): (Struct(f">H{form}B").unpack, head, least)
    for head, form, least in _ID_FORMS
}
#: By the head of its id and the length behind the tag's array: how to read bulk, the
#: least id, the head of its length, and the least.
_BULKS = {
    (head, calcsize(f">{form}{other}B")): (
        Struct(f">{form}{other}B").unpack_from,
        least,
        other_head,
        other_least,
    )
    for head, form, least in _ID_FORMS
    for other_head, other, other_least in _ID_FORMS[1:]
}
#: Bytes before it, at the least: an answer's head, its question, and an array's head.
_LEAST_HEAD = 5
_NOTHING, _NONE_ALONE = b"\x80", b"\x81\xf6"
#: Values of one byte.
_VALUES: dict[int, object] = {
    **{number: number for number in range(_LONG)},
    **{0x20 + number: -1 - number for number in range(_LONG)},
    0xF4: False,
    0xF5: True,
    0xF6: None,
}
#: By the head of an integer: the bytes behind it.
_MORE = {24: 1, 25: 2, 26: 4, 27: 8}
#: The heads of a text, and of bytes, of up to 255 bytes.
_TEXT_8, _BYTES_8 = _TEXT | 24, _BYTES | 24
_DOUBLE, _read_double = 0xFB, Struct(">d").unpack_from


def read_call(body: bytes) -> tuple[int, int, str, list[Any]] | None:
    """Return the question, target, name and args of ``[CALL, ...]`` of just these.

    None where the question has one byte, the target has more, the name has no or more
    than 23 bytes, there are more than eight arguments, or one is no small scalar.

    Args:
        body: Of three bytes at least.
    """
    form = _STARTS.get(body[2])
    if form is None:
        return None
    read, begin, least = form
    if len(body) <= begin:
        return None
    start, _, question, target, head = read(body)
    end = begin + head - _TEXT
    if (
        start != _CALL_START
        or question < least
        or target >= _LONG
        or not begin < end < len(body)
        or head >= _TEXT_8
    ):
        return None
    args = _scalars(body, end + 1, body[end] - _ARRAY)
    if args is None:
        return None
    try:
        return question, target, body[begin:end].decode(), args
    except UnicodeDecodeError:
        return None


def read_answer(body: bytes) -> tuple[int, Any, bool] | None:
    """Return the question and value of ``[ANSWER, question, [value]]``, and False.

    Of ``[ANSWER, question, [MINE number]]`` the question, the number, and True. None
    where the value is no small scalar, or an id has one byte, as few have.

    Args:
        body: Of three bytes at least.
    """
    form = _STARTS.get(body[2])
    if form is None:
        return None
    read, end, least = form
    if len(body) < end:
        return None
    start, _, question, array, head = read(body)
    if start != _ANSWER_START or array != _ARRAY + 1 or question < least:
        return None
    if head != _TAG:
        values = _scalars(body, end - 1, 1)
        return None if values is None else (question, values[0], False)
    reference = _REFERENCES.get(len(body) - end)
    if reference is None:
        return None
    read, expected, least = reference
    tag, told, number = read(body, end)
    if tag != _MINE or told != expected or number < least:
        return None
    return question, number, True


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


def read_bulk(body: bytes) -> tuple[list[Any], int, int] | None:
    """Return a call or an answer without its value, and that: bytes that are bulk.

    As ``[CALL, question, target, name]`` or ``[ANSWER, question]``, with the id and the
    length. None where the value is anything else, or not alone, an id has one byte, or
    they are fewer than 256 bytes.
    """
    place = body.find(BULK, _LEAST_HEAD, -1)
    if place < 0:
        return None
    begin = place + len(BULK)
    form = _BULKS.get((body[begin], len(body) - begin))
    if form is None:
        return None
    read, least, expected, least_length = form
    _, number, told, length, kind = read(body, begin)
    if kind or told != expected or number < least or length < least_length:
        return None
    if body[place - 1] != _ARRAY + 1:
        return None
    # Read with another value in place of this one: where anything else is read, what
    # stands before the bulk is more than a head.
    head = body[: place - 1]
    call = read_call(head + _NOTHING)
    if call is not None:
        question, target, name, args = call
        return None if args else ([CALL, question, target, name], number, length)
    answer = read_answer(head + _NONE_ALONE)
    if answer is None or answer[1] is not None:
        return None
    return [ANSWER, answer[0]], number, length


def read_taken(body: bytes) -> int | None:
    """Return how many bytes ``[TAKEN, bytes]`` tells; None where it is not so.

    And where fewer bits than 32 would tell them, or more do.
    """
    if len(body) != 7 or body[:3] != _TAKEN_START:
        return None
    (count,) = _read_taken(body)
    return count if count >= 2**16 else None


def _scalars(body: bytes, at: int, count: int) -> list[Any] | None:
    """Return so many scalars, which are all of the body from there on.

    None where they are not, or too many. A small one is a text or bytes of up to 255
    bytes, an integer from -24 to 2**64 - 1, which every side takes, a float of 64 bits,
    a boolean or None.
    """
    if not 0 <= count <= _FEW:
        return None
    values: list[Any] = []
    try:
        while count:
            count -= 1
            head = body[at]
            at += 1
            end = at + head - _TEXT
            if at <= end and head < _TEXT_8:
                values.append(body[at:end].decode())
            elif head in _VALUES:
                values.append(_VALUES[head])
                end = at
            elif head in _MORE:
                end = at + _MORE[head]
                values.append(int.from_bytes(body[at:end], "big"))
            elif head == _TEXT_8:
                end = at + 1 + body[at]
                values.append(body[at + 1 : end].decode())
            elif head == _DOUBLE:
                values += _read_double(body, at)
                end = at + 8
            elif _BYTES <= head < _BYTES_8:
                end = at + head - _BYTES
                values.append(body[at:end])
            elif head == _BYTES_8:
                end = at + 1 + body[at]
                values.append(body[at + 1 : end])
            else:
                return None
            at = end
    except (IndexError, UnicodeDecodeError, struct.error):
        return None
    # Beyond its end where something has been cut off.
    return values if at == len(body) else None
