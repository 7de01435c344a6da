"""Caches over connections: state once, then each change, in order, while it is held."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from socket import SHUT_RDWR
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.caches import Followed, Log, fetch, until
from tests.net.roots import Doing, root_of
from tests.support import client_connection, eventually, server_connection, turns


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def hold() -> Iterator[Event]:
    """What ``observe_hold`` waits for."""
    Followed.hold = Event()
    yield Followed.hold
    Followed.hold.set()


def settled(promises: list[Any]) -> None:
    """Wait until updates have been taken."""
    pb.gather(promises).get(timeout=10)


def test_the_state_comes_first_then_each_update_in_order(pair: Pair, log: Log) -> None:
    log.add("before")
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))

    assert type(cache) is Followed
    assert cache.items == ["before"]
    settled([promise for n in range(1000) for promise in log.add(n)])

    assert cache.items == ["before", *range(1000)]
    assert cache.states == 1
    assert not cache.initialised


def test_a_cache_that_is_held_is_the_same_object_each_time(
    pair: Pair, log: Log
) -> None:
    _, client = pair(Doing(lambda: [log, {"again": log}]))
    remote = root_of(client)

    one, inner = fetch(remote)
    two, _ = fetch(remote)

    assert one is two is inner["again"]
    assert one.states == 1
    assert len(log.story) == 1


def test_a_cache_sent_home_is_the_original(pair: Pair, log: Log) -> None:
    seen: list[Any] = []

    def do(*args: Any) -> Any:
        seen.extend(args)
        return log

    _, client = pair(Doing(do))
    remote = root_of(client)
    cache = fetch(remote)

    assert remote.callRemote("do", cache).get(timeout=5) is cache
    assert remote.callRemote("echo", [cache]).get(timeout=5)[0] is cache
    assert seen == [log]
    assert seen[0] is log


def test_the_last_cache_sent_home_is_the_original_too(pair: Pair, log: Log) -> None:
    seen: list[Any] = []
    _, client = pair(Doing(lambda *args: seen.extend(args) or log))
    remote = root_of(client)

    remote.callRemote("do", fetch(remote)).wait(timeout=5)

    assert seen == [log]
    until(lambda: not log.observers)
    log.assert_balanced()


def test_a_client_shows_the_server_its_state_just_as_well(pair: Pair, log: Log) -> None:
    kept: list[Any] = []
    _, client = pair(Doing(kept.append))

    root_of(client).callRemote("do", log).get(timeout=5)
    settled(log.add(1) + log.add(2))

    assert kept[0].items == [1, 2]
    kept.clear()
    until(lambda: not log.observers)
    log.assert_balanced()


# -- the end ---------------------------------------------------------------------------


def test_dropping_the_last_cache_stops_the_observer_once(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))
    remote = root_of(client)
    cache = fetch(remote)
    fetch(remote)
    gone = weakref.ref(cache)

    del cache
    until(lambda: not log.observers)

    assert gone() is None
    log.assert_balanced()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    log.add("unheard")
    # Fetched anew, it is another one, with the state of now.
    assert fetch(remote).items == ["unheard"]
    until(lambda: not log.observers)
    assert len(log.told("began")) == 2
    log.assert_balanced()


def test_a_cache_that_is_held_elsewhere_is_not_stopped(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))
    remote = root_of(client)
    one = fetch(remote)
    two = fetch(remote)

    del one
    gc.collect()
    turns()
    settled(log.add(1))

    assert two.items == [1]
    assert len(log.observers) == 1


@pytest.mark.parametrize("how", ["disconnect", "stop", "line"])
def test_an_observer_is_stopped_once_when_the_line_goes(
    pair: Pair, log: Log, how: str, geopb_log: list[logging.LogRecord]
) -> None:
    server, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))

    if how == "disconnect":
        client.disconnect()
    elif how == "stop":
        server.stop(0)
    else:
        raw: Any = client_connection(client)._sock
        raw._sock.shutdown(SHUT_RDWR)
    eventually(lambda: not log.observers)
    log.assert_balanced()
    del cache
    gc.collect()
    turns()

    log.assert_balanced()
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


def test_an_update_to_a_peer_that_is_gone_ends_quietly(
    pair: Pair, log: Log, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers
    promises = log.add(1)

    client.disconnect()
    eventually(lambda: not log.observers)
    promises.append(observer.callRemote("added", 2))
    for promise in promises:
        promise.wait(timeout=5)
        assert promise.ready()
    del promises, promise
    gc.collect()
    turns()

    assert cache.items in ([], [1])
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


def test_dropped_and_disconnected_at_once_is_stopped_once(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))

    del cache
    client.disconnect()
    eventually(lambda: not log.observers)

    log.assert_balanced()


def test_a_cache_that_nobody_waits_for_is_stopped(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))

    root_of(client).callRemote("do")

    until(lambda: log.story and not log.observers)
    log.assert_balanced()


def test_a_stoppedObserving_that_raises_is_logged_and_harms_nothing(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    class Fails(Log):
        def stoppedObserving(self, perspective: Any, observer: Any) -> None:
            super().stoppedObserving(perspective, observer)
            raise LookupError("in stoppedObserving")

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Fails, Followed)
    log = Fails()
    _, client = pair(Doing(lambda: log), registry=registry)
    remote = root_of(client)

    fetch(remote)
    until(lambda: log.told("stopped"))

    eventually(lambda: geopb_log)
    (record,) = geopb_log
    assert record.exc_info is not None
    assert "LookupError" in str(record.exc_info[0])
    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    log.assert_balanced()


# -- observers -------------------------------------------------------------------------


def test_each_connection_has_an_observer_of_its_own(serve: Serve, log: Log) -> None:
    server = serve(Doing(lambda: log))
    with pb.connect(server.address) as one, pb.connect(server.address) as two:
        caches = [fetch(root_of(each)) for each in (one, two)]
        first, second = log.told("began")

        assert first == first
        assert first != second
        assert first != "observer"
        assert len({first, second, hash(first)}) == 3
        settled(log.add("both"))
        assert [each.items for each in caches] == [["both"], ["both"]]

        one.disconnect()
        eventually(lambda: list(log.observers) == [second])
        settled(log.add("second"))

        assert caches[1].items == ["both", "second"]
        assert first != second
        assert log.told("stopped") == [first]
        del caches


def test_one_client_may_watch_over_two_connections(serve: Serve, log: Log) -> None:
    server = serve(Doing(lambda: log))
    with pb.connect(server.address) as one, pb.connect(server.address) as two:
        caches = [fetch(root_of(each)) for each in (one, two)]

        assert caches[0] is not caches[1]
        with pytest.raises(pb.InsecureJelly, match="third party"):
            root_of(one).callRemote("echo", caches[1]).get(timeout=5)
        del caches


def test_a_thousand_updates_reach_each_of_many_observers_in_order(
    serve: Serve, log: Log
) -> None:
    server = serve(Doing(lambda: log))
    clients = [pb.connect(server.address) for _ in range(10)]
    caches = [fetch(root_of(each)) for each in clients]

    for number in range(1000):
        log.add(number)

    eventually(lambda: all(len(each.items) == 1000 for each in caches))
    assert all(each.items == log.items for each in caches)
    assert [each.states for each in caches] == [1] * 10
    for client in clients:
        client.disconnect()
    eventually(lambda: not log.observers)
    log.assert_balanced()


def test_an_updates_promise_gives_what_the_method_returned(
    pair: Pair, log: Log
) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers
    log.add(1)

    assert observer.callRemote("size").get(timeout=5) == 1
    assert cache.items == [1]


def test_an_update_that_fails_is_told_and_the_next_runs(
    pair: Pair, log: Log, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers

    failed = observer.callRemote("fail")
    unknown = observer.callRemote("nothing_of_the_kind")
    settled(log.add(1))

    with pytest.raises(ValueError, match="an observe method failed"):
        failed.get(timeout=5)
    with pytest.raises(pb.NoSuchMethod):
        unknown.get(timeout=5)
    assert cache.items == [1]


@pytest.mark.parametrize("name", ["", "_hidden", "__class__", "added.x", "items"])
def test_only_observe_methods_run_as_updates(pair: Pair, log: Log, name: str) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers

    with pytest.raises(pb.NoSuchMethod):
        observer.callRemote(name).get(timeout=5)

    assert cache.items == []


@pytest.mark.parametrize("name", [None, 3, b"added"])
def test_an_updates_name_is_text(pair: Pair, log: Log, name: Any) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers

    with pytest.raises(TypeError):
        observer.callRemote(name)

    assert cache.items == []


def test_an_update_that_may_not_cross_fails_alone(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers

    promise = observer.callRemote("added", object())
    settled(log.add(1))

    with pytest.raises(pb.InsecureJelly):
        promise.get(timeout=5)
    assert cache.items == [1]


def test_an_update_holds_what_its_arguments_held_when_it_was_made(
    pair: Pair, log: Log
) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    changing = [1]

    promises = log.add(changing)
    changing.append(2)
    settled(promises)

    assert cache.items == [[1]]


def test_references_travel_in_updates(pair: Pair, log: Log) -> None:
    class Target(pb.Referenceable):
        def remote_go(self, cache: Any) -> str:
            return "the log" if cache is log else "another"

    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    (observer,) = log.observers

    assert observer.callRemote("call", Target()).get(timeout=5) == "the log"
    assert cache.held == 0


# -- no gap and no overlap -------------------------------------------------------------


def numbered(cache: Any) -> bool:
    """Whether a cache holds 0, 1, 2, ... without a gap or a repetition."""
    return bool(cache.items == list(range(len(cache.items))))


@pytest.mark.parametrize("where", ["before_state", "after_state"])
def test_changes_while_the_hook_blocks_come_once(
    pair: Pair, log: Log, where: str
) -> None:
    go, begun = Event(), Event()

    def block() -> None:
        begun.set()
        go.wait()

    setattr(log, where, block)
    for number in range(5):
        log.add(number)
    _, client = pair(Doing(lambda: log))
    promise = root_of(client).callRemote("do")
    assert begun.wait(5)
    for number in range(5, 10):
        log.add(number)
    go.set()
    for number in range(10, 15):
        log.add(number)
    cache = promise.get(timeout=5)
    log.add(15)

    eventually(lambda: len(cache.items) == 16)
    assert numbered(cache)


def test_a_copy_beside_a_cache_that_blocks_does_not_tear_the_snapshot(
    pair: Pair, log: Log
) -> None:
    go, begun = Event(), Event()

    class Slow(pb.Copyable):
        def getStateToCopy(self) -> Any:
            begun.set()
            go.wait()
            return {}

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Slow, Plain)
    _, client = pair(
        Doing(lambda: [Slow(), log, Slow()]), client_options={"registry": registry}
    )
    log.add(0)
    promise = root_of(client).callRemote("do")
    assert begun.wait(5)
    log.add(1)
    go.set()
    log.add(2)
    cache = promise.get(timeout=5)[1]
    log.add(3)

    eventually(lambda: len(cache.items) == 4)
    assert numbered(cache)


class Plain(pb.RemoteCopy):
    pass


def test_a_state_that_is_the_live_list_itself_is_taken_at_once(pair: Pair) -> None:
    class Live(Log):
        def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
            super().getStateToCacheAndObserveFor(perspective, observer)
            return vars(self) and {"items": self.items}

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Live, Followed)
    log = Live()
    _, client = pair(Doing(lambda: log), registry=registry)
    adding = gevent.spawn(add_many, log, 300)

    cache = fetch(root_of(client))
    adding.get(timeout=5)

    eventually(lambda: len(cache.items) == 300)
    assert numbered(cache)


def add_many(log: Log, count: int) -> None:
    for number in range(count):
        log.add(number)
        gevent.sleep(0)


def test_updates_wait_for_a_state_with_bulk(pair: Pair) -> None:
    log = Log(ballast=bytes(5_000_000))
    _, client = pair(Doing(lambda: log))
    adding = gevent.spawn(add_many, log, 200)

    cache = fetch(root_of(client))
    adding.get(timeout=5)

    eventually(lambda: len(cache.items) == 200)
    assert numbered(cache)
    assert len(cache.ballast) == 5_000_000


def test_updates_with_bulk_keep_their_order(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    items = [0, b"x" * 2_000_000, 1, "y" * 500_000, 2, 3]

    settled([promise for each in items for promise in log.add(each)])

    assert cache.items == items


def test_an_observer_may_be_told_before_its_state_is_returned(pair: Pair) -> None:
    class Eager(Log):
        def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
            state = super().getStateToCacheAndObserveFor(perspective, observer)
            self.add(len(self.items))
            return state

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Eager, Followed)
    log = Eager()
    _, client = pair(Doing(lambda: log), registry=registry)

    cache = fetch(root_of(client))

    eventually(lambda: cache.items == [0])


def test_a_hook_of_an_updates_copy_that_blocks_holds_back_what_comes_behind(
    pair: Pair, log: Log
) -> None:
    go = Event()

    class Slow(pb.Copyable):
        def getStateToCopy(self) -> Any:
            go.wait()
            return {}

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Slow, Plain)
    _, client = pair(Doing(lambda: log), registry=registry)
    cache = fetch(root_of(client))

    slow = gevent.spawn(log.add, Slow())
    turns()
    promises = log.add(1)
    turns()
    assert cache.items == []
    go.set()
    settled(promises)
    slow.get(timeout=5)

    assert [type(each) for each in cache.items] == [Plain, int]


def test_fetched_and_dropped_again_and_again_no_cache_has_a_gap(
    pair: Pair, log: Log
) -> None:
    _, client = pair(Doing(lambda: log))
    remote = root_of(client)
    adding = gevent.spawn(add_many, log, 400)
    wrong: list[Any] = []

    def watch(number: int) -> None:
        for turn in range(60):
            cache = fetch(remote)
            if not numbered(cache):
                wrong.append(cache.items)
            if turn % 3 == number:
                gevent.sleep(0)
            if not numbered(cache):
                wrong.append(cache.items)
            del cache

    gevent.joinall([gevent.spawn(watch, n) for n in range(3)], raise_error=True)
    adding.get(timeout=10)
    caches = [fetch(remote)]

    eventually(lambda: len(caches[0].items) == 400)
    assert not wrong
    assert numbered(caches.pop())
    until(lambda: not log.observers)
    log.assert_balanced()


# -- blocking --------------------------------------------------------------------------


def test_an_update_that_blocks_holds_up_its_own_cache_alone(
    pair: Pair, log: Log, hold: Event
) -> None:
    other = Log()
    _, client = pair(Doing(lambda: [log, other]))
    remote = root_of(client)
    cache, free = fetch(remote)
    (observer,) = log.observers

    held = observer.callRemote("hold")
    eventually(lambda: cache.held)
    behind = log.add(1)
    settled(other.add(2))
    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    assert free.items == [2]
    assert cache.items == []
    assert not held.ready()
    hold.set()
    settled(behind)

    assert cache.items == [1]


def test_a_state_hook_of_a_cache_that_blocks_holds_back_its_updates(
    pair: Pair,
) -> None:
    go, begun = Event(), Event()

    class SlowToTake(Followed):
        def setCopyableState(self, state: Any) -> None:
            begun.set()
            go.wait()
            super().setCopyableState(state)

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Log, SlowToTake)
    log = Log()
    _, client = pair(Doing(lambda: log), client_options={"registry": registry})
    remote = root_of(client)

    promise = remote.callRemote("do")
    assert begun.wait(5)
    behind = log.add(0)
    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    assert not promise.ready()
    go.set()
    settled(behind)

    assert promise.get(timeout=5).items == [0]


def test_who_fetches_a_cache_meanwhile_waits_for_its_state_too(pair: Pair) -> None:
    go, begun = Event(), Event()

    class SlowToTake(Followed):
        def setCopyableState(self, state: Any) -> None:
            begun.set()
            go.wait()
            super().setCopyableState(state)

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Log, SlowToTake)
    log = Log()
    _, client = pair(Doing(lambda: log), client_options={"registry": registry})
    remote = root_of(client)

    promises = [remote.callRemote("do") for _ in range(3)]
    assert begun.wait(5)
    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    assert not any(promise.ready() for promise in promises)
    go.set()
    one, *others = pb.gather(promises).get(timeout=5)

    assert all(each is one for each in others)
    assert one.states == 1


def test_who_fetches_a_cache_whose_state_is_refused_is_told(pair: Pair) -> None:
    go, begun = Event(), Event()

    class Refuses(Followed):
        def setCopyableState(self, state: Any) -> None:
            begun.set()
            go.wait()
            raise LookupError("no such state")

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Log, Refuses)
    log = Log()
    _, client = pair(Doing(lambda: log), client_options={"registry": registry})
    remote = root_of(client)

    first = remote.callRemote("do")
    assert begun.wait(5)
    second = remote.callRemote("do")
    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    go.set()

    with pytest.raises(LookupError, match="no such state"):
        first.get(timeout=5)
    with pytest.raises(pb.InsecureJelly, match="state of cache"):
        second.get(timeout=5)
    del first, second
    until(lambda: not log.observers)
    log.assert_balanced()


@pytest.mark.parametrize("number", range(4))
def test_a_cache_may_stand_before_and_inside_what_brings_its_state(
    pair: Pair, log: Log, number: int
) -> None:
    log.more["itself"] = (log, [log])
    values: list[Any] = [
        {"set": {log}, log: (log,)},
        ({log: 1}, [log]),
        [frozenset([log]), log, {(log, 1): log}],
        {log: {log: {log: log}}},
    ]
    _, client = pair(Doing(lambda: values[number]))

    got = fetch(root_of(client))

    assert "Followed" in repr(got)
    (observer,) = log.observers
    settled(log.add(1))
    assert observer.callRemote("size").get(timeout=5) == 1
    del got
    client.disconnect()
    eventually(lambda: not log.observers)


def test_two_calls_that_name_each_others_caches_both_end(pair: Pair) -> None:
    """The state of each comes with one call, its name alone with the other."""
    one, two = Log(), Log()
    one.more["other"], two.more["other"] = two, one
    go, begun = Event(), Event()

    def block() -> None:
        begun.set()
        go.wait()

    one.after_state = block
    logs = [one, two]
    _, client = pair(Doing(lambda: logs.pop(0)))
    remote = root_of(client)

    first = remote.callRemote("do")
    assert begun.wait(5)
    second = remote.callRemote("do")
    assert remote.callRemote("echo", 3).get(timeout=5) == 3
    go.set()
    a, b = pb.gather([first, second]).get(timeout=5)

    assert a.other is b
    assert b.other is a
    settled(one.add(1) + two.add(2))
    assert (a.items, b.items) == ([1], [2])
    del a, b, first, second
    client.disconnect()
    eventually(lambda: not one.observers and not two.observers)


def test_a_refused_call_that_brings_a_state_holds_up_nobody_else(
    pair: Pair, log: Log
) -> None:
    """Another call, sent before it, has named the cache: that one fails, too."""
    go, begun = Event(), Event()
    kept: list[Any] = []

    def block() -> None:
        begun.set()
        go.wait()

    log.after_state = block
    _, client = pair(Doing(kept.append), max_pending_calls=100)
    remote = root_of(client)

    refused = gevent.spawn(remote.callRemote, "x" * 300, log)
    assert begun.wait(5)
    named = remote.callRemote("do", log)
    turns()
    assert not named.ready()
    go.set()

    with pytest.raises(pb.LimitExceeded, match="max_name_length"):
        refused.get(timeout=5).get(timeout=5)
    with pytest.raises(pb.InsecureJelly, match="state of cache"):
        named.get(timeout=5)
    until(lambda: not log.observers)
    log.assert_balanced()
    assert remote.callRemote("echo", 3).get(timeout=5) == 3


def test_a_state_hook_of_a_cache_that_raises_fails_the_call_and_stops_it(
    pair: Pair,
) -> None:
    class Refuses(Followed):
        def setCopyableState(self, state: Any) -> None:
            raise LookupError("no such state")

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Log, Refuses)
    log = Log()
    _, client = pair(Doing(lambda: log), client_options={"registry": registry})
    remote = root_of(client)

    with pytest.raises(LookupError, match="no such state"):
        fetch(remote)

    until(lambda: not log.observers)
    log.assert_balanced()
    assert remote.callRemote("echo", 3).get(timeout=5) == 3


def test_a_cache_dropped_by_its_own_update_leaves_no_error(
    pair: Pair, log: Log, hold: Event, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(Doing(lambda: log))
    remote = root_of(client)
    caches = [fetch(remote)]
    (observer,) = log.observers
    observer.callRemote("hold")
    eventually(lambda: caches[0].held)
    behind = [promise for n in range(100) for promise in log.add(n)]

    caches.clear()
    hold.set()
    until(lambda: not log.observers)
    for promise in behind:
        promise.wait(timeout=5)
        assert promise.ready()
    del behind, promise
    gc.collect()
    turns()

    log.assert_balanced()
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]
    assert remote.callRemote("echo", 3).get(timeout=5) == 3


# -- what it may hold, and how it fails ------------------------------------------------


def test_caches_hold_caches_copies_and_themselves(pair: Pair) -> None:
    inner = Log()
    log = Log(inner=inner, fact=pb.Referenceable())
    log.more["itself"] = log
    _, client = pair(Doing(lambda: log))

    cache = fetch(root_of(client))
    settled(inner.add(1) + log.add(0))

    assert cache.itself is cache
    assert cache.inner.items == [1]
    assert type(cache.fact) is pb.RemoteReference
    del cache.itself
    del cache
    log.more.clear()
    until(lambda: not log.observers and not inner.observers)


def test_a_cacheable_in_an_update_is_watched_as_well(pair: Pair, log: Log) -> None:
    inner = Log()
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))

    settled(log.add(inner))
    settled(inner.add(1))

    assert cache.items[0].items == [1]
    cache.items.clear()
    until(lambda: not inner.observers)
    assert log.observers


def test_caches_are_keys_and_members(pair: Pair, log: Log) -> None:
    _, client = pair(Doing(lambda: {"set": {log}, log: (log,)}))

    got = fetch(root_of(client))

    (cache,) = got["set"]
    assert got[cache] == (cache,)
    assert cache.items == []


def test_a_state_hook_that_raises_fails_that_call(
    pair: Pair, log: Log, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        raise LookupError("no state")

    _, client = pair(Doing(lambda: log))
    remote = root_of(client)
    log.before_state = fail

    with pytest.raises(LookupError, match="no state"):
        fetch(remote)

    log.before_state = lambda: None
    log.add(1)
    assert fetch(remote).items == [1]


def test_an_abstract_cacheable_says_what_to_define(pair: Pair, geopb_log: Any) -> None:
    _, client = pair(Doing(pb.Cacheable))

    with pytest.raises(NotImplementedError, match="getStateToCacheAndObserveFor"):
        fetch(root_of(client))


@pytest.mark.parametrize("beside", [False, True])
def test_a_state_that_is_not_sent_stops_its_observer_once(
    pair: Pair, log: Log, beside: bool
) -> None:
    bad = [object()]
    _, client = pair(Doing(lambda: [log, *bad] if beside else log))
    remote = root_of(client)
    if not beside:
        log.more["bad"] = bad

    with pytest.raises(pb.InsecureJelly, match=r"builtins\.object"):
        fetch(remote)

    eventually(lambda: not log.observers)
    log.assert_balanced()
    bad.clear()
    log.add(1)
    got = fetch(remote)
    cache = got[0] if beside else got
    assert cache.items == [1]
    settled(log.add(2))
    assert cache.items == [1, 2]


def test_an_unregistered_cache_is_insecure_and_stopped(pair: Pair) -> None:
    class Unknown(Log):
        pass

    log = Unknown()
    _, client = pair(Doing(lambda: log))
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match="Unknown"):
        fetch(remote)

    eventually(lambda: not log.observers)
    log.assert_balanced()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_cacheable_registered_as_a_plain_copy_is_insecure(pair: Pair) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Log, Plain)
    log = Log()
    _, client = pair(Doing(lambda: log), client_options={"registry": registry})
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match="Log"):
        fetch(remote)

    eventually(lambda: not log.observers)
    log.assert_balanced()


def test_more_caches_than_the_table_holds_are_too_many(pair: Pair) -> None:
    logs = [Log() for _ in range(30)]
    _, client = pair(Doing(lambda: logs), max_references=20)
    remote = root_of(client)

    with pytest.raises(pb.LimitExceeded, match="max_references=20"):
        fetch(remote)

    eventually(lambda: not any(each.observers for each in logs))
    for each in logs:
        each.assert_balanced()
    del logs[10:]
    assert len(fetch(remote)) == 10


def test_a_connection_that_ended_holds_neither_state_nor_observers(
    pair: Pair, log: Log
) -> None:
    server, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    connection = server_connection(server)
    gone = weakref.ref(log.told("began")[0])

    client.disconnect()
    eventually(lambda: not log.observers)
    log.story.clear()

    until(lambda: gone() is None)
    assert connection.statistics()["exports"] == 0
    assert cache.items == []
