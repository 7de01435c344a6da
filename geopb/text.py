"""Text made of values that somebody else chose, for logs and error messages.

Owns the bounded, never-raising forms of ``str()`` and ``repr()``. Whatever puts a
peer's value or a user's exception into a message goes through here: ``repr()`` of
it may raise, never end, or forge a log line.
"""

from __future__ import annotations

from array import array
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
    """Return ``str(value)`` cut to `length`, or a note that it could not be made.

    Of an exception whose arguments unfold to too much, what `safe_repr` shows of them.
    """
    try:
        if issubclass(type(value), BaseException) and unfolds(value):
            return encodable(_shown(tuple(_args(value)), _DEPTH))
        return _encodable_start(str(value), length)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit too: an exception's text must not end the server.
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"


def _encodable_start(text: str, length: int) -> str:
    """Return ``shorten(encodable(text), length)``, of which only that is made."""
    if len(text) <= length:
        return shorten(encodable(text), length)
    return f"{encodable(text[:length])[:length]}... ({len(text)} characters)"


def unfolds(exception: object) -> bool:
    """Whether the arguments of an exception, written out, are more than is sensible.

    A peer may send a list that holds another one twice, that a third one, and so on: a
    few hundred bytes of it never end when a method raises ``ValueError(value)``. Large
    bytes are written out four times as long. A text that is the only argument is not
    written out: it is there.
    """
    return not _is_text(exception) and _unfold(_args(exception))


def is_long(exception: object) -> bool:
    """Whether the text of an exception, or its notes, are more than is sensible."""
    return _unfold((*_args(exception), *_notes(exception)))


def _is_text(exception: object) -> bool:
    """Whether ``str()`` of an exception is its one argument itself."""
    args = _args(exception)
    makes_text: Any = type(exception).__str__
    return len(args) == 1 and type(args[0]) is str and makes_text is _TEXT_OF_ARGS


def _unfold(values: tuple[Any, ...]) -> bool:
    waiting = list(values)
    left = _MOST_TEXT
    for _ in range(_MOST_UNFOLDED):
        if not waiting:
            return False
        value = waiting.pop()
        kind = type(value)
        if kind is dict:
            waiting += islice(value.values(), _MOST_UNFOLDED)
        elif kind in _BRACKETS:
            waiting += islice(value, _MOST_UNFOLDED)
        elif kind in _TEXTS:
            left -= len(value)
            if left < 0:
                return True
        else:
            waiting += _field_values(value)
    return True


#: Values that a text may show: ``repr()`` takes some 10 ms for so many.
_MOST_UNFOLDED = 20_000
#: Characters, bytes and elements of arrays, together.
_MOST_TEXT = 1024 * 1024
_TEXTS = (str, bytes, bytearray, array)
_TEXT_OF_ARGS: Any = BaseException.__str__
#: What an exception's ``__dict__`` is, past whatever its class says of it.
_DICT: Any = vars(BaseException)["__dict__"]


def _args(exception: Any) -> tuple[Any, ...]:
    args = BaseException.__dict__["args"].__get__(exception)
    return args if type(args) is tuple else ()


def _notes(exception: Any) -> tuple[Any, ...]:
    notes = _DICT.__get__(exception).get("__notes__")
    return tuple(notes) if type(notes) is list else ()


def _field_values(value: object) -> list[Any]:
    """Return what a dataclass's ``repr()`` shows."""
    found = []
    for name in getattr(type(value), "__dataclass_fields__", ()):
        try:
            found.append(object.__getattribute__(value, name))
        except AttributeError:
            # It was never set, or deleted.
            continue
    return found


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
