"""The page beside says where each of the 137 cases is tried, and that is so."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = (HERE / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([\d, ]+) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)


def test_each_case_has_its_place() -> None:
    numbers = sorted(int(n) for row in ROWS for n in row[0].split(","))

    assert numbers == list(range(1, 138))


def test_each_place_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 80

    for path, test in named:
        file = ROOT / path if path.startswith("tests/") else HERE / path
        assert file.exists(), path
        text = file.read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, (path, test)


def test_what_is_not_tried_says_why() -> None:
    for numbers, _, where in ROWS:
        assert "`" in where or "not tried" in where, numbers
