"""Streams over connections: what a generator's items are to the other side."""

from __future__ import annotations

import gc
import io
import itertools
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.net.producer import Producer
from geopb.testing import connected_pair
from tests.conftest import Guard
from tests.net.roots import Doing, Holding, root_of
from tests.support import (
    client_connection,
    collect,
    eventually,
    server_connection,
    turns,
)

Pair = Callable[..., tuple[pb.PBServer, pb.PBClientFactory]]


class Counting:
    """A generator to be passed, and what became of it.

    Attributes:
        made: How many items were made.
        endings: How it ended, each time.
    """

    def __init__(self, most: int | None = None, item: Any = None) -> None:
        self.made = 0
        self.endings: list[str] = []
        self._most = most
        self._item = item

    def __call__(self) -> Iterator[Any]:
        try:
            while self._most is None or self.made < self._most:
                self.made += 1
                yield self.made - 1 if self._item is None else self._item
        except BaseException as error:
            self.endings.append(type(error).__name__)
            raise
        finally:
            # Blocking is allowed here.
            gevent.sleep(0)
            self.endings.append("finally")


def stream_of(pair: Pair, make: Callable[..., Any], **options: Any) -> Any:
    """Return what ``do`` of a new server gives: a stream of what `make` returns."""
    _, client = pair(Doing(make), **options)
    return root_of(client).callRemote("do").get(timeout=5)


# -- both ways ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 10_000])
def test_a_generator_arrives_as_an_iterator_of_its_items(
    pair: Pair, count: int
) -> None:
    counting = Counting(count)
    items = stream_of(pair, counting)

    assert type(items) is pb.RemoteIterator
    assert iter(items) is items
    assert list(items) == list(range(count))
    assert next(items, "over") == "over"
    assert counting.endings == ["finally"]


@pytest.mark.parametrize("window", [1, 2, 3, 1000])
def test_every_window_brings_all_items(pair: Pair, window: int) -> None:
    items = stream_of(pair, lambda: pb.stream(range(1000), window=window))

    assert list(items) == list(range(1000))


def test_a_remote_method_may_be_a_generator(pair: Pair) -> None:
    class Numbers(pb.Root):
        def remote_squares(self, most: int) -> Iterator[int]:
            for number in range(most):
                yield number * number

    _, client = pair(Numbers())

    squares = root_of(client).callRemote("squares", 4).get(timeout=5)

    assert list(squares) == [0, 1, 4, 9]


def test_a_generator_may_be_an_argument(pair: Pair) -> None:
    _, client = pair(Doing(sum))
    counting = Counting(1000)

    total = root_of(client).callRemote("do", counting()).get(timeout=5)

    assert total == sum(range(1000))
    assert counting.endings == ["finally"]


def test_streams_cross_inside_containers_and_streams(pair: Pair) -> None:
    def rows() -> Iterator[Any]:
        for row in range(3):
            yield {"row": row, "cells": pb.stream([row * cell for cell in range(4)])}

    items = stream_of(pair, rows)

    found = [(each["row"], list(each["cells"])) for each in items]
    assert found == [(row, [row * cell for cell in range(4)]) for row in range(3)]


def test_a_stream_may_be_streamed_on(pair: Pair) -> None:
    _, client = pair(Doing(pb.stream))
    counting = Counting(700)

    back = root_of(client).callRemote("do", counting()).get(timeout=5)

    assert list(back) == list(range(700))
    eventually(lambda: counting.endings == ["finally"])


def test_references_among_the_items_are_the_objects_themselves(pair: Pair) -> None:
    mine = pb.Referenceable()
    _, client = pair(Doing(lambda given: (given for _ in range(3))))

    items = root_of(client).callRemote("do", mine).get(timeout=5)

    assert all(each is mine for each in items)


def test_any_iterable_crosses_by_pb_stream(pair: Pair) -> None:
    _, client = pair(Doing(list))
    remote = root_of(client)

    for iterable in ([1, 2], (1, 2), {1: 0, 2: 0}, iter([1, 2]), map(int, "12")):
        sent = remote.callRemote("do", pb.stream(iterable))
        assert sent.get(timeout=5) == [1, 2]


@pytest.mark.parametrize("value", [iter([1]), map(int, "1"), enumerate("a")])
def test_an_iterator_is_refused_and_told_the_remedy(pair: Pair, value: Any) -> None:
    _, client = pair(Doing())

    with pytest.raises(pb.InsecureJelly, match=r"pb\.stream\(\)"):
        root_of(client).callRemote("echo", value).get(timeout=5)


