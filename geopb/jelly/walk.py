"""The careful pass: one message's values made passable, whatever they are.

Owns exact types, depth, aliases and cycles, references, copies, bulk. Never decides
what an object *is*: the broker's `Passer` does. Called by ``encode``.

Copies are asked for their state one after the other, behind all that was met before:
between the moment that a hook returns its state and the moment that this is captured,
as far as it is plain, no other code runs. So a hook that blocks cannot tear the
snapshot that another has given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from types import NoneType
from typing import Any

from geopb.errors import InsecureJelly, over_limit, qualified_name
from geopb.jelly import tags
from geopb.jelly.arrays import LEAST_BYTES, snapshot
from geopb.jelly.census import BULK_BYTES, SCALAR_TYPES, small_scalars
from geopb.jelly.elements import is_array
from geopb.jelly.passing import Bulk, Instead, Packing, Passer, SendLimits
from geopb.jelly.refusal import refusal
from geopb.jelly.registry import Record
from geopb.jelly.scalars import SCALARS, check_integer
from geopb.limits import MAX_BULK
from geopb.wire.codec import CBORTag

#: A tag of ours and the head of its array: what a tuple or set costs at the least.
_TAG_BYTES = 4


class Walk:
    """One careful pass over the values of one message.

    Each list, dict, array or copy is converted once; where it is met again, its first
    place is wrapped into DEFINE and this one is AGAIN. So the pass is linear in
    distinct ones, and cycles end.
    """

    def __init__(self, passer: Passer, limits: SendLimits, packing: Packing) -> None:
        self._passer = passer
        self._limits = limits
        self._packing = packing
        #: Objects whose hooks are still to be asked: (object, holder, place, depth).
        self._later: deque[tuple[Any, Any, Any, int]] = deque()
        #: States that hooks made: their parts' ids must not be used again meanwhile.
        self._states: list[Any] = []
        self._records: dict[type, Record | None] = {}
        self._least_size = 0
        self._depth = 0
        # Inside a key or a set nothing may travel as bulk: it must hash on arrival.
        self._hashed = 0
        # id(list, dict, array or copy) -> where its node stands: (holder, index or key,
        # node), and its number once it has been met again.
        self._met: dict[int, tuple[Any, Any, Any]] = {}
        self._numbers: dict[int, int] = {}
        self.bulk: list[Bulk] = []
        #: Their bytes together.
        self.bulk_size = 0
        self.kept: list[object] = []

    def convert(self, values: list[object]) -> list[Any]:
        """Return `values`, which are no user's list themselves, made passable."""
        node: list[Any] = [None] * len(values)
        for index, value in enumerate(values):
            self._put(value, node, index)
        return node

    def convert_kwargs(self, kwargs: Mapping[str, object]) -> dict[str, Any]:
        """Return keyword arguments made passable."""
        # Each has its place from the start: copies are put in last.
        node: dict[str, Any] = dict.fromkeys(kwargs)
        for name, value in kwargs.items():
            self._put(value, node, name)
        return node

    def convert_copies(self) -> None:
        """Ask the copies that were met, and those that their states hold."""
        while self._later:
            value, holder, place, self._depth = self._later.popleft()
            met = self._met.get(id(value))
            if met is not None:
                holder[place] = CBORTag(tags.AGAIN, self._number(id(value), met))
                continue
            sent = self._passer.copied(value, self._packing)
            if sent is None:
                raise InsecureJelly(refusal(value))
            if isinstance(sent, CBORTag):
                holder[place] = sent
                continue
            self._states.append(sent.state)
            node = [*sent.head, None]
            tag = CBORTag(sent.tag, node)
            holder[place] = tag
            if sent.tag == tags.CACHE:
                self.kept.append(value)
            else:
                self._met[id(value)] = (holder, place, tag)
            # A copy and its state are one container.
            self._depth -= sent.around
            if type(sent.state) not in _CONTAINERS:
                self._deeper()
            self._put(sent.state, node, len(node) - 1)

    def _put(self, value: Any, holder: Any, place: Any) -> None:
        """Convert `value` into ``holder[place]``."""
        self._count()
        kind = type(value)
        if kind is int:
            holder[place] = check_integer(value, self._limits)
        elif kind is str or kind is bytes:
            holder[place] = self._string(value)
        elif kind is float or kind is bool or kind is NoneType:
            holder[place] = value
        elif kind is list or kind is dict:
            self._container(value, holder, place)
        elif kind is tuple:
            self._count(_TAG_BYTES)
            holder[place] = CBORTag(tags.TUPLE, self._nested(value))
        elif kind is set or kind is frozenset:
            self._count(_TAG_BYTES)
            tag = tags.SET if kind is set else tags.FROZENSET
            holder[place] = CBORTag(tag, self._hashable(value))
        elif (record := self._records.get(kind)) is not None:
            self._record(record, value, holder, place)
        else:
            self._other(kind, value, holder, place)

    def _count(self, size: int = 1) -> None:
        """Add to the least that the message will measure: ends bombs of tuples."""
        self._least_size += size
        limit = self._limits.max_structure_size
        if self._least_size > limit:
            size = self._least_size
            raise over_limit("max_structure_size", limit, "a message", size)

    def _string(self, value: str | bytes) -> Any:
        if len(value) < BULK_BYTES or self._hashed or len(self.bulk) >= MAX_BULK:
            return value
        if isinstance(value, bytes):
            return self._as_bulk(value, tags.BULK_BYTES)
        try:
            return self._as_bulk(value.encode(), tags.BULK_TEXT)
        except UnicodeEncodeError as error:
            raise InsecureJelly(f"text that UTF-8 cannot carry: {error}") from None

    def _as_bulk(self, data: bytes, kind: int) -> CBORTag:
        self.bulk_size += len(data)
        limit = self._limits.max_message_size
        if self.bulk_size > limit:
            raise over_limit("max_message_size", limit, "a message", self.bulk_size)
        bulk = Bulk(self._passer.new_bulk(), data)
        self.bulk.append(bulk)
        return CBORTag(tags.BULK, [bulk.id, len(data), kind])

    def _container(self, value: Any, holder: Any, place: Any) -> None:
        met = self._met.get(id(value))
        if met is not None:
            holder[place] = CBORTag(tags.AGAIN, self._number(id(value), met))
            return
        # In its place before its content: the content may hold it again.
        if type(value) is list:
            if len(value) > 1 and self._table(value, holder, place):
                return
            node: Any = [None] * len(value)
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            self._fill(node, enumerate(value))
        elif all(type(key) is str or type(key) is bytes for key in value):
            # In their order: copies are put in last.
            node = dict.fromkeys(value)
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            self._fill(node, value.items())
        else:
            flat: list[Any] = [None] * (2 * len(value))
            node = CBORTag(tags.MAP, flat)
            holder[place] = node
            self._met[id(value)] = (holder, place, node)
            for index, key in enumerate(value):
                self._key(key, flat, 2 * index)
            self._fill(flat, zip(range(1, len(flat), 2), value.values(), strict=True))

    def _fill(self, node: Any, items: Any) -> None:
        self._deeper()
        for place, item in items:
            self._put(item, node, place)
        self._depth -= 1

    def _number(self, key: int, met: tuple[Any, Any, Any]) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            holder, place, node = met
            if node is None:
                # A row of a table: numbered beside the rows.
                holder += (number, place)
            else:
                holder[place] = CBORTag(tags.DEFINE, [number, node])
        return number

    def _nested(self, values: Sequence[object]) -> list[Any]:
        # At least a byte each: a huge one is refused before it is walked.
        self._count(len(values))
        node: list[Any] = [None] * len(values)
        self._fill(node, enumerate(values))
        self._least_size -= len(values)
        return node

    def _hashable(self, values: Any) -> list[Any]:
        self._hashed += 1
        node = self._nested(list(values))
        self._hashed -= 1
        return node

    def _key(self, key: object, flat: list[Any], place: int) -> None:
        self._hashed += 1
        self._put(key, flat, place)
        self._hashed -= 1

    def _deeper(self) -> None:
        self._depth += 1
        limit = self._limits.max_depth
        if self._depth > limit:
            raise over_limit(
                "max_depth", limit, "nested containers: a depth", self._depth
            )

    def _other(self, kind: type, value: Any, holder: Any, place: Any) -> None:
        scalar = SCALARS.get(kind)
        if scalar is not None:
            holder[place] = CBORTag(scalar.tag, scalar.plain(value, self._limits))
        elif kind is bytearray:
            if len(value) >= BULK_BYTES and len(self.bulk) < MAX_BULK:
                # A copy: the caller may change it before the last chunk has left.
                holder[place] = self._as_bulk(bytes(value), tags.BULK_BYTEARRAY)
            else:
                holder[place] = CBORTag(tags.BYTEARRAY, bytes(value))
        elif is_array(kind):
            self._array(value, holder, place)
        else:
            record = self._record_of(kind)
            if record is not None:
                self._record(record, value, holder, place)
                return
            tag = self._passer.passed(value, self._packing)
            if tag is None:
                self._later.append((value, holder, place, self._depth))
            elif type(tag) is Instead:
                self._put(tag.value, holder, place)
            else:
                self.kept.append(value)
                holder[place] = tag

    def _array(self, value: Any, holder: Any, place: Any) -> None:
        met = self._met.get(id(value))
        if met is not None:
            holder[place] = CBORTag(tags.AGAIN, self._number(id(value), met))
            return
        name = qualified_name(type(value))
        if self._passer.find_array(name) is None:
            raise InsecureJelly(refusal(value))
        if self._hashed:
            raise InsecureJelly(f"{name} may not cross in a key or a set")
        self._count(LEAST_BYTES)
        # Here and now: the caller may change it before the last chunk has left.
        taken = snapshot(value, self._limits.max_message_size)
        content: Any = taken.data
        if len(content) >= BULK_BYTES and len(self.bulk) < MAX_BULK:
            content = self._as_bulk(content, tags.BULK_BYTEARRAY)
        holder[place] = node = taken.node(content)
        self._met[id(value)] = (holder, place, node)
        self._states.append(value)

    def _record_of(self, kind: type) -> Record | None:
        if kind not in self._records:
            self._records[kind] = self._passer.find_record(kind)
        return self._records[kind]

    def _record(self, record: Record, value: Any, holder: Any, place: Any) -> None:
        met = self._met.get(id(value))
        if met is not None:
            holder[place] = CBORTag(tags.AGAIN, self._number(id(value), met))
            return
        state: dict[str, Any] = dict.fromkeys(record.fields)
        tag = CBORTag(tags.COPY, [record.name, state])
        holder[place] = tag
        self._met[id(value)] = (holder, place, tag)
        self._count(len(record.name))
        values = record.values(value)
        # Properties may have made what they hold.
        self._states.append(values)
        self._fill(state, zip(record.fields, values, strict=True))

    def _table(self, value: list[Any], holder: Any, place: Any) -> bool:
        """Convert a list of records of one class that hold plain scalars, all at once.

        ``COPIES [type, fields, rows, [number, index, ...]]``: many times faster than
        one by one, and smaller. False where it is anything else.
        """
        record = self._record_of(type(value[0])) if _is_class(value[0]) else None
        if record is None or not record.fields or len(set(map(type, value))) != 1:
            return False
        ids = list(map(id, value))
        if len(set(ids)) != len(ids) or not self._met.keys().isdisjoint(ids):
            return False
        rows = list(map(record.values, value))
        items = list(chain.from_iterable(rows))
        if not small_scalars(items):
            return False
        self._count(len(items) + len(rows))
        self._depth += 1
        self._deeper()
        self._depth -= 2
        defined: list[int] = []
        node = CBORTag(tags.COPIES, [record.name, record.fields, rows, defined])
        holder[place] = node
        self._met[id(value)] = (holder, place, node)
        places = zip(repeat(defined), range(len(ids)), repeat(None))
        self._met.update(zip(ids, places, strict=False))
        # Properties may have made what the rows hold.
        self._states.append(rows)
        return True


def _is_class(value: object) -> bool:
    """Whether it is of a class that may be a record: not one of the plain types."""
    return type(value) not in SCALAR_TYPES and type(value) not in _CONTAINERS


_CONTAINERS = (list, dict)
