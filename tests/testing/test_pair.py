"""A client and a server in memory, and what they do when the link misbehaves."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket

import geopb as pb
from geopb.testing import Clock, Link, Pair, connected_pair, settle
from tests.net.roots import Doing, Holding, root_of
from tests.support import SOON, eventually

MakePair = Callable[..., Pair]


class Lost(list[Any]):
    """The references whose connection has ended."""

    def watch(self, reference: Any) -> None:
        reference.notifyOnDisconnect(self.append)


def test_a_pair_is_connected_and_calls_work_both_ways(pb_pair: MakePair) -> None:
    class Two(pb.Referenceable):
        def remote_three(self) -> int:
            return 3

    pair = pb_pair(Doing(lambda two: two.callRemote("three").get(timeout=SOON)))
    root = root_of(pair.client)

    assert root.callRemote("echo", "hello").get(timeout=SOON) == "hello"
    assert root.callRemote("do", Two()).get(timeout=SOON) == 3
    assert pair.server_connection.broker.exports


def test_a_pair_uses_no_port_and_looks_nothing_up(
    pb_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("a pair went to the network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket.socket, "bind", fail)

    assert root_of(pb_pair(Doing()).client).callRemote("echo", 1).get(SOON) == 1


def test_options_are_both_sides_or_one_sides(pb_pair: MakePair) -> None:
    pair = pb_pair(
        Doing(),
        max_depth=20,
        server_options={"max_references": 30},
        client_options={"max_references": 40},
    )
    settle()

    told = pair.server_connection.broker.peer_limits
    assert (told.max_depth, told.max_references) == (20, 40)
    assert pair.server_connection.options.limits.max_references == 30


@pytest.mark.parametrize(
    "arguments",
    [{"max_depht": 3}, {"server_options": {"x": 1}}, {"client_options": {"x": 1}}],
)
def test_an_option_that_does_not_exist_is_a_TypeError(
    arguments: dict[str, Any],
) -> None:
    with pytest.raises(TypeError, match="no option"):
        connected_pair(Doing(), **arguments)


def test_what_is_no_root_is_a_TypeError() -> None:
    wrong: Any = object()
    with pytest.raises(TypeError, match=r"pb\.Root"):
        connected_pair(wrong)


def test_leaving_delivers_what_is_queued_and_ends_both_sides() -> None:
    seen: list[Any] = []
    with connected_pair(Doing(seen.append)) as pair:
        remote = root_of(pair.client)
        for number in range(50):
            remote.callRemoteOnly("do", number)
        remote.callRemoteOnly("do", b"x" * 300_000)
        served = pair.server_connection

    assert seen == [*range(50), b"x" * 300_000]
    assert str(served.lost).endswith("closed the connection: closed")
    assert pair.server.connections == frozenset()
    assert pair.link.closed
    with pytest.raises(pb.DeadReferenceError):
        remote.callRemote("echo")
    pair.close()


def test_what_a_link_holds_back_is_lost_when_the_pair_is_closed() -> None:
    seen: list[Any] = []
    with connected_pair(Doing(seen.append)) as pair:
        remote = root_of(pair.client)
        pair.link.stall()
        remote.callRemoteOnly("do", 1)
        promise = remote.callRemote("echo", b"x" * 1_000_000)
        started = monotonic()

    assert monotonic() - started < 4  # what is queued has 5 s to leave
    assert isinstance(promise.exception, pb.PBConnectionLost)
    assert seen == []


def test_a_pair_is_closed_though_the_peers_call_on_and_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settle, "__defaults__", (0.02,))
    with connected_pair(Doing()) as pair:
        remote = root_of(pair.client)

        def call_on() -> None:
            try:
                while True:
                    remote.callRemote("echo").get(timeout=SOON)
            except pb.Error:
                return

        calling = gevent.spawn(call_on)

    calling.get(timeout=SOON)
    assert not pair.server.connections


def test_a_pair_that_never_connected_has_no_link() -> None:
    pair = connected_pair(Doing(), wait=False)

    with pytest.raises(RuntimeError, match="no link yet"):
        pair.link  # noqa: B018
    with pytest.raises(RuntimeError, match="has 0 connections"):
        pair.server_connection  # noqa: B018
    assert "no link" in repr(pair)
    pair.close()


# -- what geopb does when the link misbehaves ------------------------------------------


def test_a_reset_fails_what_is_pending_and_ends_both_sides(
    pb_pair: MakePair,
) -> None:
    root = Holding()
    pair = pb_pair(root)
    remote = root_of(pair.client)
    lost = Lost()
    lost.watch(remote)
    pending = remote.callRemote("hold")
    settle()
    assert root.started == [None]

    pair.link.reset()
    settle()

    with pytest.raises(pb.PBConnectionLost, match="reset"):
        pending.get(timeout=SOON)
    assert lost == [remote]
    assert not pair.server.connections
    root.go.set()


def test_a_fin_ends_the_connection_on_both_sides(pb_pair: MakePair) -> None:
    pair = pb_pair(Doing())
    remote = root_of(pair.client)

    pair.link.to_client.fin()
    settle()

    with pytest.raises(pb.DeadReferenceError, match="closed the connection"):
        remote.callRemote("echo")
    assert not pair.server.connections
    assert pair.link.closed


@pytest.mark.parametrize("fault", ["reset", "fin"])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 20])
def test_an_end_in_the_middle_of_a_message_fails_its_call(
    pb_pair: MakePair, geopb_log: list[logging.LogRecord], fault: str, count: int
) -> None:
    seen: list[Any] = []
    pair = pb_pair(Doing(seen.append))
    remote = root_of(pair.client)
    settle()

    pair.link.to_server.after(count, fault)
    promise = remote.callRemote("do", "a text of some length")
    settle()

    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=SOON)
    assert seen == []
    assert not pair.server.connections


def test_bytes_that_come_one_by_one_are_understood(pb_pair: MakePair) -> None:
    pair = pb_pair(Doing(), on_link=lambda link: link.split(1))
    remote = root_of(pair.client)

    assert remote.callRemote("echo", ["x", 1, {2: None}]).get(timeout=SOON) == [
        "x",
        1,
        {2: None},
    ]


def test_a_call_takes_as_long_as_the_link_delays_it(
    pb_pair: MakePair, pb_clock: Clock
) -> None:
    root = Holding()
    pair = pb_pair(root, clock=pb_clock)
    remote = root_of(pair.client)
    pair.link.to_server.delay(2)
    pair.link.to_client.delay(3)
    root.go.set()

    promise = remote.callRemote("hold", "x")
    pb_clock.advance(1.5)
    assert root.started == []
    pb_clock.advance(0.5)
    assert root.finished == ["x"]
    pb_clock.advance(2.5)
    assert not promise.ready()
    pb_clock.advance(0.5)

    assert promise.get(block=False) == "x"


def test_the_connection_itself_may_be_delayed(
    pb_pair: MakePair, pb_clock: Clock
) -> None:
    """The first answer takes one round trip after the connection."""
    pair = pb_pair(
        Doing(), clock=pb_clock, on_link=lambda link: link.delay(1), wait=False
    )
    asked = pair.client.getRootObject()
    pb_clock.advance(1)
    assert not asked.ready()

    pb_clock.advance(1)

    assert asked.get(block=False) is not None


def test_a_caller_waits_while_a_stalled_link_takes_no_bytes(
    pb_pair: MakePair,
) -> None:
    pair = pb_pair(Doing(), client_options={"max_unsent_bytes": 1000})
    remote = root_of(pair.client)
    pair.link.to_server.stall()
    answers: list[Any] = []

    def call() -> None:
        for number in range(3):
            answer = remote.callRemote("echo", bytes([number]) * 500_000)
            answers.append(answer)

    calling = gevent.spawn(call)
    settle()
    assert len(answers) == 1
    assert not calling.ready()
    pair.link.resume()
    settle()

    assert calling.ready()
    assert [each.get(timeout=SOON)[:1] for each in answers] == [b"\0", b"\1", b"\2"]


def test_a_half_open_link_leaves_calls_without_an_answer(pb_pair: MakePair) -> None:
    seen: list[Any] = []
    pair = pb_pair(Doing(seen.append))
    remote = root_of(pair.client)

    pair.link.to_client.lose()
    promise = remote.callRemote("do", "ran")
    settle()

    assert seen == ["ran"]
    with pytest.raises(pb.Timeout):
        promise.get(timeout=0.001)
    pair.link.reset()
    with pytest.raises(pb.PBConnectionLost):
        promise.get(timeout=SOON)


def test_a_server_that_hears_nothing_ends_the_handshake(
    pb_pair: MakePair, geopb_log: list[logging.LogRecord]
) -> None:
    def deaf(link: Link) -> None:
        link.to_server.lose()

    pair = pb_pair(Doing(), on_link=deaf, server_options={"handshake_timeout": 0.02})

    eventually(lambda: pair.link.closed)

    (record,) = geopb_log
    assert "handshake_timeout" in record.getMessage()
    with pytest.raises(pb.DeadReferenceError):
        pair.client.getRootObject().get(timeout=SOON)


# -- connecting again ------------------------------------------------------------------


def test_a_client_may_connect_again_through_a_link_of_its_own(
    pb_pair: MakePair,
) -> None:
    pair = pb_pair(Doing())
    first = pair.link
    old = root_of(pair.client)
    pair.client.disconnect()

    pair.client.connect(pair.address)
    new = root_of(pair.client)

    assert new.callRemote("echo", 1).get(timeout=SOON) == 1
    with pytest.raises(pb.DeadReferenceError):
        old.callRemote("echo")
    assert pair.links == [first, pair.link]
    assert pair.link is not first


def test_several_clients_may_connect_to_one_pair(pb_pair: MakePair) -> None:
    pair = pb_pair(Doing())

    with pb.connect(pair.address) as other:
        assert root_of(other).callRemote("echo", 1).get(timeout=SOON) == 1
        assert len(pair.server.connections) == 2
        with pytest.raises(RuntimeError, match="has 2 connections"):
            pair.server_connection  # noqa: B018


def test_a_pair_that_refuses_is_a_ConnectionRefusedError(pb_pair: MakePair) -> None:
    pair = pb_pair(Doing())
    pair.client.disconnect()
    pair.refusing = True

    pair.client.connect(pair.address)

    with pytest.raises(ConnectionRefusedError):
        pair.client.getRootObject().get(timeout=SOON)
    with pytest.raises(ConnectionRefusedError):
        pb.connect(pair.address)
