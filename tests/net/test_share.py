"""What one connection may use of the loop while others want it too."""

from __future__ import annotations

from random import Random

import pytest

from geopb.net import share as share_module
from geopb.net.share import Load, Share


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(share_module, "perf_counter", clock)
    return clock


def read(share: Share, clock: Clock, seconds: float) -> float:
    """Let a turn of reading take so long; return what it has to wait."""
    begun = clock.now
    clock.now += seconds
    return share.read(begun, clock.now)


def test_who_is_alone_may_use_all(clock: Clock) -> None:
    share = Share(Load())

    assert [read(share, clock, 1.0) for _ in range(5)] == [0.0] * 5
    assert not share.contended


def test_who_uses_more_than_its_share_beside_others_waits(clock: Clock) -> None:
    load = Load()
    busy, other = Share(load), Share(load)
    read(busy, clock, 0.0001)

    read(other, clock, 0.0001)
    pause = read(busy, clock, 0.040)

    assert busy.contended
    # Half as long again as it has worked, but for the burst that it has for nothing.
    assert 0.040 < pause < 0.060
    clock.now += pause
    assert read(busy, clock, 0.0001) < 0.001


def test_small_calls_never_wait(clock: Clock) -> None:
    load = Load()
    one, other = Share(load), Share(load)

    for _ in range(1000):
        assert read(one, clock, 0.0001) == 0
        assert read(other, clock, 0.0001) == 0
        clock.now += 0.0002


def test_one_that_was_active_a_while_ago_does_not_count(clock: Clock) -> None:
    load = Load()
    busy, other = Share(load), Share(load)
    read(other, clock, 0.001)
    clock.now += 0.2

    assert read(busy, clock, 1.0) == 0
    assert not busy.contended


def test_nobody_waits_long_at_a_time(clock: Clock) -> None:
    load = Load()
    busy, other = Share(load), Share(load)
    read(busy, clock, 0.05)
    read(other, clock, 0.0001)

    assert read(busy, clock, 0.09) < read(busy, clock, 5.0) == share_module._LONGEST


def test_what_calls_take_counts_as_well(clock: Clock) -> None:
    load = Load()
    busy, other = Share(load), Share(load)
    read(other, clock, 0.0001)
    read(busy, clock, 0.001)

    clock.now += 0.02
    busy.used(0.02)

    assert read(busy, clock, 0.001) > 0.01


def test_factories_do_not_count_for_each_other(clock: Clock) -> None:
    busy, other = Share(Load()), Share(Load())
    read(other, clock, 0.01)

    assert read(busy, clock, 1.0) == 0


def test_a_listener_waits_only_while_somebody_is_served(clock: Clock) -> None:
    load = Load()
    listener, served = Share(load), Share(load)

    assert sum(listener.accepted() for _ in range(1000)) == 0
    read(served, clock, 0.0001)

    assert listener.accepted() == 0
    assert sum(listener.accepted() for _ in range(100)) > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_turns_of_who_is_alone_need_no_account(clock: Clock, seed: int) -> None:
    """What the reader does in place of `read` comes to the same."""
    random = Random(seed)
    whole, short = Load(), Load()
    each = [(Share(whole), Share(short)) for _ in range(3)]

    for _ in range(500):
        # Mostly the same one, as the others rest; and now and then all do.
        number = random.choice((0, 0, 0, 0, 0, random.randrange(3)))
        clock.now += random.choice((0.0, 0.001, 0.02, 0.12))
        begun = clock.now
        clock.now += random.choice((0.00001, 0.0005, 0.003))
        one, other = each[number]
        waits = one.read(begun, clock.now)
        if short.alone is other:
            short.when = clock.now
            assert waits == 0
        else:
            assert other.read(begun, clock.now) == waits
        for one, other in each:
            assert one.contended == other.contended
        assert whole.is_busy(clock.now + 0.05) == short.is_busy(clock.now + 0.05)
