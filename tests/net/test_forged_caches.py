"""Peers that lie about caches: an error to them, never an object."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import geopb as pb
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.caches import Followed, Log
from tests.net.peers import ROOT, Peer
from tests.net.roots import Doing
from tests.support import eventually, turns
from tests.vectors.cbor import Tag, frame

MINE, YOURS, COPY, CACHE = 60100, 60101, 60122, 60125
CALL, ANSWER, ERROR, RELEASE, UPDATE, SNAPSHOT, END = 1, 2, 3, 4, 7, 8, 9
LOG = f"{Log.__module__}.Log"


class Shop(Doing):
    """Keeps what it was given, and shows a log of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.log = Log()

    def remote_keep(self, *values: Any) -> None:
        self.kept.extend(values)

    def remote_log(self) -> Any:
        return self.log


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def peer(serve: Serve, shop: Shop) -> Iterator[Peer]:
    server = serve(shop)
    with Peer(server) as peer:
        yield peer
        peer.call(999, "echo", "alive")
        assert peer.read_answer(999)[2] == ["alive"]


def refused(answer: list[Any]) -> bool:
    return answer[0] == ERROR and answer[2] == "geopb.InsecureJelly"


def cache(number: int = 5, *state: Any, name: str = LOG) -> Tag:
    return Tag(CACHE, [number, name, *state])


def test_a_cache_written_by_hand_follows(peer: Peer, shop: Shop) -> None:
    """The lies below differ from this in one thing each."""
    peer.call(2, "keep", cache(5, {"items": [1]}))
    peer.send(frame([UPDATE, 3, 5, "added", [2]]))
    peer.send(frame([SNAPSHOT, 4, 5, [{"items": [7]}]]))
    peer.send(frame([UPDATE, 5, 5, "added", [8]]))
    assert [peer.read_answer(n)[0] for n in (2, 3, 4, 5)] == [ANSWER] * 4

    assert shop.kept[0].items == [7, 8]
    assert shop.kept[0].states == 2
    peer.send(frame([END, 5]))
    eventually(lambda: shop.kept[0].ended)


@pytest.mark.parametrize("number", [1, 4, 6, 2**62])
def test_an_update_for_what_is_not_owned_runs_nothing(
    peer: Peer, shop: Shop, number: int
) -> None:
    peer.call(2, "keep", cache(5, {"items": []}), Tag(MINE, 4))
    peer.read_answer(2)

    peer.send(frame([UPDATE, 3, number, "added", ["forged"]]))
    peer.send(frame([SNAPSHOT, 4, number, [{"items": ["forged"]}]]))
    peer.send(frame([UPDATE, None, number, "added", ["forged"]]))
    peer.send(frame([END, number]))

    assert refused(peer.read_answer(3))
    assert refused(peer.read_answer(4))
    assert shop.kept[0].items == []


def test_an_update_for_the_receivers_own_object_runs_nothing(
    peer: Peer, shop: Shop
) -> None:
    peer.call(2, "log")
    number = peer.read_answer(2)[2][0].value[0]

    peer.send(frame([UPDATE, 3, number, "added", ["forged"]]))
    peer.send(frame([SNAPSHOT, 4, number, [{"items": ["forged"]}]]))

    assert refused(peer.read_answer(3))
    assert refused(peer.read_answer(4))
    assert shop.log.items == []


@pytest.mark.parametrize(
    "name",
    ["add", "getStateToCacheAndObserveFor", "stoppedObserving", "added", "__init__"],
)
def test_what_is_watched_cannot_be_called(peer: Peer, shop: Shop, name: str) -> None:
    peer.call(2, "log")
    number = peer.read_answer(2)[2][0].value[0]

    peer.call(3, name, None, None, target=number)

    assert refused(peer.read_answer(3))
    assert len(shop.log.observers) == 1
    assert shop.log.items == []


def test_a_cache_cannot_be_called_at_its_holder(peer: Peer, shop: Shop) -> None:
    peer.call(2, "keep", cache(5, {"items": []}))
    peer.read_answer(2)

    peer.call(3, "added", 1, target=5)

    assert refused(peer.read_answer(3))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_hidden",
        "__init__",
        "__class__",
        "setCopyableState",
        "updates_ended",
        "x.y",
    ],
)
def test_an_update_runs_observe_methods_alone(
    peer: Peer, shop: Shop, name: str
) -> None:
    peer.call(2, "keep", cache(5, {"items": []}))
    peer.send(frame([UPDATE, 3, 5, name, []]))

    assert peer.read_answer(3)[2] == "geopb.NoSuchMethod"
    assert shop.kept[0].items == []
    assert not shop.kept[0].ended


