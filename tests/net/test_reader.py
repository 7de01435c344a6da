"""How much is read in one turn: as much as takes a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import socket

from geopb.broker.state import State
from geopb.net import reader as reader_module
from geopb.net import share as share_module
from geopb.net.reader import Reader
from geopb.net.share import Load, Share
from geopb.net.sockets import raw
from tests.support import eventually, turns


class Gate:
    waited_for = 0


class Slow:
    """A broker that takes so many seconds for a byte, by its own clock."""

    state = State.OPEN

    #: In the middle of no chunk.
    frames = SimpleNamespace(chunk_left=0)

    def __init__(self, for_each: float) -> None:
        self.for_each = for_each
        self.sizes: list[int] = []
        self.now = 1.0

    def receive(self, data: bytes) -> None:
        self.sizes.append(len(data))
        self.now += self.for_each * len(data)

    def clock(self) -> float:
        return self.now


@contextmanager
def reading(broker: Slow, share: Load | Share, poll: float = 0) -> Iterator[Any]:
    """Have a reader feed `broker`; yield where to write."""
    ours, theirs = socket.socketpair()
    sock: Any = raw(ours)
    if isinstance(share, Load):
        share = Share(share)
    reader: Any = Reader(ours, sock, broker, Gate(), share, poll)  # type: ignore[arg-type]
    running = gevent.spawn(reader.run)
    try:
        yield theirs
    finally:
        theirs.close()
        running.get(timeout=5)
        ours.close()


@pytest.fixture
def load() -> Load:
    return Load()


def test_cheap_bytes_are_read_64_KiB_at_a_time(load: Load) -> None:  # noqa: N802
    broker = Slow(0.0)
    with reading(broker, load) as peer:
        peer.sendall(b"x" * 1_000_000)
        eventually(lambda: sum(broker.sizes) == 1_000_000)

    assert max(broker.sizes) == 65536


def test_costly_ones_are_read_a_few_milliseconds_at_a_time(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 100 us for 30 bytes.
    broker = Slow(0.0001 / 30)
    monkeypatch.setattr(reader_module, "perf_counter", broker.clock)
    monkeypatch.setattr(share_module, "perf_counter", broker.clock)
    with reading(broker, load) as peer:
        peer.sendall(b"x" * 300_000)
        eventually(lambda: sum(broker.sizes) == 300_000)

    # But for the first, when it was not known yet.
    assert max(broker.sizes[2:]) * broker.for_each < 0.009
    assert min(broker.sizes[2:-1]) >= 512


def test_they_are_read_more_at_a_time_again_when_they_have_become_cheap(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Slow(0.0001)
    monkeypatch.setattr(reader_module, "perf_counter", broker.clock)
    monkeypatch.setattr(share_module, "perf_counter", broker.clock)
    with reading(broker, load) as peer:
        peer.sendall(b"x" * 100_000)
        eventually(lambda: sum(broker.sizes) == 100_000)
        broker.for_each = 0.0
        broker.sizes.clear()
        peer.sendall(b"x" * 1_000_000)
        eventually(lambda: sum(broker.sizes) == 1_000_000)

    assert broker.sizes[0] <= 2048
    assert max(broker.sizes) == 65536


class Chunks(Slow):
    """One in the middle of a chunk, which keeps what it is given."""

    def __init__(self, left: int) -> None:
        super().__init__(0.0)
        self.frames = SimpleNamespace(chunk_left=left)
        self.place = bytearray()
        #: What was told to be in a room of this one's.
        self.in_rooms: list[int] = []
        self.has_room = True
        self.taken = b""

    def receive(self, data: Any) -> None:
        super().receive(data)
        self.frames.chunk_left = max(self.frames.chunk_left - len(data), 0)
        self.taken += data

    def room(self) -> memoryview | None:
        if not self.has_room:
            return None
        self.place = bytearray(min(self.frames.chunk_left, 300_000))
        return memoryview(self.place)

    def filled(self, count: int) -> None:
        # No view of it is left: it could not grow then.
        self.place += b"."
        self.in_rooms.append(count)
        self.receive(bytes(self.place[:count]))


def test_a_chunk_is_read_to_where_it_stays(load: Load) -> None:
    stream = bytes(range(250)) * 4000
    broker = Chunks(left=500_000)
    with reading(broker, load) as peer:
        peer.sendall(stream)
        eventually(lambda: sum(broker.sizes) == len(stream))

    assert broker.taken == stream
    # Told once for each room, however often there was something to read.
    assert broker.in_rooms == [300_000, 200_000]


def test_what_has_no_such_place_is_read_as_all_else(load: Load) -> None:
    stream = bytes(range(250)) * 4000
    broker = Chunks(left=500_000)
    broker.has_room = False
    with reading(broker, load) as peer:
        peer.sendall(stream)
        eventually(lambda: sum(broker.sizes) == len(stream))

    assert broker.taken == stream
    assert broker.in_rooms == []
    assert max(broker.sizes) == 65536


@pytest.mark.parametrize("came", [0, 100_000, 300_000])
def test_the_stream_may_end_in_the_middle_of_a_chunk(load: Load, came: int) -> None:
    broker = Chunks(left=500_000)
    with reading(broker, load) as peer:
        peer.sendall(bytes(came))

    assert broker.in_rooms == ([300_000] if came == 300_000 else [])


def test_where_nothing_is_read_into_a_buffer_a_chunk_is_read_as_all_else(
    load: Load,
) -> None:
    broker = Chunks(left=500_000)
    ours, theirs = socket.socketpair()
    line: Any = SimpleNamespace(recv=raw(ours).recv, recv_into=None)
    reader: Any = Reader(ours, line, broker, Gate(), Share(load), 0)  # type: ignore[arg-type]
    running = gevent.spawn(reader.run)
    theirs.sendall(bytes(500_000))
    theirs.close()
    running.get(timeout=5)
    ours.close()

    assert broker.taken == bytes(500_000)
    assert broker.in_rooms == []


@pytest.mark.slow
def test_who_used_too_much_beside_others_is_read_later_and_in_full(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, other = Slow(0.001), Share(load)
    monkeypatch.setattr(reader_module, "perf_counter", broker.clock)
    monkeypatch.setattr(share_module, "perf_counter", broker.clock)
    with reading(broker, load) as peer:
        other.read(broker.now, broker.now)
        peer.sendall(b"x" * 20)
        eventually(lambda: broker.sizes)
        peer.sendall(b"y" * 20)
        # Its pause runs by the true clock: some 30 ms.
        gevent.sleep(0)
        gevent.sleep(0)
        assert broker.sizes == [20]

        eventually(lambda: broker.sizes == [20, 20])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """What all time is told by: it goes on where bytes are taken."""
    broker = Slow(0.0)
    monkeypatch.setattr(reader_module, "perf_counter", broker.clock)
    monkeypatch.setattr(share_module, "perf_counter", broker.clock)
    return broker


class Following(Slow):
    """Takes its time by another one's clock."""

    def __init__(self, clock: Slow) -> None:
        super().__init__(0.0)
        self.other = clock

    def receive(self, data: bytes) -> None:
        self.sizes.append(len(data))
        self.other.now += self.for_each * len(data)


