"""The limits on what calls carry, one by one: at it, over it, overridden.

Those of other things have their own places: connections in ``test_places``, streams in
``test_streams``, what calls weigh in ``test_pending_bytes``, bytes that nobody takes in
``test_gate`` and ``test_not_reading``, times in ``test_each_time``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import pytest

import geopb as pb
from geopb.wire import messages
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Holding, root_of
from tests.support import SOON, eventually


class Given(pb.Referenceable):
    pass


class Root(pb.Root):
    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_size(self, value: Any) -> int:
        return len(value)

    def remote_give(self, count: int) -> list[Given]:
        return [Given() for _ in range(count)]

    def remote_twenty_characters_it(self) -> str:
        return "at"

    def remote_twenty_characters_its(self) -> str:
        return "over"


#: Of 20 characters; longer than what a client calls first.
NAME = "twenty_characters_it"


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@dataclass(frozen=True)
class Case:
    """One limit.

    Attributes:
        name: Of the limit.
        size: What it is set to.
        use: Uses so much of it, by a reference to the root.
    """

    name: str
    size: int
    use: Callable[[Any, int], pb.Promise[Any]]


CASES = [
    Case("max_depth", 5, lambda root, n: root.callRemote("echo", nested(n))),
    Case("max_integer_bits", 90, lambda root, n: root.callRemote("echo", 1 << n - 1)),
    Case(
        "max_decimal_digits",
        7,
        lambda root, n: root.callRemote("echo", Decimal("1" * n)),
    ),
    Case(
        "max_name_length",
        len(NAME),
        lambda root, n: root.callRemote(NAME if n == len(NAME) else f"{NAME}s"),
    ),
    # The root is one of them.
    Case("max_references", 4, lambda root, n: root.callRemote("give", n - 1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_it_over_it_overridden(pair: Pair, case: Case) -> None:
    name, size = case.name, case.size
    _, client = pair(Root(), server_options={name: size})
    root = root_of(client)

    assert case.use(root, size).get(timeout=SOON) is not None
    with pytest.raises(pb.LimitExceeded) as caught:
        case.use(root_of(client), size + 1).get(timeout=SOON)
    assert f"{name}={size}" in str(caught.value)
    assert re.search(rf"\b{size + 1}\b", str(caught.value)), str(caught.value)

    _, other = pair(Root(), server_options={name: size + 1})
    assert case.use(root_of(other), size + 1).get(timeout=SOON) is not None


def test_references_that_a_peer_gives_at_it_over_it_overridden(pair: Pair) -> None:
    """The other table: what this side holds of the peer's."""
    options = {"max_references": 4}
    _, client = pair(Root(), server_options=options)
    root = root_of(client)

    assert root.callRemote("size", [Given() for _ in range(4)]).get(timeout=SOON) == 4
    with pytest.raises(pb.LimitExceeded, match=r"\b5\b.* max_references=4"):
        root.callRemote("size", [Given() for _ in range(5)]).get(timeout=SOON)

    _, other = pair(Root(), server_options={"max_references": 5})
    given = [Given() for _ in range(5)]
    assert root_of(other).callRemote("size", given).get(timeout=SOON) == 5


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("max_structure_size", lambda count: "x" * count),
        ("max_message_size", lambda count: b"x" * count),
    ],
)
def test_sizes_at_it_over_it_overridden(
    pair: Pair, name: str, make: Callable[[int], Any]
) -> None:
    """The first refusal tells what the rest of the message takes."""
    size = 20_000 if name == "max_structure_size" else 50_000
    _, client = pair(Root(), server_options={name: size})
    root = root_of(client)
    with pytest.raises(pb.LimitExceeded) as caught:
        root.callRemote("size", make(size)).get(timeout=SOON)
    found = re.search(rf"of (\d+) exceeds {name}={size}", str(caught.value))
    assert found is not None, str(caught.value)
    most = size - (int(found[1]) - size)

    assert root.callRemote("size", make(most)).get(timeout=SOON) == most
    with pytest.raises(pb.LimitExceeded, match=f"of {size + 1} exceeds {name}={size}"):
        root.callRemote("size", make(most + 1)).get(timeout=SOON)

    _, other = pair(Root(), server_options={name: size + 1})
    assert root_of(other).callRemote("size", make(most + 1)).get(timeout=SOON)


def test_running_calls_at_it_over_it_overridden(serve: Serve) -> None:
    """By a peer that does not keep it on its side."""
    root = Holding()
    for limit in (3, 4):
        root.started.clear()
        with Peer(serve(root, max_pending_calls=limit)) as peer:
            for number in range(2, 2 + limit):
                peer.call(number, "hold")
            eventually(lambda limit=limit: len(root.started) == limit)  # type: ignore[misc]
            peer.call(9, "hold")

            kind, _, error, text, *_ = peer.read_answer(9)

            assert (kind, error) == (messages.ERROR, "geopb.LimitExceeded")
            assert (
                text
                == f"running calls of {limit + 1} exceeds max_pending_calls={limit}"
            )
            assert len(root.started) == limit
    root.go.set()


def test_every_limit_has_a_place() -> None:
    """A new one is put into a table here, or named in what this module says."""
    here = {case.name for case in CASES} | {
        "max_structure_size", "max_message_size", "max_pending_calls",
    }  # fmt: skip
    elsewhere = {
        "max_pending_bytes",
        "max_connections", "max_connections_per_address", "max_streams",
        "max_unsent_bytes", "handshake_timeout", "login_timeout", "keepalive",
    }  # fmt: skip

    assert here | elsewhere == {field.name for field in fields(pb.Limits)}
