"""What the elements of arrays may be, and which classes are arrays.

Owns the table of RFC 8746's tags for typed arrays, and the test for the three classes:
``array.array``, ``memoryview`` and ``numpy.ndarray``. Never imports numpy: where the
application has not, none of its arrays exist. Called by ``arrays`` and the registry.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass

from geopb.jelly import tags

#: The names that arrays are registered under.
ARRAY = "array.array"
MEMORYVIEW = "builtins.memoryview"
NDARRAY = "numpy.ndarray"


@dataclass(frozen=True, slots=True)
class Element:
    """One type of elements.

    Attributes:
        kind: ``u`` unsigned, ``i`` signed, ``f`` float, ``b`` bool, ``c`` complex.
        size: Bytes of one.
        big: Whether the most significant byte comes first.
    """

    kind: str
    size: int
    big: bool = False

    @property
    def dtype(self) -> str:
        """How numpy writes it."""
        return f"{'>' if self.big else '<'}{self.kind}{self.size}"

    @property
    def foreign(self) -> bool:
        """Whether this machine has the bytes in another order."""
        return self.size > 1 and self.big != (sys.byteorder == "big")

    @property
    def code(self) -> str | None:
        """How ``array`` and ``memoryview`` name it in this machine's order, if so."""
        return _CODES.get((self.kind, self.size))

    def __str__(self) -> str:
        return f"{_KINDS[self.kind]}{self.size * 8}"


_KINDS = {"u": "uint", "i": "int", "f": "float", "b": "bool", "c": "complex"}
_CODES = {
    (kind, array(code).itemsize): code
    for kind, codes in (("u", "BHIQ"), ("i", "bhiq"), ("f", "fd"))
    for code in codes
}
_CODES["b", 1] = "?"

#: The tags that are accepted. No clamped integers, and no floats of 128 bits: nothing
#: in Python stands for them.
ELEMENTS = {
    tags.UINT8: Element("u", 1),
    tags.UINT16_BE: Element("u", 2, big=True),
    tags.UINT32_BE: Element("u", 4, big=True),
    tags.UINT64_BE: Element("u", 8, big=True),
    tags.UINT16_LE: Element("u", 2),
    tags.UINT32_LE: Element("u", 4),
    tags.UINT64_LE: Element("u", 8),
    tags.INT8: Element("i", 1),
    tags.INT16_BE: Element("i", 2, big=True),
    tags.INT32_BE: Element("i", 4, big=True),
    tags.INT64_BE: Element("i", 8, big=True),
    tags.INT16_LE: Element("i", 2),
    tags.INT32_LE: Element("i", 4),
    tags.INT64_LE: Element("i", 8),
    tags.FLOAT16_BE: Element("f", 2, big=True),
    tags.FLOAT32_BE: Element("f", 4, big=True),
    tags.FLOAT64_BE: Element("f", 8, big=True),
    tags.FLOAT16_LE: Element("f", 2),
    tags.FLOAT32_LE: Element("f", 4),
    tags.FLOAT64_LE: Element("f", 8),
}
#: The tag of each of them.
TAG_OF = {element: tag for tag, element in ELEMENTS.items()}


def is_array(cls: type) -> bool:
    """Whether it is exactly one of the three classes; runs no code of its."""
    if cls is array or cls is memoryview:
        return True
    if type(cls) is not type or cls.__module__ != "numpy":
        return False
    # The real one, not a class that calls itself so.
    return cls is getattr(sys.modules.get("numpy"), "ndarray", None)
