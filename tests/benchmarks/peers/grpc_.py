"""gRPC: a service of protobuf's, futures where calls are under way at once.

It has no objects, and messages of declared types in the place of dicts: the dicts are
made messages and the messages dicts at the client.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tests.benchmarks.commands import Client
from tests.benchmarks.peers import blocking

messages, services = grpc.protos_and_services("tests/benchmarks/peers/echo.proto")


class Echoer(services.EchoerServicer):  # type: ignore[misc, name-defined]
    """What the server offers."""

    def Echo(self, request: Any, _context: Any) -> Any:
        """Return the argument."""
        return request

    EchoNumber = EchoLarge = EchoEntries = Echo


class Server:
    """Accepting from the start."""

    def __init__(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8))
        services.add_EchoerServicer_to_server(Echoer(), self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        #: Text for clients.
        self.address = f"127.0.0.1:{port}"

    def stop(self) -> None:
        """Stop accepting, and end what is connected."""
        self._server.stop(None).wait(5)


def _entries(value: list[dict[str, Any]]) -> Any:
    return messages.Entries(value=[messages.Entry(**each) for each in value])


def _dicts(entries: Any) -> list[dict[str, Any]]:
    return [
        {"id": each.id, "name": each.name, "ok": each.ok, "score": each.score}
        for each in entries.value
    ]


class Connection:
    """One channel with a connection of its own."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, options)
        self._stub = services.EchoerStub(self._channel)
        grpc.channel_ready_future(self._channel).result(10)

    def echo(self, value: Any) -> Any:
        """Make one call and wait for its answer."""
        if isinstance(value, str):
            return self._stub.Echo(messages.Text(value=value)).value
        if isinstance(value, bytes):
            return self._stub.EchoLarge(messages.Large(value=value)).value
        return _dicts(self._stub.EchoEntries(_entries(value)))

    def echo_all(self, values: list[Any]) -> list[Any]:
        """Make all calls, then take the answers."""
        if isinstance(values[0], str):
            call, message = self._stub.Echo.future, messages.Text
        else:
            call, message = self._stub.EchoNumber.future, messages.Number
        futures = [call(message(value=value)) for value in values]
        return [future.result().value for future in futures]

    def transcode(self, value: Any) -> Any:
        """Encode and decode once, without sending."""
        return _dicts(messages.Entries.FromString(_entries(value).SerializeToString()))

    def use_here(self) -> None:
        """Nothing: any thread may use it."""

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def client() -> Client:
    """Return the client."""
    return blocking.client(Connection)
