"""A bounded part of ``make soak``: nothing grows with use."""

from __future__ import annotations

import pytest

from tests.soak.soak import Held, soak, wrong


@pytest.mark.slow
def test_nothing_grows_with_connections_objects_and_cancelled_calls(
    subtests: pytest.Subtests,
) -> None:
    for name, (times, grown) in soak(cycles=100, pairs=1000, cancels=200).items():
        with subtests.test(name):
            assert wrong(times, grown) == [], grown


def test_growth_is_told() -> None:
    """What the measuring is worth: a leak of each kind is found."""
    assert wrong(1000, Held(0, 0, 0, 0)) == []
    assert len(wrong(1000, Held(200_000, 1, 10, 1))) == 4
