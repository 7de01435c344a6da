"""The how-to's section "Try/Except blocks and Failure.trap", statement by statement."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from socket import SHUT_RDWR
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.conftest import Pair
from tests.support import eventually


class MyException(pb.Error):
    pass


class MyOtherException(pb.Error):
    pass


class MySpecialException(MyOtherException):
    pass


class ScaryObject:
    """Not safe for serialization."""


class One(pb.Root):
    def __init__(self) -> None:
        self.never = Event()
        self.started = 0

    def remote_fooMethod(self, arg: Any) -> str:
        if arg == "panic!":
            raise MyException("panic!")
        if arg == "other":
            raise MyOtherException("other")
        if arg == "special":
            raise MySpecialException("special")
        if arg == "unknown":
            raise LookupError("unknown")
        return "response"

    def remote_wait(self) -> None:
        self.started += 1
        self.never.wait()


@pytest.fixture
def one() -> One:
    return One()


def works_like(remote: Any, arg: Any) -> str:
    """The how-to's ``worksLike``, literally."""
    try:
        response = remote.callRemote("fooMethod", arg).get(timeout=5)
    except pb.DeadReferenceError:
        return "stale reference: the client disconnected or crashed"
    except pb.InsecureJelly:
        return "InsecureJelly: you tried to send something unsafe to them"
    except (MyException, MyOtherException):
        return "remote raised a MyException"
    except Exception:
        return "something else happened"
    else:
        return f"method successful, response: {response}"


def do_call(remote: Any, arg: Any) -> str:
    """The how-to's ``doCall``, literally."""
    said: list[str] = []

    def check_insecure(failure: Any) -> None:
        failure.trap(pb.InsecureJelly)
        said.append("InsecureJelly: you tried to send something unsafe to them")

    def check_mine(failure: Any) -> None:
        which = failure.trap(MyException, MyOtherException)
        if which == MyException:
            said.append("remote raised a MyException")
        else:
            said.append("remote raised a MyOtherException")

    def catch_everything_else(failure: Any) -> None:
        said.append("something else happened")

    try:
        promise = remote.callRemote("fooMethod", arg)
        promise.addCallback(
            lambda response: said.append(f"method successful, response: {response}")
        )
        promise.addErrback(check_insecure)
        promise.addErrback(check_mine)
        promise.addErrback(catch_everything_else)
        assert promise.get(timeout=5) is None
    except pb.DeadReferenceError:
        said.append("stale reference: the client disconnected or crashed")
    (one_line,) = said
    return one_line


@pytest.mark.parametrize(
    ("arg", "by_chain", "by_except"),
    [
        ("safe string", "method successful, response: response", None),
        (
            ScaryObject(),
            "InsecureJelly: you tried to send something unsafe to them",
            None,
        ),
        ("panic!", "remote raised a MyException", None),
        ("other", "remote raised a MyOtherException", "remote raised a MyException"),
        ("special", "remote raised a MyOtherException", "remote raised a MyException"),
        ("unknown", "something else happened", None),
    ],
)
def test_the_chain_and_the_try_statement_say_the_same(
    pair: Pair, one: One, arg: Any, by_chain: str, by_except: str | None
) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)

    assert do_call(remote, arg) == by_chain
    assert works_like(remote, arg) == (by_except or by_chain)


def test_a_stale_reference_is_told_at_once_by_both(pair: Pair, one: One) -> None:
    server, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    gone = Event()
    remote.notifyOnDisconnect(lambda _: gone.set())
    server.stop()
    assert gone.wait(5)

    expected = "stale reference: the client disconnected or crashed"
    assert do_call(remote, "dummy") == expected
    assert works_like(remote, "dummy") == expected
    with pytest.raises(pb.DeadReferenceError):
        remote.callRemote("fooMethod", "dummy")
    with pytest.raises(pb.DeadReferenceError):
        remote.callRemoteOnly("fooMethod", "dummy")


def test_InsecureJelly_comes_through_the_promise(pair: Pair, one: One) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)

    promise = remote.callRemote("fooMethod", ScaryObject())

    with pytest.raises(pb.InsecureJelly, match="ScaryObject"):
        promise.get(timeout=5)


def test_trap_returns_the_member_that_matches(pair: Pair, one: One) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)

    def which(arg: str, *types: Any) -> Any:
        promise = remote.callRemote("fooMethod", arg)
        return promise.addErrback(lambda failure: failure.trap(*types)).get(timeout=5)

    assert which("panic!", MyException, MyOtherException) is MyException
    assert which("other", MyException, MyOtherException) is MyOtherException
    assert which("special", MyException, MyOtherException) is MyOtherException
    assert which("special", pb.Error, MySpecialException) is pb.Error
    assert which("unknown", KeyError, LookupError) is LookupError
    name = f"{__name__}.MyOtherException"
    assert which("special", "some.Other", name) == name
    assert which("unknown", "builtins.LookupError") == "builtins.LookupError"


