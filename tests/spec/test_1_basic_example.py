"""The how-to's section "Basic Example", statement by statement."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

from typing import Any

import pytest

import geopb as pb
from tests.conftest import Pair, Serve


class Echoer(pb.Root):
    remote_number = 5
    secret = "hidden"

    class remote_Nested:
        """Not a method, though it can be called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.remote_added_later = lambda: "an attribute, not a method"

    @property
    def remote_property(self) -> str:
        self.calls.append("property")
        return "looked at"

    def remote_echo(self, text: Any) -> Any:
        self.calls.append(text)
        return text

    def remote_boom(self) -> str:
        return "boom was run"

    def remote_sum(self, first: int, *rest: int, start: int = 0) -> int:
        return start + first + sum(rest)

    def remote__private(self) -> str:
        return "not to be called"

    def remote_(self) -> str:
        return "not to be called"

    def local_only(self) -> str:
        return "not to be called"

    def perspective_other(self) -> str:
        return "another flavor's"

    def view_other(self) -> str:
        return "another flavor's"


@pytest.fixture
def echoer() -> Echoer:
    return Echoer()


@pytest.fixture
def root(pair: Pair, echoer: Echoer) -> Any:
    _, client = pair(echoer)
    return client.getRootObject().get(timeout=5)


def test_the_whole_example_chained(serve: Serve) -> None:
    printed: list[str] = []
    server = serve(Echoer())
    with pb.PBClientFactory() as factory:
        factory.connect(server.address)
        promise = factory.getRootObject()
        promise.addCallback(lambda each: each.callRemote("echo", "hello network"))
        promise.addCallback(lambda echo: "server echoed: " + echo)
        promise.addErrback(lambda reason: "error: " + str(reason.value))
        promise.addCallback(printed.append)
        promise.wait(timeout=5)

    assert printed == ["server echoed: hello network"]


def test_connecting_and_asking_for_the_root_are_two_steps(serve: Serve) -> None:
    server = serve(Echoer())
    factory = pb.PBClientFactory()

    promise = factory.getRootObject()
    assert not promise.ready()
    assert factory.connect(server.address) is factory

    assert isinstance(promise.get(timeout=5), pb.RemoteReference)
    factory.disconnect()


def test_getRootObject_returns_a_promise_of_a_reference(pair: Pair) -> None:
    _, client = pair(Echoer())

    promise = client.getRootObject()

    assert isinstance(promise, pb.Promise)
    assert isinstance(promise.get(timeout=5), pb.RemoteReference)


def test_a_callback_gets_the_root_first_and_then_what_else_it_was_given(
    pair: Pair,
) -> None:
    _, client = pair(Echoer())
    seen: list[Any] = []

    def got_object(root: Any, *args: Any, **kwargs: Any) -> None:
        seen.append((type(root), args, kwargs))

    client.getRootObject().addCallback(got_object, 1, two=2).get(timeout=5)
    client.getRootObject().addCallbacks(
        got_object, callbackArgs=(3,), callbackKeywords={"four": 4}
    ).get(timeout=5)

    assert seen == [
        (pb.RemoteReference, (1,), {"two": 2}),
        (pb.RemoteReference, (3,), {"four": 4}),
    ]


def test_a_call_runs_the_method_of_that_name_on_the_servers_object(
    root: Any, echoer: Echoer
) -> None:
    assert root.callRemote("echo", "hello network").get(timeout=5) == "hello network"
    assert root.callRemote("boom").get(timeout=5) == "boom was run"
    assert echoer.calls == ["hello network"]


def test_arguments_arrive_as_if_the_method_had_been_called_there(root: Any) -> None:
    assert root.callRemote("sum", 1, 2, 3, start=10).get(timeout=5) == 16


def test_any_keyword_may_be_used(pair: Pair) -> None:
    class Keywords(pb.Root):
        def remote_all(self, **kwargs: Any) -> Any:
            return kwargs

    _, client = pair(Keywords())
    given = {"name": 1, "method": 2, "self_": 3, "timeout": 4, "args": 5, "self": 6}
    root = client.getRootObject().get(timeout=5)

    del given["self"]  # remote_all has one of its own
    assert root.callRemote("all", **given).get(timeout=5) == given


