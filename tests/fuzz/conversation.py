"""A conversation that uses all messages, for fuzzers to spoil.

Owns what two sides say to each other when nothing goes wrong. Called by `ends` (and by
`seeds`, which records it).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from geopb.broker.state import State
from geopb.flavors.streamed import stream
from geopb.wire import messages
from tests.broker.harness import Answer, Pair, Side, Thing
from tests.vectors.classes import Access, Color, Note, Point, Problem, Table


class Failing(Thing):
    """Raises an error of the system."""

    def remote_ask(self, *args: Any) -> Any:
        raise OSError(2, "no such file", "x")


def values() -> list[Any]:
    """Return one of each kind of value."""
    shared: list[Any] = [1]
    ring: list[Any] = []
    ring.append((ring,))
    return [
        [None, True, 23, -500, 2**70, 1.5, float("nan"), "häh?", b"\x00"],
        {"a": 1, b"b": 2},
        {1: "one", (1, 2): frozenset({3})},
        [shared, shared, ring],
        [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.50"), UUID(int=5), 1 + 2j],
        [Point(1, 2), Point("a", None)],
        [Note(text="x"), Color.RED, Access.READ | Access.WRITE, Problem("x")],
        {Point(1, 2), 5},
        bytearray(b"abc"),
    ]


def talk(pair: Pair) -> list[Answer]:
    """Have both sides say something of each kind; return what was asked."""
    answers: list[Answer] = []
    table = Table()
    for scene in (_values, _objects, _bulk, _caches(table), _ends_of_calls):
        for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
            if _closed(pair):
                return answers
            scene(pair, one, other, answers)
            pair.deliver()
    if not _closed(pair):
        pair.a.broker.say_goodbye("enough")
        pair.deliver()
    return answers


def _closed(pair: Pair) -> bool:
    states = {pair.a.broker.state, pair.b.broker.state}
    return bool(states & {State.CLOSED, State.PARTED})


def _values(pair: Pair, one: Side, other: Side, answers: list[Answer]) -> None:
    answers.extend(one.ask("echo", value) for value in values())
    answers.append(one.ask("take", 1, a=2))
    one.call_only(0, "take", (3,), {})


def _objects(pair: Pair, one: Side, other: Side, answers: list[Answer]) -> None:
    thing = Thing("answer")
    other.desk.objects = {"thing": Thing([thing, Note(text="y")]), "bad": Failing()}
    got = one.ask("get", "thing")
    bad = one.ask("get", "bad")
    answers += [one.ask("take", thing, thing), one.ask("echo", thing), got, bad]
    pair.deliver()
    for each in (got, bad):
        held = each.get() if each.successful() else None
        if not _closed(pair) and hasattr(held, "callRemote"):
            answers.append(held.callRemote("ask", held))
            answers.append(held.callRemote("no_such_method"))
        each.drop()
    # What it was given is dropped, and so released.
    other.desk.remote_forget()


def _bulk(pair: Pair, one: Side, other: Side, answers: list[Answer]) -> None:
    answers.append(one.ask("echo", [b"x" * 33_000, "y" * 33_000, Thing(1)]))
    answers.append(one.ask("take", bytearray(40_000)))
    answers.append(one.ask("take", stream([1, 2])))


def _caches(table: Table) -> Callable[[Pair, Side, Side, list[Answer]], None]:
    def scene(pair: Pair, one: Side, other: Side, answers: list[Answer]) -> None:
        answers.append(one.ask("take", table, [table]))
        if table.observer is not None:
            answers.append(table.observer.callRemote("set", "rows", 2))

    return scene


def _ends_of_calls(pair: Pair, one: Side, other: Side, answers: list[Answer]) -> None:
    options = messages.call_options(nested=True, timeout=1.5)
    answer = Answer()
    answers.append(answer)
    number = one.broker.call(0, "take", (1,), {}, answer, options)
    if one.broker.abandon(number, answer, late=True):
        # What is abandoned waits for nothing.
        answers.remove(answer)
    one.broker.say_draining()