def test_trap_passes_what_it_was_not_asked_for_to_the_next_errback(
    pair: Pair, one: One
) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    seen: list[Any] = []

    def only(kind: type) -> Any:
        def errback(failure: Any) -> str:
            seen.append((kind, failure.type))
            failure.trap(kind)
            return "handled"

        return errback

    promise = remote.callRemote("fooMethod", "panic!")
    promise.addErrback(only(pb.InsecureJelly))
    promise.addCallback(lambda _: seen.append("a callback between"))
    promise.addErrback(only(KeyError))
    promise.addErrback(only(MyException))

    assert promise.get(timeout=5) == "handled"
    its_type = f"{__name__}.MyException"
    assert seen == [
        (pb.InsecureJelly, its_type),
        (KeyError, its_type),
        (MyException, its_type),
    ]


def test_what_no_errback_traps_is_raised_by_get(pair: Pair, one: One) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    promise = remote.callRemote("fooMethod", "panic!")
    promise.addErrback(lambda failure: failure.trap(KeyError, "no.Such"))

    with pytest.raises(MyException, match="panic!"):
        promise.get(timeout=5)


def test_an_errback_that_returns_None_switches_to_the_callback_that_follows(
    pair: Pair, one: One
) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    promise = remote.callRemote("fooMethod", "panic!")
    promise.addErrback(lambda failure: None)
    promise.addErrback(lambda failure: "never: nothing has failed here")
    promise.addCallback(lambda value: ("callback", value))

    assert promise.get(timeout=5) == ("callback", None)


def test_an_exception_of_an_errback_goes_to_the_next_one(pair: Pair, one: One) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)

    def another(failure: Any) -> None:
        raise KeyError("another") from failure.value

    promise = remote.callRemote("fooMethod", "panic!").addErrback(another)
    promise.addErrback(lambda failure: failure.type)

    assert promise.get(timeout=5) == "builtins.KeyError"


def test_an_exception_of_a_callback_goes_to_the_errbacks_behind_it(
    pair: Pair, one: One
) -> None:
    _, client = pair(one)
    remote = client.getRootObject().get(timeout=5)

    def fails(_response: str) -> None:
        raise MyException("of the callback")

    promise = remote.callRemote("fooMethod", "safe").addCallback(fails)
    promise.addErrback(lambda failure: failure.getErrorMessage())

    assert promise.get(timeout=5) == "of the callback"


def test_when_the_line_goes_all_that_is_pending_fails_with_PBConnectionLost(
    pair: Pair, one: One
) -> None:
    server, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    pending = [remote.callRemote("wait") for _ in range(5)]
    eventually(lambda: one.started == 5)
    order: list[Any] = []
    for number, promise in enumerate(pending):
        promise.rawlink(lambda _, number=number: order.append(number))
    remote.notifyOnDisconnect(lambda _: order.append([p.ready() for p in pending]))

    (connection,) = server.connections
    connection._sock.shutdown(SHUT_RDWR)
    for promise in pending:
        with pytest.raises(pb.PBConnectionLost) as caught:
            promise.get(timeout=5)
        assert isinstance(caught.value, ConnectionError)

    eventually(lambda: [True] * 5 in order)
    one.never.set()


def test_PBConnectionLost_goes_to_the_errback(pair: Pair, one: One) -> None:
    server, client = pair(one)
    remote = client.getRootObject().get(timeout=5)
    promise = remote.callRemote("wait")
    trapped = promise.addErrback(lambda failure: failure.trap(pb.PBConnectionLost))
    eventually(lambda: one.started)

    gevent.spawn(server.stop, 0).join(5)

    assert trapped.get(timeout=5) is pb.PBConnectionLost
    one.never.set()


def test_a_dead_reference_of_the_peers_is_not_taken_for_one_of_ours(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    """Only this side's own connection makes a real `DeadReferenceError`."""

    class Relay(pb.Root):
        def remote_relay(self) -> None:
            raise pb.DeadReferenceError("one of mine is gone")

    _, client = pair(Relay())
    remote = client.getRootObject().get(timeout=5)

    with pytest.raises(pb.RemoteError) as caught:
        remote.callRemote("relay").get(timeout=5)

    assert not isinstance(caught.value, pb.DeadReferenceError)
    assert caught.value.remote_type == "geopb.DeadReferenceError"
    trapped = remote.callRemote("relay").addErrback(
        lambda failure: failure.trap(pb.DeadReferenceError)
    )
    assert trapped.get(timeout=5) is pb.DeadReferenceError
    assert geopb_log == []
