"""The how-to's section "Raising Remote Exceptions", statement by statement."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

import geopb as pb
from tests.conftest import Pair
from tests.support import collect

UNEXPECTED = "Peer will receive following PB traceback"
UNHANDLED = "Unhandled error in Promise"


class MyError(pb.Error):
    """Expected."""


class MyError2(Exception):
    """Unexpected."""


class One(pb.Root):
    def remote_broken(self) -> None:
        raise MyError("fall down go boom")

    def remote_broken2(self) -> None:
        raise MyError2("hadda owie")

    def remote_builtin(self) -> None:
        raise ValueError("of a wrong kind")

    def remote_with_arguments(self) -> None:
        raise MyError("text", 2, {"three": (3,)})

    def remote_alive(self) -> bool:
        return True


@pytest.fixture
def root(pair: Pair) -> Any:
    _, client = pair(One())
    return client.getRootObject().get(timeout=5)


def failure_of(promise: Any) -> Any:
    seen: list[Any] = []
    promise.addErrback(seen.append).get(timeout=5)
    (failure,) = seen
    return failure


def messages(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records]


def test_the_errback_gets_a_copied_failure_with_message_and_type(root: Any) -> None:
    failure = failure_of(root.callRemote("broken"))

    assert failure.__class__ is pb.CopiedFailure
    assert isinstance(failure, pb.Failure)
    assert failure.getErrorMessage() == "fall down go boom"
    assert failure.type == f"{__name__}.MyError"


def test_the_class_prints_as_a_public_name() -> None:
    assert repr(pb.CopiedFailure) == "<class 'geopb.CopiedFailure'>"


def test_the_failure_holds_a_copy_of_the_exception(root: Any) -> None:
    value = failure_of(root.callRemote("with_arguments")).value

    assert type(value) is MyError
    assert value.args == ("text", 2, {"three": (3,)})


def test_get_raises_the_exception_itself(root: Any) -> None:
    with pytest.raises(MyError, match="fall down go boom"):
        root.callRemote("broken").get(timeout=5)


def test_an_expected_exception_is_not_logged(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    failure_of(root.callRemote("broken"))

    assert geopb_log == []


def test_an_unexpected_exception_is_logged_once_by_the_callee(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    failure_of(root.callRemote("broken2"))

    (record,) = geopb_log
    assert (record.name, record.levelno) == ("geopb", logging.ERROR)
    first, *traceback = record.getMessage().splitlines()
    assert first.startswith(UNEXPECTED)
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1].endswith("MyError2: hadda owie")
    assert any("remote_broken2" in line for line in traceback)


def test_an_unexpected_exception_does_not_break_the_connection(root: Any) -> None:
    for _ in range(3):
        failure_of(root.callRemote("broken2"))

    assert root.callRemote("alive").get(timeout=5)


def test_the_client_gets_the_same_kind_of_failure_in_either_case(root: Any) -> None:
    expected = failure_of(root.callRemote("broken"))
    unexpected = failure_of(root.callRemote("broken2"))

    assert type(unexpected) is type(expected)
    assert unexpected.getErrorMessage() == "hadda owie"
    assert unexpected.type == f"{__name__}.MyError2"


def test_an_unexpected_exception_is_raised_as_a_RemoteError(root: Any) -> None:
    with pytest.raises(pb.RemoteError, match="hadda owie") as caught:
        root.callRemote("broken2").get(timeout=5)

    assert caught.value.remote_type == f"{__name__}.MyError2"
    assert caught.value.remote_traceback is None
    assert not isinstance(caught.value, MyError2)


def test_a_built_in_exception_can_be_caught_as_such(root: Any) -> None:
    with pytest.raises(ValueError, match="of a wrong kind") as caught:
        root.callRemote("builtin").get(timeout=5)

    assert isinstance(caught.value, pb.RemoteError)
    assert caught.value.remote_type == "builtins.ValueError"


def test_the_servers_traceback_stays_there_by_default(root: Any) -> None:
    text = failure_of(root.callRemote("broken2")).getTraceback()

    assert "remote_broken2" not in text
    assert "hadda owie" in text


def test_the_servers_traceback_is_sent_with_unsafe_tracebacks(pair: Pair) -> None:
    _, client = pair(One(), server_options={"unsafe_tracebacks": True})
    root = client.getRootObject().get(timeout=5)

    failure = failure_of(root.callRemote("broken2"))
    written = io.StringIO()
    failure.printTraceback(written)

    assert "in remote_broken2" in failure.getTraceback()
    assert written.getvalue() == failure.getTraceback()
    assert failure.value.remote_traceback == failure.getTraceback()


def test_an_errback_that_cannot_handle_a_failure_passes_it_along(root: Any) -> None:
    seen: list[str] = []

    def cannot(failure: Any) -> None:
        seen.append("first")
        failure.trap(KeyError)

    def can(failure: Any) -> str:
        seen.append("second")
        return str(failure.trap(MyError).__name__)

    promise = root.callRemote("broken").addErrback(cannot).addErrback(can)

    assert promise.get(timeout=5) == "MyError"
    assert seen == ["first", "second"]


def test_a_failure_without_an_errback_is_logged_when_its_promise_goes(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    promise = root.callRemote("broken")
    promise.wait(timeout=5)
    assert geopb_log == []

    del promise
    collect()

    (record,) = geopb_log
    assert (record.name, record.levelno) == ("geopb", logging.ERROR)
    assert record.getMessage().startswith(UNHANDLED)
    assert f"{__name__}.MyError" in record.getMessage()
    assert "fall down go boom" in record.getMessage()


def test_a_failure_of_a_call_that_nobody_kept_is_logged_once(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    root.callRemote("broken")
    root.callRemote("alive").get(timeout=5)
    collect()

    assert len(geopb_log) == 1
    assert UNHANDLED in geopb_log[0].getMessage()


def test_a_callback_does_not_handle_a_failure(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    root.callRemote("broken").addCallback(lambda _: None).wait(timeout=5)
    collect()

    assert [text.split(":")[0] for text in messages(geopb_log)] == [UNHANDLED]


@pytest.mark.parametrize("look", ["get", "errback", "exception"])
def test_a_failure_that_was_looked_at_is_not_logged(
    root: Any, geopb_log: list[logging.LogRecord], look: str
) -> None:
    promise = root.callRemote("broken")
    if look == "get":
        with pytest.raises(MyError):
            promise.get(timeout=5)
    elif look == "errback":
        promise.addErrback(lambda _: None).get(timeout=5)
    else:
        promise.wait(timeout=5)
        assert type(promise.exception) is MyError
    del promise
    collect()

    assert geopb_log == []


def test_an_exception_of_an_errback_that_nobody_handles_is_logged(
    root: Any, geopb_log: list[logging.LogRecord]
) -> None:
    def errback(_failure: Any) -> None:
        raise KeyError("in the errback")

    root.callRemote("broken").addErrback(errback).wait(timeout=5)
    collect()

    (text,) = messages(geopb_log)
    assert text.startswith(f"{UNHANDLED}: builtins.KeyError")
