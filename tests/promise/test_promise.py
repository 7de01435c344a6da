"""A promise as something to wait for, and to set by hand."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import pairwise
from time import process_time
from typing import Any

import gevent
import pytest
from gevent import getcurrent
from gevent.event import AsyncResult, Event

import geopb as pb
from geopb.promise.combine import result
from geopb.promise.pipelining import dependents
from tests.support import collected, eventually, in_thread, turns


class Boom(Exception):
    """What tests fail promises with."""


def wait_and_get(promise: pb.Promise[Any]) -> list[gevent.Greenlet]:
    """Return greenlets that are blocked on `promise`."""
    waiters = [gevent.spawn(promise.get) for _ in range(3)]
    turns(2)
    return waiters


# -- set ---------------------------------------------------------------------------


def test_new_promise_is_not_ready() -> None:
    promise: pb.Promise[int] = pb.Promise()

    assert not promise.ready()
    assert not promise.successful()
    assert not promise.failed()
    assert promise.value is None
    assert promise.exception is None


def test_set_promise_has_its_value() -> None:
    promise: pb.Promise[str] = pb.Promise()

    promise.set("answer")

    assert promise.ready()
    assert promise.successful()
    assert not promise.failed()
    assert promise.value == "answer"
    assert promise.exception is None
    assert promise.get() == "answer"


def test_set_without_value_is_none() -> None:
    promise: pb.Promise[None] = pb.Promise()

    promise.set()

    assert promise.successful()
    assert promise.get() is None


def test_failed_promise_has_its_exception() -> None:
    promise: pb.Promise[str] = pb.Promise()
    error = Boom("why")

    promise.set_exception(error)

    assert promise.ready()
    assert promise.failed()
    assert not promise.successful()
    assert promise.value is None
    assert promise.exception is error


def test_failed_promise_raises_from_get() -> None:
    promise = pb.fail(Boom("why"))

    with pytest.raises(Boom, match=r"^why$"):
        promise.get()


def test_failure_object_can_be_set() -> None:
    promise: pb.Promise[None] = pb.Promise()

    promise.set_exception(pb.Failure(Boom("why")))

    with pytest.raises(Boom, match=r"^why$"):
        promise.get()


@pytest.mark.parametrize("wrong", ["text", None, Boom, 3])
def test_set_exception_refuses_what_is_no_exception(wrong: Any) -> None:
    promise: pb.Promise[None] = pb.Promise()

    with pytest.raises(TypeError):
        promise.set_exception(wrong)


def test_refused_exception_leaves_the_promise_unset() -> None:
    promise: pb.Promise[int] = pb.Promise()
    with pytest.raises(TypeError):
        promise.set_exception("text")  # type: ignore[arg-type]

    promise.set(1)

    assert promise.get(timeout=1) == 1


@pytest.mark.parametrize("first", ["set", "set_exception", "follow"])
@pytest.mark.parametrize("second", ["set", "set_exception", "follow"])
def test_setting_twice_is_an_error(first: str, second: str) -> None:
    endings: dict[str, Callable[[pb.Promise[Any]], None]] = {
        "set": lambda promise: promise.set(1),
        "set_exception": lambda promise: promise.set_exception(Boom()),
        "follow": lambda promise: promise.set(pb.Promise()),
    }
    promise: pb.Promise[Any] = pb.Promise()
    endings[first](promise)

    with pytest.raises(RuntimeError, match="set already"):
        endings[second](promise)

    assert promise.exception is None or isinstance(promise.exception, Boom)
    assert promise.value in (None, 1)


def test_second_set_changes_nothing() -> None:
    promise: pb.Promise[int] = pb.Promise()
    promise.set(1)
    with pytest.raises(RuntimeError):
        promise.set(2)

    assert promise.get() == 1


def test_setting_a_promise_with_unfinished_handlers_twice_is_an_error() -> None:
    promise: pb.Promise[int] = pb.Promise()
    gate = Event()
    promise.addCallback(lambda value: gate.wait() and value)
    promise.set(1)

    with pytest.raises(RuntimeError):
        promise.set(2)

    gate.set()
    assert promise.get(timeout=5) == 1


def test_none_can_be_the_value_and_is_set_once() -> None:
    promise: pb.Promise[None] = pb.Promise()
    promise.set(None)

    with pytest.raises(RuntimeError):
        promise.set(None)


def test_succeed_and_fail_are_ready_at_once() -> None:
    failed = pb.fail(Boom())

    assert pb.succeed(3).value == 3
    assert isinstance(failed.exception, Boom)


def test_fail_takes_a_failure() -> None:
    with pytest.raises(Boom):
        pb.fail(pb.Failure(Boom())).get()


# -- following ---------------------------------------------------------------------


def test_set_to_a_promise_follows_it() -> None:
    inner: pb.Promise[int] = pb.Promise()
    outer: pb.Promise[int] = pb.Promise()

    outer.set(inner)  # type: ignore[arg-type]

    assert not outer.ready()
    inner.set(5)
    assert outer.get(timeout=5) == 5


def test_set_to_a_finished_promise_is_finished() -> None:
    outer: pb.Promise[int] = pb.Promise()

    outer.set(pb.succeed(5))  # type: ignore[arg-type]

    assert outer.get(timeout=5) == 5


def test_following_passes_the_failure_on() -> None:
    inner: pb.Promise[int] = pb.Promise()
    outer: pb.Promise[int] = pb.Promise()
    outer.set(inner)  # type: ignore[arg-type]

    inner.set_exception(Boom("inner"))

    with pytest.raises(Boom, match="inner"):
        outer.get(timeout=5)


def test_following_waits_for_the_end_of_the_others_chain() -> None:
    inner: pb.Promise[int] = pb.Promise()
    outer: pb.Promise[int] = pb.Promise()
    inner.addCallback(lambda value: value + 1)
    outer.set(inner)  # type: ignore[arg-type]

    inner.set(1)

    assert outer.get(timeout=5) == 2


def test_followed_promise_keeps_its_value() -> None:
    inner: pb.Promise[int] = pb.Promise()
    outer: pb.Promise[int] = pb.Promise()
    outer.set(inner)  # type: ignore[arg-type]
    outer.addCallback(lambda value: value * 10)

    inner.set(1)

    assert outer.get(timeout=5) == 10
    assert inner.get(timeout=5) == 1


def test_set_to_an_async_result_follows_it() -> None:
    inner: AsyncResult[int] = AsyncResult()
    outer: pb.Promise[Any] = pb.Promise()
    outer.set(inner)

    inner.set(5)

    assert outer.get(timeout=5) == 5


def test_set_to_a_failed_async_result_fails() -> None:
    inner: AsyncResult[int] = AsyncResult()
    inner.set_exception(Boom("inner"))
    outer: pb.Promise[Any] = pb.Promise()

    outer.set(inner)

    with pytest.raises(Boom, match="inner"):
        outer.get(timeout=5)


def test_set_to_a_greenlet_follows_it() -> None:
    outer: pb.Promise[Any] = pb.Promise()

    outer.set(gevent.spawn(lambda: 5))

    assert outer.get(timeout=5) == 5


def test_set_to_a_greenlet_that_dies_fails(greenlet_errors: list[Any]) -> None:
    def die() -> None:
        raise Boom("greenlet")

    outer: pb.Promise[Any] = pb.Promise()
    outer.set(gevent.spawn(die))

    with pytest.raises(Boom, match="greenlet"):
        outer.get(timeout=5)

    assert [type(error) for _, error in greenlet_errors] == [Boom]


def test_long_line_of_promises_that_follow_each_other_ends() -> None:
    line: list[pb.Promise[Any]] = [pb.Promise() for _ in range(2000)]
    for one, next_one in pairwise(line):
        one.set(next_one)

    line[-1].set("end")

    assert line[0].get(timeout=20) == "end"


# -- get and wait ------------------------------------------------------------------


def test_get_blocks_until_set() -> None:
    promise: pb.Promise[int] = pb.Promise()
    waiters = wait_and_get(promise)
    assert not any(waiter.ready() for waiter in waiters)

    promise.set(1)

    gevent.joinall(waiters, timeout=5)
    assert [waiter.value for waiter in waiters] == [1, 1, 1]


def test_many_greenlets_may_wait_for_one() -> None:
    promise: pb.Promise[object] = pb.Promise()
    waiters = [gevent.spawn(promise.get, timeout=20) for _ in range(1000)]
    turns(2)
    value = object()

    promise.set(value)

    gevent.joinall(waiters, timeout=20)
    assert all(waiter.value is value for waiter in waiters)


def test_many_waiters_each_get_the_failure() -> None:
    promise: pb.Promise[object] = pb.Promise()

    def wait() -> str:
        with pytest.raises(Boom) as caught:
            promise.get(timeout=20)
        return str(caught.value)

    waiters = [gevent.spawn(wait) for _ in range(50)]
    turns(2)

    promise.set_exception(Boom("all"))

    gevent.joinall(waiters, timeout=20)
    assert {waiter.value for waiter in waiters} == {"all"}


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_get_past_its_timeout_raises_timeout(timeout: float) -> None:
    promise: pb.Promise[None] = pb.Promise()

    with pytest.raises(pb.Timeout) as caught:
        promise.get(timeout=timeout)

    assert isinstance(caught.value, gevent.Timeout)
    assert isinstance(caught.value, TimeoutError)
    assert str(caught.value)


def test_timeout_says_how_long_it_waited() -> None:
    with pytest.raises(pb.Timeout, match=r"0\.002 s"):
        pb.Promise().get(timeout=0.002)


def test_timeout_can_be_caught_as_either_kind() -> None:
    promise: pb.Promise[None] = pb.Promise()

    with pytest.raises(gevent.Timeout):
        promise.get(timeout=0)
    with pytest.raises(TimeoutError):
        promise.get(timeout=0)


def test_timeout_is_no_pb_error_but_is_named_geopb() -> None:
    assert not issubclass(pb.Timeout, pb.Error)
    assert pb.Timeout.__module__ == "geopb"


def test_get_without_block_raises_timeout_at_once() -> None:
    with pytest.raises(pb.Timeout):
        pb.Promise().get(block=False)


def test_get_without_block_ignores_the_timeout() -> None:
    with gevent.Timeout(5), pytest.raises(pb.Timeout):
        pb.Promise().get(block=False, timeout=60)


def test_get_without_block_returns_what_is_there() -> None:
    assert pb.succeed(1).get(block=False) == 1
    assert pb.succeed(1).get(timeout=0) == 1
    assert pb.succeed(1).get(timeout=-1) == 1


def test_promise_is_usable_after_a_timeout() -> None:
    promise: pb.Promise[int] = pb.Promise()
    with pytest.raises(pb.Timeout):
        promise.get(timeout=0)
    assert not promise.ready()

    promise.set(1)

    assert promise.get(timeout=5) == 1


def test_wait_past_its_timeout_returns_none() -> None:
    promise: pb.Promise[int] = pb.Promise()

    assert promise.wait(timeout=0) is None
    assert promise.wait(timeout=-1) is None
    assert promise.wait(0.001) is None
    assert not promise.ready()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("ending", ["value", "failure"])
def test_wait_returns_as_that_of_an_async_result(when: str, ending: str) -> None:
    def waited(waitable: Any) -> Any:
        def end() -> None:
            if ending == "value":
                waitable.set(7)
            else:
                waitable.set_exception(Boom())

        if when == "before":
            end()
        else:
            gevent.spawn(end)
        return waitable.wait(timeout=5)

    promise: pb.Promise[int] = pb.Promise()

    assert waited(promise) == waited(AsyncResult())
    assert promise.ready()
    assert (promise.exception is None) == (ending == "value")


def test_wait_does_not_raise_the_failure() -> None:
    promise = pb.fail(Boom())

    assert promise.wait() is None
    assert promise.failed()
    assert isinstance(promise.exception, Boom)


def test_outer_timeout_passes_through_get_untouched() -> None:
    promise: pb.Promise[None] = pb.Promise()
    outer = gevent.Timeout(0.002)

    with pytest.raises(gevent.Timeout) as caught, outer:
        promise.get(timeout=30)

    assert caught.value is outer
    assert not isinstance(caught.value, pb.Timeout)


def test_outer_timeout_passes_through_wait_untouched() -> None:
    promise: pb.Promise[None] = pb.Promise()
    outer = gevent.Timeout(0.002)

    with pytest.raises(gevent.Timeout) as caught, outer:
        promise.wait(30)

    assert caught.value is outer


def test_silent_outer_timeout_stays_silent() -> None:
    promise: pb.Promise[None] = pb.Promise()
    passed = True

    with gevent.Timeout(0.002, False):
        promise.get()
        passed = False

    assert passed


def test_outer_timeout_with_an_exception_raises_that() -> None:
    with pytest.raises(Boom), gevent.Timeout(0.002, Boom):
        pb.Promise().get(timeout=30)


def test_inner_timeout_ends_before_the_outer() -> None:
    with gevent.Timeout(30), pytest.raises(pb.Timeout):
        pb.Promise().get(timeout=0.002)


def test_timeout_of_get_is_stopped_when_it_returns() -> None:
    promise: pb.Promise[int] = pb.Promise()
    gevent.spawn(promise.set, 1)

    assert promise.get(timeout=0.01) == 1

    # A timer that was left would raise here.
    pb.Promise().wait(0.03)


def test_killed_waiter_ends_and_the_promise_goes_on() -> None:
    promise: pb.Promise[int] = pb.Promise()
    killed, other = gevent.spawn(promise.get), gevent.spawn(promise.get)
    turns(2)

    killed.kill(timeout=5)

    assert killed.ready()
    assert isinstance(killed.value, gevent.GreenletExit)
    promise.set(1)
    assert other.get(timeout=5) == 1
    assert promise.get(timeout=5) == 1


def test_kill_with_an_exception_reaches_the_waiter(
    greenlet_errors: list[Any],
) -> None:
    promise: pb.Promise[int] = pb.Promise()
    waiter = gevent.spawn(promise.get)
    turns(2)

    waiter.kill(Boom, timeout=5)

    assert isinstance(waiter.exception, Boom)
    assert len(greenlet_errors) == 1


def test_waiter_that_gave_up_is_forgotten() -> None:
    promise: pb.Promise[int] = pb.Promise()
    waiter = gevent.spawn(promise.get, timeout=30)
    turns(2)
    waiter.kill()
    gone = weakref.ref(waiter)

    del waiter

    assert collected(gone)


def test_blocking_in_the_hub_is_an_error_and_no_hang(
    greenlet_errors: list[Any],
) -> None:
    never: pb.Promise[int] = pb.Promise()
    done = Event()

    def in_hub(_: object) -> None:
        try:
            never.get(timeout=1)
        finally:
            done.set()

    pb.succeed(1).rawlink(in_hub)

    assert done.wait(5)
    assert len(greenlet_errors) == 1


# -- links -------------------------------------------------------------------------


def test_rawlink_is_called_once_with_the_promise_in_the_hub() -> None:
    promise: pb.Promise[int] = pb.Promise()
    calls: list[Any] = []
    promise.rawlink(lambda ended: calls.append((ended, getcurrent())))

    promise.set(1)

    assert calls == []
    turns()
    assert calls == [(promise, gevent.get_hub())]


def test_rawlink_on_a_finished_promise_is_called_soon() -> None:
    promise = pb.succeed(1)
    calls: list[Any] = []

    promise.rawlink(calls.append)

    assert calls == []
    turns()
    assert calls == [promise]


def test_unlinked_callback_is_not_called() -> None:
    promise: pb.Promise[int] = pb.Promise()
    calls: list[Any] = []
    promise.rawlink(calls.append)

    promise.unlink(calls.append)

    promise.set(1)
    turns()
    assert calls == []


def test_callback_unlinked_after_the_end_is_not_called() -> None:
    promise: pb.Promise[int] = pb.Promise()
    calls: list[Any] = []
    promise.rawlink(calls.append)
    promise.set(1)

    promise.unlink(calls.append)

    turns()
    assert calls == []


def test_callback_unlinked_by_an_earlier_one_is_not_called() -> None:
    promise: pb.Promise[int] = pb.Promise()
    calls: list[Any] = []
    promise.rawlink(lambda _: promise.unlink(calls.append))
    promise.rawlink(calls.append)

    promise.set(1)

    turns()
    assert calls == []


def test_unlinking_an_unknown_callback_does_nothing() -> None:
    promise: pb.Promise[int] = pb.Promise()

    promise.unlink(print)
    promise.set(1)
    promise.unlink(print)

    assert promise.get() == 1


def test_link_that_raises_does_not_silence_the_next(
    greenlet_errors: list[Any],
) -> None:
    def die(_: object) -> None:
        raise Boom

    promise: pb.Promise[int] = pb.Promise()
    calls: list[Any] = []
    promise.rawlink(die)
    promise.rawlink(calls.append)
    waiter = gevent.spawn(promise.get)
    turns(2)

    promise.set(1)

    assert waiter.get(timeout=5) == 1
    assert calls == [promise]
    assert [type(error) for _, error in greenlet_errors] == [Boom]


def test_links_run_when_the_chain_has_ended() -> None:
    promise: pb.Promise[int] = pb.Promise()
    seen: list[Any] = []
    gate = Event()
    promise.addCallback(lambda value: gate.wait() and value + 1)
    promise.rawlink(lambda ended: seen.append(ended.value))
    promise.set(1)
    turns()
    assert seen == []

    gate.set()

    eventually(lambda: seen)
    assert seen == [2]


# -- beside gevent's own -----------------------------------------------------------


def test_gevent_wait_takes_promises_beside_events_and_greenlets() -> None:
    promise: pb.Promise[int] = pb.Promise()
    event, result = Event(), AsyncResult()
    greenlet = gevent.spawn(lambda: None)
    gevent.spawn(promise.set, 1)
    gevent.spawn(event.set)
    gevent.spawn(result.set, 1)

    ready = gevent.wait([promise, event, result, greenlet], timeout=5)

    assert {id(each) for each in ready} == {
        id(promise),
        id(event),
        id(result),
        id(greenlet),
    }


def test_gevent_wait_returns_at_the_count() -> None:
    slow: pb.Promise[int] = pb.Promise()
    fast = pb.succeed(1)

    assert gevent.wait([slow, fast], count=1, timeout=5) == [fast]


def test_gevent_wait_returns_what_is_ready_at_its_timeout() -> None:
    slow: pb.Promise[int] = pb.Promise()
    failed = pb.fail(Boom())

    assert gevent.wait([slow, failed, Event()], timeout=0.01) == [failed]
    assert isinstance(failed.exception, Boom)


def test_gevent_iwait_yields_in_the_order_of_the_ends() -> None:
    promises: list[pb.Promise[int]] = [pb.Promise() for _ in range(3)]
    event = Event()

    def end_all() -> None:
        for each in (promises[2], promises[0]):
            each.set(1)
            turns()
        event.set()
        turns()
        promises[1].set(1)

    gevent.spawn(end_all)

    order = list(gevent.iwait([*promises, event], timeout=5))

    assert order == [promises[2], promises[0], event, promises[1]]


def test_gevent_wait_on_a_promise_leaves_no_link() -> None:
    promise: pb.Promise[int] = pb.Promise()
    gevent.wait([promise], timeout=0)

    promise.set(1)

    assert promise.get(timeout=5) == 1


def test_greenlet_may_link_to_a_promise() -> None:
    promise: pb.Promise[int] = pb.Promise()
    result: AsyncResult[int] = AsyncResult()
    promise.rawlink(result)

    promise.set(3)

    assert result.get(timeout=5) == 3


# -- each get raises afresh --------------------------------------------------------


class Witness:
    """Stands in a frame, to see whether that is kept."""


def test_each_get_raises_an_exception_of_its_own() -> None:
    promise = pb.fail(Boom("x", 3))
    caught = []
    for _ in range(2):
        with pytest.raises(Boom) as info:
            promise.get()
        caught.append(info.value)

    assert caught[0] is not caught[1]
    assert caught[0].args == caught[1].args == ("x", 3)


def test_no_traceback_grows() -> None:
    promise = pb.fail(Boom())

    def depth() -> int:
        with pytest.raises(Boom) as info:
            promise.get()
        return len(info.traceback)

    first = depth()

    assert [depth() for _ in range(20)] == [first] * 20
    assert isinstance(promise.exception, Boom)
    assert promise.exception.__traceback__ is None


def frames_kept(promise: pb.Promise[Any], kind: type[BaseException]) -> bool:
    """Whether `promise` keeps the frame alive in which its failure was raised."""

    def look() -> weakref.ref[Witness]:
        witness = Witness()
        reference = weakref.ref(witness)
        try:
            promise.get(timeout=5)
        except kind:
            return reference
        raise AssertionError("it did not raise")

    reference = look()
    gc.collect()
    return reference() is not None


class NeedsArguments(Exception):
    """Its __init__ takes what its args do not say."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class InitMayRunOnce(Exception):
    """Its __init__ counts."""

    count = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        InitMayRunOnce.count += 1


