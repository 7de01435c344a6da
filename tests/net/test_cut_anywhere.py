"""A stream that is cut, or cut in pieces, at each of its bytes in turn."""

from __future__ import annotations

from typing import Any

import pytest

import geopb as pb
from geopb.testing import Lane, Link, Pair, connected_pair, settle
from tests.net.roots import root_of

pytestmark = pytest.mark.slow

TEXT = "a text that takes more bytes than a head of a message does"


class Two(pb.Referenceable):
    def remote_double(self, text: str) -> str:
        return text * 2


class Root(pb.Root):
    def __init__(self) -> None:
        self.ran = 0

    def remote_call(self, two: Any, text: str) -> Any:
        self.ran += 1
        return two.callRemote("double", text)


def exchange(pair: Pair) -> pb.Promise[str]:
    """Ask for the root and have it call back; return the promise of the answer."""
    asked = pair.client.getRootObject()
    return asked.callRemote("call", Two(), TEXT)


def lanes(link: Link) -> tuple[Lane, Lane]:
    return link.to_server, link.to_client


def bytes_of_an_exchange() -> tuple[int, int]:
    """Return how many bytes pass in each direction, hellos included."""
    with connected_pair(Root()) as pair:
        assert exchange(pair).get(timeout=5) == TEXT * 2
        settle()
        return pair.link.to_server.passed, pair.link.to_client.passed


@pytest.mark.parametrize("fault", ["reset", "fin"])
@pytest.mark.parametrize("direction", [0, 1], ids=["to_server", "to_client"])
def test_a_call_ends_once_wherever_the_stream_is_cut(
    direction: int, fault: Any, geopb_log: list[Any]
) -> None:
    total = bytes_of_an_exchange()[direction]
    answered = 0
    for count in range(1, total + 1):
        root = Root()
        ended: list[Any] = []

        def cut(link: Link, count: int = count) -> None:
            lanes(link)[direction].after(count, fault)

        with connected_pair(root, on_link=cut, wait=False) as pair:
            promise = exchange(pair).addBoth(ended.append)
            settle()

            assert promise.ready(), f"after {count} of {total} bytes"
            assert len(ended) == 1
            assert root.ran <= 1
            # The last releases leave when references are dropped: later, or never.
            struck = lanes(pair.link)[direction].passed == count
            assert struck is not bool(pair.server.connections)
            if ended == [TEXT * 2]:
                answered += 1
            else:
                assert ended[0].check(pb.PBConnectionLost, pb.DeadReferenceError)
                assert isinstance(ended[0].value, pb.Error)

    # Only the releases behind the answer may be missing.
    assert answered < total / 4
    assert not [each for each in geopb_log if "Unhandled" in each.getMessage()]


def test_an_exchange_works_in_pieces_of_any_size() -> None:
    most = max(bytes_of_an_exchange())
    # Each size around a frame's head, and then some of each length.
    for size in (*range(1, 40), *range(40, most, 7), most):
        with connected_pair(Root(), on_link=lambda link: link.split(size)) as pair:  # noqa: B023
            assert exchange(pair).get(timeout=5) == TEXT * 2
            assert root_of(pair.client)
