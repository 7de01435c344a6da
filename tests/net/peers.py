"""A client written by hand, that reads when the test says so."""

from __future__ import annotations

import struct
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

import cbor2
from gevent import socket

import geopb as pb
from geopb.limits import Limits
from geopb.net.address import Address, parse
from geopb.net.connection import Connection
from geopb.wire import messages
from tests.support import SOON, eventually
from tests.vectors.cbor import frame

#: Bytes that each side's kernel holds at the most: far less than a test asks for.
KERNEL_BYTES = 16 * 1024
#: The id of the root, once it has been asked for: the first that a server gives out.
ROOT = 1
HELLO = frame(
    [messages.HELLO, messages.MAGIC, {"versions": [1], "limits": Limits().told()}]
)


class Peer:
    """A client that says what the test says, and reads only in `read_answer`.

    Attributes:
        connection: The server's end.
        answers: What `read_answer` has read: answers and errors by question.
        others: What else it has read, but for the hello.
    """

    def __init__(self, server: pb.PBServer) -> None:
        address = parse(server.address)
        self._sock = socket.socket()
        # Before it connects: it bounds the window that the server is offered.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        self._sock.settimeout(SOON)
        self._sock.connect((address.host, address.port))
        # Each message leaves when it is sent: none waits for the last one's receipt.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._messages = self._read()
        self.answers: dict[int, list[Any]] = {}
        self.others: list[list[Any]] = []
        mine = str(Address("tcp", *self._sock.getsockname()))

        def accepted() -> list[Connection]:
            return [each for each in server.connections if each.peer == mine]

        (self.connection,) = eventually(accepted)
        served: Any = self.connection._sock
        served.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self._sock.sendall(HELLO)
        self.call(1, "getRootObject", target=0)
        self.read_answer(1)

    def call(self, number: int, name: str, *args: Any, target: int = ROOT) -> None:
        """Send a call; blocks while the server reads none."""
        self.send(frame([messages.CALL, number, target, name, list(args)]))

    def send(self, data: bytes) -> None:
        """Send whole messages."""
        self._sock.sendall(data)

    def read_answer(self, number: int) -> list[Any]:
        """Read until question `number` is answered; return its message."""
        while number not in self.answers:
            message = next(self._messages)
            if message[0] in (messages.ANSWER, messages.ERROR):
                self.answers[message[1]] = message
            elif message[0] != messages.HELLO:
                self.others.append(message)
        return self.answers[number]

    def _read(self) -> Generator[list[Any], None, None]:
        with self._sock.makefile("rb") as stream:
            while head := stream.read(4):
                yield cbor2.loads(stream.read(*struct.unpack(">I", head)))

    def close(self) -> None:
        """End the connection."""
        self._messages.close()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
