import re
from xml.etree import ElementTree as Tree

import pytest

from tests.benchmarks import publish, svg
from tests.benchmarks.curve_points import CURVES
from tests.benchmarks.measure import Result
from tests.benchmarks.peers import PEERS, tables
from tests.benchmarks.test_report import sample
from tests.benchmarks.workloads import WORKLOADS

PAGE = "before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n"


def compared() -> Result:
    """Nothing that ran: geopb takes twice the floor's time, RPyC as long."""
    seconds = {"floor": 1.0, "geopb": 2.0, "rpyc_": 1.0, "twisted_pb": 20.0}
    samples = {side: [sample(each)] for side, each in seconds.items()}
    return Result(WORKLOADS["sequential"], samples)


def test_lines_take_the_place_of_what_was_between_the_marks() -> None:
    text = publish.between(PAGE, "x", ["new"])

    assert text == "before\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nafter\n"
    assert publish.between(text, "x", ["new"]) == text


@pytest.mark.parametrize("text", ["", PAGE + PAGE, "<!-- x: end --><!-- x: begin -->"])
def test_marks_are_there_once_and_in_order(text: str) -> None:
    with pytest.raises(ValueError, match="no two marks of x"):
        publish.between(text, "x", [])


@pytest.mark.parametrize(
    "name", ["floor", "peers", "references", *[curve.name for curve in CURVES]]
)
def test_the_page_has_a_place_for_each_command(name: str) -> None:
    publish.between(publish.PAGE.read_text(), name, [])


def test_the_page_tells_of_each_workload() -> None:
    told = re.findall(r"^\| ([a-z0-9, ]+) \|", publish.PAGE.read_text(), re.MULTILINE)

    assert set(WORKLOADS) <= {name for each in told for name in each.split(", ")}


def test_each_peer_s_workloads_are_known() -> None:
    assert {name for peer in PEERS.values() for name in peer.workloads} <= set(
        WORKLOADS
    )


def test_ratios_of_the_peers_are_to_the_floor_and_those_ahead_are_marked() -> None:
    rows = tables.ratios([compared()])[2:]

    assert rows == [
        "| floor | 100/s |",
        "| geopb | 0.50 |",
        "| RPyC | **1.00** |",
        "| Twisted PB | 0.05 |",
    ]


def test_a_peer_that_is_faster_is_named() -> None:
    assert tables.ahead([compared()]) == [
        "RPyC at sequential, of whose rate geopb has 0.50"
    ]


def test_geopb_is_compared_with_each_peer_turn_by_turn() -> None:
    """In the peer's favour by the ratios to the floor, in geopb's turn by turn."""
    turns = {"floor": (1.0, 2.0, 6.0), "geopb": (1.0,) * 3, "rpyc_": (0.2, 1.05, 1.02)}
    samples = {
        side: [sample(seconds) for seconds in taken] for side, taken in turns.items()
    }
    result = Result(WORKLOADS["sequential"], samples)

    assert tables.ratios([result])[3:] == ["| geopb | 2.00 |", "| RPyC | 5.00 |"]
    assert tables.beside([result])[2:] == ["| RPyC | 1.02 |"]
    assert tables.ahead([result]) == []
    assert tables.beside([compared()])[2:] == ["| RPyC | 0.50 |", "| Twisted PB | 10 |"]


def test_what_is_left_out_is_said_with_its_reason() -> None:
    lines = tables.lines([compared()], {"rpyc_": "6"}, {"zerorpc_": "does not install"})

    assert "- zerorpc is left out: does not install." in lines


def test_pictures_are_xml_with_a_mark_for_each_value() -> None:
    rows = Tree.fromstring(tables.picture([compared()]))  # noqa: S314
    curves = Tree.fromstring(  # noqa: S314
        svg.curves("a < b", "c", {"one": [(1, 10.0), (1000, 20.0)], "two": [(1, 3.0)]})
    )

    # Each series has one more in the legend.
    assert len(marks(rows)) == 3 + 3
    assert len(marks(curves)) == 3 + 2


def marks(picture: Tree.Element) -> list[Tree.Element]:
    return [
        each
        for each in picture.iter()
        if each.tag.endswith("circle") or each.get("width") == "10"
    ]
