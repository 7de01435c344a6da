"""What every child of the benchmark does alike."""

from __future__ import annotations

import os

import pytest

from tests.benchmarks import child
from tests.benchmarks.commands import place


@pytest.mark.parametrize(
    ("role", "there", "mine"),
    [
        ("client", {0, 1}, {0}),
        ("server", {0, 1}, {1}),
        ("client", {2, 5, 7}, {2}),
        ("server", {2, 5, 7}, {5, 7}),
        ("client", {3}, {3}),
        ("server", {3}, {3}),
        ("attacker", {0, 1}, {0, 1}),
    ],
)
def test_a_server_and_a_client_share_a_processor_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, role: str, there: set[int], mine: set[int]
) -> None:
    placed = set(there)

    def put(process: int, processors: list[int]) -> None:
        assert process == 0
        placed.intersection_update(processors)

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: there, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", put, raising=False)

    place(role)

    assert placed == mine


@pytest.mark.parametrize(("side", "placed"), [("geopb", ["client"]), ("polling", [])])
def test_who_polls_is_not_placed(
    monkeypatch: pytest.MonkeyPatch, side: str, placed: list[str]
) -> None:
    roles: list[str] = []
    monkeypatch.setattr(child, "place", roles.append)
    monkeypatch.setattr(child, "bound", lambda seconds: None)
    monkeypatch.setattr(child, "call", lambda client, lines: None)

    with open(os.devnull, "rb") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        child.main(side, "client", "1")

    assert roles == placed


def test_where_processes_cannot_be_placed_they_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)

    place("server")
