"""Polling for a prompt peer's next message: when it is tried, kept and given up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import get_hub

from geopb.net import polling
from geopb.net.polling import Poller, Promptness, poller
from tests.conftest import Pair
from tests.net.roots import Doing, root_of

MOST = 0.001
#: What a message takes to come: where the loop sleeps, where it does not, and from a
#: peer that has something else to do.
ASLEEP, AWAKE, LATE = 0.0002, 0.00005, 0.003


def promptness() -> Promptness:
    return Promptness(MOST, lambda until: None)


def wait(prompt: Promptness, times: int, awake: float = AWAKE) -> int:
    """Have messages come, as soon as they may; return how many were polled for."""
    polled = 0
    for _ in range(times):
        polled += prompt.polls > 0
        prompt.waited(awake if prompt.polls else ASLEEP)
    return polled


def test_a_prompt_peer_is_polled_for() -> None:
    prompt = promptness()

    assert wait(prompt, 16) == 0
    assert wait(prompt, 1000) == 1000


def test_no_longer_than_sleeping_takes() -> None:
    prompt = promptness()

    wait(prompt, 1000)

    assert 0 < prompt.polls <= ASLEEP


def test_where_it_brings_little_it_is_tried_now_and_then() -> None:
    """As without a hypervisor, or where the peer takes its time."""
    prompt = promptness()

    polled = wait(prompt, 20_000, awake=ASLEEP * 0.95)

    assert 8 <= polled < 200


def test_a_peer_that_is_slow_is_never_polled_for() -> None:
    prompt = promptness()

    for _ in range(10_000):
        prompt.waited(LATE)
        assert not prompt.polls


def test_some_slow_ones_among_many_do_not_put_it_off() -> None:
    prompt = promptness()

    for _ in range(100):
        wait(prompt, 15)
        prompt.waited(LATE)
        if prompt.polls:
            break

    assert prompt.polls


def test_some_late_messages_end_nothing_and_four_in_a_row_do() -> None:
    prompt = promptness()
    wait(prompt, 1000)

    for _ in range(3):
        prompt.waited(LATE)
        assert prompt.polls
    assert wait(prompt, 3) == 3
    for _ in range(4):
        assert prompt.polls
        prompt.waited(LATE)

    assert not prompt.polls


def test_it_ends_when_messages_come_no_sooner() -> None:
    """Though none is late: that would be found out after thousands of them only."""
    prompt = promptness()
    wait(prompt, 1000)

    assert wait(prompt, 100, awake=ASLEEP * 0.95) < 30


def test_two_in_three_late_are_too_many() -> None:
    prompt = promptness()
    wait(prompt, 1000)

    for _ in range(5):
        for seconds in (LATE, AWAKE, LATE):
            if prompt.polls:
                prompt.waited(seconds)

    assert not prompt.polls


def test_who_was_late_is_tried_again_soon() -> None:
    prompt = promptness()
    wait(prompt, 1000)
    while prompt.polls:
        prompt.waited(LATE)

    assert wait(prompt, 16) == 0
    assert wait(prompt, 100) == 100


def test_sleeping_is_looked_at_again_after_long() -> None:
    """It may have become as good: the peer may be on another machine's processor."""
    prompt = promptness()

    polled = wait(prompt, 10_000)

    assert 9_000 < polled < 10_000


# -- the loop ----------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polling, "perf_counter", clock)
    monkeypatch.setattr(polling, "processors", lambda: 2)
    return clock


@pytest.fixture
def turns() -> Iterator[Callable[[], int]]:
    """Tell how many turns the loop has made: libuv does not."""
    made = count()
    watcher: Any = get_hub().loop.check()
    watcher.start(made.__next__)
    yield lambda: int(repr(made)[6:-1])
    watcher.close()


def rest(seconds: float) -> None:
    """Let the loop have nothing to do but wait for a timer."""
    gevent.sleep(seconds)


def test_the_loop_does_not_sleep_until_then(
    clock: Clock, turns: Callable[[], int]
) -> None:
    made = Poller()
    begun = turns()
    made.poll(clock.now + 0.0002)

    rest(0.002)
    busy = turns() - begun
    clock.now += 0.0003
    rest(0.001)
    begun = turns()
    rest(0.005)

    assert busy > 20
    assert turns() - begun < 10


