"""Observers that do not keep up: nothing blocks, grows, or is lost unsaid."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.caches import Brief, Followed, Log, Strict, fetch, until
from tests.net.peers import Peer
from tests.net.roots import Doing, root_of
from tests.support import eventually, server_connection, turns


@pytest.fixture
def hold() -> Iterator[Event]:
    """What ``observe_hold`` waits for."""
    Followed.hold = Event()
    yield Followed.hold
    Followed.hold.set()


def held_back(log: Log, cache: Any) -> Any:
    """Have the cache block in an update; return that update's promise."""
    (observer,) = log.observers
    promise = observer.callRemote("hold")
    eventually(lambda: cache.held)
    return promise


@pytest.fixture
def few() -> dict[str, Any]:
    """Options with which few updates are on their way at a time."""
    return {"max_pending_calls": 16}


def test_an_update_never_blocks_whoever_changes_the_object(
    pair: Pair, hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log))
    cache = fetch(root_of(client))
    held_back(log, cache)
    switched: list[int] = []
    gevent.spawn(switched.append, 1)

    for number in range(5000):
        log.add(number)

    assert not switched
    hold.set()
    eventually(lambda: cache.items == log.items)


def test_too_many_updates_collapse_into_fresh_state(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    cache = fetch(root_of(client))
    held_back(log, cache)

    promises = [promise for n in range(1000) for promise in log.add(n)]
    turns()
    # Forgotten once, and not asked again while the peer has not caught up.
    assert [told for told, _, _ in log.story] == ["began", "stopped"]
    hold.set()
    eventually(lambda: cache.items == log.items)

    assert [told for told, _, _ in log.story] == ["began", "stopped", "began"]
    old, new = log.told("began")
    assert old is not new
    assert log.told("stopped") == [old]
    assert list(log.observers) == [new]
    assert cache.states == 2
    for promise in promises:
        assert promise.get(timeout=5) is None
    for number in range(1000, 1020):
        pb.gather(log.add(number)).get(timeout=5)
    assert cache.items == list(range(1020))
    client.disconnect()
    eventually(lambda: not log.observers)
    log.assert_balanced()


def test_it_is_the_same_cache_that_takes_the_fresh_state(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    remote = root_of(client)
    cache = fetch(remote)
    held_back(log, cache)
    for number in range(100):
        log.add(number)
    hold.set()
    eventually(lambda: cache.states == 2)

    assert fetch(remote) is cache
    assert cache.states == 2


def test_the_old_observer_tells_nothing_any_more(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    cache = fetch(root_of(client))
    held_back(log, cache)
    (old,) = log.observers
    for number in range(100):
        log.add(number)
    stray = old.callRemote("added", "stray")
    hold.set()
    eventually(lambda: cache.states == 2)

    assert stray.get(timeout=5) is None
    assert old.callRemote("added", "stray").get(timeout=5) is None
    assert cache.items == list(range(100))


@pytest.mark.parametrize("policy", ["collapse", "drop"])
def test_the_bound_is_on_updates_that_wait(
    pair: Pair, hold: Event, policy: str
) -> None:
    class Bounded(Log):
        max_queued_updates = 7
        when_too_slow = policy  # type: ignore[assignment]

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Bounded, Followed)
    log = Bounded()
    # A quarter of these may be on the way: four, of which one is being run.
    _, client = pair(Doing(lambda: log), registry=registry, max_pending_calls=16)
    cache = fetch(root_of(client))
    held_back(log, cache)

    for number in range(3 + 7):
        log.add(number)
        turns()
    assert not log.told("stopped")
    log.add("one more")
    turns()

    assert len(log.told("stopped")) == 1
    hold.set()
    if policy == "collapse":
        eventually(lambda: cache.items == log.items)
    else:
        eventually(lambda: cache.ended)
        assert cache.items == [0, 1, 2]


def test_the_default_is_to_collapse_behind_a_thousand() -> None:
    assert pb.Cacheable.max_queued_updates == 1000
    assert pb.Cacheable.when_too_slow == "collapse"


def test_an_observer_that_is_dropped_for_being_slow_is_told(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Strict()
    _, client = pair(Doing(lambda: log), **few)
    remote = root_of(client)
    cache = fetch(remote)
    held_back(log, cache)

    for number in range(100):
        log.add(number)
    eventually(lambda: not log.observers)
    log.assert_balanced()
    assert not cache.ended
    hold.set()
    eventually(lambda: cache.ended)
    log.add("unheard")
    assert remote.callRemote("echo", 1).get(timeout=5) == 1

    # What was on the way came, in order, and then nothing.
    assert cache.items == list(range(len(cache.items)))
    assert len(cache.items) < 100
    assert (cache.ended, cache.states) == (1, 1)
    log.assert_balanced()
    assert remote.callRemote("echo", cache).get(timeout=5) is cache


def test_one_that_was_dropped_may_be_fetched_anew(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Strict()
    _, client = pair(Doing(lambda: log), **few)
    remote = root_of(client)
    caches = [fetch(remote)]
    held_back(log, caches[0])
    for number in range(100):
        log.add(number)
    hold.set()
    eventually(lambda: caches[0].ended)
    connection = server_connection(_)

    caches.clear()
    until(lambda: connection.statistics()["exports"] == 1)
    cache = fetch(remote)

    assert cache.items == log.items
    pb.gather(log.add("heard")).get(timeout=5)
    assert cache.items == log.items


def test_a_slow_observer_does_not_slow_the_others(
    serve: Serve, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    server = serve(Doing(lambda: log), **few)
    with pb.connect(server.address) as one, pb.connect(server.address) as two:
        slow = fetch(root_of(one))
        held_back(log, slow)
        quick = fetch(root_of(two))
        for number in range(500):
            log.add(number)
            gevent.sleep(0)
        followed = [slow, quick]
        eventually(lambda: followed[1].items == log.items)
        assert slow.items == []
        hold.set()
        eventually(lambda: followed[0].items == log.items)
    eventually(lambda: not log.observers)
    log.assert_balanced()


def test_one_blocked_cache_does_not_stop_the_others_of_its_connection(
    pair: Pair, hold: Event
) -> None:
    blocked, free = Log(), Log()
    _, client = pair(Doing(lambda: [blocked, free]))
    slow, quick = fetch(root_of(client))
    held_back(blocked, slow)

    for number in range(100):
        blocked.add(number)
        free.add(number)
    eventually(lambda: quick.items == free.items)

    assert slow.items == []
    hold.set()
    eventually(lambda: slow.items == blocked.items)


@pytest.mark.parametrize("kind", [Brief, Strict])
def test_a_line_that_goes_while_an_observer_is_behind_stops_it_once(
    pair: Pair, few: dict[str, Any], hold: Event, kind: Any
) -> None:
    log = kind()
    _, client = pair(Doing(lambda: log), **few)
    cache = fetch(root_of(client))
    held_back(log, cache)
    for number in range(100):
        log.add(number)

    client.disconnect()
    eventually(lambda: not log.observers)
    hold.set()
    turns(20)

    assert len(log.told("began")) == 1
    log.assert_balanced()


def test_a_cache_dropped_while_it_is_behind_is_not_begun_again(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    remote = root_of(client)
    caches = [fetch(remote)]
    held_back(log, caches[0])
    for number in range(100):
        log.add(number)

    caches.clear()
    hold.set()
    until(lambda: not log.observers)
    connection = server_connection(_)
    until(lambda: connection.statistics()["exports"] == 1)

    log.assert_balanced()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_stoppedObserving_that_blocks_comes_before_the_fresh_state(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    go = Event()

    class Patient(Brief):
        def stoppedObserving(self, perspective: Any, observer: Any) -> None:
            go.wait()
            super().stoppedObserving(perspective, observer)

    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Patient, Followed)
    log = Patient()
    _, client = pair(Doing(lambda: log), registry=registry, **few)
    cache = fetch(root_of(client))
    held_back(log, cache)
    for number in range(100):
        log.add(number)
    hold.set()
    turns(20)
    assert [told for told, _, _ in log.story] == ["began"]
    go.set()
    eventually(lambda: cache.items == log.items)

    assert [told for told, _, _ in log.story] == ["began", "stopped", "began"]


def test_a_state_hook_that_raises_when_asked_anew_ends_the_cache(
    pair: Pair,
    few: dict[str, Any],
    hold: Event,
    geopb_log: list[logging.LogRecord],
) -> None:
    def fail() -> None:
        raise LookupError("no second state")

    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    remote = root_of(client)
    cache = fetch(remote)
    held_back(log, cache)
    log.before_state = fail
    for number in range(100):
        log.add(number)
    hold.set()
    eventually(lambda: cache.ended)

    log.assert_balanced()
    assert len(geopb_log) == 1
    assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_changes_while_fresh_state_is_made_come_once(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    go, begun = Event(), Event()

    def block() -> None:
        begun.set()
        go.wait()

    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    cache = fetch(root_of(client))
    held_back(log, cache)
    for number in range(100):
        log.add(number)
    log.after_state = block
    hold.set()
    assert begun.wait(5)
    for number in range(100, 105):
        log.add(number)
    go.set()
    for number in range(105, 110):
        log.add(number)

    eventually(lambda: len(cache.items) == 110)
    assert cache.items == log.items
    assert cache.states == 2


def test_updates_collapse_again_and_again_without_a_gap(
    pair: Pair, few: dict[str, Any], hold: Event
) -> None:
    log = Brief()
    _, client = pair(Doing(lambda: log), **few)
    cache = fetch(root_of(client))

    for round_ in range(10):
        Followed.hold.clear()
        (observer,) = log.observers
        before = cache.held
        observer.callRemote("hold")
        eventually(lambda before=before: cache.held > before)
        for number in range(50):
            log.add((round_, number))
        Followed.hold.set()
        eventually(lambda: cache.items == log.items and log.observers)

    assert len(log.told("began")) == 11
    assert len(log.observers) == 1
    client.disconnect()
    eventually(lambda: not log.observers)
    log.assert_balanced()


def test_bytes_that_wait_are_bounded_like_their_number(pair: Pair, hold: Event) -> None:
    log = Log()
    _, client = pair(
        Doing(lambda: log), max_pending_calls=4, server_options={"max_unsent_bytes": 1}
    )
    cache = fetch(root_of(client))
    held_back(log, cache)

    for number in range(20):
        log.add([number] * 1000)
        turns()

    assert len(log.told("stopped")) == 1
    hold.set()
    eventually(lambda: cache.items == log.items)


@pytest.mark.parametrize("kind", [Brief, Strict])
def test_a_peer_that_stops_reading_costs_a_bounded_queue(
    serve: Serve, kind: Any
) -> None:
    log = kind()
    server = serve(Doing(lambda: log), max_unsent_bytes=100_000)
    with Peer(server) as peer, pb.connect(server.address) as client:
        peer.call(2, "do")
        assert peer.read_answer(2)[2][0].tag == 60125
        remote = root_of(client)

        for number in range(2000):
            log.add(f"{number} {'x' * 500}")
            if not number % 20:
                gevent.sleep(0)

        # A megabyte was told; no more than a tenth waits, and a window of updates.
        assert peer.connection.statistics()["unsent"] < 200_000
        assert len(peer.connection.broker.questions) < 300
        assert remote.callRemote("echo", "alive").get(timeout=5) == "alive"
        assert len(log.told("stopped")) == 1
    eventually(lambda: not log.observers)
    gc.collect()
    log.assert_balanced()
