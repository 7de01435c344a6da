"""Records that peers can cause: so many in a while, and the rest in one line."""

from __future__ import annotations

import logging

import pytest

from geopb.notices import MOST, Notices, tell_now
from tests.support import eventually, turns

LOG = logging.getLogger("geopb.test")
#: Longer than any test.
LONG = 3600.0


def texts(records: list[logging.LogRecord]) -> list[str]:
    return [each.getMessage() for each in records if each.name == LOG.name]


def test_as_many_as_may_be_are_logged(geopb_log: list[logging.LogRecord]) -> None:
    notices = Notices(LOG, "were late", most=3, interval=LONG)

    for number in range(3):
        notices.warning("number %d", number)

    assert texts(geopb_log) == ["number 0", "number 1", "number 2"]
    assert {each.levelno for each in geopb_log} == {logging.WARNING}


def test_one_more_is_counted_and_not_logged(
    geopb_log: list[logging.LogRecord],
) -> None:
    notices = Notices(LOG, "were late", most=3, interval=LONG)

    for number in range(4):
        notices.warning("number %d", number)
    turns()

    assert texts(geopb_log) == ["number 0", "number 1", "number 2"]


def test_what_was_left_out_is_told_in_one_line_at_the_intervals_end(
    geopb_log: list[logging.LogRecord],
) -> None:
    """Also when nothing is logged any more."""
    notices = Notices(LOG, "were late", most=1, interval=0.05)

    notices.warning("first")
    for _ in range(5000):
        notices.log(logging.ERROR, "more")

    assert eventually(lambda: texts(geopb_log)[1:]) == [
        "and 5000 more were late within 0.05 s, which have no lines of their own"
    ]
    assert geopb_log[-1].levelno == logging.ERROR


def test_the_next_interval_lets_as_many_through(
    geopb_log: list[logging.LogRecord],
) -> None:
    notices = Notices(LOG, "were late", most=1, interval=0.02)
    notices.warning("first")
    notices.warning("left out")
    eventually(lambda: len(texts(geopb_log)) == 2)

    notices.warning("second")
    notices.warning("left out again")

    assert texts(geopb_log)[2:] == ["second"]
    assert "and 1 more" in eventually(lambda: texts(geopb_log)[3:])[0]


def test_kinds_do_not_count_for_each_other(
    geopb_log: list[logging.LogRecord],
) -> None:
    late = Notices(LOG, "were late", most=1, interval=LONG)
    early = Notices(LOG, "were early", most=1, interval=LONG)
    for _ in range(10):
        late.warning("late")

    early.warning("early")

    assert texts(geopb_log) == ["late", "early"]


def test_what_nobody_wants_to_see_is_not_counted(
    geopb_log: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    notices = Notices(LOG, "were late", most=1, interval=LONG)
    caplog.set_level(logging.WARNING, LOG.name)
    for _ in range(10):
        notices.log(logging.INFO, "not shown")

    notices.warning("shown")

    assert texts(geopb_log) == ["shown"]


def test_by_default_a_day_of_it_is_a_small_file(
    geopb_log: list[logging.LogRecord],
) -> None:
    notices = Notices(LOG, "were late")

    for number in range(10 * MOST):
        notices.warning("number %d", number)

    assert len(texts(geopb_log)) == MOST


def test_what_was_left_out_is_told_when_the_program_ends(
    geopb_log: list[logging.LogRecord],
) -> None:
    notices = Notices(LOG, "were late", most=1, interval=LONG)
    for number in range(3):
        notices.warning("number %d", number)

    tell_now()
    tell_now()

    assert texts(geopb_log) == [
        "number 0",
        "and 2 more were late within 3600 s, which have no lines of their own",
    ]
