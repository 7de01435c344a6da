"""The code of README.md and of the pages in docs/ runs, and prints what they show."""

import contextlib
import io
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

import geopb as pb
from geopb.net.options import ClientOptions, Options, read_options
from tests.examples.programs import ROOT, Program, code_blocks, run

README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
TESTING = ROOT / "docs" / "testing.md"
RECONNECTING = ROOT / "docs" / "reconnecting.md"
OPTIONS = ROOT / "docs" / "options.md"
PASSING = ROOT / "docs" / "passing-complex-types.md"
TIME = ROOT / "docs" / "time-and-loss.md"
TWISTED = ROOT / "docs" / "coming-from-twisted.md"
STREAMS = ROOT / "docs" / "streams.md"
ONE_ROUND_TRIP = ROOT / "docs" / "one-round-trip.md"
TLS = ROOT / "docs" / "tls.md"
LOGGING_IN = ROOT / "docs" / "logging-in.md"
SECURITY = ROOT / "docs" / "security.md"
#: Below this heading a page has tests and not a program.
WITH_PYTEST = "\n## With pytest\n"


@pytest.mark.slow
def test_the_thirty_second_example_runs(tmp_path: Path) -> None:
    server, client = code_blocks(README, "python")[:2]
    (printed,) = code_blocks(README, "text")
    # Any port that is free, told in the first line.
    server = server.replace("127.0.0.1:8789", "127.0.0.1:0")
    server = server.replace(
        "server.serve_forever()",
        "print(server.address, flush=True)\nserver.serve_forever()",
    )
    (tmp_path / "server.py").write_text(server)

    with Program(tmp_path / "server.py") as program:
        client = client.replace("127.0.0.1:8789", program.line())
        (tmp_path / "client.py").write_text(client)
        ended = run(tmp_path / "client.py")

    assert (ended.stdout, ended.stderr, ended.status) == (printed, "", 0)


def test_the_readme_opens_with_the_two_commands() -> None:
    first = README.read_text().split("```")[1]

    assert [line.split("#")[0].strip() for line in first.splitlines()[1:]] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize(
    "page",
    [
        README,
        TUTORIAL,
        TESTING,
        RECONNECTING,
        OPTIONS,
        PASSING,
        STREAMS,
        ONE_ROUND_TRIP,
        TIME,
        TLS,
        TWISTED,
        LOGGING_IN,
        SECURITY,
    ],
)
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page",
    [
        TUTORIAL,
        PASSING,
        STREAMS,
        ONE_ROUND_TRIP,
        TESTING,
        TIME,
        TWISTED,
        TLS,
        pytest.param(LOGGING_IN, marks=pytest.mark.slow),
        pytest.param(RECONNECTING, marks=pytest.mark.slow),
    ],
    ids=lambda page: page.stem,
)
def test_a_page_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks are one program, read from top to bottom; output follows its code."""
    monkeypatch.chdir(tmp_path)  # the files it makes
    program = page.read_text().partition(WITH_PYTEST)[0]
    blocks = re.findall(
        r"^```(python|text)\n(.*?)^```$", program, re.MULTILINE | re.DOTALL
    )
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    log = logging.getLogger("geopb")
    level = log.level  # the page turns it down
    try:
        for position, (language, text) in enumerate(blocks):
            if language == "python":
                with contextlib.redirect_stdout(printed):
                    code = compile(text, f"{page.name}, block {position}", "exec")
                    exec(code, namespace)  # noqa: S102 (our own page)
            else:
                assert printed.getvalue() == text
                printed = io.StringIO()
    finally:
        log.setLevel(level)
        for value in list(namespace.values()):
            if isinstance(value, pb.PBClientFactory):
                value.disconnect()
            elif isinstance(value, pb.PBServer):
                value.stop(0)
    assert printed.getvalue() == ""


@pytest.mark.slow
def test_the_tests_on_the_testing_page_pass(tmp_path: Path) -> None:
    _, _, shown = TESTING.read_text().partition(WITH_PYTEST)
    (code,) = re.findall(r"^```python\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_shop.py").write_text(code)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # Named, for where geopb is importable and not installed.
    (tmp_path / "conftest.py").write_text("from geopb.testing.plugin import *\n")

    ended = run("-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path)

    assert "3 passed" in ended.stdout, ended.stdout + ended.stderr


def options_page() -> dict[str, str]:
    """Return what docs/options.md tells: each option with its default."""
    row = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)
    return {name: default.strip() for name, default in row.findall(OPTIONS.read_text())}


def test_the_options_page_lists_each_option_once() -> None:
    limits = {field.name for field in fields(pb.Limits)}
    named = {field.name for field in fields(Options)} - {"limits"}
    others = {name for name in named if not name.startswith("_")}
    clients = {field.name for field in fields(ClientOptions)}

    assert set(options_page()) == limits | others | clients
    names = re.findall(r"^\| `(\w+)` \|", OPTIONS.read_text(), re.MULTILINE)
    assert len(names) == len(set(names))


def test_the_options_page_tells_the_defaults() -> None:
    told = options_page()

    for field in fields(pb.Limits):
        assert read_size(told[field.name]) == field.default, field.name
    assert told["unsafe_tracebacks"] == "`False`"
    assert read_size(told["busy_poll"]) == read_options({}).busy_poll
    for field in fields(ClientOptions):
        assert told[field.name] == f"`{field.default}`"


def read_size(text: str) -> float:
    """Return the number that a default such as ``64 MiB`` or ``10 s`` means."""
    number, _, unit = text.partition(" ")
    factor = {"MiB": 1 << 20, "KiB": 1 << 10}.get(unit, 1)
    return float(number.replace(",", "")) * factor