def test_it_asks_no_more_when_the_clock_stands(
    clock: Clock, turns: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_MOST_TURNS", 50)
    made = Poller()
    made.poll(clock.now + 1)

    rest(0.002)
    begun = turns()
    rest(0.005)

    assert turns() - begun < 10


def test_with_one_processor_it_sleeps(
    clock: Clock, turns: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "processors", lambda: 1)
    made = Poller()
    begun = turns()
    made.poll(clock.now + 1)

    rest(0.002)

    assert turns() - begun < 10


def test_who_is_bound_to_one_processor_later_sleeps_soon(
    clock: Clock, turns: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Poller()
    made.poll(clock.now)
    monkeypatch.setattr(polling, "processors", lambda: 1)
    clock.now += 2
    begun = turns()
    made.poll(clock.now + 1)

    rest(0.002)

    assert turns() - begun < 10


def test_the_longest_poll_counts(clock: Clock, turns: Callable[[], int]) -> None:
    """Of two connections one may be expected later."""
    made = Poller()
    made.poll(clock.now + 0.005)
    made.poll(clock.now + 0.001)
    clock.now += 0.002
    begun = turns()

    rest(0.002)
    busy = turns() - begun
    clock.now += 0.01
    rest(0.001)

    assert busy > 20


def test_others_that_wait_for_idle_turns_come_first(clock: Clock) -> None:
    made = Poller()
    made.poll(clock.now + 1)

    with gevent.Timeout(1):
        gevent.idle(-1)
        gevent.idle()
    clock.now += 2
    rest(0.001)


def test_a_poll_keeps_no_loop_alive(clock: Clock) -> None:
    """Who has nothing else to wait for is told so, as without it."""
    made = Poller()
    made.poll(clock.now + 1)

    with pytest.raises(gevent.exceptions.LoopExit):
        get_hub().switch()


def test_each_hub_has_one() -> None:
    assert poller() is poller()
    assert get_hub().threadpool.apply(poller) is not poller()


def test_processors_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_QUOTAS", ())
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert polling.processors() == 1

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert polling.processors() == 4


@pytest.mark.parametrize(
    ("told", "processors"),
    [
        (["max 100000"], 64),
        (["50000 100000"], 0.5),
        (["150000 100000"], 1.5),
        (["9900000 100000"], 64),
        (["-1", "100000"], 64),
        (["200000", "100000"], 2),
        (["50000 0"], 64),
        (["odd"], 64),
        ([], 64),
    ],
)
def test_a_container_s_quota_counts(
    told: list[str],
    processors: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    files = [tmp_path / str(number) for number in range(len(told) or 1)]
    for file, text in zip(files, told, strict=False):
        file.write_text(text + "\n")
    monkeypatch.setattr(polling, "_QUOTAS", (("/nowhere",), files))

    assert polling.processors() == processors


def ask(pair: Pair, **options: Any) -> None:
    """Make some calls, one by one."""
    _, client = pair(Doing(), **options)
    root = root_of(client)
    for number in range(100):
        assert root.callRemote("echo", number).get(timeout=5) == number


def test_a_connection_at_rest_takes_no_turns(
    pair: Pair, turns: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is polled for behind the last message, and then no more."""
    monkeypatch.setattr(polling, "processors", lambda: 2)
    monkeypatch.setattr(Promptness, "waited", lambda prompt, _: prompt._try())
    ask(pair, busy_poll=0.01)

    begun = turns()
    rest(0.002)
    busy = turns() - begun
    rest(0.05)
    begun = turns()
    rest(0.01)

    assert busy > 20
    assert turns() - begun < 10


def test_without_the_option_the_loop_sleeps(
    pair: Pair, turns: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "processors", lambda: 2)
    # Whatever the peer's waits were: always sooner.
    monkeypatch.setattr(polling, "_SOONER", 10)
    ask(pair, busy_poll=0)

    begun = turns()
    rest(0.002)

    assert turns() - begun < 10
