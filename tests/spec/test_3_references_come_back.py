"""The how-to's section "References can come back to you", statement by statement."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import geopb as pb
from geopb.broker.references import Import, RemoteReference
from tests.conftest import Pair, Serve
from tests.support import (
    assert_released,
    client_connection,
    collect,
    server_connection,
)


class Two(pb.Referenceable):
    def __init__(self) -> None:
        self.printed: list[Any] = []

    def local(self) -> str:
        return "an actual method call"

    def remote_print(self, arg: Any) -> None:
        self.printed.append(arg)


class One(pb.Root):
    def __init__(self) -> None:
        self.two: Two | None = Two()
        self.given: Any = None
        #: A reference does not keep what is only given out alive on this side.
        self.loose: weakref.ref[Two] | None = None

    def remote_getTwo(self) -> Any:
        return self.two

    def remote_makeTwo(self) -> Two:
        two = Two()
        self.loose = weakref.ref(two)
        return two

    def remote_isLoose(self, two: Any) -> bool:
        assert self.loose is not None
        return self.loose() is two

    def remote_checkTwo(self, newtwo: Any) -> bool:
        self.given = newtwo
        return newtwo is self.two

    def remote_give(self, value: Any) -> Any:
        self.given = value
        return value


@pytest.fixture
def one() -> One:
    return One()


@pytest.fixture
def root(pair: Pair, one: One) -> Any:
    _, client = pair(one)
    return client.getRootObject().get(timeout=5)


def test_the_server_gets_the_same_object_that_it_gave_out(root: Any, one: One) -> None:
    two = root.callRemote("getTwo").get(timeout=5)

    assert root.callRemote("checkTwo", two).get(timeout=5) is True
    assert one.given is one.two


def test_the_root_itself_comes_home(root: Any, one: One) -> None:
    root.callRemote("give", root).get(timeout=5)

    assert one.given is one


def test_it_is_a_real_object_with_actual_methods(root: Any, one: One) -> None:
    two = root.callRemote("getTwo").get(timeout=5)
    root.callRemote("give", two).get(timeout=5)

    assert type(one.given) is Two
    assert one.given.local() == "an actual method call"


def test_it_comes_home_by_keyword_and_inside_containers(root: Any, one: One) -> None:
    two = root.callRemote("getTwo").get(timeout=5)

    root.callRemote("give", value={"a": [two, (two, 1)], two: two}).get(timeout=5)

    assert one.given == {"a": [one.two, (one.two, 1)], one.two: one.two}
    assert one.given["a"][0] is one.two


def test_it_comes_home_when_it_was_the_last_reference(root: Any, one: One) -> None:
    two = root.callRemote("makeTwo").get(timeout=5)
    gc.collect()
    promise = root.callRemote("isLoose", two)
    # The release follows the call, and must not overtake it.
    del two
    collect()

    assert promise.get(timeout=5) is True


def test_the_same_object_is_the_same_reference_while_one_is_held(root: Any) -> None:
    first = root.callRemote("getTwo").get(timeout=5)

    assert root.callRemote("getTwo").get(timeout=5) is first
    # There and back again: what the server returns is its own object.
    assert root.callRemote("give", first).get(timeout=5) is first
    assert root.callRemote("give", [first, first]).get(timeout=5) == [first, first]


def test_equality_and_hash_of_references_never_raise(pair: Pair, one: One) -> None:
    _, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    two = root.callRemote("getTwo").get(timeout=5)
    client.disconnect()

    assert two != root
    assert two != one.two
    assert len({two, root, two}) == 2


def test_it_can_be_sent_back_any_number_of_times(root: Any, one: One) -> None:
    two = root.callRemote("getTwo").get(timeout=5)

    promises = [root.callRemote("checkTwo", two) for _ in range(50)]

    assert pb.gather(promises).get(timeout=5) == [True] * 50


def test_a_reference_given_to_another_client_cannot_be_given_back_by_this_one(
    serve: Serve, one: One
) -> None:
    server = serve(one)
    with pb.connect(server.address) as mine, pb.connect(server.address) as other:
        my_root = mine.getRootObject().get(timeout=5)
        other_root = other.getRootObject().get(timeout=5)
        two = other_root.callRemote("getTwo").get(timeout=5)

        with pytest.raises(pb.InsecureJelly, match="third party"):
            my_root.callRemote("checkTwo", two).get(timeout=5)

        assert one.given is None
        assert other_root.callRemote("checkTwo", two).get(timeout=5)


def test_a_reference_of_an_earlier_connection_cannot_be_given_back(
    serve: Serve, one: One
) -> None:
    server = serve(one)
    with pb.connect(server.address) as before:
        old = before.getRootObject().get(timeout=5).callRemote("getTwo").get(timeout=5)
    with pb.connect(server.address) as client:
        root = client.getRootObject().get(timeout=5)

        with pytest.raises(pb.InsecureJelly):
            root.callRemote("checkTwo", old).get(timeout=5)
        with pytest.raises(pb.DeadReferenceError):
            old.callRemote("print", 1)

    assert one.given is None


@pytest.mark.parametrize("number", [7, 4096, 2**31])
def test_a_reference_that_was_never_given_is_an_error_and_never_an_object(
    pair: Pair, one: One, number: int
) -> None:
    _, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    forged = RemoteReference(client_connection(client), Import(number))

    with pytest.raises(pb.Error, match=f"reference {number} was never given"):
        root.callRemote("give", forged).get(timeout=5)
    with pytest.raises(pb.Error, match=f"reference {number} was never given"):
        forged.callRemote("print", 1).get(timeout=5)

    assert one.given is None
    assert root.callRemote("give", 1).get(timeout=5) == 1


def test_a_reference_that_was_dropped_is_an_error_and_never_an_object(
    pair: Pair, one: One
) -> None:
    server, client = pair(one)
    root = client.getRootObject().get(timeout=5)
    two = root.callRemote("getTwo").get(timeout=5)
    number = two._entry.number
    del two
    connection = client_connection(client)
    while server_connection(server).statistics()["exports"] > 1:
        collect()
        root.callRemote("give", 1).get(timeout=5)

    late = RemoteReference(connection, Import(number))

    with pytest.raises(pb.Error, match="released"):
        late.callRemote("print", 1).get(timeout=5)


def test_bound_methods_are_a_convenient_state_machine(pair: Pair, one: One) -> None:
    class Foo:
        def __init__(self) -> None:
            self.one: Any = None

        def step1(self, obj: Any) -> Any:
            self.one = obj
            return self.one.callRemote("getTwo").addCallback(self.step2)

        def step2(self, two: Any) -> Any:
            return self.one.callRemote("checkTwo", two)

    server, client = pair(one)
    foo = Foo()

    assert client.getRootObject().addCallback(foo.step1).get(timeout=5) is True
    foo.one = None
    one.given = None
    assert_released([client_connection(client), *server.connections])
