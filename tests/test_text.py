"""Text made of what somebody else chose."""

from __future__ import annotations

import tracemalloc
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from geopb.failure.report import format_traceback
from geopb.text import (
    MAX_MESSAGE,
    encodable,
    printable,
    safe_repr,
    safe_str,
    shorten,
    unfolds,
)


class Raises:
    """Its texts raise."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    def __repr__(self) -> str:
        raise self.error


class Text(str):
    """A subclass that lies."""

    def __str__(self) -> str:
        return self

    def encode(self, *args: Any) -> bytes:
        raise ValueError("no bytes")


@pytest.mark.parametrize("length", [0, 1, 9, 10])
def test_short_text_stays(length: int) -> None:
    assert shorten("x" * length, 10) == "x" * length


def test_long_text_is_cut_with_a_note_of_its_length() -> None:
    assert shorten("x" * 11, 10) == "x" * 10 + "... (11 characters)"


def test_printable_text_stays() -> None:
    assert printable("wörd") == "wörd"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\r", "\ud800", "\u202e", "\0"])
def test_printable_escapes_what_would_forge_a_line(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert shown.encode("utf-8")


def test_printable_is_cut() -> None:
    assert len(printable("x" * 1000, 10)) < 50
    assert len(printable("\n" * 100_000)) < 2000


def test_encodable_text_stays() -> None:
    assert encodable("wörd\n") == "wörd\n"


def test_lone_surrogates_are_escaped() -> None:
    assert encodable("a\ud800b") == "a\\ud800b"


def test_encodable_makes_an_exact_str() -> None:
    made = encodable(Text("a"))

    assert type(made) is str
    assert made == "a"


def test_safe_str_is_the_str() -> None:
    assert safe_str(12) == "12"
    assert safe_str(KeyError("k")) == "'k'"


def test_safe_str_is_cut_at_its_limit() -> None:
    assert safe_str("x" * MAX_MESSAGE) == "x" * MAX_MESSAGE
    assert safe_str("x" * (MAX_MESSAGE + 1)).startswith("x" * MAX_MESSAGE + "... (")
    assert safe_str("xyz", 1) == "x... (3 characters)"


@pytest.mark.parametrize(
    "error", [ValueError(), RecursionError(), MemoryError(), AttributeError()]
)
def test_text_that_cannot_be_made_is_told(error: Exception) -> None:
    name = type(error).__name__

    assert safe_str(Raises(error)) == f"<Raises: str() raised {name}>"
    assert safe_repr(Raises(error)) == "<Raises>"


def test_str_that_is_no_str_is_told() -> None:
    class Wrong:
        """Its str() returns a number."""

        def __str__(self) -> str:
            return wrong  # type: ignore[no-any-return]

    wrong: Any = 3

    assert "TypeError" in safe_str(Wrong())


@pytest.mark.parametrize("kind", [SystemExit])
def test_str_that_raises_what_is_no_exception_class_is_told(
    kind: type[BaseException],
) -> None:
    try:
        text = safe_str(Raises(kind()))
    except kind:
        text = "it was raised"

    assert kind.__name__ in text


def test_safe_str_takes_lone_surrogates() -> None:
    assert safe_str("\ud800").encode("utf-8")


def test_safe_str_of_a_huge_text_is_short() -> None:
    assert len(safe_str("x" * 20_000_000)) < MAX_MESSAGE + 100


def endless() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(50_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        endless(),
        deep(),
        list(range(100_000)),
        {number: number for number in range(100_000)},
        "x" * 1_000_000,
        b"x" * 1_000_000,
        10**4000,
        {"a" * 1000: [("b" * 1000,) * 1000] * 1000},
    ],
    ids=["endless", "deep", "list", "dict", "str", "bytes", "int", "nested"],
)
def test_safe_repr_is_bounded(value: Any) -> None:
    assert len(safe_repr(value)) < 300


def test_safe_repr_is_one_line() -> None:
    assert safe_repr(["one\ntwo\x1b", {"\r": "\ud800"}]).isprintable()


@pytest.mark.parametrize(
    "value",
    [{"a": [1, "b"]}, (), (None, True), 1.5, 2j, b"x", bytearray(b"y"), {5}, -(2**200)],
)
def test_safe_repr_of_a_small_value_is_its_repr(value: Any) -> None:
    assert eval(safe_repr(value)) == value  # noqa: S307 (a text of this test's own)


def test_safe_repr_runs_no_code_of_what_it_shows() -> None:
    class Text(str):
        __slots__ = ()

    # Named as one that reprlib would take for plain.
    fake = type("list", (), {"__iter__": lambda self: 1 / 0, "__len__": lambda s: 1})
    error = Raises(SystemExit())

    shown = safe_repr([error, Text("x"), fake(), {error: error}])

    assert shown == "[<Raises>, <Text>, <list>, {<Raises>: <Raises>}]"


def doubled(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value, value]
    return value


@dataclass
class Twice:
    one: Any
    other: Any


def test_safe_str_of_what_unfolds_without_end_ends() -> None:
    records: Any = 1
    for _ in range(60):
        records = Twice(records, records)

    for value in (doubled(60), records, {"a": doubled(60)}, (doubled(60), 1)):
        assert unfolds(ValueError(value))
        assert len(safe_str(ValueError("text", value))) < 1000
    assert safe_str(ValueError("text", doubled(60))).startswith("('text', [[[")


def test_safe_str_of_an_ordinary_exception_is_its_str() -> None:
    for args in ((), ("x",), (1, [2, {"a": (3,)}]), (list(range(1000)),)):
        assert not unfolds(ValueError(*args))
        assert safe_str(ValueError(*args)) == str(ValueError(*args))
    assert safe_str(KeyError("x")) == "'x'"


def test_safe_repr_tells_what_is_left_out() -> None:
    assert safe_repr(list(range(10))) == "[0, 1, 2, 3, 4, 5, ...]"
    assert safe_repr([[[[[1]]]]]) == "[[[[[...]]]]]"
    assert safe_repr(2**9000) == "<int of 9001 bits>"


def noted(text: str) -> Exception:
    error = ValueError("short")
    error.add_note(text)
    return error


@pytest.mark.parametrize(
    "make",
    [
        ValueError,
        KeyError,
        lambda text: ValueError(text.encode()),
        lambda text: ValueError(bytearray(text, "ascii")),
        lambda text: ValueError([text[::2], {1: text[::2] + "x"}]),
        lambda text: ValueError(array("b", text.encode())),
        noted,
    ],
    ids=range(7),
)
def test_the_text_of_an_exception_is_bounded_before_it_is_made(
    make: Callable[[str], Exception],
) -> None:
    """A method may raise what a peer has sent: its traceback was made whole, thrice."""
    error = make("x" * 8_000_000)

    tracemalloc.start()
    try:
        text = safe_str(error), format_traceback(error)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 500_000
    assert all(len(each) < 5 * MAX_MESSAGE for each in text)
    assert type(error).__name__ in text[1]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (ValueError, lambda text: text[:MAX_MESSAGE]),
        (KeyError, lambda text: f"'{text[: MAX_MESSAGE - 1]}"),
        (lambda text: ValueError(text, 1), lambda text: f"('{text[: MAX_MESSAGE - 2]}"),
    ],
    ids=range(3),
)
def test_what_is_not_larger_than_a_mebibyte_is_told_from_its_beginning(
    make: Callable[[str], Exception], told: Callable[[str], str]
) -> None:
    text = "x" * (1024 * 1024 - 100)

    found = safe_str(make(text))

    assert found.startswith(told(text))
    assert len(found) < MAX_MESSAGE + 50


def test_a_text_that_cannot_be_encoded_is_cut_as_well() -> None:
    found = safe_str(ValueError("\ud800" * MAX_MESSAGE * 2))

    assert found.startswith(r"\ud800\ud800")
    assert found.endswith(f"... ({2 * MAX_MESSAGE} characters)")
    assert len(found) < MAX_MESSAGE + 50