def test_a_stream_that_is_sent_on_or_home_is_refused(pair: Pair) -> None:
    _, client = pair(Doing(Counting(5)))
    remote = root_of(client)
    items = remote.callRemote("do").get(timeout=5)

    with pytest.raises(pb.InsecureJelly, match=r"RemoteIterator.*pb\.stream\(\)"):
        remote.callRemote("echo", items).get(timeout=5)
    assert list(items) == [0, 1, 2, 3, 4]


def test_a_stream_is_passed_once(pair: Pair) -> None:
    _, client = pair(Doing(lambda items, *_: list(items)))
    remote = root_of(client)
    for one in (pb.stream([1]), Counting(2)()):
        with pytest.raises(pb.InsecureJelly, match="once"):
            remote.callRemote("do", one, one).get(timeout=5)
        # Nothing was sent: it is as it was.
        assert remote.callRemote("do", one).get(timeout=5) in ([1], [0, 1])
        with pytest.raises(pb.InsecureJelly, match="once"):
            remote.callRemote("do", one).get(timeout=5)


def test_a_stream_whose_call_was_not_sent_stays_the_callers(pair: Pair) -> None:
    counting = Counting(3)
    items = counting()
    assert next(items) == 0
    _, client = pair(Doing(list))
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly):
        remote.callRemote("do", items, object()).get(timeout=5)

    assert next(items) == 1
    assert remote.callRemote("do", items).get(timeout=5) == [2]
    assert len(server_connection_exports(client)) == 0


def server_connection_exports(client: pb.PBClientFactory) -> Any:
    return eventually_empty(client_connection(client).broker.exports)


def eventually_empty(table: Any) -> Any:
    collect()
    eventually(lambda: len(table) == 0)
    return table


def test_the_same_list_filled_anew_arrives_as_it_was_each_time(pair: Pair) -> None:
    def rows() -> Iterator[Any]:
        row: list[Any] = []
        data = bytearray(4)
        for number in range(500):
            row[:] = [number, {"deep": [number]}]
            data[0] = number % 256
            yield (row, data)

    items = stream_of(pair, rows)

    for number, (row, data) in enumerate(items):
        assert row == [number, {"deep": [number]}]
        assert data == bytearray([number % 256, 0, 0, 0])


# -- how it ends ---------------------------------------------------------------------


def test_an_unread_generator_is_never_begun(pair: Pair) -> None:
    counting = Counting()
    items = stream_of(pair, counting)
    turns(20)

    assert counting.made == 0
    items.close()
    turns(20)
    assert (counting.made, counting.endings) == (0, [])


def test_an_unread_generator_that_had_begun_is_closed(pair: Pair) -> None:
    counting = Counting()
    begun = counting()
    next(begun)
    items = stream_of(pair, lambda: begun)

    items.close()

    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])


def close(items: Any) -> None:
    items.close()
    assert list(items) == []
    items.close()


def leave_block(items: Any) -> None:
    with items:
        pass


@pytest.mark.parametrize("end", [close, leave_block])
def test_closing_closes_the_generator(pair: Pair, end: Callable[[Any], None]) -> None:
    counting = Counting()
    items = stream_of(pair, counting)
    assert next(items) == 0

    end(items)

    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])


def test_dropping_closes_the_generator(pair: Pair) -> None:
    counting = Counting()
    server, client = pair(Doing(counting))
    items = root_of(client).callRemote("do").get(timeout=5)
    assert next(items) == 0

    del items

    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])
    collect()
    assert client_connection(client).statistics()["imports"] == 0
    eventually(lambda: server_connection(server).statistics()["questions"] == 0)


def test_a_lost_line_closes_the_generator_and_fails_the_iterator() -> None:
    counting = Counting()
    with connected_pair(Doing(counting)) as pair:
        items = root_of(pair.client).callRemote("do").get(timeout=5)
        assert next(items) == 0

        pair.link.reset()

        eventually(lambda: counting.endings == ["GeneratorExit", "finally"])
        with pytest.raises(pb.PBConnectionLost):
            list(items)
        assert next(items, "over") == "over"


@pytest.mark.parametrize("direction", ["to_client", "to_server"])
@pytest.mark.parametrize("fault", ["reset", "fin"])
def test_wherever_the_line_is_cut_what_came_is_a_beginning_and_the_generator_ends(
    direction: str, fault: Any
) -> None:
    for after in range(0, 1200, 97):
        counting = Counting(600)
        with connected_pair(Doing(counting)) as pair:
            items = root_of(pair.client).callRemote("do").get(timeout=5)
            getattr(pair.link, direction).after(after, fault)
            found: list[int] = []
            try:
                found.extend(items)
            except pb.PBConnectionLost:
                assert found == list(range(len(found)))
            else:
                # The cut lies behind the end.
                assert found == list(range(600))
            if counting.made:
                eventually(lambda counting=counting: "finally" in counting.endings)
            assert counting.endings.count("finally") <= 1