class Slotted(Exception):
    """Keeps its state in slots."""

    __slots__ = ("__private", "code", "unset")

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        self.__private = code + 1

    @property
    def private(self) -> int:
        return self.__private


class NewNeedsArguments(Exception):
    """Cannot be made without an argument."""

    def __new__(cls, code: int) -> NewNeedsArguments:
        made = super().__new__(cls, code)
        made.code = code  # type: ignore[attr-defined]
        return made


class ReadOnly(Exception):
    """Refuses to be changed, as a frozen dataclass does."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name}")


def os_error() -> OSError:
    return FileNotFoundError(2, "No such file", "/a", None, "/b")


EXCEPTIONS: list[BaseException] = [
    Boom("text", 2),
    NeedsArguments(3, reason="gone"),
    InitMayRunOnce(1),
    Slotted(7),
    NewNeedsArguments(8),
    ReadOnly("fixed", 1),
    KeyError("k"),
    os_error(),
    ConnectionResetError(104, "reset"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte"),
    UnicodeEncodeError("ascii", "\xff", 0, 1, "bad character"),
    UnicodeTranslateError("x", 0, 1, "bad"),
    ImportError("no module", name="mod", path="/p"),
    SyntaxError("bad", ("f.py", 1, 2, "x =", 1, 3)),
    AttributeError("a", name="a", obj=3),
    StopIteration(4),
    ValueError(),
    pb.NoSuchMethod("m"),
    pb.PBConnectionLost("line"),
    pb.DeadlineExceeded("late"),
    ExceptionGroup("several", [ValueError(1), KeyError(2)]),
]


def facts(error: BaseException) -> dict[str, Any]:
    """Return what makes `error` what it is."""
    names = (
        "args code reason private errno strerror filename filename2 encoding object "
        "start end name path msg lineno offset text obj value exceptions message"
    )
    found = {name: getattr(error, name, None) for name in names.split()}
    return {**found, "type": type(error), "str": str(error), "repr": repr(error)}


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_raised_exception_equals_the_original(error: BaseException) -> None:
    promise = pb.fail(error)

    with pytest.raises(type(error)) as caught:
        promise.get()

    assert caught.value is not error
    assert facts(caught.value) == facts(error)
    assert promise.exception is error


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_get_keeps_no_frame(error: BaseException) -> None:
    promise = pb.fail(error)

    assert not frames_kept(promise, type(error))
    assert error.__traceback__ is None


def test_raising_afresh_does_not_run_init() -> None:
    promise = pb.fail(InitMayRunOnce())
    before = InitMayRunOnce.count

    with pytest.raises(InitMayRunOnce):
        promise.get()

    assert InitMayRunOnce.count == before


def test_attributes_set_on_an_exception_are_raised_too() -> None:
    error = Boom()
    error.detail = [1]  # type: ignore[attr-defined]

    with pytest.raises(Boom) as caught:
        pb.fail(error).get()

    assert caught.value.detail == [1]  # type: ignore[attr-defined]


def test_note_added_by_one_waiter_is_not_seen_by_the_next() -> None:
    error = Boom()
    error.add_note("original")
    promise = pb.fail(error)

    for _ in range(3):
        with pytest.raises(Boom) as caught:
            promise.get()
        assert caught.value.__notes__ == ["original"]
        caught.value.add_note("mine")


def test_cause_of_an_exception_is_raised_with_it() -> None:
    promise: pb.Promise[None] = pb.Promise()

    def explain(_: object) -> None:
        raise Boom("effect") from ValueError("cause")

    promise.addCallback(explain)
    promise.set()

    with pytest.raises(Boom) as caught:
        promise.get(timeout=5)

    assert repr(caught.value.__cause__) == "ValueError('cause')"


def test_failure_of_a_handler_keeps_no_frame_of_the_handler() -> None:
    witnesses: list[weakref.ref[Witness]] = []

    def handler(_: object) -> None:
        witness = Witness()
        witnesses.append(weakref.ref(witness))
        raise Boom

    promise = pb.succeed(1).addCallback(handler)
    promise.wait(5)

    assert collected(witnesses[0])
    assert isinstance(promise.exception, Boom)


def test_waiter_frames_are_not_kept_after_a_timeout() -> None:
    promise: pb.Promise[int] = pb.Promise()

    def look() -> weakref.ref[Witness]:
        witness = Witness()
        with pytest.raises(pb.Timeout):
            promise.get(timeout=0)
        return weakref.ref(witness)

    assert collected(look())


# -- other threads -----------------------------------------------------------------


def test_waiting_in_another_thread_is_a_clear_error() -> None:
    promise: pb.Promise[int] = pb.Promise()

    with pytest.raises(RuntimeError, match="thread"):
        in_thread(promise.get)
    with pytest.raises(RuntimeError, match="thread"):
        in_thread(promise.wait)


def test_finished_promise_can_be_read_in_any_thread() -> None:
    promise = pb.succeed(1)

    assert in_thread(promise.get) == 1


def refusal_in_thread(function: Callable[[], object]) -> str:
    """Call `function` in another thread; return why that is refused, or nothing."""
    try:
        in_thread(function)
    except RuntimeError as error:
        return str(error)
    return ""


def test_set_in_another_thread_works_or_is_a_clear_error() -> None:
    promise: pb.Promise[int] = pb.Promise()
    promise.addCallback(lambda value: value + 1)
    waiter = gevent.spawn(promise.get, timeout=2)
    turns(2)

    refusal = refusal_in_thread(lambda: promise.set(1))

    if refusal:
        waiter.kill()
        assert "thread" in refusal
    else:
        assert waiter.get(timeout=2) == 2


def test_handler_added_in_another_thread_runs_or_is_a_clear_error() -> None:
    promise = pb.succeed(1)

    refusal = refusal_in_thread(lambda: promise.addCallback(lambda value: value + 1))

    if refusal:
        assert "thread" in refusal
    else:
        assert promise.get(timeout=2) == 2


# -- repr --------------------------------------------------------------------------


def test_repr_tells_the_state() -> None:
    promise: pb.Promise[int] = pb.Promise()
    failed = pb.fail(Boom("why"))

    assert "pending" in repr(promise)
    assert "int" in repr(pb.succeed(1))
    assert "why" in repr(failed)
    assert isinstance(failed.exception, Boom)


def test_repr_does_not_count_as_looking(geopb_log: list[Any]) -> None:
    promise = pb.fail(Boom())
    repr(promise)

    del promise

    eventually(lambda: geopb_log)


def test_a_promise_is_followed_while_something_waits_for_its_end() -> None:
    promise: pb.Promise[int] = pb.Promise()
    assert not promise.is_followed()

    with pytest.raises(pb.Timeout):
        promise.get(timeout=0)
    assert not promise.is_followed()
    promise.addCallback(lambda value: value + 1)
    assert promise.is_followed()

    promise.set(1)
    assert promise.get(timeout=5) == 2
    assert not promise.is_followed()


def test_a_chain_of_promises_is_set_in_linear_time() -> None:
    first: pb.Promise[int] = pb.Promise()
    last = first
    begun = process_time()
    for _ in range(20_000):
        following: pb.Promise[int] = pb.Promise()
        following.set(last)
        last = following

    assert process_time() - begun < 2
    first.set(7)
    assert last.get(timeout=20) == 7


def test_a_call_behind_a_handler_waits_for_it_though_others_have_gone_on() -> None:
    """The first is on its way to what the promise follows; the handler came later."""
    promise, source = result(), result()
    go, ran = Event(), list[Any]()
    waiting = dependents(promise)
    waiting.add(result(), lambda _: go.wait(timeout=5))
    promise.set(source)
    turns()

    promise.addCallback(lambda value: value + 1)
    waiting.add(result(), ran.append)
    go.set()
    turns()
    assert ran == []

    source.set(1)
    eventually(lambda: ran == [2])
