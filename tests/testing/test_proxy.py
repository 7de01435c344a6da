"""A port that passes connections on to a real server, well or badly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gevent import socket

import geopb as pb
from geopb.net.address import parse
from geopb.testing import Clock, FaultProxy, Link
from tests.conftest import Serve
from tests.net.roots import Doing, Holding, root_of
from tests.support import SOON, eventually

MakeProxy = Callable[..., FaultProxy]


def test_calls_pass_through_a_proxy(pb_server: Serve, pb_proxy: MakeProxy) -> None:
    server = pb_server(Doing())
    proxy = pb_proxy(server.address)
    with pb.connect(proxy.address) as client:
        root = root_of(client)
        data = b"x" * 1_000_000

        assert root.callRemote("echo", data).get(timeout=SOON) == data
        assert proxy.link.to_server.passed > len(data)
        assert proxy.link.to_client.passed > len(data)

    eventually(lambda: proxy.link.closed and not server.connections)
    assert repr(proxy) == f"<FaultProxy {proxy.address} -> {server.address}, 1 links>"


def test_a_reset_is_a_reset_at_both_ends(pb_server: Serve, pb_proxy: MakeProxy) -> None:
    root = Holding()
    server = pb_server(root)
    proxy = pb_proxy(server.address)
    with pb.connect(proxy.address) as client:
        pending = root_of(client).callRemote("hold")
        eventually(lambda: root.started)

        proxy.reset()

        with pytest.raises(pb.PBConnectionLost, match="reset"):
            pending.get(timeout=SOON)
        eventually(lambda: not server.connections)
    root.go.set()


def test_a_server_that_resets_resets_the_client(pb_proxy: MakeProxy) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    proxy = pb_proxy(listener.getsockname())
    where = parse(proxy.address)
    with socket.create_connection((where.host, where.port)) as client:
        accepted, _ = listener.accept()
        client.sendall(b"never read")
        eventually(lambda: proxy.links and proxy.link.to_server.passed == 10)
        accepted.close()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
    listener.close()


def test_one_connections_link_does_not_touch_the_others(
    pb_server: Serve, pb_proxy: MakeProxy
) -> None:
    proxy = pb_proxy(pb_server(Doing()).address)
    with pb.connect(proxy.address) as one, pb.connect(proxy.address) as other:
        gone, kept = root_of(one), root_of(other)
        lost: list[Any] = []
        gone.notifyOnDisconnect(lost.append)

        proxy.links[0].reset()
        eventually(lambda: lost)

        assert kept.callRemote("echo", 1).get(timeout=SOON) == 1


def test_a_link_may_misbehave_from_its_first_byte_on(
    pb_server: Serve, pb_proxy: MakeProxy
) -> None:
    def cut(link: Link) -> None:
        link.to_client.after(10, "fin")

    proxy = pb_proxy(pb_server(Doing()).address, on_link=cut)

    with pytest.raises(pb.PBConnectionLost, match="in the middle of a message"):
        pb.connect(proxy.address)


def test_a_proxy_that_refuses_resets_its_clients(
    pb_server: Serve, pb_proxy: MakeProxy
) -> None:
    proxy = pb_proxy(pb_server(Doing()).address)
    proxy.refusing = True

    with pytest.raises(pb.PBConnectionLost):
        pb.connect(proxy.address)

    assert proxy.links == []
    proxy.refusing = False
    with pb.connect(proxy.address) as client:
        assert root_of(client).callRemote("echo", 1).get(timeout=SOON) == 1


def test_a_server_that_is_not_there_is_a_reset(pb_proxy: MakeProxy) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = pb_proxy(probe.getsockname())

        with pytest.raises(pb.PBConnectionLost):
            pb.connect(proxy.address)

    with pytest.raises(RuntimeError, match="nobody has connected"):
        proxy.link  # noqa: B018


def test_a_closed_proxy_accepts_nobody_and_has_ended_its_links(
    pb_server: Serve,
) -> None:
    server = pb_server(Doing())
    with FaultProxy(server.address) as proxy:
        client = pb.connect(proxy.address)
        remote = root_of(client)
        lost: list[Any] = []
        remote.notifyOnDisconnect(lost.append)
    eventually(lambda: lost)
    proxy.close()

    with pytest.raises(ConnectionRefusedError):
        pb.connect(proxy.address)
    assert proxy.link.closed
    assert lost == [remote]
    eventually(lambda: not server.connections)


def test_unix_sockets_may_stand_on_both_sides(
    pb_server: Serve, pb_proxy: MakeProxy, tmp_path: Path
) -> None:
    server = pb_server(Doing(), f"unix://{tmp_path}/server")
    proxy = pb_proxy(server.address, address=f"unix://{tmp_path}/proxy")

    with pb.connect(proxy.address) as client:
        assert root_of(client).callRemote("echo", 1).get(timeout=SOON) == 1

    proxy.close()
    assert not (tmp_path / "proxy").exists()


def test_a_delay_may_count_on_a_clock(
    pb_server: Serve, pb_proxy: MakeProxy, pb_clock: Clock
) -> None:
    proxy = pb_proxy(pb_server(Doing()).address, clock=pb_clock)
    with pb.connect(proxy.address) as client:
        root = root_of(client)
        proxy.link.to_client.delay(60)
        promise = root.callRemote("echo", 1)
        eventually(lambda: proxy.link.to_client.in_flight)
        assert not promise.ready()

        pb_clock.advance(60)

        assert promise.get(timeout=SOON) == 1
        # The goodbye need not wait for a clock that stands still.
        proxy.link.to_client.delay(0)
