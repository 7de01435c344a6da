"""docs/arrays.md is one program, read from top to bottom; output follows its code."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from geopb.jelly import registry
from geopb.jelly.registry import ClassRegistry
from tests.examples.programs import ROOT

PAGE = ROOT / "docs" / "arrays.md"


def test_the_page_about_arrays_prints_what_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What it registers for the process does not outlive the test.
    known = ClassRegistry()
    monkeypatch.setattr(registry, "process_registry", known)
    blocks = re.findall(
        r"^```(python|text)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()

    for position, (language, text) in enumerate(blocks):
        if language == "python":
            with contextlib.redirect_stdout(printed):
                code = compile(text, f"arrays.md, block {position}", "exec")
                exec(code, namespace)  # noqa: S102 (our own page)
        else:
            assert printed.getvalue() == text
            printed = io.StringIO()

    assert printed.getvalue() == ""
    assert len(blocks) == 5
