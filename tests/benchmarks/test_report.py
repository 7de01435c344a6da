from dataclasses import replace

import pytest

from tests.benchmarks import report
from tests.benchmarks.figures import Sample, Usage
from tests.benchmarks.measure import Effort, Result
from tests.benchmarks.program import how
from tests.benchmarks.workloads import WORKLOADS


def sample(seconds: float, calls: int = 100) -> Sample:
    client, server = Usage(seconds / 2, 0), Usage(seconds / 4, 0)
    return Sample(calls, seconds, seconds / calls, client, server)


def result(name: str, *rounds: tuple[float, float]) -> Result:
    """Seconds that the floor and geopb took, round by round."""
    floor, ours = zip(*rounds, strict=True)
    first, second = WORKLOADS[name].sides[:2]
    return Result(
        WORKLOADS[name],
        {first: list(map(sample, floor)), second: list(map(sample, ours))},
    )


def test_a_ratio_is_the_median_of_ratios_of_the_same_turn() -> None:
    turns = (1.0, 2.0), (5.0, 5.0), (3.0, 4.0), (9.0, 1.0), (1.0, 10.0)
    ratio = result("sequential", *turns).ratio("geopb")

    assert ratio is not None
    assert (ratio.median, ratio.lower, ratio.upper) == (0.75, 0.5, 1.0)


def test_one_turn_has_a_ratio_too() -> None:
    ratio = result("sequential", (1.0, 2.0)).ratio("geopb")

    assert ratio is not None
    assert (ratio.median, ratio.lower, ratio.upper) == (0.5, 0.5, 0.5)


def test_the_first_side_has_no_ratio() -> None:
    assert result("sequential", (1.0, 2.0)).ratio("floor") is None


def test_cpu_is_that_of_one_call() -> None:
    measured = result("sequential", (1.0, 2.0))

    assert measured.client_cpu("geopb") == 0.01
    assert measured.server_cpu("geopb") == 0.005


def test_a_chain_is_counted_in_round_trips_of_its_link() -> None:
    # 100 calls in 4 s: 40 ms each, of a link with 10 ms each way.
    assert result("chain", (2.0, 4.0)).figure("geopb") == pytest.approx(2.0)


def test_tcp_s_own_round_trip_counts_for_a_first_answer() -> None:
    assert result("first", (2.0, 2.0)).figure("geopb") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("name", "ratio", "reached"),
    [
        ("sequential", 0.9, True),
        ("sequential", 0.89, False),
        ("chain", 1.15, True),
        ("chain", 1.16, False),
        ("batch", 0.1, True),
    ],
)
def test_a_target_is_the_least_or_the_most(
    name: str, ratio: float, reached: bool
) -> None:
    assert WORKLOADS[name].reached(ratio) is reached


@pytest.mark.parametrize(
    ("value", "written"),
    [(123456.7, "123,457"), (99.94, "99.9"), (1.0, "1"), (0.01234, "0.0123")],
)
def test_a_figure_has_the_digits_that_it_is_worth(value: float, written: str) -> None:
    assert report.figure(value) == written


def test_rows_say_whether_the_target_is_reached() -> None:
    first, second = report.rows(result("sequential", (1.0, 2.0)))

    assert first.split()[:3] == ["sequential", "floor", "100"]
    assert first.split()[3:] == ["calls/s", "5,000.0", "2,500.0"]
    assert second.split()[-3:] == ["(0.50..0.50)", "0.90", "short"]


def test_the_page_says_what_is_wanted() -> None:
    lines = report.markdown([result("chain", (2.0, 2.0))])

    assert lines[-1] == (
        "|  | geopb | 1 round trips | 1.00 | at most 1.15 | 10,000 | 5,000 |"
    )


def test_a_side_may_be_absent() -> None:
    whole = result("sequential", (1.0, 2.0))
    alone = replace(whole, samples={"geopb": whole.samples["geopb"]})

    assert alone.ratio("geopb") is None


def test_of_some_workloads_there_are_more_rounds_and_the_page_says_so() -> None:
    named = [WORKLOADS[name] for name in ("sequential", "dicts", "pairs")]
    full, quick = Effort(5, 0.4), Effort(2, 0.1, is_even=True)

    assert [full.rounds_of(each) for each in named] == [30, 5, 15]
    assert how(full, named) == (
        "medians of 5 rounds of 0.4 s, of sequential 30, of pairs 15"
    )
    assert [quick.rounds_of(each) for each in named] == [2, 2, 2]
    assert how(quick, named) == "medians of 2 rounds of 0.1 s"
