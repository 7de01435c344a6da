"""The comparison with the peers, as tables and a picture."""

from collections.abc import Mapping, Sequence

from tests.benchmarks import svg
from tests.benchmarks.measure import Result
from tests.benchmarks.peers import PEERS
from tests.benchmarks.publish import table
from tests.benchmarks.report import figure


def title(side: str) -> str:
    """Return what a side is called in the table."""
    if side == "polling":
        return "geopb, `busy_poll`"
    return PEERS[side].title if side in PEERS else side


def _sides(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(side for each in results for side in each.samples))


def _ratio(result: Result, side: str, other: str = "") -> float | None:
    """Return the median ratio to another side, the floor most often."""
    ratio = result.ratio(side, other)
    return None if ratio is None else ratio.median


def _is_ahead(result: Result, side: str) -> bool:
    """Whether a peer does more than geopb in most turns.

    Not by their ratios to the floor, whose own figures vary as much.
    """
    ours = _ratio(result, "geopb", side) if side in PEERS else None
    return ours is not None and ours < 1


def ahead(results: Sequence[Result]) -> list[str]:
    """Say which peer is faster than geopb at what."""
    return [
        f"{title(side)} at {result.workload.name}, of whose rate geopb has "
        f"{_ratio(result, 'geopb', side):.2f}"
        for result in results
        for side in result.samples
        if _is_ahead(result, side)
    ]


def _short(ratio: float | None) -> str:
    if ratio is None:
        return ""
    if ratio < 0.1:
        return f"{ratio:.2g}"
    return f"{ratio:.2f}" if ratio < 10 else figure(ratio)


def ratios(results: Sequence[Result]) -> list[str]:
    """Lay out each side's ratio to the floor; what the floor does in a second."""

    def cell(result: Result, side: str) -> str:
        if side == "floor":
            return f"{figure(result.figure(side))}/s"
        text = _short(_ratio(result, side))
        return f"**{text}**" if text and _is_ahead(result, side) else text

    header = ["ratio to the floor", *[each.workload.name for each in results]]
    rows = [
        [title(side), *[cell(each, side) for each in results]]
        for side in _sides(results)
    ]
    return table(header, rows)


def beside(results: Sequence[Result]) -> list[str]:
    """Lay out geopb's ratio to each peer, turn by turn."""
    sides = [side for side in _sides(results) if side in PEERS]
    header = ["geopb beside", *[each.workload.name for each in results]]
    rows = [
        [title(side), *[_short(_ratio(each, "geopb", side)) for each in results]]
        for side in sides
    ]
    return table(header, rows)


def costs(results: Sequence[Result]) -> list[str]:
    """Lay out the CPU time of a call: the client's and the server's."""

    def cell(result: Result, side: str) -> str:
        if side not in result.samples:
            return ""
        client, server = result.client_cpu(side), result.server_cpu(side)
        return f"{figure(client * 1e6)} + {figure(server * 1e6)}"

    header = ["CPU µs of a call", *[each.workload.name for each in results]]
    rows = [
        [title(side), *[cell(each, side) for each in results]]
        for side in _sides(results)
    ]
    return table(header, rows)


def picture(results: Sequence[Result]) -> str:
    """Draw all ratios to the floor."""
    values: dict[str, dict[str, float]] = {}
    for result in results:
        found = {title(side): _ratio(result, side) for side in result.samples}
        values[result.workload.name] = {
            name: ratio for name, ratio in found.items() if ratio is not None
        }
    return svg.rows("calls in a second, as a ratio to the message floor", values)


def _gone(side: str, why: str) -> str:
    """Say why a peer is not in the tables."""
    note = PEERS[side].note
    return f"{title(side)} is left out: {why}" + (f"; {note}" if note else "")


def lines(
    results: Sequence[Result], versions: Mapping[str, str], left_out: Mapping[str, str]
) -> list[str]:
    """Lay out all of it for the page."""
    known = ", ".join(f"{title(side)} {text}" for side, text in versions.items())
    notes = [
        f"- {title(side)}: {PEERS[side].note}." for side in versions if PEERS[side].note
    ]
    gone = [f"- {_gone(side, why)}." for side, why in left_out.items()]
    faster = ahead(results)
    verdict = "; ".join(faster) if faster else "nowhere"
    return [
        "![ratios to the floor](benchmarks/peers.svg)",
        "",
        *ratios(results),
        "",
        *beside(results),
        "",
        f"A peer is ahead of geopb (in bold above): {verdict}.",
        "",
        *costs(results),
        "",
        f"Peers: {known}.",
        "",
        *notes,
        *gone,
    ]
