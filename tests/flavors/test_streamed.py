from __future__ import annotations

import io
from typing import Any

import pytest

import geopb as pb
from geopb.flavors.streamed import WINDOW, Stream, as_stream


def test_a_generator_is_a_stream_by_itself_and_others_are_not() -> None:
    made = as_stream(each for each in [1])

    assert isinstance(made, Stream)
    assert made.window == WINDOW
    for value in ([1], iter([1]), range(3), map(str, "a"), None, "text"):
        assert as_stream(value) is None


def test_a_stream_tells_what_it_is_of() -> None:
    assert repr(pb.stream([1])) == "<Stream of a list>"


@pytest.mark.parametrize("value", [None, 1, object(), len])
def test_what_cannot_be_iterated_is_no_stream(value: Any) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        pb.stream(value)


@pytest.mark.parametrize("window", [0, -1, 65537])
def test_a_window_is_from_1_to_65536(window: int) -> None:
    with pytest.raises(ValueError, match=f"window={window} is not from 1 to 65536"):
        pb.stream([], window=window)


@pytest.mark.parametrize("window", [None, "1", 1.0, True])
def test_a_window_is_an_int(window: Any) -> None:
    with pytest.raises(TypeError, match="window takes an int"):
        pb.stream([], window=window)


def test_a_file_has_read_or_recv() -> None:
    with pytest.raises(TypeError, match=r"list object has neither read\(\) nor recv"):
        pb.stream_file([b"x"])
    with pytest.raises(ValueError, match="chunk=0"):
        pb.stream_file(io.BytesIO(), chunk=0)
    with pytest.raises(TypeError, match="chunk takes an int"):
        pb.stream_file(io.BytesIO(), chunk=1.5)  # type: ignore[arg-type]


def test_a_stream_is_given_once_unless_it_is_taken_back() -> None:
    generator = (each for each in [1])
    one, other = pb.stream(generator), pb.stream(generator)

    one.give()
    for each in (one, other):
        with pytest.raises(pb.InsecureJelly, match="passed once"):
            each.give()
    one.take_back()
    other.give()