def test_a_stalled_line_holds_the_items_and_loses_none() -> None:
    with connected_pair(Doing(Counting(1000))) as pair:
        items = root_of(pair.client).callRemote("do").get(timeout=5)
        found = [next(items)]
        pair.link.stall()
        waiting = gevent.spawn(lambda: found.extend(items))
        turns(20)
        assert not waiting.dead
        pair.link.resume()
        waiting.get(timeout=5)

    assert found == list(range(1000))


@pytest.mark.parametrize("wait", ["item", "finally"])
def test_a_generator_that_blocks_is_interrupted(pair: Pair, wait: str) -> None:
    there, story = Event(), []

    def blocking() -> Iterator[int]:
        try:
            yield 1
            story.append("blocks")
            there.wait()
        except pb.Cancelled:
            story.append("cancelled")
            raise
        finally:
            # Ended once: it may clean up in peace.
            gevent.sleep(0.01)
            story.append("finally")

    _, client = pair(Doing(blocking))
    items = root_of(client).callRemote("do").get(timeout=5)
    assert next(items) == 1
    eventually(lambda: story == ["blocks"])

    if wait == "item":
        items.close()
    else:
        client.disconnect()

    eventually(lambda: story == ["blocks", "cancelled", "finally"])
    eventually(lambda: producers() == 0)


def producers() -> int:
    collect()
    return sum(type(each) is Producer for each in gc.get_objects())


def test_a_generator_that_goes_on_after_the_interruption_is_closed(pair: Pair) -> None:
    story: list[str] = []

    def stubborn() -> Iterator[int]:
        yield 1
        try:
            Event().wait()
        except pb.Cancelled:
            story.append("cancelled")
        try:
            yield 2
        except GeneratorExit:
            story.append("closed")

    items = stream_of(pair, stubborn)
    next(items)
    turns()
    items.close()

    eventually(lambda: story == ["cancelled"] or story == ["cancelled", "closed"])
    eventually(lambda: producers() == 0)
    assert story == ["cancelled", "closed"]


def test_the_argument_of_a_call_that_has_ended_is_closed(pair: Pair) -> None:
    counting = Counting()
    _, client = pair(Doing(next))

    assert root_of(client).callRemote("do", counting()).get(timeout=5) == 0

    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])


# -- errors --------------------------------------------------------------------------


class Tired(pb.Error):
    """An expected error of the tests' generators."""


def failing(error: BaseException, after: int) -> Callable[[], Iterator[int]]:
    def generator() -> Iterator[int]:
        yield from range(after)
        raise error

    return generator


@pytest.mark.parametrize("after", [0, 1, 127, 128, 1000])
def test_an_expected_error_arrives_in_its_place_and_is_not_logged(
    pair: Pair, after: int
) -> None:
    items = stream_of(pair, failing(Tired("enough"), after))
    found = []

    with pytest.raises(Tired, match="enough"):
        found.extend(each for each in items)

    items = stream_of(pair, failing(Tired("enough"), after))
    for number in range(after):
        assert next(items) == number
    with pytest.raises(Tired, match="enough"):
        next(items)
    assert next(items, "over") == "over"


def test_an_unexpected_error_is_logged_once_and_arrives(
    pair: Pair, guard: Guard
) -> None:
    guard.expects_log = True
    items = stream_of(pair, failing(KeyError("missing"), 3))
    found: list[int] = []

    with pytest.raises(KeyError) as caught:
        found.extend(each for each in items)

    assert found == [0, 1, 2]
    assert isinstance(caught.value, pb.RemoteError)
    (record,) = guard.records
    assert record.name == "geopb"
    text = record.getMessage()
    assert text.startswith("Peer will receive following PB traceback:\n")
    assert text.rstrip().endswith("KeyError: 'missing'")


def test_tracebacks_cross_where_the_owner_says_so(pair: Pair, guard: Guard) -> None:
    guard.expects_log = True
    for told in (False, True):
        items = stream_of(
            pair,
            failing(KeyError("missing"), 0),
            server_options={"unsafe_tracebacks": told},
        )
        with pytest.raises(pb.RemoteError) as caught:
            next(items)
        assert ("in generator" in (caught.value.remote_traceback or "")) is told