@pytest.mark.parametrize(
    "forged",
    [
        cache(5, {"items": []}, name="os.system"),
        cache(5, {"items": []}, name="builtins.object"),
        cache(5, {"items": []}, name=""),
        cache(5, {"items": []}, name="tests.net.caches.Followed"),
        cache(5, {"items": []}, name="a.plain.Copy"),
        cache(5, {"items": []}, name="a.colour.Enum"),
        cache(0, {"items": []}),
        cache(-1, {"items": []}),
        cache(2**63, {"items": []}),
        cache(4, {"items": []}),
        Tag(CACHE, [5]),
        Tag(CACHE, [5, 5, {}]),
        Tag(CACHE, [5, LOG, {}, {}]),
        Tag(COPY, [LOG, {"items": []}]),
        Tag(YOURS, 77),
    ],
    ids=repr,
)
def test_a_forged_cache_is_refused(
    serve: Serve,
    shop: Shop,
    geopb_log: list[logging.LogRecord],
    forged: Tag,
) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("a.plain.Copy", Plain)
    server = serve(shop, registry=registry)
    with Peer(server) as peer:
        peer.call(2, "keep", Tag(MINE, 4))
        peer.read_answer(2)

        peer.call(3, "keep", forged)
        peer.call(4, "keep", [1, {"deep": forged}])

        assert peer.read_answer(3)[0] == ERROR
        assert peer.read_answer(4)[0] == ERROR
        assert len(shop.kept) == 1
        peer.call(9, "echo", "alive")
        assert peer.read_answer(9)[2] == ["alive"]
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


class Plain(pb.RemoteCopy):
    pass


def test_a_state_that_comes_twice_is_refused(peer: Peer, shop: Shop) -> None:
    peer.call(2, "keep", cache(5, {"items": [1]}))
    peer.call(3, "keep", cache(5, {"items": [2]}))
    peer.call(4, "keep", [cache(6, {"items": [1]}), cache(6, {"items": [2]})])

    assert peer.read_answer(2)[0] == ANSWER
    assert refused(peer.read_answer(3))
    assert refused(peer.read_answer(4))
    assert [each.items for each in shop.kept] == [[1]]
    # The last was never good: it may come again.
    peer.call(5, "keep", cache(6, {"items": [3]}))
    assert peer.read_answer(5)[0] == ANSWER
    assert shop.kept[1].items == [3]


@pytest.mark.parametrize(
    "state", [None, 7, "text", [], [1], {b"items": 1}, {"_geopb_entry": 1}], ids=repr
)
def test_a_state_of_the_wrong_shape_fails_that_call(
    serve: Serve, state: Any, geopb_log: Any
) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("follows.Plainly", PlainCache)
    shop = Shop()
    server = serve(shop, registry=registry)
    with Peer(server) as peer:
        peer.call(2, "keep", cache(5, state, name="follows.Plainly"))
        assert peer.read_answer(2)[0] == ERROR
        peer.call(3, "keep", cache(6, {"a": 1}, name="follows.Plainly"))
        assert peer.read_answer(3)[0] == ANSWER
        assert [each.a for each in shop.kept] == [1]
        # What is held takes no worse a state later.
        peer.send(frame([SNAPSHOT, 4, 6, [state]]))
        assert peer.read_answer(4)[0] == ERROR
        assert shop.kept[0].a == 1


class PlainCache(pb.RemoteCache):
    a: Any


def test_a_name_whose_state_never_comes_costs_its_own_call_alone(
    serve: Serve, shop: Shop
) -> None:
    server = serve(shop)
    with Peer(server) as peer:
        peer.call(2, "keep", cache(5))
        peer.send(frame([UPDATE, 3, 5, "added", ["early"]]))
        peer.read_answer(3)
        peer.call(4, "echo", "alive")
        assert peer.read_answer(4)[2] == ["alive"]
        assert 2 not in peer.answers
        assert not shop.kept
        peer.send(frame([SNAPSHOT, 5, 5, [{"items": ["late"]}]]))
        assert peer.read_answer(2)[0] == ANSWER
        assert shop.kept[0].items == ["late"]
        peer.call(6, "keep", cache(7))
        turns()
    eventually(lambda: not server.connections)
    assert len(shop.kept) == 1