def test_callRemote_returns_a_promise_and_never_the_result(root: Any) -> None:
    promise = root.callRemote("echo", "text")

    assert isinstance(promise, pb.Promise)
    assert promise.get(timeout=5) == "text"
    # Not even now that it is known: a call is visibly remote.
    assert not isinstance(promise, str)


def test_an_unknown_method_goes_to_the_errback_and_not_to_the_callback(
    root: Any,
) -> None:
    seen: list[Any] = []
    promise = root.callRemote("nothing_of_that_name", 1)
    promise.addCallbacks(lambda _: seen.append("callback"), seen.append)
    promise.get(timeout=5)

    (failure,) = seen
    assert failure.type == "geopb.NoSuchMethod"
    assert "remote_nothing_of_that_name" in failure.getErrorMessage()


def test_an_unknown_method_raises_NoSuchMethod_which_is_an_AttributeError(
    root: Any,
) -> None:
    with pytest.raises(pb.NoSuchMethod) as caught:
        root.callRemote("nothing_of_that_name").get(timeout=5)

    assert isinstance(caught.value, AttributeError)
    assert root.callRemote("echo", "still there").get(timeout=5) == "still there"


def test_a_local_object_has_no_callRemote(echoer: Echoer) -> None:
    assert not hasattr(echoer, "callRemote")
    assert not hasattr(pb.Referenceable(), "callRemote")


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "number",
        "property",
        "added_later",
        "Nested",
        "local_only",
        "_private",
        "",
        "__class__",
        "__init__",
        "echo.__func__",
        "echo.__globals__",
        "other",
        "remote_echo",
        "remoteMessageReceived",
        "rootObject",
        "\x00echo",
        "echo ",
        "ÉCHO",
    ],
)
def test_nothing_but_remote_methods_can_be_called(
    root: Any, echoer: Echoer, name: str
) -> None:
    with pytest.raises(pb.NoSuchMethod):
        root.callRemote(name).get(timeout=5)

    assert echoer.calls == []


def test_attributes_can_neither_be_read_nor_set_through_a_reference(
    root: Any, echoer: Echoer
) -> None:
    with pytest.raises(AttributeError):
        _ = root.secret
    with pytest.raises(AttributeError):
        root.secret = "mine"

    assert echoer.secret == "hidden"


def test_whoever_has_a_reference_may_call_any_remote_method(serve: Serve) -> None:
    server = serve(Echoer())

    for number in range(3):
        with pb.connect(server.address) as client:
            root = client.getRootObject().get(timeout=5)
            assert root.callRemote("echo", number).get(timeout=5) == number
            assert root.callRemote("boom").get(timeout=5) == "boom was run"


def test_what_is_Referenceable_but_no_Root_cannot_be_served() -> None:
    with pytest.raises(TypeError, match=r"pb\.Root, not Referenceable"):
        pb.PBServerFactory(pb.Referenceable())  # type: ignore[arg-type]


def test_what_is_Referenceable_but_no_Root_can_be_called(pair: Pair) -> None:
    class Two(pb.Referenceable):
        def remote_three(self, number: int) -> int:
            return number * 3

    class One(pb.Root):
        def remote_getTwo(self) -> Two:
            return Two()

    _, client = pair(One())
    two = client.getRootObject().get(timeout=5).callRemote("getTwo").get(timeout=5)

    assert two.callRemote("three", 12).get(timeout=5) == 36


def test_a_method_name_may_be_the_function(root: Any) -> None:
    assert root.callRemote(Echoer.remote_echo, "typed").get(timeout=5) == "typed"


def test_remoteMethod_is_a_callable_that_is_equal_for_the_same_two(root: Any) -> None:
    echo = root.remoteMethod("echo")

    assert echo("text").get(timeout=5) == "text"
    assert echo == root.remoteMethod("echo")
    assert hash(echo) == hash(root.remoteMethod("echo"))
    assert echo != root.remoteMethod("boom")


def test_callRemoteOnly_runs_the_method_and_answers_nothing(
    root: Any, echoer: Echoer
) -> None:
    assert root.callRemoteOnly("echo", "one way") is None

    # Methods start in the order of the calls.
    assert root.callRemote("boom").get(timeout=5) == "boom was run"
    assert echoer.calls == ["one way"]