def test_an_error_in_the_end_of_a_closed_generator_is_logged(
    pair: Pair, guard: Guard
) -> None:
    guard.expects_log = True

    def generator() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            raise ValueError("in the end")

    items = stream_of(pair, lambda: pb.stream(generator(), window=1))
    next(items)
    items.close()

    eventually(lambda: guard.records)
    (record,) = guard.records
    text = record.getMessage()
    assert text.startswith("Error in a stream that nobody reads any more:\n")
    assert text.rstrip().endswith("ValueError: in the end")


@pytest.mark.parametrize("place", [0, 1, 5, 200])
def test_an_item_that_may_not_cross_is_raised_in_its_place(
    pair: Pair, place: int
) -> None:
    endings: list[str] = []

    def generator() -> Iterator[Any]:
        try:
            for number in itertools.count():
                yield object() if number == place else number
        finally:
            endings.append("finally")

    items = stream_of(pair, generator)

    for number in range(place):
        assert next(items) == number
    with pytest.raises(pb.InsecureJelly, match="object may not cross"):
        next(items)
    assert next(items, "over") == "over"
    eventually(lambda: endings == ["finally"])


@pytest.mark.parametrize("place", [0, 1, 5, 200])
def test_an_item_that_may_not_be_received_is_raised_in_its_place(
    pair: Pair, place: int
) -> None:
    class Known(pb.Copyable, pb.RemoteCopy):
        pass

    endings: list[str] = []

    def generator() -> Iterator[Any]:
        try:
            for number in itertools.count():
                yield Known() if number == place else number
        finally:
            endings.append("finally")

    items = stream_of(pair, generator)

    for number in range(place):
        assert next(items) == number
    with pytest.raises(pb.InsecureJelly, match="Known"):
        next(items)
    assert next(items, "over") == "over"
    eventually(lambda: endings == ["finally"])


def test_a_hook_that_raises_fails_the_stream_in_its_place(
    pair: Pair, guard: Guard
) -> None:
    guard.expects_log = True

    class Broken(pb.Copyable):
        def getStateToCopy(self) -> Any:
            raise LookupError("no state")

    items = stream_of(pair, lambda: (Broken() if n == 3 else n for n in range(9)))

    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="no state"):
        next(items)
    (record,) = guard.records
    assert "LookupError: no state" in record.getMessage()


def test_closing_while_a_hook_blocks_answers_once(pair: Pair) -> None:
    go, asked = Event(), Event()

    class Slow(pb.Copyable):
        def getStateToCopy(self) -> Any:
            asked.set()
            go.wait()
            return {}

    _, client = pair(Doing(lambda: (Slow() for _ in range(3))))
    remote = root_of(client)
    items = remote.callRemote("do").get(timeout=5)
    waiting = gevent.spawn(next, items, "over")
    assert asked.wait(5)

    items.close()
    assert waiting.get(timeout=5) == "over"
    del items
    collect()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    go.set()
    turns(20)

    assert remote.callRemote("echo", 2).get(timeout=5) == 2


# -- bounds --------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 10, 256])
def test_no_more_than_the_window_is_made_ahead(pair: Pair, window: int) -> None:
    counting = Counting()
    items = stream_of(pair, lambda: pb.stream(counting(), window=window))

    for taken in range(1, 1000):
        next(items)
        if taken % 50 == 0:
            turns(10)
        assert counting.made - taken <= window
    items.close()


def test_large_items_are_not_gathered(pair: Pair) -> None:
    mebibyte = bytes(1 << 20)
    counting = Counting(item=mebibyte)
    items = stream_of(pair, counting)

    for taken in range(1, 20):
        assert next(items) == mebibyte
        turns(20)
        assert counting.made - taken <= 4
    items.close()


