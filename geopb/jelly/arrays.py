"""Arrays of numbers: their bytes as they are, by the typed arrays of RFC 8746.

Owns both ways of ``numpy.ndarray``, ``array.array`` and ``memoryview``. Never touches
an element: bytes are copied once out, and wrapped or copied once in. Never imports
numpy; an ndarray is made by the class that the application registered. Called by
``walk`` (out) and ``decode`` (in).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from geopb.errors import InsecureJelly, over_limit, qualified_name
from geopb.jelly import tags
from geopb.jelly.draft import Draft
from geopb.jelly.elements import (
    ARRAY,
    ELEMENTS,
    MEMORYVIEW,
    NDARRAY,
    TAG_OF,
    Element,
)
from geopb.jelly.registry import ClassRegistry
from geopb.jelly.slots import BulkSlot, MadeArray
from geopb.limits import Limits
from geopb.text import printable
from geopb.wire.codec import CBORTag, DecodeRefused, TagReader

#: numpy 1 knows no more.
MAX_DIMENSIONS = 32
#: As so many bytes an array counts at the least, of ``max_structure_size``: a tiny one
#: takes three on the wire, and some 700 of memory.
LEAST_BYTES = 64

#: ``dtype.char`` of what crosses. Other libraries give types of their own, such as
#: bfloat16, the kinds and sizes of numpy's.
_NUMPY_CHARS = frozenset("?bBhHiIlLqQefdFD")
_STRUCT_KINDS = {
    **dict.fromkeys("BHILQN", "u"),
    **dict.fromkeys("bhilqn", "i"),
    **dict.fromkeys("fd", "f"),
    "?": "b",
}
_BIG_PREFIXES = {
    **dict.fromkeys(("", "@", "="), sys.byteorder == "big"),
    "<": False,
    ">": True,
    "!": True,
}

#: Why one of these is refused. Made once: a peer may send tens of thousands.
_UNREGISTERED = {
    name: f"{name} is not registered here: "
    f"setUnjellyableForClass({short}, {short}) does it"
    for name in (ARRAY, MEMORYVIEW, NDARRAY)
    for short in (name.removeprefix("builtins."),)
}

# -- out -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An array's bytes, as they were at one moment, in C order.

    Attributes:
        shape: Its dimensions; nothing for an ``array.array``, which has one.
        tag: Around the shape and the bytes; None for an ``array.array``.
    """

    element: Element
    data: bytes
    shape: tuple[int, ...] = ()
    tag: int | None = None

    def node(self, content: bytes | CBORTag) -> CBORTag:
        """Return what is sent, with its bytes or what stands for them."""
        element = self.element
        wrapped = None
        if element.kind == "b":
            wrapped, element = tags.BOOLS, Element("u", 1)
        elif element.kind == "c":
            wrapped = tags.COMPLEXES
            element = Element("f", element.size // 2, element.big)
        typed = CBORTag(TAG_OF[element], content)
        if wrapped is not None:
            typed = CBORTag(wrapped, typed)
        if self.tag is None:
            return typed
        return CBORTag(self.tag, [list(self.shape), typed])


def snapshot(value: Any, max_bytes: int) -> Snapshot:
    """Copy the bytes of an array whose class is registered.

    Raises:
        InsecureJelly: Its elements may not cross.
        LimitExceeded: It has more than `max_bytes`; nothing was copied.
    """
    kind = type(value)
    if kind is array:
        return _of_array(value, max_bytes)
    if kind is memoryview:
        try:
            return _of_view(value, max_bytes)
        except ValueError:
            raise InsecureJelly("a memoryview that is released may not cross") from None
    return _of_ndarray(value, max_bytes)


def _of_array(value: array[Any], max_bytes: int) -> Snapshot:
    code = value.typecode
    kind = _STRUCT_KINDS.get(code)
    if kind is None:
        raise InsecureJelly(
            f"an array.array of typecode {code!r} may not cross: send its text instead"
        )
    element = Element(kind, value.itemsize, _is_big(sys.byteorder == "big", value))
    _check_size(len(value) * value.itemsize, max_bytes)
    return Snapshot(element, value.tobytes())


def _of_view(value: memoryview, max_bytes: int) -> Snapshot:
    prefix, code = value.format[:-1], value.format[-1:]
    big, kind = _BIG_PREFIXES.get(prefix), _STRUCT_KINDS.get(code)
    if big is None or kind is None:
        raise InsecureJelly(
            f"a memoryview of format {printable(value.format, 50)!r} may not cross: "
            'cast it to a format of integers, floats or bools, "B" for bytes'
        )
    shape: Any = value.shape
    _check_shape(shape)
    if not value.nbytes and value.ndim != 1:
        raise InsecureJelly(
            "an empty memoryview of several dimensions may not cross: send one of one"
        )
    _check_size(value.nbytes, max_bytes)
    element = Element(kind, value.itemsize, _is_big(big, value))
    return Snapshot(element, value.tobytes(), shape, tags.MEMORYVIEW)


def _of_ndarray(value: Any, max_bytes: int) -> Snapshot:
    dtype = value.dtype
    if dtype.char not in _NUMPY_CHARS:
        raise InsecureJelly(
            f"an array of dtype {printable(str(dtype), 100)} may not cross: convert it "
            "to bools, integers, float64 or complex128, or send its tolist()"
        )
    _check_shape(value.shape)
    _check_size(value.nbytes, max_bytes)
    element = Element(dtype.kind, dtype.itemsize, _is_big(dtype.str[0] == ">", dtype))
    return Snapshot(element, value.tobytes(), value.shape, tags.ARRAY)


def _is_big(big: bool, of: Any) -> bool:
    """Whether the order matters, and is the big one: bytes have none."""
    return bool(big and of.itemsize > 1)


def _check_shape(shape: Any) -> None:
    if len(shape) > MAX_DIMENSIONS:
        raise InsecureJelly(
            f"an array of {len(shape)} dimensions may not cross: reshape it to "
            f"{MAX_DIMENSIONS} or fewer"
        )


def _check_size(size: int, max_bytes: int) -> None:
    # Before it is copied: a view that repeats one element may be of any size.
    if size > max_bytes:
        raise over_limit("max_message_size", max_bytes, "an array", size)


# -- in ------------------------------------------------------------------------------


class ArrayReader:
    """Reads arrays of the classes that one registry knows.

    Args:
        registry: The classes that may be made.
        draft: Takes note of arrays, which are made when all their bytes are there.
        limits: This side's.
    """

    def __init__(self, registry: ClassRegistry, draft: Draft, limits: Limits) -> None:
        self._registry = registry
        self._draft = draft
        self._limit = limits.max_structure_size

    def readers(self) -> dict[int, TagReader]:
        """Return the reader of each tag."""
        readers: dict[int, TagReader] = {
            tag: partial(self._read_typed, element, partial(_to_array, element))
            for tag, element in ELEMENTS.items()
        }
        readers[tags.BOOLS] = self._read_bools
        readers[tags.COMPLEXES] = self._read_complexes
        readers[tags.ARRAY] = self._read_array
        readers[tags.MEMORYVIEW] = self._read_view
        return readers

    def _read_typed(
        self,
        element: Element,
        make: Callable[[list[Any]], Any],
        content: Any,
        immutable: bool,
    ) -> MadeArray:
        """Read the elements, which are an ``array.array`` if nothing is around them."""
        if type(content) is bytes:
            size = len(content)
        elif type(content) is BulkSlot and content.kind == tags.BULK_BYTEARRAY:
            size = content.length
        else:
            raise DecodeRefused("an array whose elements are no bytes")
        if size % element.size:
            raise DecodeRefused(f"{size} bytes are no whole elements of {element}")
        refused = self._refusal(ARRAY)
        if element.code is None:
            refused = f"there is no array.array of {element}"
        made = MadeArray(make, [content], element, size, refusal=refused)
        least = self._draft.add_array(made) * LEAST_BYTES
        if least > self._limit:
            raise over_limit("max_structure_size", self._limit, "arrays", least)
        return made

    def _read_bools(self, content: Any, immutable: bool) -> MadeArray:
        made = _bare(content)
        if made.element != Element("u", 1):
            raise DecodeRefused("bools that are not of uint8")
        return self._change(made, Element("b", 1))

    def _read_complexes(self, content: Any, immutable: bool) -> MadeArray:
        made = _bare(content)
        element = made.element
        if element.kind != "f" or element.size < 4 or made.size % (2 * element.size):
            raise DecodeRefused("complex numbers that are no pairs of float32, float64")
        return self._change(made, Element("c", 2 * element.size, element.big))

    def _change(self, made: MadeArray, element: Element) -> MadeArray:
        made.element = element
        made.refusal = f"there is no array.array of {element}"
        return made

    def _read_array(self, content: Any, immutable: bool) -> MadeArray:
        return self._shaped(content, NDARRAY, _to_ndarray)

    def _read_view(self, content: Any, immutable: bool) -> MadeArray:
        made = self._shaped(content, MEMORYVIEW, _to_view)
        if made.element.code is None:
            raise DecodeRefused(f"there is no memoryview of {made.element}")
        if not made.size and made.shape != (0,):
            raise DecodeRefused("an empty memoryview of other than one dimension")
        return made

    def _shaped(self, content: Any, name: str, make: Callable[..., Any]) -> MadeArray:
        """Read ``[shape, elements]``."""
        if type(content) is not list or len(content) != 2:
            raise DecodeRefused("an array without a shape and elements")
        made = _bare(content[1])
        shape = made.shape = _read_shape(content[0], made)
        made.refusal = self._refusal(name)
        made.make = partial(make, self._registry.find_array(name), made.element, shape)
        return made

    def _refusal(self, name: str) -> str | None:
        if self._registry.find_array(name) is not None:
            return None
        return _UNREGISTERED[name]


def _bare(content: Any) -> MadeArray:
    if type(content) is not MadeArray or content.shape is not None:
        raise DecodeRefused("an array without typed elements")
    return content


def _read_shape(content: Any, made: MadeArray) -> tuple[int, ...]:
    """Return the dimensions, which fit the bytes that are there or announced."""
    if type(content) is not list or len(content) > MAX_DIMENSIONS:
        raise DecodeRefused(f"a shape that is no array of {MAX_DIMENSIONS} or fewer")
    if not all(type(size) is int and 0 <= size <= sys.maxsize for size in content):
        raise DecodeRefused("a dimension that is no size")
    size = made.element.size
    if prod(content) * size != made.size:
        raise DecodeRefused(f"a shape that does not fit {made.size} bytes of elements")
    if prod(filter(None, content)) * size > sys.maxsize:
        # numpy makes no such array, though it is empty.
        raise DecodeRefused("dimensions that are too large")
    return tuple(content)


def _to_array(element: Element, items: list[Any]) -> array[Any]:
    made: array[Any] = array(element.code or "B")
    made.frombytes(items[0])
    if element.foreign:
        made.byteswap()
    return made


def _to_view(
    cls: Any, element: Element, shape: tuple[int, ...], items: list[Any]
) -> memoryview:
    data: Any = _writable(items[0])
    if element.kind == "b" and data.translate(None, b"\0\1"):
        raise DecodeRefused("a bool that is neither 0 nor 1")
    if element.foreign:
        data = array(Element("u", element.size).code or "B")
        data.frombytes(items[0])
        data.byteswap()
    # By the way of bytes: other formats cannot be cast.
    code: Any = element.code
    if not data:
        # Nothing empty can be cast.
        return memoryview(bytearray(element.size)).cast(code)[:0]
    plain = memoryview(data).cast("B")
    return plain.cast(code) if len(shape) == 1 else plain.cast(code, shape)


def _to_ndarray(
    cls: Any, element: Element, shape: tuple[int, ...], items: list[Any]
) -> Any:
    data = _writable(items[0])
    try:
        if element.kind == "b" and data and cls(len(data), "u1", data).max() > 1:
            raise DecodeRefused("a bool that is neither 0 nor 1")
        return cls(shape, element.dtype, data or None)
    except (ValueError, TypeError) as error:
        name = qualified_name(cls)
        raise DecodeRefused(f"{name} refuses it: {printable(str(error))}") from None


def _writable(data: bytes | bytearray) -> bytearray:
    """Return bytes that came inside the message as one's own, bulk as it is."""
    return data if isinstance(data, bytearray) else bytearray(data)
