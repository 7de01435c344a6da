"""The message floor: the same messages by hand, with no objects at all.

Owns the fastest plain way to exchange frames over gevent sockets: a 4-byte
big-endian length, then ``[1, id, 0, "echo", [value]]`` or ``[2, id, value]`` in
CBOR, gathered wherever that is plain to do. It checks nothing, remembers nothing and
serves one method: where others have an object and call it, it sends two requests, one
after the other. It is not tuned: cutting 1000 gathered requests into sends of 100
makes it 1.8 times as fast there, reading 1 MiB into one buffer 1.5 times.
"""

import struct
from collections.abc import Iterator
from itertools import count
from typing import Any

import cbor2
from gevent import socket
from gevent.server import StreamServer

from tests.benchmarks.values import TEXT, THIRTY_SIX, TWELVE

_LENGTH = struct.Struct(">I")
_HEADER_BYTES = _LENGTH.size

# 64 KiB: measured; 256 KiB maps fresh memory at each call and halves the rate of
# many small connections.
_RECV_BYTES = 65536


def send_frames(sock: socket.socket, bodies: list[bytes]) -> None:
    """Send ``bodies``, each with its length in front, gathered into one piece."""
    sock.sendall(b"".join([_LENGTH.pack(len(body)) + body for body in bodies]))


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut ``data`` into the bodies of its complete frames and what is left."""
    bodies = []
    start = 0
    available = len(data)
    while available - start >= _HEADER_BYTES:
        begin = start + _HEADER_BYTES
        end = begin + _LENGTH.unpack_from(data, start)[0]
        if end > available:
            break
        bodies.append(data[begin:end])
        start = end
    return bodies, data[start:]


def needed(begun: bytes) -> int:
    """Return how many bytes the frame that ``begun`` starts has with its length."""
    if len(begun) < _HEADER_BYTES:
        return _HEADER_BYTES
    return _HEADER_BYTES + int(_LENGTH.unpack_from(begun)[0])


def batches(sock: socket.socket) -> Iterator[list[bytes]]:
    """Yield the bodies of the frames that each ``recv`` completed, to the end."""
    pieces: list[bytes] = []
    have, need = 0, _HEADER_BYTES
    while data := sock.recv(_RECV_BYTES):
        pieces.append(data)
        have += len(data)
        if have < need:
            continue
        # Joined once for each frame that one recv cannot hold.
        bodies, rest = split(b"".join(pieces) if len(pieces) > 1 else data)
        if bodies:
            yield bodies
        pieces = [rest] if rest else []
        have, need = len(rest), needed(rest)


def serve_connection(sock: socket.socket, _address: object) -> None:
    """Answer each echo request of one connection until the client hangs up."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for bodies in batches(sock):
        answers = []
        for body in bodies:
            _kind, request, _target, _name, arguments = cbor2.loads(body)
            answers.append(cbor2.dumps([2, request, arguments[0]]))
        send_frames(sock, answers)


class Server:
    """The floor's server, accepting from the start: a greenlet per connection."""

    def __init__(self) -> None:
        self._server = StreamServer(("127.0.0.1", 0), serve_connection)
        self._server.start()
        #: Text for ``Connection``.
        self.address = f"127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(timeout=0)


class Connection:
    """The floor's client: one connection, used by one greenlet at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._more: list[Connection] = []
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._batches = batches(self._socket)
        self._ids = count(1)

    def echo(self, value: Any) -> Any:
        """Send one request and wait for its answer."""
        send_frames(self._socket, [self._request(value)])
        [body] = next(self._batches)
        return cbor2.loads(body)[2]

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Send all requests, then take the answers, which come in order.

        For short values: more than the socket buffers hold would never get through.
        """
        send_frames(self._socket, [self._request(value) for value in values])
        results: list[Any] = []
        while len(results) < len(values):
            results += [cbor2.loads(body)[2] for body in next(self._batches)]
        return results

    def batch(self, values: list[Any]) -> None:
        """Send all values in one request."""
        self.echo(values)

    def pair(self) -> None:
        """Send two requests, one after the other."""
        self.echo(TWELVE)
        self.echo(THIRTY_SIX)

    pair_at_once = pair

    def pairs_at_once(self, count: int) -> None:
        """Do that so often: its messages know nothing of one another."""
        for _ in range(count):
            self.pair()

    def first_answer(self) -> None:
        """Connect once more, and send one request."""
        self._more.append(Connection(self._address))
        self._more[-1].echo(TEXT)

    def transcode(self, value: Any) -> Any:
        """Encode and decode once, without sending."""
        return cbor2.loads(cbor2.dumps(value))

    def _request(self, value: Any) -> bytes:
        return cbor2.dumps([1, next(self._ids), 0, "echo", [value]])

    def close(self) -> None:
        """Hang up."""
        while self._more:
            self._more.pop().close()
        self._socket.close()