def test_an_infinite_generator_and_a_slow_reader_hold_bounded_memory(
    pair: Pair,
) -> None:
    def generator() -> Iterator[bytes]:
        for number in itertools.count():
            yield number.to_bytes(4, "big") * 8192

    items = stream_of(pair, generator)
    for _ in range(50):
        next(items)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(500):
            next(items)
            turns(2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 6 << 20
    items.close()


def test_streams_count_among_the_references(pair: Pair) -> None:
    _, client = pair(
        Doing(lambda n: [Counting(1)() for _ in range(n)]), max_references=9
    )
    remote = root_of(client)

    with pytest.raises(pb.LimitExceeded, match="max_references=9"):
        remote.callRemote("do", 10).get(timeout=5)
    some = remote.callRemote("do", 8).get(timeout=5)
    assert [list(each) for each in some] == [[0]] * 8
    assert len(remote.callRemote("do", 8).get(timeout=5)) == 8


def test_no_more_streams_are_under_way_than_max_streams(pair: Pair) -> None:
    root = Doing(lambda n: [Counting(1)() for _ in range(n)])
    _, client = pair(root, server_options={"max_streams": 3})
    remote = root_of(client)

    some = remote.callRemote("do", 3).get(timeout=5)
    with pytest.raises(pb.LimitExceeded) as caught:
        remote.callRemote("do", 1).get(timeout=5)
    # One that is not taken is not begun either, and may be given again.
    assert str(caught.value) == "streams under way of 4 exceeds max_streams=3"

    assert [list(each) for each in some] == [[0]] * 3
    some.clear()
    collect()
    # Those that were read, or dropped, do not count any more.
    for _ in range(5):
        assert len(remote.callRemote("do", 3).get(timeout=5)) == 3
        collect()
    with pytest.raises(pb.LimitExceeded, match="max_streams=3"):
        remote.callRemote("do", 4).get(timeout=5)
    # The three of that message were taken back.
    collect()
    assert len(remote.callRemote("do", 3).get(timeout=5)) == 3


def test_by_default_many_streams_may_be_under_way(pair: Pair) -> None:
    _, client = pair(Doing(lambda n: [Counting(1)() for _ in range(n)]))

    assert len(root_of(client).callRemote("do", 1000).get(timeout=5)) == 1000


def test_max_streams_is_of_those_that_this_side_makes(pair: Pair) -> None:
    """The other side's own bound does not count here."""
    root = Doing(lambda n: [Counting(1)() for _ in range(n)])
    _, client = pair(root, client_options={"max_streams": 1})
    remote = root_of(client)

    assert len(remote.callRemote("do", 3).get(timeout=5)) == 3
    with pytest.raises(pb.LimitExceeded, match="max_streams=1"):
        remote.callRemote("echo", [Counting(1)(), Counting(1)()]).get(timeout=5)
    assert remote.callRemote("echo", "alive").get(timeout=5) == "alive"


def test_streams_that_wait_take_no_room_from_calls(pair: Pair) -> None:
    go = Event()

    def waiting() -> Iterator[int]:
        go.wait()
        yield 1

    _, client = pair(Doing(waiting), max_pending_calls=1)
    remote = root_of(client)
    streams = [remote.callRemote("do").get(timeout=5) for _ in range(5)]
    readers = [gevent.spawn(list, each) for each in streams]
    turns(20)

    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    go.set()
    assert [each.get(timeout=5) for each in readers] == [[1]] * 5


def test_a_stream_and_the_call_that_reads_it_do_not_wait_for_each_other(
    pair: Pair,
) -> None:
    _, client = pair(Doing(sum), max_pending_calls=1)

    total = root_of(client).callRemote("do", iter_of(5000)).get(timeout=5)

    assert total == sum(range(5000))


def iter_of(most: int) -> Iterator[int]:
    yield from range(most)


def test_the_items_of_an_endless_generator_leave_calls_answered(pair: Pair) -> None:
    _, client = pair(Doing(itertools_count))
    remote = root_of(client)
    items = remote.callRemote("do").get(timeout=5)
    reading = gevent.spawn(lambda: [None for _ in items])

    for number in range(50):
        assert remote.callRemote("echo", number).get(timeout=5) == number

    items.close()
    reading.get(timeout=5)


def itertools_count() -> Iterator[int]:
    yield from itertools.count()


# -- waiting -------------------------------------------------------------------------


def test_a_first_item_is_there_before_the_second_is_made(pair: Pair) -> None:
    go = Event()

    def two() -> Iterator[int]:
        yield 1
        go.wait()
        yield 2

    items = stream_of(pair, two)

    assert next(items) == 1
    go.set()
    assert list(items) == [2]


def test_a_deadline_ends_the_waiting_and_not_the_stream(pair: Pair) -> None:
    go = Event()

    def two() -> Iterator[int]:
        yield 1
        go.wait()
        yield 2

    items = stream_of(pair, two)

    with pb.deadline(0.02):
        assert next(items) == 1
        with pytest.raises(pb.DeadlineExceeded):
            next(items)
        with pytest.raises(pb.DeadlineExceeded):
            next(items)
    go.set()
    assert list(items) == [2]


def test_a_timeout_of_the_readers_loses_no_item(pair: Pair) -> None:
    go = Event()

    def two() -> Iterator[int]:
        go.wait()
        yield 1
        yield 2

    items = stream_of(pair, two)

    with gevent.Timeout(0.01, False):
        next(items)
    go.set()
    assert list(items) == [1, 2]


def test_two_greenlets_share_the_items(pair: Pair) -> None:
    items = stream_of(pair, Counting(2000))
    found: list[list[int]] = [[], []]

    def read(into: list[int]) -> None:
        for item in items:
            into.append(item)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(read, each) for each in found], raise_error=True)

    assert sorted(found[0] + found[1]) == list(range(2000))
    assert found[0]
    assert found[1]


