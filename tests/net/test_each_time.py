"""The limits on time, one by one: just before it is over, when it is, overridden.

By a clock that the test moves. What the kernel measures (`keepalive` of a machine that
is gone) is in ``test_watch`` and ``test_cut_link``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub, socket

import geopb as pb
from geopb.net import connection, reception, watch
from geopb.net.watch import NotReading, Watch
from geopb.testing.clock import Clock, settle
from geopb.wire import messages
from tests.conftest import Serve
from tests.net.peers import ROOT, Peer
from tests.net.roots import Doing, root_of
from tests.net.test_login import Realm, log_in, portal
from tests.support import eventually
from tests.vectors.cbor import frame

#: Longer than all of them.
ALWAYS = 1_000_000.0


class Timer:
    """What a loop's timer is, by a clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._cancel: Callable[[], None] = lambda: None

    def start(self, function: Callable[..., object], *args: object) -> None:
        when = self._clock.now() + self._seconds
        self._cancel = self._clock.call_at(when, lambda: function(*args))

    def close(self) -> None:
        self._cancel()


class _Instead:
    """Something else, but for some of its attributes."""

    def __init__(self, real: Any, **attributes: Any) -> None:
        self._real = real
        self.__dict__.update(attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of what is made from now on, as far as it bounds peers."""
    clock, real = Clock(), get_hub()
    loop = _Instead(real.loop, timer=lambda seconds: Timer(clock, seconds))
    hub = _Instead(real, loop=loop)
    for module in (connection, reception, watch):
        monkeypatch.setattr(module, "get_hub", lambda: hub)
    monkeypatch.setattr(watch, "monotonic", clock.now)
    return clock


@contextmanager
def silent(server: pb.PBServer) -> Any:
    """A client that connects and says nothing; the server's end of it."""
    host, _, port = server.address.removeprefix("tcp://").rpartition(":")
    known = set(server.connections)
    with socket.create_connection((host, int(port)), timeout=5):
        (made,) = eventually(lambda: set(server.connections) - known)
        yield made


@pytest.mark.parametrize("options", [{}, {"handshake_timeout": 25}])
def test_handshake_timeout(serve: Serve, clock: Clock, options: dict[str, Any]) -> None:
    server = serve(Doing(), **options)
    limit = options.get("handshake_timeout", pb.Limits().handshake_timeout)
    with silent(server) as other, Peer(server) as peer:
        clock.advance(limit - 0.001)
        assert other.lost is None

        clock.advance(0.001)
        eventually(lambda: other.lost)

        text = f"said nothing that geopb says within {limit:g} s (handshake_timeout)"
        assert text in str(other.lost)
        # Its hello came in time.
        clock.advance(ALWAYS)
        peer.call(2, "echo", "here")
        assert peer.read_answer(2)[2] == ["here"]


@pytest.mark.parametrize("options", [{}, {"login_timeout": 90}])
def test_login_timeout(serve: Serve, clock: Clock, options: dict[str, Any]) -> None:
    server = serve(portal(Realm()), **options)
    limit = options.get("login_timeout", pb.Limits().login_timeout)
    with pb.connect(server.address) as client, pb.connect(server.address) as other:
        avatar = log_in(other)
        clock.advance(limit - 0.001)
        assert client.state == "connected"

        clock.advance(0.001)
        eventually(lambda: client.state == "disconnected")

        assert f"no login within {limit:g} s (login_timeout)" in str(
            client.last_failure
        )
        clock.advance(ALWAYS)
        assert avatar.callRemote("name").get(timeout=5) == "alice"


@pytest.mark.parametrize("limit", [60.0, 7.0])
def test_keepalive_of_a_peer_that_takes_nothing(clock: Clock, limit: float) -> None:
    here, there = socket.socketpair()
    errors: list[OSError] = []
    bulk: Any = SimpleNamespace(held=False, taken=0)
    watching = Watch(here, "the peer", limit, errors.append, bulk)
    watching.blocked = True
    watching.begin()
    # It takes something: from the look that sees it on, its time begins anew.
    clock.advance(limit / 2)
    watching.taken += 1
    clock.advance(limit)
    assert errors == []

    while not errors:
        before = clock.now()
        clock.advance(limit / 100)
        assert clock.now() < 3 * limit
        settle()

    # An eighth of it passes from one look to the next.
    assert 1.5 * limit <= before <= 1.8 * limit
    (error,) = errors
    assert isinstance(error, NotReading)
    lost, not_reading = watching.explain(error)
    assert not_reading
    assert f"within {limit:g} s (keepalive)" in str(lost)
    watching.stop()
    here.close()
    there.close()


def test_half_a_message_is_waited_for_and_holds_no_more_than_has_come(
    serve: Serve, clock: Clock
) -> None:
    """Who sends it may be stopped in the middle of it: it is not taken for dead."""
    server = serve(Doing())
    size = 1_000_000
    body = frame([messages.CALL, 2, ROOT, "echo", ["x" * size]])
    with Peer(server) as peer, pb.connect(server.address) as other:
        peer.send(body[:100_000])
        for byte in body[100_000:100_050]:
            peer.send(bytes([byte]))
            clock.advance(ALWAYS)
        frames = peer.connection.broker.intake.frames
        eventually(lambda: frames._have == 100_050)
        clock.advance(ALWAYS)

        assert peer.connection.lost is None
        assert root_of(other).callRemote("echo", "served").get(timeout=5) == "served"
        peer.send(body[100_050:])
        assert peer.read_answer(2)[2] == ["x" * size]
