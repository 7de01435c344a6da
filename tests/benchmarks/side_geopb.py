"""The library under test, used as its README tells users to.

Owns nothing clever: a ``Root`` with one method, and a client that calls it with
the default options. Methods for later workloads go here.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from gevent.event import Event

import geopb as pb
from tests.benchmarks.values import (
    DICTS,
    FILE,
    ITEMS,
    SMALL_ITEMS,
    TEXT,
    THIRTY_SIX,
    TWELVE,
)


@pb.copyable
@dataclass
class Entry:
    """What one of ``DICTS`` is as an object."""

    id: int
    name: str
    ok: bool
    score: float


ENTRIES = [Entry(**each) for each in DICTS]


class Ticker(pb.Cacheable):
    """Counts, and tells all that watch."""

    def __init__(self) -> None:
        self.count = 0
        self._observers: set[Any] = set()

    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        """Return the count."""
        self._observers.add(observer)
        return {"count": self.count}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        """Forget who has hung up."""
        self._observers.discard(observer)

    def tick(self) -> None:
        """Count on."""
        self.count += 1
        for observer in self._observers:
            observer.callRemote("tick", self.count)


class Watch(pb.RemoteCache):
    """Follows a ``Ticker``; each count has to be the next."""

    count: int
    until = 0

    def setCopyableState(self, state: Any) -> None:
        """Begin at the present count."""
        self.count = state["count"]
        self.there = Event()

    def observe_tick(self, count: int) -> None:
        """Take the next one."""
        if count != self.count + 1:
            raise RuntimeError(f"{count} came behind {self.count}")
        self.count = count
        if count == self.until:
            self.there.set()


pb.setUnjellyableForClass(Ticker, Watch)


class Two(pb.Referenceable):
    """An object that is asked once."""

    def remote_three(self, number: int) -> int:
        """Return three times the number."""
        return number * 3


class Echoer(pb.Root):
    """What the benchmark's server offers."""

    def __init__(self) -> None:
        self._ticker = Ticker()

    def remote_echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    def remote_each(self, values: list[Any]) -> list[Any]:
        """Do for each what ``echo`` does."""
        return [self.remote_echo(value) for value in values]

    def remote_getTwo(self) -> Two:
        """Make an object."""
        return Two()

    def remote_stream(self) -> Iterator[Any]:
        """Make the items one by one."""
        yield from ITEMS

    def remote_numbers(self) -> Iterator[int]:
        """Make small items one by one."""
        yield from range(SMALL_ITEMS)

    def remote_item(self, number: int) -> int:
        """Return one of them."""
        return number

    def remote_list(self) -> list[Any]:
        """Return the same items."""
        return list(ITEMS)

    def remote_size(self, value: bytes) -> int:
        """Take large bytes."""
        return len(value)

    def remote_receive(self, pieces: Iterator[bytes]) -> int:
        """Take them piece by piece."""
        return sum(map(len, pieces))

    def remote_watch(self) -> Ticker:
        """Return what ticks."""
        return self._ticker

    def remote_tick(self, times: int) -> None:
        """Tell all who watch so many changes."""
        for _ in range(times):
            self._ticker.tick()


def expect(answer: int) -> None:
    """Fail unless this is what ``Two`` answers.

    Raises:
        RuntimeError: It is not.
    """
    if answer != THIRTY_SIX:
        raise RuntimeError(f"three times {TWELVE} came as {answer!r}")


class Server:
    """geopb's server, accepting from the start."""

    serve: Any = staticmethod(pb.serve)

    def __init__(self) -> None:
        self._server = self.serve(Echoer(), "127.0.0.1:0")
        #: Text for ``Connection``.
        self.address = str(self._server.address)

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(timeout=0)


class Connection:
    """geopb's client: one connection and the reference to its root."""

    connect: Any = staticmethod(pb.connect)

    def __init__(self, address: str) -> None:
        self._address = address
        self._more: list[pb.PBClientFactory] = []
        self._client = self.connect(address)
        #: For workloads that call more than ``echo``.
        self.root = self._client.getRootObject().get(timeout=5)
        self._watch: Any = None

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        return self.root.callRemote("echo", value).get()

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        promises = [self.root.callRemote("echo", value) for value in values]
        return [promise.get() for promise in promises]

    def batch(self, values: list[Any]) -> None:
        """Make one call of many values."""
        self.root.callRemote("each", values).get()

    def pair(self) -> None:
        """Have an object, call it, drop it."""
        two = self.root.callRemote("getTwo").get()
        expect(two.callRemote("three", TWELVE).get())

    def pair_at_once(self) -> None:
        """Call the object that will be the result of a call, and drop it."""
        expect(self.root.callRemote("getTwo").callRemote("three", TWELVE).get())

    def pairs_at_once(self, count: int) -> None:
        """Do that with so many objects before waiting for the first answer."""
        call = self.root.callRemote
        answers = [call("getTwo").callRemote("three", TWELVE) for _ in range(count)]
        for answer in answers:
            expect(answer.get())

    def first_answer(self) -> None:
        """Connect once more, and make one call."""
        client = pb.PBClientFactory().connect(self._address)
        self._more.append(client)
        client.getRootObject().callRemote("echo", TEXT).get()

    def take_items(self) -> int:
        """Have items made and take them one by one; return how many."""
        return sum(1 for _ in self.root.callRemote("stream").get())

    def take_small_items(self) -> int:
        """Have small ones made and take them one by one; return how many."""
        return sum(1 for _ in self.root.callRemote("numbers").get())

    def send_file(self) -> int:
        """Send a file piece by piece; return its size there."""
        pieces = pb.stream_file(BytesIO(FILE))
        return int(self.root.callRemote("receive", pieces).get())

    def transferring(self) -> AbstractContextManager[None]:
        """Send nothing beside the calls."""
        return nullcontext()

    def records(self) -> list[Any]:
        """Return what ``copies`` sends."""
        return ENTRIES

    def watch_for(self, times: int) -> None:
        """Watch for so many more ticks, from now on."""
        if self._watch is None:
            self._watch = self.root.callRemote("watch").get()
        self._watch.there.clear()
        self._watch.until = self._watch.count + times

    def wait_for_ticks(self) -> None:
        """Wait until they have come.

        Raises:
            RuntimeError: They do not all come.
        """
        if not self._watch.there.wait(100):
            count, until = self._watch.count, self._watch.until
            raise RuntimeError(f"ticks have stopped at {count} of {until}")

    def close(self) -> None:
        """Hang up."""
        while self._more:
            self._more.pop().disconnect()
        self._client.disconnect()