def feed(peer: Any, broker: Slow, *sizes: int) -> None:
    """Have so many bytes be read, turn by turn, and counted."""
    for size in sizes:
        expected = [*broker.sizes, size]
        peer.sendall(b"x" * size)
        eventually(lambda expected=expected: broker.sizes == expected)
    turns()


def test_who_was_alone_is_so_until_another_is_read(load: Load, clock: Slow) -> None:
    clock.for_each = 0.0001
    one, other = Share(load), Share(load)
    with reading(clock, one) as peer:
        feed(peer, clock, 10, 10, 10)
        assert load.alone is one
        assert not one.contended

        other.read(clock.now, clock.now)
        assert load.alone is not one
        feed(peer, clock, 10)
        assert one.contended
        assert load.latest is one


def test_short_turns_of_who_is_alone_only_tell_that_it_was_read(
    load: Load, clock: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.for_each = 0.0001
    counted: list[float] = []
    read = Share.read

    def spy(self: Share, begun: float, now: float) -> float:
        counted.append(now - begun)
        return read(self, begun, now)

    monkeypatch.setattr(Share, "read", spy)
    with reading(clock, load) as peer:
        feed(peer, clock, 1, 2, 3, 4)
        # The first holds the hello, the second tells that it is alone.
        assert counted == pytest.approx([0.0002])
        assert load.when == clock.now

        # A long one is counted.
        feed(peer, clock, 50)
        assert counted == pytest.approx([0.0002, 0.0050])


def test_who_is_read_while_another_was_alone_is_counted(
    load: Load, clock: Slow
) -> None:
    clock.for_each = 0.0001
    busy = Following(clock)
    busy.for_each = 0.0001
    one, other = Share(load), Share(load)
    with reading(clock, one) as peer, reading(busy, other) as beside:
        feed(peer, clock, 1, 1, 1)
        assert load.alone is one

        feed(beside, busy, 1, 1)
        assert other.contended
        assert load.latest is other


def test_bytes_that_become_costly_are_read_less_at_a_time_by_who_is_alone(
    load: Load, clock: Slow
) -> None:
    with reading(clock, load) as peer:
        feed(peer, clock, 10, 10, 10)
        assert load.alone is not None
        clock.for_each = 0.0001
        clock.sizes.clear()
        peer.sendall(b"x" * 100_000)
        eventually(lambda: sum(clock.sizes) == 100_000)

    assert clock.sizes[-2] <= 2048


def test_who_polls_is_told_how_long_each_turn_was_waited_for(
    load: Load, clock: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    class Told:
        def __init__(self, most: float, poll: object) -> None:
            assert most == 0.5

        def go_on(self, waited: float, now: float) -> None:
            assert now == clock.now
            told.append(waited)

    monkeypatch.setattr(reader_module, "Promptness", Told)
    clock.for_each = 0.0001
    clock.state = State.OPENING
    with reading(clock, load, poll=0.5) as peer:
        # Before the hello nobody is prompt.
        feed(peer, clock, 10)
        assert told == []
        clock.state = State.OPEN
        for waited in (0.0, 0.25, 0.5):
            clock.now += waited
            feed(peer, clock, 10)
        assert told == pytest.approx([0.0, 0.25, 0.5])

        # Nor is who has to wait because it used too much beside others.
        Share(load).read(clock.now, clock.now)
        feed(peer, clock, 200)
        assert told == pytest.approx([0.0, 0.25, 0.5])
