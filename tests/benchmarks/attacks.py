"""What one hostile connection can do to a server, as fast as it can.

Owns the attacks: what each sends, without end. They speak the protocol by hand, as an
honest client would not let them. Called in a process of its own (the ``attacker`` of
``child``), so that only the server is shared with the honest client.
"""

from collections.abc import Callable, Iterator
from itertools import count
from struct import pack

import gevent
from gevent import socket

from geopb.jelly import tags
from geopb.limits import Limits
from geopb.net.address import parse
from geopb.wire import messages
from tests.jelly.hostile import integers
from tests.vectors.cbor import Tag, frame

HELLO = frame(
    [messages.HELLO, messages.MAGIC, {"versions": [1], "limits": Limits().told()}]
)
#: The root's id, once it has been asked for.
ROOT = 1
_NOBODY = 999
#: A question's id in CBOR that stands for any other, all of the same length.
_ID = 2**62
#: Messages that are sent at a time.
_BATCH = 200

Batches = Iterator[bytes]


def _numbered(make: Callable[[int], bytes], batch: int = _BATCH) -> Batches:
    """Yield batches of what ``make(id)`` returns, each with an id of its own."""
    parts = make(_ID).split(pack(">Q", _ID))
    for start in count(2, batch):
        yield b"".join(
            pack(">Q", number).join(parts) for number in range(start, start + batch)
        )


def _call(target: int, name: str, *args: object) -> Callable[[int], bytes]:
    return lambda number: frame([messages.CALL, number, target, name, list(args)])


def calls() -> Batches:
    """Small calls."""
    return _numbered(_call(ROOT, "echo", "hello network"))


def large_answers() -> Batches:
    """Calls that are answered with 100 KiB, of an attacker that reads none."""
    return _numbered(_call(ROOT, "echo", "x" * 100_000), 4)


def refusals() -> Batches:
    """Calls of an object that there is not."""
    return _numbered(_call(_NOBODY, "echo"))


def one_way() -> Batches:
    """Calls that want no answer."""
    batch = frame([messages.CALL, None, ROOT, "echo", [1]]) * _BATCH
    while True:
        yield batch


def containers() -> Batches:
    """4 MiB of empty lists in one message: some 300 MiB of objects."""
    return _numbered(_call(_NOBODY, "echo", [[]] * 4_000_000), 1)


def many_containers() -> Batches:
    """The same 16 KiB at a time."""
    return _numbered(_call(_NOBODY, "echo", [[]] * 16_000), 8)


def colliding_keys() -> Batches:
    """A map of keys that collide."""
    flat = [part for key in integers(20_000) for part in (key, 0)]
    return _numbered(_call(ROOT, "echo", Tag(tags.MAP, flat)), 1)


def cancels() -> Batches:
    """Calls that are cancelled at once."""
    return _numbered(
        lambda number: _call(ROOT, "echo", 1)(number) + frame([messages.CANCEL, number])
    )


def roots() -> Batches:
    """The root is asked for over and over."""
    return _numbered(_call(0, "getRootObject"))


def connections() -> Batches:
    """Nothing but a hello, and the next connection."""
    yield b""


def bulk() -> Batches:
    """Large bytes, one message after the other."""
    length = 16 * 1024 * 1024
    chunk = frame([messages.CHUNK, 1, b"x" * 65536])
    make = _call(ROOT, "size", Tag(tags.BULK, [1, length, 0]))
    for call in _numbered(make, 1):
        yield call
        for _ in range(length // 65536):
            yield chunk


#: By name: what is sent, and whether the answers are read.
ATTACKS: dict[str, tuple[Callable[[], Batches], bool]] = {
    "calls": (calls, True),
    "unread": (large_answers, False),
    "refusals": (refusals, True),
    "one way": (one_way, True),
    "cancels": (cancels, True),
    "containers": (containers, True),
    "small containers": (many_containers, True),
    "colliding keys": (colliding_keys, True),
    "bulk": (bulk, True),
    "roots": (roots, True),
    "connections": (connections, False),
}


def attack(address: str, name: str) -> None:
    """Attack over one connection until killed; over the next one when that ends."""
    make, reads = ATTACKS[name]
    where = parse(address)
    while True:
        try:
            with socket.create_connection((where.host, where.port)) as sock:
                _send(sock, make(), reads=reads)
        except OSError:
            # The server has enough of it; and gets more.
            gevent.sleep(0.01)
        gevent.sleep(0)


def _send(sock: socket.socket, batches: Batches, *, reads: bool) -> None:
    sock.sendall(HELLO + _call(0, "getRootObject")(1))
    reader = gevent.spawn(_read_all, sock) if reads else None
    try:
        for batch in batches:
            sock.sendall(batch)
            gevent.sleep(0)
    finally:
        if reader is not None:
            reader.kill()


def _read_all(sock: socket.socket) -> None:
    try:
        while sock.recv(65536):
            pass
    except OSError:
        # The sender has seen it too.
        return
