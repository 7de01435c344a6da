"""Figures into docs/benchmarks.md: each command writes between its own two marks.

Owns the page's marks and the form of its tables. What stands outside the marks is
written by hand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs"
PAGE = FOLDER / "benchmarks.md"
#: Where the pictures are.
PICTURES = FOLDER / "benchmarks"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def facts(where: Mapping[str, str], more: str) -> list[str]:
    """Say where and how figures were made."""
    made = ", ".join(
        f"{name} {where[name]}"
        for name in ("gevent", "cbor2", "geopb")
        if name in where
    )
    return [
        f"On {where['machine']}, {where['python']}, {made}, by `{where['command']}`: "
        f"{more}."
    ]


def between(text: str, name: str, lines: Sequence[str]) -> str:
    """Return `text` with these lines between the two marks of that name.

    Raises:
        ValueError: It has not these two marks, once each and in order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or begin in rest or end in after:
        raise ValueError(f"no two marks of {name}")
    return "\n".join([before + begin, "", *lines, "", end + after])


def write(name: str, lines: Sequence[str], pictures: Mapping[str, str]) -> None:
    """Put lines into the page, and pictures beside it, by the names of their files."""
    PICTURES.mkdir(exist_ok=True)
    for file, picture in pictures.items():
        (PICTURES / file).write_text(picture, encoding="utf-8")
    text = between(PAGE.read_text(encoding="utf-8"), name, lines)
    PAGE.write_text(text, encoding="utf-8")
