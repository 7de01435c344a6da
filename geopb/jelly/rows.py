"""Lists of dicts that have the same keys, as tables: the keys once, then all values.

Owns both ways. A dict costs cbor2 several times what its values do, most of that for
its keys: as a table, a list of them takes about half of the bytes and less time. Never
decides what else may cross: to leave a list as it is, is never wrong, only slower.
Called by ``encode`` and, for the tag, by ``contents``.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from itertools import chain, repeat
from sys import getrefcount
from typing import Any

from geopb.jelly import tags
from geopb.jelly.census import BULK_BYTES, ONE_OWNER, SCALAR_TYPES
from geopb.wire.codec import CBORTag, DecodeRefused

#: Fewer rows are not worth the look.
_LEAST_ROWS = 8
#: Fewer keys are refused: a byte could be a dict, which takes two hundred.
LEAST_KEYS = 3


def find_table(values: Sequence[object]) -> tuple[int, CBORTag] | None:
    """Return where a list of rows stands among `values`, and what crosses for it.

    None unless it is the only container there: so nothing in it stands elsewhere, too.
    """
    place = -1
    for index, value in enumerate(values):
        if type(value) not in SCALAR_TYPES:
            if place >= 0 or type(value) is not list:
                return None
            place = index
    if place < 0:
        return None
    rows: Any = values[place]
    table = _table(rows)
    return None if table is None else (place, table)


def _table(rows: list[Any]) -> CBORTag | None:
    if len(rows) < _LEAST_ROWS or type(rows[0]) is not dict:
        return None
    keys = tuple(rows[0])
    width = len(keys)
    if (
        width < LEAST_KEYS
        or {*map(type, rows)} != {dict}
        or {*map(len, rows)} != {width}
    ):
        return None
    # A dict whose keys are all exact text reports its values alone (CPython), any other
    # dict its keys as well: so comparing keys runs no users' code. Their order is not
    # told by that: an instance's dict reports its values in the first instance's order.
    if len(gc.get_referents(*rows)) != len(rows) * width:
        return None
    if not _all_in_this_order([*chain.from_iterable(rows)], keys):
        return None
    items = [*chain.from_iterable(map(dict.values, rows))]
    # A row that stands in two places has more than one owner, at the least.
    if max(map(getrefcount, rows)) > ONE_OWNER and len({*map(id, rows)}) != len(rows):
        return None
    kinds = {*map(type, items)}
    if not kinds <= SCALAR_TYPES:
        return None
    if bytes in kinds and any(
        len(item) >= BULK_BYTES for item in items if type(item) is bytes
    ):
        return None
    return CBORTag(tags.ROWS, [keys, items])


def _all_in_this_order(every: list[str], keys: Sequence[str]) -> bool:
    width = len(keys)
    count = len(every) // width
    return all(every[at::width].count(key) == count for at, key in enumerate(keys))


def read_rows(content: Any, immutable: bool) -> list[dict[str, Any]]:
    """Read ``[[key, ...], [value, ...]]``: the values of one row after the other."""
    if type(content) is not list or list(map(type, content)) != [list, list]:
        raise DecodeRefused("rows that are no table")
    keys, items = content
    width = len(keys)
    if width < LEAST_KEYS:
        raise DecodeRefused(f"a table of rows with fewer than {LEAST_KEYS} keys")
    if not all(type(key) is str for key in keys) or len({*keys}) != width:
        raise DecodeRefused("a table of rows with a key twice, or one that is no text")
    if len(items) % width:
        raise DecodeRefused("a table of rows with a row of another length")
    # Each row begins as a copy, which hashes nothing and never grows.
    rows = list(map(dict.copy, repeat(dict.fromkeys(keys), len(items) // width)))
    for place, key in enumerate(keys):
        for row, item in zip(rows, items[place::width], strict=True):
            row[key] = item
    return rows