@pytest.mark.parametrize(
    "message",
    [
        [UPDATE],
        [UPDATE, 1],
        [UPDATE, 2, 5, "added"],
        [UPDATE, 2, 5, 7, []],
        [UPDATE, "2", 5, "added", []],
        [UPDATE, 2, 5, "added", {}],
        [UPDATE, 2, 5, "added", [], []],
        [SNAPSHOT, 2, 0, [{}]],
        [SNAPSHOT, 2, 5],
        [SNAPSHOT, 2, 5, []],
        [SNAPSHOT, 2, 5, [1, 2]],
        [SNAPSHOT, 2, 5, {}],
        [END],
        [END, "5"],
        [END, -1],
        # No id that could be given back.
        [CALL, 2, 1, "keep", [Tag(CACHE, 5)]],
        [CALL, 2, 1, "keep", [Tag(CACHE, [])]],
        [CALL, 2, 1, "keep", [Tag(CACHE, ["5", LOG, {}])]],
    ],
    ids=repr,
)
def test_messages_of_the_wrong_shape_end_the_connection_with_one_line(
    serve: Serve,
    shop: Shop,
    geopb_log: list[logging.LogRecord],
    message: list[Any],
) -> None:
    server = serve(shop)
    with Peer(server) as peer:
        peer.call(2, "keep", cache(5, {"items": []}))
        peer.read_answer(2)
        peer.send(frame(message))
        eventually(lambda: not server.connections)
    lines = [each for each in geopb_log if each.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].exc_info is None


def test_a_flood_of_updates_to_a_cache_that_blocks_ends_the_connection(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    Followed.hold.clear()
    shop = Shop()
    server = serve(shop, max_pending_calls=10)
    try:
        with Peer(server) as peer:
            peer.call(2, "keep", cache(5, {"items": []}))
            peer.read_answer(2)
            update = frame([UPDATE, None, 5, "hold", []])
            peer.send(update)
            eventually(lambda: shop.kept[0].held)
            peer.send(update * 100)
            eventually(lambda: not server.connections)
    finally:
        Followed.hold.set()
    turns()
    assert shop.kept[0].held == 1
    (line,) = [each for each in geopb_log if each.levelno >= logging.WARNING]
    assert "max_pending_calls" in line.getMessage()


@pytest.mark.parametrize("count", [1, 2])
def test_released_more_often_than_given_ends_the_connection_and_stops_once(
    serve: Serve, shop: Shop, geopb_log: list[logging.LogRecord], count: int
) -> None:
    server = serve(shop)
    with Peer(server) as peer:
        peer.call(2, "log")
        number = peer.read_answer(2)[2][0].value[0]
        peer.send(frame([RELEASE, number, 1]))
        eventually(lambda: not shop.log.observers)
        peer.send(frame([RELEASE, number, count]))
        eventually(lambda: not server.connections)
    shop.log.assert_balanced()
    assert len([each for each in geopb_log if each.levelno >= logging.WARNING]) == 1


def test_a_cache_released_while_more_names_were_under_way_gets_fresh_state(
    peer: Peer, shop: Shop
) -> None:
    for question in (2, 3):
        peer.call(question, "log")
    number = peer.read_answer(2)[2][0].value[0]
    assert peer.read_answer(3)[2][0].value == (number, LOG)
    shop.log.items.append("meanwhile")

    peer.send(frame([RELEASE, number, 1]))
    while (message := next(peer._messages))[0] != SNAPSHOT:
        pass

    assert message[2:] == [number, [{"items": ["meanwhile"]}]]
    assert [told for told, _, _ in shop.log.story] == ["began", "stopped", "began"]


def test_an_answer_that_is_an_error_to_an_update_is_told_to_its_owner(
    peer: Peer, shop: Shop
) -> None:
    peer.call(2, "log")
    peer.read_answer(2)
    (promise,) = shop.log.add(1)
    while (message := next(peer._messages))[0] != UPDATE:
        pass
    assert message[3:5] == ["added", [1]]

    peer.send(frame([ERROR, message[1], "a.b.C", "no", ["a.b.C"], [], {}]))

    with pytest.raises(pb.RemoteError, match="no"):
        promise.get(timeout=5)
    assert len(shop.log.observers) == 1


def test_a_call_that_was_cancelled_before_it_began_holds_up_no_cache(
    peer: Peer, shop: Shop
) -> None:
    """Its state was not taken: whoever is given the cache by name is told so."""
    keeps = frame([CALL, 2, ROOT, "keep", [cache(5, {"items": []})]])
    names = frame([CALL, 3, ROOT, "keep", [cache(5)]])
    peer.send(keeps + frame([messages.CANCEL, 2]) + names)

    assert peer.read_answer(2)[2] == "geopb.Cancelled"
    assert refused(peer.read_answer(3))
    assert not shop.kept