def test_closing_wakes_who_waits(pair: Pair) -> None:
    def never() -> Iterator[int]:
        Event().wait()
        yield 1

    items = stream_of(pair, never)
    waiting = [gevent.spawn(list, items) for _ in range(2)]
    turns(20)

    items.close()

    assert [each.get(timeout=5) for each in waiting] == [[], []]


def test_a_generator_runs_in_one_greenlet_and_a_context_of_its_own(pair: Pair) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="fresh")

    def generator() -> Iterator[Any]:
        for _ in range(1000):
            yield [id(gevent.getcurrent()), variable.get()]
            variable.set("its own")

    def do() -> Iterator[Any]:
        variable.set("the call's")
        return generator()

    items = list(stream_of(pair, do))

    assert len({greenlet for greenlet, _ in items}) == 1
    assert [value for _, value in items] == ["fresh"] + ["its own"] * 999


def test_a_generator_may_call_back_into_its_reader(pair: Pair) -> None:
    class Reader(pb.Referenceable):
        def remote_more(self) -> int:
            return next(numbers)

    numbers = itertools.count()

    def do(reader: Any) -> Iterator[int]:
        for _ in range(5):
            yield reader.callRemote("more").get()

    _, client = pair(Doing(do), max_pending_calls=1)

    items = root_of(client).callRemote("do", Reader()).get(timeout=5)

    assert list(items) == [0, 1, 2, 3, 4]


def test_views_in_a_stream_are_those_of_its_reader(pair: Pair) -> None:
    class Seen(pb.Viewable):
        def view_who(self, perspective: Any) -> Any:
            return perspective.name

    class User(pb.Avatar):
        name = "ada"

        def perspective_things(self) -> Iterator[Any]:
            for _ in range(2):
                yield Seen()

    user = pb.AsReferenceable(User(), "perspective")
    _, client = pair(Doing(lambda: user))
    avatar = root_of(client).callRemote("do").get(timeout=5)

    things = avatar.callRemote("things").get(timeout=5)

    assert [each.callRemote("who").get(timeout=5) for each in things] == ["ada"] * 2


def test_a_stream_goes_on_while_the_server_drains(pair: Pair) -> None:
    class Streaming(Holding):
        def remote_numbers(self) -> Iterator[int]:
            yield from range(1000)

    root = Streaming()
    server, client = pair(root)
    remote = root_of(client)
    items = remote.callRemote("numbers").get(timeout=5)
    next(items)
    holds = remote.callRemote("hold")
    eventually(lambda: root.started)
    stopping = gevent.spawn(server.stop, 5)
    turns(20)

    assert list(items) == list(range(1, 1000))
    root.go.set()
    holds.get(timeout=5)
    stopping.get(timeout=5)


class Numbers(Doing):
    """Streams whose generators wait for the test before their end."""

    def __init__(self) -> None:
        super().__init__()
        self.go = Event()
        self.ended: list[str] = []

    def remote_numbers(self) -> Iterator[int]:
        try:
            yield 1
            self.go.wait()
            yield 2
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise

    def remote_shielded(self) -> Iterator[int]:
        try:
            yield 1
            with pb.shielded():
                self.go.wait()
                self.ended.append("went on")
            self.ended.append("wrong: behind the block")
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise

    def remote_across(self) -> Iterator[int]:
        try:
            with pb.shielded():
                yield 1
                self.go.wait()
                yield 2
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise


def test_stop_waits_for_a_stream_that_is_read(pair: Pair) -> None:
    root = Numbers()
    server, client = pair(root)
    items = root_of(client).callRemote("numbers").get(timeout=5)
    assert next(items) == 1
    stopping = gevent.spawn(server.stop, 5)
    turns(20)
    assert not stopping.ready()

    root.go.set()
    assert list(items) == [2]
    stopping.get(timeout=1)
    assert root.ended == []


def test_stop_waits_until_the_items_of_a_generator_that_has_ended_are_read(
    pair: Pair,
) -> None:
    server, client = pair(Doing(lambda: (n for n in range(200))))
    items = root_of(client).callRemote("do").get(timeout=5)
    next(items)
    stopping = gevent.spawn(server.stop, 5)
    turns(20)

    assert list(items) == list(range(1, 200))
    stopping.get(timeout=1)


def test_stop_waits_for_a_stream_no_longer_than_it_is_told(pair: Pair) -> None:
    root = Numbers()
    server, client = pair(root)
    items = root_of(client).callRemote("numbers").get(timeout=5)
    next(items)

    gevent.spawn(server.stop, 0.05).get(timeout=2)

    eventually(lambda: root.ended == ["Cancelled"])
    with pytest.raises(pb.PBConnectionLost):
        next(items)


