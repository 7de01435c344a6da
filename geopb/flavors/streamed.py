"""Iterables whose items cross one after the other: streams.

Owns what users say when they pass one: `stream`, `stream_file`, and that each is passed
once. Never runs an iterator: the connection's producer does. Called by users and the
broker's objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BufferedRandom, BufferedReader, FileIO
from types import GeneratorType
from typing import Any, Protocol
from weakref import WeakSet

from geopb.errors import InsecureJelly

#: Items that may be on their way unless the user says otherwise. Enough to keep a line
#: busy; what large items take is bounded in bytes besides.
WINDOW = 256
#: No more are of use.
MAX_WINDOW = 65536
#: Bytes of one piece of a file, most often: as much as one chunk of bulk carries.
CHUNK = 512 * 1024

#: Generators that have been passed, while they live.
_given: WeakSet[Any] = WeakSet()


class Stream:
    """An iterable that is to cross as a stream: made by `stream`."""

    __slots__ = ("_is_given", "source", "window")

    def __init__(self, source: Iterable[Any], window: int) -> None:
        self.source = source
        self.window = window
        self._is_given = False

    def give(self) -> None:
        """Take note that it is passed.

        Raises:
            InsecureJelly: It has been passed before.
        """
        source = self.source
        if self._is_given or (type(source) is GeneratorType and source in _given):
            raise InsecureJelly("a stream may be passed once: make a new one each time")
        self._is_given = True
        if type(source) is GeneratorType:
            _given.add(source)

    def take_back(self) -> None:
        """It was not passed after all."""
        self._is_given = False
        if type(self.source) is GeneratorType:
            _given.discard(self.source)

    def __repr__(self) -> str:
        return f"<Stream of a {type(self.source).__name__}>"


def as_stream(value: object) -> Stream | None:
    """Return the stream that `value` is, or becomes by itself; None for no stream."""
    if isinstance(value, Stream):
        return value
    if type(value) is GeneratorType:
        return Stream(value, WINDOW)
    return None


def stream(iterable: Iterable[Any], *, window: int = WINDOW) -> Stream:
    """Let an iterable cross as a stream: pass what this returns, or return it.

    The other side gets a `RemoteIterator`. The items are asked for when it is iterated,
    in a greenlet of their own where the iterable may block. A generator crosses so by
    itself. The iterable becomes the stream's: if it is an iterator with a ``close``,
    that is called at the end, whatever ends it.

    Args:
        iterable: Whatever ``for`` takes; its items are values that may cross.
        window: How many items may be made and not yet be taken by whoever iterates.

    Raises:
        TypeError: `iterable` is none, or `window` no int.
        ValueError: `window` is not from 1 to 65536.
    """
    if not isinstance(iterable, Iterable):
        raise TypeError(f"{type(iterable).__name__} object is not iterable")
    return Stream(iterable, _checked("window", window, MAX_WINDOW))


def stream_file(file: Any, *, chunk: int = CHUNK) -> Stream:
    """Let a binary file or a socket cross as a stream of bytes.

    The other side gets a `RemoteIterator` of ``bytes``; its ``write_to`` copies them to
    a file. The file becomes the stream's, which closes it at the end, whatever ends it.
    What ``open`` returns is read in the thread pool of gevent: a slow disk stops nobody
    else; the ``read`` of anything else is called as it is.

    Args:
        file: It has ``read(size)``, or ``recv(size)``, which return ``bytes``, and
            nothing at the end.
        chunk: Bytes of one item at the most.

    Raises:
        TypeError: `file` has neither, or `chunk` is no int.
        ValueError: `chunk` is not from 1 to 1 MiB.
    """
    read = getattr(file, "read", None) or getattr(file, "recv", None)
    if not callable(read):
        raise TypeError(f"{type(file).__name__} object has neither read() nor recv()")
    size = _checked("chunk", chunk, 1024 * 1024)
    blocks = isinstance(file, FileIO | BufferedReader | BufferedRandom)
    pieces = Pieces(read, size, getattr(file, "close", None), blocks=blocks)
    return Stream(pieces, WINDOW)


class Pieces:
    """The bytes of a file, piece by piece.

    No generator: closing that would not close the file before its first item.

    Attributes:
        blocks: Reading and closing it may stop the whole thread.
    """

    def __init__(
        self,
        read: Callable[[int], Any],
        size: int,
        close: Callable[[], object] | None,
        *,
        blocks: bool,
    ) -> None:
        self.blocks = blocks
        self._read = read
        self._size = size
        self._close = close

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        piece = self._read(self._size)
        if not isinstance(piece, bytes):
            kind = type(piece).__name__
            raise TypeError(f"the file gave {kind}, not bytes: open it in binary mode")
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        """Close the file."""
        if self._close is not None:
            self._close()


class Producing(Protocol):
    """What makes a stream's items for one peer: the connection's."""

    #: A feed whose object may be called: see ``exports``.
    called: bool

    def sent(self) -> None:
        """The stream is on its way to the peer."""

    def failed(self, *, named: bool) -> None:
        """It was not sent after all."""

    def released(self, left: int) -> None:
        """The peer does not read it any more."""


def _checked(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} takes an int, not {type(value).__name__}")
    if not 1 <= value <= most:
        raise ValueError(f"{name}={value} is not from 1 to {most}")
    return int(value)
