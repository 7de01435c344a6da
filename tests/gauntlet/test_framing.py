"""Framing, on raw sockets to a live server."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import socket

from geopb.limits import Limits
from tests.gauntlet.arena import Arena, Raw
from tests.gauntlet.conftest import MakeArena
from tests.gauntlet.corpus import FULL
from tests.net.peers import HELLO
from tests.support import SOON, eventually, turns
from tests.vectors.cbor import frame

ROOT = frame([1, 1, 0, "getRootObject", []])
ECHO = frame([1, 2, 0, "getRootObject", []])
#: How the answer to question 2 begins.
ANSWERED = b"\x83\x02\x02\x81"
LIMIT = Limits().max_structure_size


def head(length: int) -> bytes:
    return struct.pack(">I", length)


def padded(size: int) -> bytes:
    """Return a call's frame, the body of which is so long."""
    body = frame([1, 2, 0, "getRootObject", [], {}, {"x": b""}])[4:-1]
    left = size - len(body) - 5
    return head(size) + body + b"\x5a" + left.to_bytes(4, "big") + b"x" * left


#: What is said behind the hello; question 2 is answered then.
SAID: dict[str, bytes] = {
    "8 two frames at once": ROOT + ECHO,
    "9 two hundred frames at once": (
        b"".join(frame([1, n, 0, "getRootObject", []]) for n in range(3, 203)) + ECHO
    ),
    "11 a frame of the limit": padded(LIMIT),
}
#: What is said behind the hello, and ends the connection.
ENDED: dict[str, bytes] = {
    "10 length 0": head(0),
    "12 the limit and one": head(LIMIT + 1),
    "13 2^31": head(2**31),
    "14 2^32 - 1": head(2**32 - 1),
    "23 a good frame and a bad one": ROOT + head(3) + b"bad",
    "24 bytes behind the message": head(len(ROOT) - 3) + ROOT[4:] + b"\x00",
    "50 the hello twice": HELLO,
}


def test_what_may_be_said_is_answered(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    ring = arena()
    for name, said in SAID.items():
        with subtests.test(name), ring.case():
            raw = ring.raw()
            raw.say(said)
            raw.hear(ANSWERED)


def test_what_breaks_the_framing_ends_the_connection(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    ring = arena()
    for name, said in ENDED.items():
        with subtests.test(name), ring.case():
            raw = ring.raw()
            raw.say(said)
            assert raw.ends()


@pytest.mark.parametrize(
    "begun",
    [b"\x00", head(100), ROOT[:-1], ROOT + ECHO[:7]],
    ids=["3 one byte of a head", "4 no body", "5 a byte short", "a second frame begun"],
)
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_what_is_begun_and_never_ended_is_forgotten(
    arena: MakeArena, begun: bytes, how: str
) -> None:
    """27, 28: and the line goes, in one way or another."""
    ring = arena()
    with ring.case():
        raw = ring.raw()
        raw.say(begun)
        turns()
        if how == "reset":
            raw.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        elif how == "half-close":
            raw.sock.shutdown(socket.SHUT_WR)
            assert raw.ends()
        raw.close()


def _silent(ring: Arena) -> None:
    """1, 2: connect, say nothing, go."""
    for _ in range(20):
        ring.raw(hello=False).close()


def _half_close(ring: Arena) -> None:
    """28: what was asked before the end is answered."""
    raw = ring.raw()
    raw.say(ECHO)
    raw.sock.shutdown(socket.SHUT_WR)
    raw.hear(ANSWERED)
    assert raw.ends()


def _unread(ring: Arena) -> None:
    """29: gone with answers unread."""
    raw = ring.raw()
    raw.say(ECHO)
    turns()


def _byte_by_byte(ring: Arena) -> None:
    """6, 7: in as many pieces as there are bytes."""
    raw = ring.raw(hello=False)
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in HELLO + ECHO:
        raw.say(bytes([byte]))
        gevent.sleep(0)
    raw.hear(ANSWERED)


def _announced(ring: Arena) -> None:
    """26: many announce a mebibyte each, and send one byte of it."""
    raws = [ring.raw() for _ in range(1000 if FULL else 100)]
    for raw in raws:
        raw.say(head(1024 * 1024) + b"\x85")
    eventually(lambda: len(ring.server.connections) > len(raws))
    raws[-1].close()


def _noise(ring: Arena) -> None:
    """22: 64 KiB of random bytes, behind a hello and in place of it."""
    for seed in range(1000 if FULL else 30):
        data = random.Random(seed).randbytes(65536)
        for hello in (True, False):
            raw = ring.raw(hello=hello)
            raw.say(data)
            if hello and int.from_bytes(data[:4], "big") <= LIMIT:
                # One of a thousand: the beginning of a frame, whose rest is waited for.
                raw.sock.shutdown(socket.SHUT_WR)
            assert raw.ends()


SCENES: tuple[Callable[[Arena], Any], ...] = (
    _silent,
    _half_close,
    _unread,
    _byte_by_byte,
    _announced,
    _noise,
)


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(arena: MakeArena, scene: Callable[[Arena], Any]) -> None:
    ring = arena()
    with ring.case(cpu=10 if FULL else 2):
        scene(ring)


def test_a_body_that_comes_slowly_is_ended_before_the_hello(arena: MakeArena) -> None:
    """25: a byte now and then does not put the end off."""
    ring = arena(handshake_timeout=0.1)
    with ring.case():
        raw = ring.raw(hello=False)

        def drip() -> None:
            for byte in HELLO[:-1]:
                raw.say(bytes([byte]))
                gevent.sleep(0.01)

        dripping = gevent.spawn(drip)
        assert raw.ends()
        dripping.kill()


def test_an_arena_tells_what_is_left(arena: MakeArena) -> None:
    """What the verdict is worth: each of its parts is one."""
    ring = arena()
    ring.patience = 0.05
    kept: list[Any] = []

    def keep(thing: Any) -> None:
        with ring.case():
            kept.append(thing())

    def connected() -> Raw:
        raw = Raw(ring.server)
        raw.say(ECHO)
        raw.hear(ANSWERED)
        return raw

    with pytest.raises(AssertionError, match="left behind"):
        keep(connected)
    kept.pop().close()
    ring.patience = SOON

    with pytest.raises(AssertionError, match="MiB are left"):
        keep(lambda: b"x" * 20_000_000)
    kept.clear()
    with pytest.raises(AssertionError, match="s of CPU"), ring.case(cpu=0.0):
        sum(range(1000))
