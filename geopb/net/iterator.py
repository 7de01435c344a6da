"""Iterating a stream of the peer's.

Owns `RemoteIterator`: what has come and is not taken, and the one question for more.
Never holds more than about two batches. Called by users.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from geopb.broker.references import RemoteReference
from geopb.errors import InsecureJelly, LimitExceeded
from geopb.failure import CopiedFailure
from geopb.promise.deadline import time_left, too_late

if TYPE_CHECKING:
    from geopb.net.streams import Fetch, Streams

#: As many items as the owner likes to send.
_MANY = 2**31


class RemoteIterator(Iterator[Any]):
    """The items of a stream, made on the other side while they are taken here.

    What a generator, or `stream`, arrives as. Iterating blocks the greenlet until the
    next item is there. The far iterator runs no more than its window ahead, and ends
    when this one is closed, dropped or at its end, or when the connection is gone. Any
    number of greenlets may iterate one: each item goes to one of them. It may not be
    sent on; `stream` of it may. Under `deadline`, waiting for an item ends with
    `DeadlineExceeded`, and iterating may go on after it.
    """

    __slots__ = (
        "__weakref__",
        "_fetch",
        "_items",
        "_low",
        "_one_by_one",
        "_received",
        "_reference",
        "_streams",
        "_taken",
    )

    def __init__(self, streams: Streams, reference: RemoteReference) -> None:
        self._streams = streams
        #: None when no more items will be asked for.
        self._reference: RemoteReference | None = reference
        self._items: deque[Any] = deque()
        self._received = self._taken = 0
        #: More are asked for when so few are left.
        self._low = 0
        self._fetch: Fetch | None = None
        #: A batch came that could not be read: which item it was is to be found out.
        self._one_by_one = False

    def __next__(self) -> Any:
        """Return the next item; blocks until it is there.

        Raises:
            StopIteration: There are no more, or it was closed.
            DeadlineExceeded: Under a deadline, which has passed; go on as you like.
            PBConnectionLost: The connection is gone.
            Exception: What the far iterator raised, as a call's failure is raised.
                Then, and when an item may not cross, this is the end.
        """
        while not self._items:
            if self._reference is None:
                raise StopIteration
            fetch = self._fetch or self._ask(self._reference)
            self._wait(fetch)
            if fetch is self._fetch:
                self._take(fetch)
        item = self._items.popleft()
        self._taken += 1
        if (
            self._reference is not None
            and self._fetch is None
            and len(self._items) <= self._low
        ):
            # What comes next is made, and is on its way, while this is used.
            self._ask(self._reference)
        return item

    def close(self) -> None:
        """Take no more items: the far iterator is closed. Does not block; idempotent.

        A greenlet that waits for an item comes to the end.
        """
        self._end()
        self._items.clear()
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.give_up()

    def write_to(self, file: Any) -> int:
        """Write all items, which are bytes, to a file, or send them; blocks.

        The stream is closed at the end, also where writing fails; the file is not.

        Args:
            file: It has ``write(data)``, or else ``sendall(data)``.

        Returns:
            How many bytes it were.

        Raises:
            TypeError: `file` has neither, or an item is no bytes.
            Exception: What iterating or writing raises.
        """
        write = getattr(file, "write", None) or getattr(file, "sendall", None)
        if not callable(write):
            kind = type(file).__name__
            raise TypeError(f"{kind} object has neither write() nor sendall()")
        size = 0
        with self:
            for item in self:
                if not isinstance(item, bytes | bytearray | memoryview):
                    kind = type(item).__name__
                    raise TypeError(f"expected a stream of bytes, not of {kind}")
                rest = memoryview(item).cast("B")
                size += len(rest)
                while rest:
                    # An unbuffered file may take a part; a socket says nothing.
                    count = write(rest)
                    rest = rest[len(rest) if count is None else count :]
        return size

    def _ask(self, reference: RemoteReference) -> Fetch:
        number = reference._entry.number
        count = 1 if self._one_by_one else _MANY
        fetch = self._streams.fetch(number, self._received, self._taken, count)
        self._fetch = fetch
        return fetch

    def _wait(self, fetch: Fetch) -> None:
        left = time_left(None)
        if not fetch.done.wait(left if left is None else max(left, 0.0)):
            raise too_late()

    def _take(self, fetch: Fetch) -> None:
        """Take what has come in answer to a question."""
        self._fetch = None
        failure = fetch.failure
        if failure is None:
            try:
                items, more = _checked(fetch.value)
            except InsecureJelly:
                self._end()
                raise
            self._items.extend(items)
            self._received += len(items)
            self._low = len(items) // 2
            if not more:
                self._end()
        elif (
            fetch.count > 1
            and not isinstance(failure, CopiedFailure)
            and isinstance(failure.value, InsecureJelly | LimitExceeded)
        ):
            # It came, and an item in it cannot be used here: it is raised in its place.
            self._one_by_one = True
        else:
            self._end()
            failure.raiseException()

    def _end(self) -> None:
        # Without a reference the peer's object is released: its iterator ends.
        self._reference = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RemoteIterator belongs to its connection")

    def __repr__(self) -> str:
        state = "ended" if self._reference is None else "open"
        return f"<RemoteIterator {state}, {self._taken} items taken>"


def _checked(value: object) -> tuple[list[Any], bool]:
    """Return what an answer holds. Raises InsecureJelly if it is none."""
    if type(value) is list and len(value) == 2:
        items, more = value
        if type(items) is list and type(more) is bool and (items or not more):
            return items, more
    raise InsecureJelly("the peer has sent something else than the items of a stream")
