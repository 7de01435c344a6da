from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from geopb.broker.exports import Exports
from geopb.broker.post import Post
from geopb.errors import InsecureJelly, LimitExceeded
from geopb.failure import Report
from tests.jelly.graphs import Nobody
from tests.vectors.cbor import Tag, frame


class Sender:
    """Counts how often it is woken."""

    def __init__(self) -> None:
        self.woken = 0
        self.hurried = 0

    def wake(self) -> None:
        self.woken += 1

    def now(self) -> float:
        return 0.0

    def offer(self, framed: bytes) -> bool:
        """Have every message queued."""
        return False

    def hurry(self) -> None:
        self.hurried += 1


def made() -> tuple[Post, Sender]:
    sender = Sender()
    return Post(Nobody(), Exports(None), sender), sender


def taken(post: Post) -> bytes:
    return b"".join(iter(post.outbox.take, b""))


def test_the_host_is_woken_once_until_the_bytes_are_taken() -> None:
    post, sender = made()
    for _ in range(3):
        post.send([6, "x"])
    assert sender.woken == 1

    assert taken(post) == frame([6, "x"]) * 3
    post.send([6, "y"])
    assert sender.woken == 2


def test_a_few_scalars_and_any_other_values_are_written_alike() -> None:
    for args in ((), (1, "a", None), ([1],), ((1,),), ("x" * 1000,), tuple(range(20))):
        post, _ = made()
        post.send_values([1, 1, 0, "echo"], args)
        wanted = [
            Tag(60102, list(each)) if type(each) is tuple else each for each in args
        ]
        assert taken(post) == frame([1, 1, 0, "echo", wanted])


def test_keyword_arguments_and_what_follows_are_written() -> None:
    post, _ = made()

    post.send_values([1, 1, 0, "echo"], (1,), {"a": (2,)}, [{"nested": True}])

    wanted = [1, 1, 0, "echo", [1], {"a": Tag(60102, [2])}, {"nested": True}]
    assert taken(post) == frame(wanted)


@pytest.mark.parametrize(
    ("bad", "error"),
    [(object(), InsecureJelly), ("\ud800", InsecureJelly), (2**9000, LimitExceeded)],
)
def test_what_cannot_be_sent_leaves_nothing(bad: Any, error: type[Exception]) -> None:
    post, sender = made()

    with pytest.raises(error):
        post.send_values([1, 1, 0, "echo"], (1, bad))

    assert sender.woken == 0
    assert taken(post) == b""


def report(**fields: Any) -> Report:
    told: dict[str, Any] = {"type": "a.B", "message": "text", "parents": ("a.B",)}
    return Report(**{**told, **fields})


def test_a_report_is_written_with_all_its_fields() -> None:
    post, _ = made()

    post.send_report(1, report(args=(1, (2,)), traceback="tb", details={"errno": 2}))

    told = ["a.B", "text", ["a.B"], [1, Tag(60102, [2])], {}, "tb", {"errno": 2}]
    assert taken(post) == frame([3, 1, *told])


def test_arguments_and_attributes_that_cannot_cross_are_left_out() -> None:
    post, _ = made()
    attributes = {"a": object(), "b": (1,), "c": "\ud800"}

    post.send_report(1, report(args=(1, object(), "\ud800", 2), attributes=attributes))

    told = ["a.B", "text", ["a.B"], [1, 2], {"b": Tag(60102, [1])}, None, {}]
    assert taken(post) == frame([3, 1, *told])


@pytest.mark.parametrize(
    "fields",
    [
        {"traceback": "x" * 100_000},
        {"traceback": "\ud800"},
        {"args": ("x" * 100_000,)},
        {"details": {"filename": "\udc80"}},
        {"details": {"filename": object()}},
        {"message": "é" * 1_000_000},
        {"parents": ("p" * 1000,) * 64},
        {"message": "m" * 16_384, "type": "t" * 1024},
        {"attributes": {"a": "x" * 100_000}},
        {"attributes": {str(n): "x" * 100 for n in range(10_000)}},
        {"attributes": {"\ud800": 1}},
    ],
    ids=range(11),
)
def test_a_report_always_arrives_within_the_least_limit(fields: dict[str, Any]) -> None:
    post, _ = made()

    post.send_report(1, report(**fields))

    data = taken(post)
    # What cannot cross by itself is left out; else the shorter form is sent.
    left_out = fields.keys() == {"args"} or fields == {
        "attributes": {"a": "x" * 100_000}
    }
    assert data[4:7] == (b"\x89\x03\x01" if left_out else b"\x87\x03\x01")
    assert len(data) <= 16 * 1024 + 4


def test_an_exception_with_many_arguments_is_told_in_a_moment() -> None:
    """Also where one cannot cross: a peer may have chosen how many there are."""
    for args in (tuple(range(100_000)), (object(), *range(100_000))):
        post, _ = made()
        begun = process_time()

        post.send_report(1, Report("a.B", "text", ("a.B",), args))

        assert process_time() - begun < 1
        assert taken(post)
