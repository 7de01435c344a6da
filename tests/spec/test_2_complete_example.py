"""The how-to's section "Complete Example", statement by statement."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import gevent
import pytest

import geopb as pb
from tests.conftest import Pair, Serve
from tests.support import assert_released, client_connection, collected, eventually


class Two(pb.Referenceable):
    def __init__(self) -> None:
        self.given: list[Any] = []

    def remote_three(self, arg: Any) -> None:
        self.given.append(arg)


class NotReferenceable:
    pass


class One(pb.Root):
    def __init__(self) -> None:
        self.made: list[Two] = []
        self.unsafe: Any = None

    def remote_getTwo(self) -> Two:
        two = Two()
        self.made.append(two)
        return two

    def remote_getUnsafe(self) -> Any:
        return self.unsafe

    def remote_alive(self) -> bool:
        return True


@pytest.fixture
def one() -> One:
    return One()


@pytest.fixture
def root(pair: Pair, one: One) -> Any:
    _, client = pair(one)
    return client.getRootObject().get(timeout=5)


def test_the_client_gets_a_reference_and_calls_the_very_object_that_was_returned(
    root: Any, one: One
) -> None:
    two = root.callRemote("getTwo").get(timeout=5)

    assert isinstance(two, pb.RemoteReference)
    assert two.callRemote("three", 12).get(timeout=5) is None
    assert one.made[0].given == [12]


def test_each_object_is_a_reference_of_its_own(root: Any, one: One) -> None:
    first = root.callRemote("getTwo").get(timeout=5)
    second = root.callRemote("getTwo").get(timeout=5)

    assert first != second
    second.callRemote("three", 2).get(timeout=5)
    assert [two.given for two in one.made] == [[], [2]]


def test_arbitrary_sets_of_objects_may_be_returned(pair: Pair) -> None:
    class Many(pb.Root):
        def remote_many(self) -> Any:
            return {"list": [Two(), Two()], "tuple": (Two(), 1)}

    _, client = pair(Many())
    many = client.getRootObject().get(timeout=5).callRemote("many").get(timeout=5)

    assert all(isinstance(each, pb.RemoteReference) for each in many["list"])
    assert type(many["tuple"]) is tuple
    assert isinstance(many["tuple"][0], pb.RemoteReference)
    del many


def test_getRootObject_fails_when_the_name_is_unknown() -> None:
    seen: list[Any] = []
    factory = pb.PBClientFactory()
    promise = factory.getRootObject().addErrback(seen.append)

    factory.connect("no-such-host.invalid:8800")
    promise.get(timeout=20)

    assert seen[0].check(OSError)
    assert type(seen[0].value).__name__ == "gaierror"


def test_getRootObject_fails_when_the_connection_is_refused(serve: Serve) -> None:
    server = serve(One())
    server.stop()
    factory = pb.PBClientFactory().connect(server.address)

    with pytest.raises(ConnectionRefusedError):
        factory.getRootObject().get(timeout=5)


def test_getRootObject_fails_with_what_the_server_raises(pair: Pair) -> None:
    class Choosy(pb.Root):
        def rootObject(self, broker: object) -> pb.Referenceable:
            raise pb.Error("not for you")

    _, client = pair(Choosy())

    with pytest.raises(pb.Error, match="not for you"):
        client.getRootObject().get(timeout=5)


def test_the_root_may_be_another_object_than_the_one_that_is_served(pair: Pair) -> None:
    class Door(pb.Root):
        def rootObject(self, broker: object) -> pb.Referenceable:
            return two

    two = Two()
    _, client = pair(Door())

    client.getRootObject().get(timeout=5).callRemote("three", 3).get(timeout=5)

    assert two.given == [3]


@pytest.mark.parametrize(
    "unsafe",
    [
        NotReferenceable(),
        NotReferenceable,
        print,
        sys,
        object(),
        lambda: None,
        iter([1]),
        ValueError("as a value"),
        memoryview(b"x"),
        range(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_returning_what_is_not_Referenceable_is_InsecureJelly(
    root: Any, one: One, unsafe: Any
) -> None:
    for value in (unsafe, [1, {"deep": (unsafe,)}]):
        one.unsafe = value
        with pytest.raises(pb.InsecureJelly):
            root.callRemote("getUnsafe").get(timeout=5)

    assert root.callRemote("alive").get(timeout=5)


def test_a_call_that_fails_goes_to_the_errback(root: Any, one: One) -> None:
    one.unsafe = NotReferenceable()

    which = root.callRemote("getUnsafe").addCallbacks(
        lambda _: "callback", lambda failure: failure.type
    )

    assert which.get(timeout=5) == "geopb.InsecureJelly"


def test_the_object_lives_as_long_as_the_client_holds_a_reference(
    root: Any, one: One
) -> None:
    two = root.callRemote("getTwo").get(timeout=5)
    living = weakref.ref(one.made.pop())
    gc.collect()
    assert living() is not None
    two.callRemote("three", 1).get(timeout=5)

    del two

    assert collected(living)


def test_all_tables_are_empty_when_the_references_are_dropped(
    pair: Pair, one: One
) -> None:
    server, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    twos = [root.callRemote("getTwo").get(timeout=5) for _ in range(20)]
    twos[3].callRemote("three", twos[4]).get(timeout=5)

    del root, twos
    one.made.clear()

    assert_released([client_connection(client), *server.connections])


def test_a_method_may_block_without_holding_up_the_next(pair: Pair) -> None:
    class Slow(pb.Root):
        def __init__(self) -> None:
            self.go = gevent.event.Event()

        def remote_slow(self) -> str:
            self.go.wait()
            return "slow"

        def remote_quick(self) -> str:
            return "quick"

        def remote_finish(self) -> None:
            self.go.set()

    _, client = pair(Slow())
    root = client.getRootObject().get(timeout=5)
    slow = root.callRemote("slow")

    assert root.callRemote("quick").get(timeout=5) == "quick"
    assert not slow.ready()
    root.callRemote("finish").get(timeout=5)
    assert eventually(slow.ready)
    assert slow.get() == "slow"
