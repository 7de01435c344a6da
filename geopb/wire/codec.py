"""cbor2, set up so that no bytes from a peer can hang, bloat or surprise.

Owns every use of cbor2. Never knows what a tag means: the jelly room hands in the
readers of the tags that it accepts, all others are refused at their head, before
anything inside them is decoded. Called by jelly and the broker.

cbor2 6 by itself decodes regular expressions, MIME, shared values, decimals of any
size (some of these never end), flattens subclasses and ignores bytes behind the first
item: each switch below closes one of these.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from io import BytesIO
from typing import Any

from cbor2 import CBORDecoder, CBORTag, dump, dumps

from geopb.errors import LimitExceeded, over_limit
from geopb.text import printable

#: Turns the content of a tag into a value: ``reader(content, immutable)``. Readers
#: are pure: no I/O, no user code, no switching of greenlets.
TagReader = Callable[[Any, bool], Any]

#: Bodies from here on are decoded with the cyclic collector off: its runs, set off
#: by many new containers, are most of the cost of such a body.
_LARGE_BODY = 4096

#: cbor2 has no class for this one.
_TOO_DEEP = "maximum container nesting depth"

__all__ = [
    "CBORTag",
    "DecodeRefused",
    "Decoder",
    "TagReader",
    "TooDeep",
    "encode",
    "encode_within",
    "uncollected",
]


class DecodeRefused(Exception):
    """A body that is not accepted: malformed, or holding what may not cross."""


class TooDeep(DecodeRefused):
    """More CBOR levels than this decoder accepts."""


class _Tags(dict[int, TagReader]):
    """The allow-list. cbor2 asks it at a tag's head."""

    def __missing__(self, tag: int) -> TagReader:
        # Not a LookupError: cbor2 would take that for "use your own decoder".
        raise DecodeRefused(f"CBOR tag {tag} is not accepted")


class _InertTags(dict[int, TagReader]):
    """Accepts every tag and makes nothing of it."""

    def __missing__(self, tag: int) -> TagReader:
        if len(self) < _MOST_REMEMBERED:
            # Where there is one of it there are many.
            self[tag] = _nothing
        return _nothing


#: Tags that are not asked for again: bounded, as peers choose numbers that collide.
_MOST_REMEMBERED = 128


def _nothing(content: Any, immutable: bool) -> None:
    return None


class Decoder:
    """Decodes one body at a time; one for each connection and purpose.

    Args:
        readers: The tags that are accepted.
        max_depth: CBOR levels (arrays, maps and tags).
        inert: Decode what is not in `readers` to None instead of refusing it.
    """

    __slots__ = ("_decode", "_fill", "_max_depth", "_readers", "_told")

    def __init__(
        self, readers: dict[int, TagReader], max_depth: int, *, inert: bool = False
    ) -> None:
        self._readers = (_InertTags if inert else _Tags)(readers)
        self._max_depth = max_depth
        self._renew()

    def _renew(self) -> None:
        """Make the decoder, and the file that it reads.

        They serve all bodies: making them anew doubles the cost of a small one. It is
        safe, as readers never switch greenlets; but one that has refused a body keeps
        what it had read ahead, and is replaced.
        """
        file = BytesIO()
        # Made anew around each body, which is not copied: a tenth of the cost of seek,
        # truncate, write and seek.
        self._fill: Any = file.__init__  # type: ignore[misc]
        self._told = file.tell
        self._decode = CBORDecoder(
            file,
            semantic_decoders=self._readers,
            max_depth=self._max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode

    def decode(self, body: bytes) -> Any:
        """Return the one item that `body` is.

        Raises:
            DecodeRefused: It is malformed, has bytes behind the item, or a reader
                refused it. The text is safe to log.
        """
        if len(body) >= _LARGE_BODY:
            return self._decode_large(body)
        fill, decode, told = self._fill, self._decode, self._told
        fill(body)
        try:
            value = decode()
        except BaseException as error:
            self._renew()
            raise _refusal(error) from None
        if told() != len(body):
            raise self._surplus(len(body) - told())
        return value

    def _decode_large(self, body: bytes) -> Any:
        fill = self._fill
        fill(body)
        try:
            value = uncollected(self._decode)
        except BaseException as error:
            self._renew()
            raise _refusal(error) from None
        read = self._told()
        # Do not keep a large body until the next one.
        fill()
        if read != len(body):
            raise self._surplus(len(body) - read)
        return value

    def _surplus(self, count: int) -> DecodeRefused:
        self._renew()
        return DecodeRefused(f"{count} bytes behind the message")


def uncollected(work: Callable[[], Any]) -> Any:
    """Return what `work` does, with the cyclic collector off.

    For what makes many containers and no garbage: the collector would look at all of
    them again and again. It runs no users' code, which might switch greenlets.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return work()
    finally:
        if collecting:
            gc.enable()


def _refusal(error: BaseException) -> BaseException:
    """Return what to raise for an error out of cbor2.

    cbor2 wraps whatever a reader raises, also KeyboardInterrupt and gevent.Timeout;
    pyo3's PanicException is a BaseException of its own.
    """
    cause = error.__cause__
    # What is raised for it has it as context: with this it would hold itself, and with
    # its frames the body, until the collector comes.
    error.__cause__ = error.__context__ = None
    if isinstance(cause, DecodeRefused | LimitExceeded):
        return cause
    if cause is not None and not isinstance(cause, Exception):
        return cause
    if _TOO_DEEP in str(error):
        return TooDeep(printable(str(error)))
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        return DecodeRefused(printable(f"{type(error).__name__}: {error}"))
    return error


class _Bounded:
    """A file for cbor2 to write to, that refuses what passes the bound.

    cbor2 writes in pieces of some 4 KiB, so that a small value that encodes to
    gigabytes (one text in 200,000 places) stops early.
    """

    __slots__ = ("limit", "pieces", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self.limit:
            raise over_limit("max_structure_size", self.limit, "a message", self.size)
        self.pieces.append(data)
        return len(data)


#: Encodes a message of plain values known to be small: ``encode(message) -> bytes``.
encode: Callable[[Any], bytes] = dumps


def encode_within(message: Any, limit: int) -> bytes:
    """Encode `message` of plain values, refusing to pass `limit` bytes.

    Raises:
        LimitExceeded: More bytes than that. Memory used is bounded by `limit`.
    """
    file = _Bounded(limit)
    dump(message, file)  # type: ignore[arg-type]
    return b"".join(file.pieces)
