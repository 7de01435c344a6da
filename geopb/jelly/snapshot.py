"""A copy of a value as it is now, and about how many bytes it takes.

Owns that what is sent later is what was given: a generator may fill the same list again
for its next item while the last one still waits, and a call that waits for a result is
what it was when it was made. Never judges what may cross. Called by the connection's
streams and the calls that wait.
"""

from __future__ import annotations

from array import array
from types import NoneType
from typing import Any

from geopb.jelly.elements import is_array

#: Never changes, and is small or knows its length.
_PLAIN = frozenset((str, int, float, bool, NoneType, bytes))
_CONTAINERS = (list, dict, tuple, set, frozenset)
#: Deeper ones are refused when they are sent.
_DEEPEST = 200
#: Bytes of a value that has no length.
_LEAST = 9


def snapshot(value: Any, instead: dict[int, Any] | None = None) -> tuple[Any, int]:
    """Return `value`, its containers and buffers copied; and about its bytes.

    Aliases and cycles of lists, dicts, sets and buffers are kept. Copies, dataclasses
    and references stand in it as they are.

    Args:
        value: Of any kind.
        instead: What is to stand for some objects, by their ``id()``.
    """
    kind = type(value)
    if kind is str or kind is bytes:
        return value, _LEAST + len(value)
    if kind in _PLAIN:
        return value, _LEAST
    taking = _Taking(instead or {})
    return taking.take(value, 0), taking.size


class _Taking:
    """One pass."""

    def __init__(self, instead: dict[int, Any]) -> None:
        self.size = 0
        self._instead = instead
        self._met: dict[int, Any] = {}

    def take(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str or kind is bytes:
            self.size += _LEAST + len(value)
            return value
        self.size += _LEAST
        if kind in _PLAIN:
            return value
        if kind in _CONTAINERS and depth < _DEEPEST:
            return self._container(kind, value, depth + 1)
        if kind is bytearray or is_array(kind):
            met = self._met.get(id(value))
            if met is None:
                met = self._met[id(value)] = self._buffer(kind, value)
            return met
        return self._instead.get(id(value), value)

    def _container(self, kind: type, value: Any, depth: int) -> Any:
        met = self._met.get(id(value))
        if met is not None:
            return met
        if kind is list:
            # Known before its content, which may hold it again.
            copy: Any = []
            self._met[id(value)] = copy
            copy.extend([self.take(item, depth) for item in value])
        elif kind is dict:
            copy = self._met[id(value)] = {}
            for key, item in value.items():
                copy[self.take(key, depth)] = self.take(item, depth)
        elif kind is set:
            # Its members hash, and so do not change.
            copy = self._met[id(value)] = value.copy()
            self._weigh(value, depth)
        elif kind is frozenset:
            self._weigh(value, depth)
            copy = value
        else:
            copy = tuple([self.take(item, depth) for item in value])
        # Also tuples: in few levels they may hold one another millions of times.
        self._met[id(value)] = copy
        return copy

    def _weigh(self, members: Any, depth: int) -> None:
        for member in members:
            self.take(member, depth)

    def _buffer(self, kind: type, value: Any) -> Any:
        if kind is bytearray or kind is array:
            self.size += memoryview(value).nbytes
            return value[:]
        self.size += int(value.nbytes)
        if kind is memoryview:
            return _same_form(value)
        # numpy's, which is never imported here.
        return value.copy()


def _same_form(view: memoryview) -> memoryview:
    taken = memoryview(view.tobytes())
    if view.format == "B" and view.ndim == 1:
        return taken
    try:
        return taken.cast(view.format, view.shape)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        # A form that may not cross, as it is told when it is sent.
        return view
