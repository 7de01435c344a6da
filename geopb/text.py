"""Text made of values that somebody else chose, for logs and error messages.

Owns the bounded, never-raising forms of ``str()`` and ``repr()``. Whatever puts a
peer's value or a user's exception into a message goes through here: ``repr()`` of
it may raise, never end, or forge a log line.
"""

from __future__ import annotations

import reprlib

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
    """Return a ``repr()`` bounded in length and depth, in printable characters."""
    try:
        return printable(_REPR.repr(value), length)
    except Exception as error:
        return f"<{type(value).__name__}: repr() raised {type(error).__name__}>"


_REPR = reprlib.Repr()
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = _REPR.maxset = 6
_REPR.maxlevel = 4
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 80
