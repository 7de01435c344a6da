"""Text made of values that somebody else chose, for logs and error messages.

Owns the bounded, never-raising forms of ``str()`` and ``repr()``. Whatever puts a
peer's value or a user's exception into a message goes through here: ``repr()`` of
it may raise, never end, or forge a log line.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

#: One error message on the wire or in the log. Far above any honest one.
MAX_MESSAGE = 16_384


def shorten(text: str, length: int) -> str:
    """Return `text`, cut to `length` characters with a note of what is missing."""
    if len(text) <= length:
        return text
    return f"{text[:length]}... ({len(text)} characters)"


def printable(text: str, length: int = 200) -> str:
    """Return `text` cut, with controls and lone surrogates escaped: one log line."""
    cut = shorten(text, length)
    return cut if cut.isprintable() else repr(cut)[1:-1]


def encodable(text: str) -> str:
    """Return `text` as an exact ``str`` that UTF-8 can carry."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def safe_str(value: object, length: int = MAX_MESSAGE) -> str:
    """Return ``str(value)`` cut to `length`, or a note that it could not be made."""
    try:
        return shorten(encodable(str(value)), length)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit too: an exception's text must not end the server.
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"


def safe_repr(value: object, length: int = 200) -> str:
    """Return a ``repr()`` bounded in length, depth and work, in printable characters.

    Plain values are shown; others are named by their type, and none of their code is
    run: a dataclass's ``repr()`` of records that are shared might never end.
    """
    return printable(_shown(value, _DEPTH), length)


#: Levels, items of each, characters or bytes of a text and bits of an integer that are
#: shown.
_DEPTH, _ITEMS, _LENGTH, _BITS = 4, 6, 80, 256
_BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
}
_AS_THEY_ARE = (bool, float, complex, type(None))


def _shown(value: Any, depth: int) -> str:
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return repr(value[:_LENGTH]) + "..." * (len(value) > _LENGTH)
    if kind is int:
        bits = value.bit_length()
        return repr(value) if bits <= _BITS else f"<int of {bits} bits>"
    if kind in _AS_THEY_ARE:
        return repr(value)
    if kind is dict:
        inner = [
            f"{_shown(key, depth - 1)}: {_shown(each, depth - 1)}"
            for key, each in islice(value.items(), _ITEMS if depth else 0)
        ]
        begin, end = "{", "}"
    elif kind in _BRACKETS:
        inner = [_shown(each, depth - 1) for each in islice(value, depth and _ITEMS)]
        begin, end = _BRACKETS[kind]
    else:
        return f"<{kind.__name__}>"
    if len(inner) < len(value):
        inner.append("...")
    return begin + ", ".join(inner) + end
