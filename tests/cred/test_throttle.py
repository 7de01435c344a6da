"""What failures cost, by connection and by address, without waiting for it."""

from __future__ import annotations

import pytest

from geopb.cred import throttle
from geopb.cred.throttle import Throttle, address_key, delay_of


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(throttle, "monotonic", lambda: clock[0])
    return clock


def test_the_first_failures_of_a_connection_cost_the_same() -> None:
    free = throttle.FREE_FAILURES

    assert {delay_of(number) for number in range(1, free + 1)} == {0.1}
    assert [delay_of(free + number) for number in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert delay_of(10_000) == throttle.LONGEST_DELAY


def test_an_address_waits_after_many_failures_only(now: list[float]) -> None:
    failures = Throttle()
    free = throttle.FREE_FAILURES_OF_ADDRESS

    for _ in range(free):
        failures.failed("a")
    assert failures.delay("a") == 0
    failures.failed("a")
    assert failures.delay("a") == pytest.approx(0.1)
    for _ in range(1000):
        failures.failed("a")
    assert failures.delay("a") == throttle.LONGEST_DELAY_OF_ADDRESS
    assert failures.delay("b") == failures.delay(None) == 0


def test_failures_are_forgiven_in_time(now: list[float]) -> None:
    failures = Throttle()
    for _ in range(throttle.FREE_FAILURES_OF_ADDRESS + 2):
        failures.failed("a")
    assert failures.delay("a") == pytest.approx(0.2)

    now[0] += throttle.FORGIVEN_AFTER
    assert failures.delay("a") == pytest.approx(0.1)
    now[0] += 1000 * throttle.FORGIVEN_AFTER
    assert failures.delay("a") == 0


def test_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MAX_ADDRESSES", 2)
    failures = Throttle()

    for key in ("a", "b", "a", "c", None):
        failures.failed(key)

    assert list(failures._failures) == ["a", "c"]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", None),
        (None, None),
        ("memory", None),
    ],
)
def test_an_address_is_counted_by_what_one_customer_has(
    host: str | None, key: str | None
) -> None:
    assert address_key(host) == key
