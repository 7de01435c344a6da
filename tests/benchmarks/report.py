"""What the benchmark says: an aligned table for people, JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Result
from tests.benchmarks.publish import table

_ROW = "{:<12} {:<10} {:>12} {:<11} {:>9} {:>9}  {:>5} {:<14} {:>6}  {}"

HEADER = _ROW.format(
    "workload", "side", "median", "", "client us", "server us", "ratio", "(quartiles)",
    "target", "",
)  # fmt: skip


def figure(value: float) -> str:
    """Write a number with the digits that it is worth."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def environment(command: Sequence[str]) -> dict[str, str]:
    """Tell where and how the figures were made."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {system}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gevent": _version("gevent"),
        "cbor2": _version("cbor2"),
        "geopb": _version("geopb"),
        "command": " ".join(command),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())


def rows(result: Result) -> list[str]:
    """Lay out one workload: a line for each side."""
    workload = result.workload
    lines: list[str] = []
    for side in result.samples:
        ratio = result.ratio(side)
        spread = middle = target = verdict = ""
        if ratio is not None:
            middle = f"{ratio.median:.2f}"
            spread = f"({ratio.lower:.2f}..{ratio.upper:.2f})"
            if workload.target is not None:
                target = f"{workload.target:.2f}"
                verdict = "ok" if workload.reached(ratio.median) else "short"
        line = _ROW.format(
            "" if lines else workload.name,
            side,
            figure(result.figure(side)),
            workload.unit,
            f"{result.client_cpu(side) * 1e6:,.1f}",
            f"{result.server_cpu(side) * 1e6:,.1f}",
            middle,
            spread,
            target,
            verdict,
        )
        lines.append(line.rstrip())
    return lines


def markdown(results: Sequence[Result]) -> list[str]:
    """Lay out all workloads as one table for the page."""
    lines = []
    for result in results:
        workload = result.workload
        for side in result.samples:
            ratio = result.ratio(side)
            target = workload.target if ratio is not None else None
            wanted = "at most" if workload.fewer else "at least"
            lines.append(
                [
                    workload.name if side == next(iter(result.samples)) else "",
                    side,
                    f"{figure(result.figure(side))} {workload.unit}",
                    "" if ratio is None else f"{ratio.median:.2f}",
                    "" if target is None else f"{wanted} {target:g}",
                    figure(result.client_cpu(side) * 1e6),
                    figure(result.server_cpu(side) * 1e6),
                ]
            )
    columns = "workload", "side", "", "ratio", "wanted", "client, µs", "server, µs"
    return table(columns, lines)


def write_json(path: Path, where: dict[str, str], results: Sequence[Result]) -> None:
    """Write every sample, and the ratios made of them."""
    document = {"environment": where, "workloads": [_document(r) for r in results]}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _document(result: Result) -> dict[str, Any]:
    ratios = {side: result.ratio(side) for side in result.samples}
    return {
        "name": result.workload.name,
        "unit": result.workload.unit,
        "target": result.workload.target,
        "median": {side: result.figure(side) for side in result.samples},
        "ratio": {side: asdict(ratio) for side, ratio in ratios.items() if ratio},
        "samples": {
            side: [asdict(sample) for sample in samples]
            for side, samples in result.samples.items()
        },
    }