@pytest.mark.parametrize("end", ["read", "closed", "not begun"])
def test_stop_does_not_wait_for_a_stream_that_is_not_read(pair: Pair, end: str) -> None:
    root = Numbers()
    root.go.set()
    server, client = pair(root)
    items = root_of(client).callRemote("numbers").get(timeout=5)
    if end == "read":
        assert list(items) == [1, 2]
    elif end == "closed":
        next(items)
        items.close()
        collect()

    gevent.spawn(server.stop, None).get(timeout=2)


def test_a_generator_may_stop_its_own_server(pair: Pair) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        server.stop()
        yield 2

    server, client = pair(Doing(numbers))
    items = root_of(client).callRemote("do").get(timeout=5)

    assert list(items) == [1, 2]
    eventually(lambda: not server.connections)


@pytest.mark.parametrize("gone", [False, True], ids=["closed", "gone"])
def test_a_shielded_block_of_a_generator_is_not_interrupted(
    pair: Pair, gone: bool
) -> None:
    root = Numbers()
    server, client = pair(root)
    items = root_of(client).callRemote("shielded").get(timeout=5)
    assert next(items) == 1
    service = server_connection(server).service
    assert service.streams == 1

    if gone:
        client.disconnect()
    items.close()
    eventually(lambda: not service.streams)
    turns(20)
    assert root.ended == []

    root.go.set()
    eventually(lambda: root.ended)
    turns(5)
    assert root.ended == ["went on", "Cancelled"]


def test_a_shielded_block_around_a_yield_ends_as_close_ends_it(pair: Pair) -> None:
    root = Numbers()
    server, client = pair(root)
    items = root_of(client).callRemote("across").get(timeout=5)
    assert next(items) == 1
    service = server_connection(server).service
    items.close()
    eventually(lambda: not service.streams)
    turns(20)
    assert root.ended == []

    root.go.set()
    eventually(lambda: root.ended)
    assert root.ended == ["GeneratorExit"]


def test_an_iterator_is_a_thing_of_its_connection() -> None:
    import copy
    import pickle

    with connected_pair(Doing(Counting(1))) as pair:
        items = root_of(pair.client).callRemote("do").get(timeout=5)
        for spoil in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="belongs to its connection"):
                spoil(items)  # type: ignore[operator]
        assert repr(items) == "<RemoteIterator open, 0 items taken>"
        assert list(items) == [0]
        assert repr(items) == "<RemoteIterator ended, 1 items taken>"


def test_nothing_is_left_of_a_stream_that_was_read(pair: Pair) -> None:
    class Item(pb.Referenceable):
        pass

    kept: list[weakref.ref[Item]] = []

    def do() -> Iterator[Item]:
        for _ in range(300):
            item = Item()
            kept.append(weakref.ref(item))
            yield item

    server, client = pair(Doing(do))
    assert sum(1 for _ in root_of(client).callRemote("do").get(timeout=5)) == 300

    collect()
    eventually(lambda: all(each() is None for each in kept))
    for connection in (client_connection(client), server_connection(server)):
        assert connection.statistics()["questions"] == 0
    assert server_connection(server).statistics()["exports"] <= 1


def test_the_hello_and_a_stream_survive_any_cutting_of_the_line() -> None:
    def small(link: Any) -> None:
        link.split(7)

    with connected_pair(Doing(Counting(500)), on_link=small) as pair:
        items = root_of(pair.client).callRemote("do").get(timeout=5)
        assert list(items) == list(range(500))


# -- files ---------------------------------------------------------------------------


