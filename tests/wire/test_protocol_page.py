"""The page that describes the protocol says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from geopb import limits
from geopb.broker import credit
from geopb.broker.broker import Broker
from geopb.cred import scram
from geopb.jelly import tags
from geopb.limits import LEAST_TOLD, TOLD, Limits
from geopb.net import lobby
from geopb.wire import messages
from tests.vectors.samples import PATH

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]
KINDS = (
    "HELLO",
    "CALL",
    "ANSWER",
    "ERROR",
    "RELEASE",
    "CHUNK",
    "GOODBYE",
    "UPDATE",
    "SNAPSHOT",
    "UPDATES_END",
    "CANCEL",
    "DRAINING",
    "NOT_RUN",
    "TAKEN",
)


def rows(first: str, second: str) -> list[list[str]]:
    """Return the rows that begin with these two cells."""
    return [row for row in ROWS if row[:2] == [first, second]]


def constants() -> dict[str, int]:
    return {
        name: value
        for name, value in vars(tags).items()
        if name.isupper() and type(value) is int
    }


def test_each_tag_stands_in_the_page_with_its_name() -> None:
    for name, number in constants().items():
        assert len(rows(str(number), f"`{name}`")) == 1, (name, number)


def test_no_tag_stands_in_the_page_that_is_not_in_the_code() -> None:
    numbers = {int(found) for found in re.findall(r"\b60[01]\d\d\b", PAGE)}

    assert numbers <= set(constants().values())


def test_each_kind_of_message_stands_in_the_page_with_its_name() -> None:
    for name in KINDS:
        assert len(rows(str(getattr(messages, name)), f"`{name}`")) == 1


def test_the_code_has_no_other_kinds() -> None:
    numbers = {getattr(messages, name) for name in KINDS}
    acted_on = {kind for acts in Broker._ACTS.values() for kind in acts}

    assert numbers == acted_on == set(range(len(KINDS)))


def test_each_method_of_the_lobby_stands_in_the_page() -> None:
    names = [lobby.GET_ROOT, *lobby._LOGINS]

    for name in names:
        assert [row for row in ROWS if row[0] == f"`{name}`"], name
    assert f"`{lobby.PROVE}`" in PAGE
    for number in (scram.MAX_TEXT, limits.MINIMUM_MESSAGE_BYTES):
        assert f"{number:,}" in PAGE


def test_each_limit_that_is_told_stands_in_the_page() -> None:
    defaults = Limits().told()
    found = {
        row[0].strip("`"): (int(row[1]), int(row[2]))
        for row in ROWS
        if row[0].startswith("`max_")
    }

    assert found == {name: (LEAST_TOLD[name], defaults[name]) for name in TOLD}


def test_the_keys_of_the_hello_and_the_options_stand_in_the_page() -> None:
    (_, magic, told) = messages.hello({})
    assert isinstance(told, dict)
    assert f'"{magic}"' in PAGE
    for key in [*told, messages.NESTED, messages.TIMEOUT]:
        assert [row for row in ROWS if row[0] == f"`{key}`"], key


def test_what_may_come_in_each_state_stands_in_the_page() -> None:
    for state, acts in Broker._ACTS.items():
        cells = [row[1] for row in ROWS if row[0] == state.value]
        named = re.findall(r"`([A-Z_]+)`", " ".join(cells))

        assert cells, state
        assert sorted(named) == sorted(
            name for name in KINDS if getattr(messages, name) in acts
        )


def test_how_often_bulk_is_told_stands_in_the_page() -> None:
    for number in (credit.TOLD_FROM_BYTES, credit.LEAST_WINDOW):
        assert f"{number:,}" in PAGE


def test_each_example_is_a_test_vector() -> None:
    samples = json.loads(PATH.read_text(encoding="utf-8"))["samples"]
    known = {
        pair
        for sample in samples
        for pair in zip(sample["frames"], sample["diagnostic"], strict=True)
    }
    examples = re.findall(r"```text\n([0-9a-f]+)\n(.*)\n```", PAGE)

    assert len(examples) > 15
    assert PAGE.count("```") == 2 * len(examples)
    for example in examples:
        assert example in known
