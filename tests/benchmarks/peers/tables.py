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


def _ratio(result: Result, side: str) -> float | None:
    """Return the median ratio to the floor, where this side ran."""
    ratio = result.ratio(side) if side in result.samples else None
    return None if ratio is None else ratio.median


def ahead(results: Sequence[Result]) -> list[str]:
    """Say which peer is faster than geopb at what."""
    lines = []
    for result in results:
        ours = _ratio(result, "geopb")
        if ours is None:
            continue
        for side in result.samples:
            theirs = _ratio(result, side)
            if side in PEERS and theirs is not None and theirs > ours:
                lines.append(
                    f"{title(side)} at {result.workload.name}: "
                    f"{theirs:.2f}, geopb {ours:.2f}"
                )
    return lines


def ratios(results: Sequence[Result]) -> list[str]:
    """Lay out each side's ratio to the floor; what the floor does in a second."""

    def cell(result: Result, side: str) -> str:
        if side == "floor":
            return f"{figure(result.figure(side))}/s"
        ratio = _ratio(result, side)
        if ratio is None:
            return ""
        ours = _ratio(result, "geopb")
        text = f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"
        is_ahead = side in PEERS and ours is not None and ratio > ours
        return f"**{text}**" if is_ahead else text

    header = ["ratio to the floor", *[each.workload.name for each in results]]
    rows = [
        [title(side), *[cell(each, side) for each in results]]
        for side in _sides(results)
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
        f"A peer is ahead of geopb (in bold): {verdict}.",
        "",
        *costs(results),
        "",
        f"Peers: {known}.",
        "",
        *notes,
        *gone,
    ]