def test_a_file_crosses_in_pieces_and_is_written(pair: Pair, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000 + b"end"
    (tmp_path / "from").write_bytes(content)
    opened: list[Any] = []

    def do() -> Any:
        opened.append((tmp_path / "from").open("rb"))
        return pb.stream_file(opened[0])

    pieces = stream_of(pair, do)
    with (tmp_path / "to").open("wb", buffering=0) as file:
        assert pieces.write_to(file) == len(content)

    assert (tmp_path / "to").read_bytes() == content
    assert opened[0].closed


class Disk(io.FileIO):
    """A file whose reading waits for the test, and tells in which thread it is done."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(b"content")
        super().__init__(path)
        self.threads: list[int] = []
        self.told: list[str] = []
        self.ready = threading.Event()
        self.ready.set()

    def read(self, size: int | None = -1, /) -> bytes:
        self.threads.append(threading.get_ident())
        self.told.append("read")
        assert self.ready.wait(5)
        self.told.append("has read")
        return super().read(size) or b""

    def close(self) -> None:
        if not self.closed:
            self.threads.append(threading.get_ident())
            self.told.append("closed")
        super().close()


def test_a_disk_is_read_and_closed_in_other_threads(pair: Pair, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    pieces = stream_of(pair, lambda: pb.stream_file(disk))

    assert list(pieces) == [b"content"]
    eventually(lambda: disk.closed)
    assert len(disk.threads) == 3
    assert threading.get_ident() not in disk.threads


def test_calls_are_answered_while_a_disk_is_waited_for(
    pair: Pair, tmp_path: Path
) -> None:
    disk = Disk(tmp_path / "disk")
    disk.ready.clear()
    _, client = pair(Doing(lambda: pb.stream_file(disk)))
    remote = root_of(client)
    pieces = remote.callRemote("do").get(timeout=5)
    reading = gevent.spawn(list, pieces)
    eventually(lambda: disk.told)

    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    assert not reading.ready()
    disk.ready.set()
    assert reading.get(timeout=5) == [b"content"]


def test_a_disk_is_not_closed_while_it_is_read(pair: Pair, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    disk.ready.clear()
    server, client = pair(Doing(lambda: pb.stream_file(disk)))
    pieces = root_of(client).callRemote("do").get(timeout=5)
    reading = gevent.spawn(list, pieces)
    eventually(lambda: disk.told)

    pieces.close()
    eventually(lambda: not server_connection(server).service.streams)
    turns(20)
    assert disk.told == ["read"]
    disk.ready.set()
    eventually(lambda: disk.closed)
    assert disk.told == ["read", "has read", "closed"]
    assert reading.get(timeout=5) == []


def test_an_error_of_a_disk_is_the_reader_s(
    pair: Pair, tmp_path: Path, guard: Guard
) -> None:
    guard.expects_log = True
    (tmp_path / "only written").write_bytes(b"")
    file = (tmp_path / "only written").open("r+b", buffering=0)
    file.close()
    pieces = stream_of(pair, lambda: pb.stream_file(file))

    with pytest.raises(ValueError, match="closed file"):
        next(pieces)


def test_the_pieces_are_as_large_as_was_said(pair: Pair) -> None:
    pieces = stream_of(pair, lambda: pb.stream_file(io.BytesIO(bytes(25)), chunk=10))

    assert [len(piece) for piece in pieces] == [10, 10, 5]


def test_else_they_are_of_half_a_mebibyte(pair: Pair) -> None:
    pieces = stream_of(pair, lambda: pb.stream_file(io.BytesIO(bytes(2**19 + 5))))

    assert [len(piece) for piece in pieces] == [2**19, 5]


def test_an_unread_file_is_closed(pair: Pair) -> None:
    file = io.BytesIO(b"unread")
    pieces = stream_of(pair, lambda: pb.stream_file(file))
    assert not file.closed

    pieces.close()

    eventually(lambda: file.closed)


def test_a_socket_crosses_and_is_sent_into_one(pair: Pair) -> None:
    from gevent import socket

    far, fed = socket.socketpair()
    near, out = socket.socketpair()
    content = bytes(200_000)

    def feed() -> None:
        fed.sendall(content)
        fed.close()

    pieces = stream_of(pair, lambda: pb.stream_file(far))
    feeding = gevent.spawn(feed)
    writing = gevent.spawn(pieces.write_to, out)
    received = b""
    while len(received) < len(content):
        received += near.recv(65536)

    assert writing.get(timeout=5) == len(content)
    feeding.get(timeout=5)
    eventually(lambda: far.fileno() == -1)
    near.close()
    out.close()
    assert received == content


def test_a_text_file_says_how_to_open_it(pair: Pair, guard: Guard) -> None:
    guard.expects_log = True
    pieces = stream_of(pair, lambda: pb.stream_file(io.StringIO("text")))

    with pytest.raises(TypeError, match="binary mode"):
        next(pieces)


def test_what_cannot_be_written_is_refused_and_closes_the_stream(pair: Pair) -> None:
    counting = Counting()
    items = stream_of(pair, counting)

    with pytest.raises(TypeError, match="stream of bytes, not of int"):
        items.write_to(io.BytesIO())
    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])
    with pytest.raises(TypeError, match="neither write"):
        items.write_to(object())


def test_a_writer_that_fails_closes_the_stream(pair: Pair) -> None:
    counting = Counting(item=b"x")
    items = stream_of(pair, counting)

    class Full:
        def write(self, data: Any) -> int:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        items.write_to(Full())
    eventually(lambda: counting.endings == ["GeneratorExit", "finally"])
