"""The waiting times between attempts to connect."""

from __future__ import annotations

from geopb.net.backoff import Backoff


def highest(low: float, high: float) -> float:
    return high


def lowest(low: float, high: float) -> float:
    return low


def test_it_doubles_up_to_its_bound() -> None:
    backoff = Backoff(1, 30, highest)

    assert [backoff.after(0) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_it_draws_from_the_upper_half() -> None:
    backoff = Backoff(1, 30, lowest)

    assert [backoff.after(0) for _ in range(6)] == [0.5, 1, 2, 4, 8, 15]


def test_it_begins_anew_after_a_connection_that_lasted() -> None:
    backoff = Backoff(1, 30, highest)
    for _ in range(6):
        backoff.after(0)

    assert [backoff.after(each) for each in (5.0, 0, 0)] == [1, 2, 4]


def test_a_server_that_ends_each_connection_soon_is_asked_ever_more_rarely() -> None:
    backoff = Backoff(1, 30, highest)

    assert [backoff.after(4.9) for _ in range(4)] == [1, 2, 4, 8]


def test_a_server_that_stays_away_for_days_overflows_nothing() -> None:
    backoff = Backoff()

    waits = [backoff.after(0) for _ in range(10_000)]

    assert 0.125 <= waits[0] <= 0.25
    assert all(15 <= each <= 30 for each in waits[10:])
    assert len(set(waits)) > 1000
