"""The how-to's section "References to client-side objects", statement by statement."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

import geopb as pb
from tests.conftest import Pair, Serve
from tests.support import collected, eventually


class Two(pb.Referenceable):
    def __init__(self) -> None:
        self.printed: list[Any] = []

    def remote_print(self, arg: Any) -> str:
        self.printed.append(arg)
        return f"printed {arg}"


class One(pb.Root):
    def __init__(self) -> None:
        self.taken: Any = None

    def remote_takeTwo(self, two: Any) -> None:
        self.taken = two

    def remote_callTwo(self, two: Any, arg: Any) -> Any:
        return two.callRemote("print", arg).get(timeout=5)

    def remote_sendBack(self) -> Any:
        return self.taken

    def remote_drop(self) -> None:
        self.taken = None


@pytest.fixture
def one() -> One:
    return One()


def test_the_server_calls_the_clients_object_while_it_serves_its_call(
    pair: Pair, one: One
) -> None:
    _, client = pair(one)
    two = Two()
    root = client.getRootObject().get(timeout=5)

    assert root.callRemote("callTwo", two, 12).get(timeout=5) == "printed 12"
    assert two.printed == [12]


def test_the_server_calls_it_later_of_its_own_accord(pair: Pair, one: One) -> None:
    _, client = pair(one)
    two = Two()
    client.getRootObject().get(timeout=5).callRemote("takeTwo", two).get(timeout=5)

    assert isinstance(one.taken, pb.RemoteReference)
    assert one.taken.callRemote("print", "later").get(timeout=5) == "printed later"
    assert two.printed == ["later"]
    one.taken = None


def test_the_clients_object_comes_home_as_itself(pair: Pair, one: One) -> None:
    _, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    two = Two()
    root.callRemote("takeTwo", two).get(timeout=5)

    assert root.callRemote("sendBack").get(timeout=5) is two
    one.taken = None


def test_the_clients_object_lives_as_long_as_the_server_holds_a_reference(
    pair: Pair, one: One
) -> None:
    _, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    two = Two()
    living = weakref.ref(two)
    root.callRemote("takeTwo", two).get(timeout=5)

    del two
    assert one.taken.callRemote("print", 1).get(timeout=5) == "printed 1"
    root.callRemote("drop").get(timeout=5)

    assert collected(living)


def test_what_a_client_may_do_the_server_may_too(pair: Pair, one: One) -> None:
    """Errors, refusals and unknown methods look the same from either side."""
    _, client = pair(one)

    class Rude(pb.Referenceable):
        def remote_raise(self) -> None:
            raise pb.Error("no")

        def remote_insecure(self) -> object:
            return object()

    root = client.getRootObject().get(timeout=5)
    root.callRemote("takeTwo", Rude()).get(timeout=5)

    with pytest.raises(pb.Error, match="no"):
        one.taken.callRemote("raise").get(timeout=5)
    with pytest.raises(pb.InsecureJelly):
        one.taken.callRemote("insecure").get(timeout=5)
    with pytest.raises(pb.InsecureJelly):
        one.taken.callRemote("raise", object()).get(timeout=5)
    with pytest.raises(pb.NoSuchMethod):
        one.taken.callRemote("print").get(timeout=5)
    one.taken = None


def test_a_client_has_no_root_that_a_server_could_ask_for(pair: Pair, one: One) -> None:
    server, _ = pair(one)
    (connection,) = server.connections

    with pytest.raises(pb.Error):
        connection.call(0, "getRootObject", (), {}).get(timeout=5)


def test_when_the_client_goes_the_server_is_told_and_its_reference_is_dead(
    serve: Serve, one: One
) -> None:
    server = serve(one)
    gone: list[Any] = []
    with pb.connect(server.address) as client:
        root = client.getRootObject().get(timeout=5)
        root.callRemote("takeTwo", Two()).get(timeout=5)
        one.taken.notifyOnDisconnect(gone.append)

    eventually(lambda: gone)
    assert gone == [one.taken]
    with pytest.raises(pb.DeadReferenceError):
        one.taken.callRemote("print", 1)
