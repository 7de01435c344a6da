"""Whether a value may go to cbor2 as it is: a tree of plain values.

Owns the quick looks, made of C-speed passes, that spare plain payloads the careful
pass. Never changes or encodes a value. A "no" is never wrong, only slower: the
careful pass (`geopb.jelly.encode`) is the judge.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from sys import getrefcount
from types import NoneType
from typing import Any

from geopb.errors import over_limit

#: Bytes from here on travel beside the CBOR, in chunks: cbor2 copies them twice.
BULK_BYTES = 32 * 1024
#: What passes while bulk waits, about.
SMALL_BYTES = 16 * 1024
#: What is surely light: a quarter of ``LIGHT_WEIGHT`` in bytes, as the name of a method
#: may take as much, and its options some.
LIGHT_BYTES = 2 * 1024
_INT64 = 2**63

_CONTAINERS = {list, dict}
#: Plain types that hold nothing.
SCALAR_TYPES = frozenset((str, int, float, bool, NoneType, bytes))
_PLAIN = SCALAR_TYPES | _CONTAINERS

#: What `getrefcount` says of a container that only its parent holds.
_PARENT: list[list[object]] = [[]]
ONE_OWNER = max(map(getrefcount, gc.get_referents(_PARENT)))

#: How a bignum begins, tag 2 or 3, and the heads of bytes longer than 255.
_BIGNUM_TAGS = (b"\xc2", b"\xc3")
_LONG_HEADS = b"\x59\x5a"
_LONG_BIGNUMS = (b"\xc2\x59", b"\xc3\x59", b"\xc2\x5a", b"\xc3\x5a")
#: So often the first byte is looked for alone, which is many times faster, before
#: text that is full of it calls for looking for two at once.
_LOOKS = 100


def small_scalars(items: list[Any]) -> bool:
    """Whether they are scalars that cbor2 may see as they are."""
    kinds = set(map(type, items))
    if not kinds <= SCALAR_TYPES:
        return False
    if int in kinds:
        whole = [item for item in items if type(item) is int]
        if min(whole) < -_INT64 or max(whole) >= _INT64:
            return False
    for kind in (str, bytes):
        if kind in kinds:
            longest = max(len(item) for item in items if type(item) is kind)
            if longest >= BULK_BYTES:
                return False
    return True


def is_small(values: object, most: int = SMALL_BYTES) -> bool:
    """Whether `values` surely cross without bulk, and in no more than `most` bytes.

    For who waits while large ones are sent, or run: a no is never wrong.
    """
    waiting = [values]
    left = most
    while waiting and left > 0:
        value: Any = waiting.pop()
        kind = type(value)
        left -= 9
        if kind is bytes or (kind is str and value.isascii()):
            left -= len(value)
        elif kind is str:
            left -= 4 * len(value)
        elif kind is int and value.bit_length() > 64:
            return False
        elif kind is list or kind is tuple or kind is dict:
            if len(value) > left:
                return False
            waiting.extend(value)
            if kind is dict:
                waiting.extend(value.values())
        elif kind not in _PLAIN:
            return False
    return left > 0


def plain_tree(values: Iterable[object], max_depth: int, max_items: int) -> bool:
    """Whether `values` hold plain exact types only, each container once.

    Goes down level by level; a level costs a few passes at C speed. It answers no,
    for the careful pass to look, at the first foreign type, repeated container,
    key that is not text, bytes that should travel as bulk, or level too deep. A
    peer cannot make it slow: with each container met once, it is linear.

    Raises:
        LimitExceeded: More items than bytes allowed.
    """
    level = list(values)
    seen: set[int] = set()
    looked_at = items_met = 0
    for depth in range(max_depth + 1):
        items_met += len(level)
        if items_met > max_items:
            raise over_limit("max_structure_size", max_items, "items", items_met)
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        if bytes in kinds and any(
            len(value) >= BULK_BYTES for value in level if type(value) is bytes
        ):
            return False
        if not kinds & _CONTAINERS:
            return True
        if kinds <= _CONTAINERS:
            containers = level
        else:
            containers = [value for value in level if type(value) in _CONTAINERS]
        if depth == max_depth:
            return False
        if max(map(getrefcount, containers)) > ONE_OWNER:
            # Shared with something, perhaps in here: a container that is met twice
            # comes this way both times.
            looked_at += len(containers)
            seen.update(map(id, containers))
            if len(seen) != looked_at:
                return False
        level = gc.get_referents(*containers)
        # A dict whose keys are all exact text reports its values alone (CPython),
        # any other dict its keys as well: then there is more than the lengths say.
        if len(level) != sum(map(len, containers)):  # type: ignore[arg-type]
            return False
    return False


def may_hold_big_integer(body: bytes, max_integer_bits: int) -> bool:
    """Whether an encoded message may hold an integer of more bits than that.

    It looks for the first bytes of such an integer; text may hold them as well.
    """
    if max_integer_bits < 255 * 8:
        return any(tag in body for tag in _BIGNUM_TAGS)
    for tag in _BIGNUM_TAGS:
        position = body.find(tag)
        for _ in range(_LOOKS):
            if position < 0:
                break
            if body[position + 1 : position + 2] in _LONG_HEADS:
                return True
            position = body.find(tag, position + 1)
        else:
            return any(beginning in body for beginning in _LONG_BIGNUMS)
    return False
