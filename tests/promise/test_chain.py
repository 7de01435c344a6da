"""A promise as a chain of handlers."""

from __future__ import annotations

import contextvars
import decimal
import gc
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import gevent.local
import pytest
from gevent import getcurrent
from gevent.event import AsyncResult, Event

import geopb as pb
from tests.support import collected, eventually, turns


class Boom(Exception):
    """What tests fail promises with."""


def die(*_: object) -> Any:
    raise Boom("handler")


# -- the order and the sides -------------------------------------------------------


def test_each_handler_takes_what_the_one_before_returned() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda value: value + "b")
    promise.addCallback(lambda value: value + "c")
    promise.addCallback(list)

    promise.set("a")

    assert promise.get(timeout=5) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["addCallback", "addErrback", "addBoth"])
def test_adding_returns_the_promise_itself(name: str) -> None:
    promise: pb.Promise[Any] = pb.Promise()

    assert getattr(promise, name)(print) is promise


def test_add_callbacks_returns_the_promise_itself() -> None:
    promise: pb.Promise[Any] = pb.Promise()

    assert promise.addCallbacks(print, print) is promise


def test_handlers_run_in_the_order_they_were_added() -> None:
    order: list[int] = []
    promise: pb.Promise[Any] = pb.Promise()
    for number in range(100):
        promise.addBoth(lambda _, number=number: order.append(number))

    promise.set()

    promise.get(timeout=5)
    assert order == list(range(100))


def test_handler_that_blocks_holds_up_the_next_of_its_chain() -> None:
    order: list[str] = []
    gate = Event()
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: (gate.wait(), order.append("first")))
    promise.addCallback(lambda _: order.append("second"))
    promise.set()
    turns()
    assert order == []

    gate.set()

    promise.get(timeout=5)
    assert order == ["first", "second"]


def test_handler_that_blocks_does_not_hold_up_another_chain() -> None:
    gate = Event()
    slow = pb.succeed(1).addCallback(lambda _: gate.wait())
    quick = pb.succeed(1).addCallback(lambda value: value + 1)

    assert quick.get(timeout=5) == 2

    assert not slow.ready()
    gate.set()
    slow.get(timeout=5)


def test_callback_is_skipped_by_a_failure() -> None:
    called: list[Any] = []
    promise = pb.fail(Boom("x")).addCallback(called.append)

    with pytest.raises(Boom, match="x"):
        promise.get(timeout=5)

    assert called == []


def test_errback_is_skipped_by_a_result() -> None:
    called: list[Any] = []

    promise = pb.succeed(1).addErrback(called.append)

    assert promise.get(timeout=5) == 1
    assert called == []


def test_errback_takes_a_failure() -> None:
    taken: list[Any] = []
    error = Boom("why")

    pb.fail(error).addErrback(taken.append).get(timeout=5)

    (failure,) = taken
    assert isinstance(failure, pb.Failure)
    assert failure.value is error
    assert failure.getErrorMessage() == "why"


def test_value_of_an_errback_goes_to_the_callback_side() -> None:
    promise = pb.fail(Boom()).addErrback(lambda _: "saved")
    promise.addCallback(str.upper)

    assert promise.get(timeout=5) == "SAVED"


def test_exception_of_a_callback_goes_to_the_errback_side() -> None:
    promise = pb.succeed(1).addCallback(die).addCallback(lambda _: "not here")
    promise.addErrback(lambda failure: failure.type)

    assert promise.get(timeout=5) == f"{__name__}.Boom"


def test_exception_of_an_errback_replaces_the_failure() -> None:
    promise = pb.fail(ValueError("first")).addErrback(die)

    with pytest.raises(Boom, match="handler"):
        promise.get(timeout=5)


def test_errback_that_returns_the_failure_passes_it_on() -> None:
    promise = pb.fail(Boom("on")).addErrback(lambda failure: failure)
    promise.addCallback(lambda _: "not here")

    with pytest.raises(Boom, match="on"):
        promise.get(timeout=5)


def test_callback_that_returns_a_failure_fails_the_chain() -> None:
    promise = pb.succeed(1).addCallback(lambda _: pb.Failure(Boom("returned")))
    promise.addErrback(lambda failure: failure.getErrorMessage())

    assert promise.get(timeout=5) == "returned"


def test_callback_that_returns_an_exception_returns_a_value() -> None:
    error = Boom()

    promise = pb.succeed(1).addCallback(lambda _: error)

    assert promise.get(timeout=5) is error


def test_errback_that_returns_nothing_ends_in_none() -> None:
    assert pb.fail(Boom()).addErrback(lambda _: None).get(timeout=5) is None


def test_chain_switches_sides_any_number_of_times() -> None:
    promise: pb.Promise[Any] = pb.succeed(0)
    for _ in range(5):
        promise.addCallback(die).addErrback(lambda _: 0).addBoth(lambda n: n + 1)

    assert promise.get(timeout=5) == 1


def test_errback_does_not_take_what_its_own_callback_raised() -> None:
    taken: list[Any] = []
    promise = pb.succeed(1).addCallbacks(die, taken.append)

    with pytest.raises(Boom):
        promise.get(timeout=5)

    assert taken == []


def test_callback_does_not_take_what_its_own_errback_returned() -> None:
    taken: list[Any] = []

    promise = pb.fail(Boom()).addCallbacks(taken.append, lambda _: "saved")

    assert promise.get(timeout=5) == "saved"
    assert taken == []


def test_add_both_takes_either() -> None:
    assert pb.succeed(1).addBoth(lambda value: value + 1).get(timeout=5) == 2
    failed = pb.fail(Boom("both")).addBoth(lambda failure: failure.getErrorMessage())
    assert failed.get(timeout=5) == "both"


def test_trap_passes_what_does_not_match_to_the_next_errback() -> None:
    promise = pb.fail(Boom("kept")).addErrback(lambda failure: failure.trap(KeyError))
    promise.addCallback(lambda _: "not here")
    promise.addErrback(lambda failure: failure.trap(ValueError, Boom) and failure)

    with pytest.raises(Boom, match="kept"):
        promise.get(timeout=5)


def test_failure_passed_on_by_trap_still_shows_where_it_came_from() -> None:
    promise = pb.succeed(1).addCallback(die)
    promise.addErrback(lambda failure: failure.trap(KeyError))
    promise.addErrback(lambda failure: failure.getTraceback())

    assert "in die" in promise.get(timeout=5)


# -- arguments ---------------------------------------------------------------------


def test_handlers_take_more_arguments() -> None:
    def join(*args: Any, **kwargs: Any) -> Any:
        return (*args, kwargs)

    assert pb.succeed(1).addCallback(join, 2, a=3).get(timeout=5) == (1, 2, {"a": 3})
    assert pb.succeed(1).addBoth(join, 2, a=3).get(timeout=5) == (1, 2, {"a": 3})
    failed = pb.fail(Boom()).addErrback(join, 2, a=3).get(timeout=5)
    assert failed[1:] == (2, {"a": 3})
    assert isinstance(failed[0], pb.Failure)


def test_handlers_take_keywords_of_any_name() -> None:
    names = ("callback", "errback", "handler", "self", "failure", "args")
    keywords = dict.fromkeys(names, 1)

    def collect_keywords(_: object, /, **kwargs: Any) -> Any:
        return kwargs

    for promise in (
        pb.succeed(0).addCallback(collect_keywords, **keywords),
        pb.succeed(0).addBoth(collect_keywords, **keywords),
        pb.fail(Boom()).addErrback(collect_keywords, **keywords),
    ):
        assert promise.get(timeout=5) == keywords


def test_add_callbacks_gives_each_side_its_own_arguments() -> None:
    def both(promise: pb.Promise[Any]) -> Any:
        return promise.addCallbacks(
            lambda value, *args, **kwargs: ("callback", args, kwargs),
            lambda failure, *args, **kwargs: ("errback", args, kwargs),
            callbackArgs=(1, 2),
            callbackKeywords={"a": 3},
            errbackArgs=(4,),
            errbackKeywords={"b": 5},
        ).get(timeout=5)

    assert both(pb.succeed(0)) == ("callback", (1, 2), {"a": 3})
    assert both(pb.fail(Boom())) == ("errback", (4,), {"b": 5})


def test_add_callbacks_takes_arguments_by_position() -> None:
    def arguments(_: object, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    promise = pb.succeed(0).addCallbacks(
        arguments, arguments, (1,), {"a": 2}, (3,), {"b": 4}
    )

    assert promise.get(timeout=5) == ((1,), {"a": 2})


def test_add_callbacks_copies_its_arguments() -> None:
    args, keywords = [1], {"a": 1}
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallbacks(
        lambda _, *args, **kwargs: (args, kwargs),
        callbackArgs=args,
        callbackKeywords=keywords,
    )
    args.append(2)
    keywords["b"] = 2

    promise.set()

    assert promise.get(timeout=5) == ((1,), {"a": 1})


def test_no_handler_on_a_side_passes_what_comes() -> None:
    assert pb.succeed(1).addCallbacks(None, die).get(timeout=5) == 1
    assert pb.succeed(1).addCallbacks(None, None).get(timeout=5) == 1
    with pytest.raises(ValueError, match="through"):
        pb.fail(ValueError("through")).addCallbacks(die).get(timeout=5)


@pytest.mark.parametrize("name", ["addCallback", "addErrback", "addBoth"])
def test_handler_that_cannot_be_called_is_refused_at_once(name: str) -> None:
    promise: pb.Promise[Any] = pb.Promise()

    with pytest.raises(TypeError, match="int"):
        getattr(promise, name)(3)

    promise.set(1)
    assert promise.get(timeout=5) == 1


def test_handler_called_with_wrong_arguments_fails_the_chain() -> None:
    promise = pb.succeed(1).addCallback(lambda: None)

    with pytest.raises(TypeError):
        promise.get(timeout=5)


# -- pauses ------------------------------------------------------------------------


def paused_on_promise() -> tuple[Any, Callable[[Any], None], Callable[[], None]]:
    inner: pb.Promise[Any] = pb.Promise()
    return inner, inner.set, lambda: inner.set_exception(Boom("inner"))


def paused_on_async_result() -> tuple[Any, Callable[[Any], None], Callable[[], None]]:
    inner: AsyncResult[Any] = AsyncResult()
    return inner, inner.set, lambda: inner.set_exception(Boom("inner"))


def paused_on_greenlet() -> tuple[Any, Callable[[Any], None], Callable[[], None]]:
    inner, set_inner, fail_inner = paused_on_promise()
    return gevent.spawn(inner.get), set_inner, fail_inner


PAUSES = [paused_on_promise, paused_on_async_result, paused_on_greenlet]


@pytest.mark.parametrize("pause", PAUSES)
def test_returned_waitable_pauses_the_chain(pause: Any) -> None:
    inner, set_inner, _ = pause()
    promise = pb.succeed(1).addCallback(lambda _: inner)
    promise.addCallback(lambda value: value + 1)
    turns(10)
    assert not promise.ready()

    set_inner(10)

    assert promise.get(timeout=5) == 11


@pytest.mark.parametrize("pause", PAUSES)
def test_failure_of_a_returned_waitable_goes_to_the_errback_side(
    pause: Any, greenlet_errors: list[Any]
) -> None:
    inner, _, fail_inner = pause()
    promise = pb.succeed(1).addCallback(lambda _: inner)
    promise.addErrback(lambda failure: (failure.type, failure.getErrorMessage()))

    fail_inner()

    assert promise.get(timeout=5) == (f"{__name__}.Boom", "inner")


@pytest.mark.parametrize("pause", PAUSES)
def test_errback_may_return_a_waitable(pause: Any) -> None:
    inner, set_inner, _ = pause()
    promise = pb.fail(Boom()).addErrback(lambda _: inner)

    set_inner("saved")

    assert promise.get(timeout=5) == "saved"


@pytest.mark.parametrize("pause", PAUSES)
def test_returned_waitable_may_have_ended_already(pause: Any) -> None:
    inner, set_inner, _ = pause()
    set_inner(3)
    eventually(inner.ready)

    promise = pb.succeed(1).addCallback(lambda _: inner).addCallback(lambda n: n + 1)

    assert promise.get(timeout=5) == 4


def test_returned_promise_that_failed_already_counts_as_looked_at() -> None:
    promise = pb.succeed(1).addCallback(lambda _: pb.fail(Boom("ready")))

    with pytest.raises(Boom, match="ready"):
        promise.get(timeout=5)


def test_pause_on_a_promise_waits_for_its_handlers() -> None:
    inner: pb.Promise[Any] = pb.Promise()
    inner.addCallback(lambda value: value * 2)
    promise = pb.succeed(1).addCallback(lambda _: inner)
    turns()

    inner.set(4)

    assert promise.get(timeout=5) == 8


def test_returned_promise_keeps_its_result() -> None:
    inner = pb.succeed(4)
    promise = pb.succeed(1).addCallback(lambda _: inner).addCallback(lambda _: None)

    promise.get(timeout=5)

    assert inner.get(timeout=5) == 4


def test_handlers_added_during_a_pause_run_after_it() -> None:
    inner: pb.Promise[Any] = pb.Promise()
    promise = pb.succeed(1).addCallback(lambda _: inner)
    turns()
    promise.addCallback(lambda value: [value])

    inner.set("late")

    assert promise.get(timeout=5) == ["late"]


def test_handlers_after_a_pause_that_ended_already_run_once() -> None:
    calls: list[Any] = []
    promise = pb.succeed(1)
    for _ in range(50):
        promise.addCallback(lambda _: pb.succeed(2)).addCallback(calls.append)

    promise.get(timeout=5)

    assert calls == [2] * 50


# -- where handlers run ------------------------------------------------------------


def test_handler_does_not_run_inside_add_callback() -> None:
    called: list[Any] = []
    promise = pb.succeed(1)

    promise.addCallback(called.append)
    promise.addBoth(called.append)
    promise.addCallbacks(called.append, called.append)

    assert called == []
    promise.get(timeout=5)
    assert called == [1, None, None]


def test_handler_does_not_run_inside_set() -> None:
    called: list[Any] = []
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(called.append)

    promise.set(1)

    assert called == []
    promise.get(timeout=5)
    assert called == [1]


def test_handlers_run_in_a_greenlet_of_their_own() -> None:
    adder: list[Any] = [getcurrent(), gevent.get_hub()]
    where: list[Any] = []
    later: pb.Promise[Any] = pb.Promise()
    later.addCallback(lambda _: where.append(getcurrent()))

    pb.succeed(1).addCallback(lambda _: where.append(getcurrent())).get(timeout=5)
    pb.fail(Boom()).addErrback(lambda _: where.append(getcurrent())).get(timeout=5)
    # Set in the hub itself.
    gevent.get_hub().loop.run_callback(later.set, 1)
    later.get(timeout=5)

    assert len(where) == 3
    assert not any(each in adder for each in where)
    assert all(isinstance(each, gevent.Greenlet) for each in where)


def test_handler_may_block() -> None:
    result: AsyncResult[int] = AsyncResult()
    promise = pb.succeed(1).addCallback(lambda value: value + result.get())
    turns()

    result.set(2)

    assert promise.get(timeout=5) == 3


def test_handler_may_wait_for_another_promise() -> None:
    other: pb.Promise[int] = pb.Promise()
    promise = pb.succeed(1).addCallback(lambda value: value + other.get(timeout=5))
    turns()

    other.set(2)

    assert promise.get(timeout=5) == 3


def test_handlers_have_the_context_variables_of_who_added_them() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    promise: pb.Promise[Any] = pb.Promise()
    seen: list[str] = []
    for name in ("first", "second"):
        token = variable.set(name)
        promise.addCallback(lambda _: seen.append(variable.get()))
        variable.reset(token)
    variable.set("setter")

    gevent.spawn(promise.set)

    promise.get(timeout=5)
    assert seen == ["first", "second"]


def test_handler_added_after_the_end_has_the_adders_context_too() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    promise = pb.succeed(1)

    def add() -> Any:
        variable.set("adder")
        return promise.addCallback(lambda _: variable.get()).get(timeout=5)

    assert gevent.spawn(add).get(timeout=5) == "adder"
    assert variable.get() == "none"


def test_what_a_handler_sets_in_its_context_stays_there() -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    def handler(name: str) -> str:
        seen.append(variable.get())
        variable.set(name)
        return name

    pb.succeed("one").addCallback(handler).addCallback(handler).get(timeout=5)
    pb.succeed("two").addCallback(handler).get(timeout=5)

    assert seen == ["none"] * 3
    assert variable.get() == "none"


def test_decimal_context_of_a_handler_stays_there() -> None:
    def change(_: object) -> None:
        decimal.setcontext(decimal.Context(prec=3))

    before = decimal.getcontext().prec
    pb.succeed(1).addCallback(change).get(timeout=5)

    after = pb.succeed(1).addCallback(lambda _: decimal.getcontext().prec)

    assert after.get(timeout=5) == before
    assert decimal.getcontext().prec == before


def test_greenlet_local_of_a_handler_stays_there() -> None:
    local = gevent.local.local()

    def leave(_: object) -> None:
        local.mark = 1

    for _ in range(5):
        pb.succeed(1).addCallback(leave).get(timeout=5)

    seen = pb.succeed(1).addCallback(lambda _: hasattr(local, "mark"))

    assert seen.get(timeout=5) is False


# -- added after the end -----------------------------------------------------------


def test_handlers_added_after_the_end_run() -> None:
    promise = pb.succeed(1)
    assert promise.get() == 1

    promise.addCallback(lambda value: value + 1)

    assert promise.get(timeout=5) == 2


def test_ready_is_false_again_while_later_handlers_run() -> None:
    gate = Event()
    promise = pb.succeed(1)
    assert promise.ready()

    promise.addCallback(lambda value: gate.wait() and value + 1)

    assert not promise.ready()
    assert not promise.successful()
    assert promise.value is None
    turns()
    assert not promise.ready()
    gate.set()
    assert promise.get(timeout=5) == 2
    assert promise.ready()


def test_failed_is_false_again_while_later_handlers_run() -> None:
    gate = Event()
    promise = pb.fail(Boom("x"))

    promise.addErrback(lambda failure: gate.wait() and failure)

    assert not promise.failed()
    assert promise.exception is None
    gate.set()
    with pytest.raises(Boom):
        promise.get(timeout=5)


def test_waiter_that_was_woken_stays_woken() -> None:
    gate = Event()
    promise: pb.Promise[int] = pb.Promise()
    woken = gevent.spawn(promise.get)
    turns()
    promise.set(1)
    eventually(woken.ready)

    promise.addCallback(lambda value: gate.wait() and value + 1)

    assert woken.value == 1
    assert not promise.ready()
    gate.set()
    assert promise.get(timeout=5) == 2


@pytest.mark.parametrize("method", ["get", "wait"])
def test_waiter_about_to_be_woken_gets_the_end_of_a_chain(method: str) -> None:
    """A handler is added between the end and the waiter's wake-up."""
    gate = Event()
    promise: pb.Promise[str] = pb.Promise()
    waiter = gevent.spawn(getattr(promise, method), timeout=5)
    turns()

    # The jobs of earlier handlers are due before the promise's links are.
    other = pb.succeed(0).addCallback(lambda _: None)
    promise.set("first end")
    promise.addCallback(lambda _: "in between")
    promise.addCallback(lambda _: gate.wait() and "last end")
    turns(10)
    gate.set()

    other.get(timeout=5)
    assert promise.get(timeout=5) == "last end"
    assert waiter.get(timeout=5) in ("first end", "last end")


def test_callback_added_to_a_failed_promise_is_skipped_silently() -> None:
    """The failure that is there already is not logged as one that was dropped."""
    promise = pb.fail(Boom("once"))

    promise.addCallback(die)

    with pytest.raises(Boom, match="once"):
        promise.get(timeout=5)


def test_handler_may_add_a_handler_to_its_own_promise() -> None:
    promise: pb.Promise[Any] = pb.Promise()

    def add_another(value: int) -> int:
        promise.addCallback(lambda value: value * 10)
        return value + 1

    promise.addCallback(add_another)
    promise.set(1)

    assert promise.get(timeout=5) == 20


# -- handlers that end strangely ---------------------------------------------------


def test_kill_of_the_greenlet_of_a_handler_fails_the_step() -> None:
    running: list[Any] = []

    def handler(_: object) -> None:
        running.append(getcurrent())
        Event().wait()

    promise = pb.succeed(1).addCallback(handler)
    promise.addErrback(lambda failure: failure.check(gevent.GreenletExit))
    eventually(lambda: running)

    with gevent.Timeout(5):
        running[0].kill()

    assert running.pop().dead
    assert promise.get(timeout=5) is gevent.GreenletExit


def test_promise_goes_on_when_the_greenlet_of_its_last_handler_is_killed() -> None:
    running: list[Any] = []

    def handler(_: object) -> None:
        running.append(getcurrent())
        Event().wait()

    promise = pb.succeed(1).addCallback(handler)
    eventually(lambda: running)

    running.pop().kill(timeout=5)

    assert promise.wait(5) is None
    assert isinstance(promise.exception, gevent.GreenletExit)


@pytest.mark.parametrize("kind", [SystemExit, gevent.GreenletExit, gevent.Timeout])
def test_what_is_no_exception_class_fails_the_promise_and_nothing_else(
    kind: type[BaseException],
) -> None:
    def handler(_: object) -> None:
        raise kind(3)

    promise = pb.succeed(1).addCallback(handler)
    promise.wait(5)

    assert promise.failed()
    assert isinstance(promise.exception, kind)
    with pytest.raises(kind):
        promise.get()
    assert pb.succeed(1).addCallback(lambda value: value).get(timeout=5) == 1


@pytest.mark.parametrize("kind", [SystemExit, gevent.GreenletExit, gevent.Timeout])
def test_errback_takes_what_is_no_exception_class(kind: type[BaseException]) -> None:
    def handler(_: object) -> None:
        raise kind(3)

    promise = pb.succeed(1).addCallback(handler)
    promise.addErrback(lambda failure: failure.trap(kind))

    assert promise.get(timeout=5) is kind


def test_keyboard_interrupt_of_a_handler_goes_on_to_the_main_greenlet() -> None:
    def handler(_: object) -> None:
        raise KeyboardInterrupt

    promise = pb.succeed(1).addCallback(handler)
    promise.addErrback(lambda failure: failure.type)

    with pytest.raises(KeyboardInterrupt):
        Event().wait(5)

    assert promise.get(timeout=5) == "builtins.KeyboardInterrupt"


def test_own_timeout_of_a_handler_works() -> None:
    def handler(_: object) -> str:
        with gevent.Timeout(0.002, False):
            Event().wait()
        return "went on"

    assert pb.succeed(1).addCallback(handler).get(timeout=5) == "went on"


# -- nothing is kept ---------------------------------------------------------------


class Witness:
    """Something that may be kept alive."""


def test_handlers_and_results_that_ran_are_forgotten() -> None:
    witness = Witness()
    gone = weakref.ref(witness)
    promise = pb.succeed(witness).addCallback(lambda _, kept: 1, witness)
    promise.get(timeout=5)

    del witness

    assert collected(gone)
    assert promise.get() == 1


def test_dropped_promise_with_pending_handlers_is_collected() -> None:
    def made() -> weakref.ref[pb.Promise[Any]]:
        promise: pb.Promise[Any] = pb.Promise()
        promise.addCallback(lambda value: promise)
        return weakref.ref(promise)

    assert collected(made())


# -- callRemote --------------------------------------------------------------------


class FakeReference:
    """Stands for a reference."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.gate = Event()
        self.gate.set()

    def callRemote(self, method: Any, /, *args: Any, **kwargs: Any) -> pb.Promise[Any]:
        self.calls.append((method, args, kwargs))
        self.gate.wait()
        return pb.succeed(method)


def test_call_on_a_promise_goes_out_when_the_value_is_there() -> None:
    target = FakeReference()
    promise: pb.Promise[Any] = pb.Promise()
    called = promise.callRemote("echo", 1, self=2, method=3)
    turns()
    assert target.calls == []

    promise.set(target)

    assert called.get(timeout=5) == "echo"
    assert target.calls == [("echo", (1,), {"self": 2, "method": 3})]


def test_call_on_a_finished_promise_goes_out() -> None:
    assert pb.succeed(FakeReference()).callRemote("echo").get(timeout=5) == "echo"


def test_calls_on_a_promise_go_out_in_order() -> None:
    target = FakeReference()
    promise: pb.Promise[Any] = pb.Promise()
    before = [promise.callRemote(str(number)) for number in range(20)]
    promise.set(target)
    after = [promise.callRemote(str(number)) for number in range(20, 40)]

    pb.gather([*before, *after]).get(timeout=5)

    assert [int(call[0]) for call in target.calls] == list(range(40))


def test_calls_on_a_promise_go_out_after_its_handlers() -> None:
    target = FakeReference()
    promise: pb.Promise[Any] = pb.Promise()
    promise.addCallback(lambda _: target)
    called = promise.callRemote("echo")

    promise.set("not it")

    assert called.get(timeout=5) == "echo"


def test_call_on_a_promise_of_a_promise_goes_to_its_end() -> None:
    inner: pb.Promise[Any] = pb.Promise()
    called = pb.succeed(1).addCallback(lambda _: inner).callRemote("echo")
    turns()

    inner.set(FakeReference())

    assert called.get(timeout=5) == "echo"


def test_call_on_a_failed_promise_fails_with_that_failure() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    called = promise.callRemote("echo").callRemote("again")

    promise.set_exception(Boom("first"))

    with pytest.raises(Boom, match="first"):
        called.get(timeout=5)


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, gevent.GreenletExit, gevent.Timeout]
)
def test_call_on_a_promise_that_failed_with_no_exception_class_fails(
    kind: type[BaseException],
) -> None:
    promise = pb.fail(kind(3))

    called = promise.callRemote("echo")

    try:
        called.wait(2)
    except (KeyboardInterrupt, SystemExit):
        pytest.fail("it was raised in the main greenlet")
    assert isinstance(called.exception, kind)


@pytest.mark.parametrize("value", [None, 3, "text", object()])
def test_call_on_a_value_that_cannot_be_called_is_a_clear_error(value: Any) -> None:
    called = pb.succeed(value).callRemote("echo")

    with pytest.raises(TypeError, match=type(value).__name__):
        called.get(timeout=5)


def test_call_that_raises_at_once_fails_through_the_promise() -> None:
    class Refuses:
        def callRemote(self, method: Any) -> Any:
            raise Boom(method)

    called = pb.succeed(Refuses()).callRemote("echo")

    with pytest.raises(Boom, match="echo"):
        called.get(timeout=5)


def test_call_that_failed_does_not_hold_up_the_next() -> None:
    promise: pb.Promise[Any] = pb.Promise()
    first, second = promise.callRemote("one"), promise.callRemote("two")

    promise.set(3)

    for called in (first, second):
        with pytest.raises(TypeError):
            called.get(timeout=5)


def test_call_that_waits_for_room_goes_out_once() -> None:
    """A handler that is added meanwhile makes the promise end once more."""
    target = FakeReference()
    target.gate.clear()
    promise: pb.Promise[Any] = pb.Promise()
    called = promise.callRemote("echo")
    promise.set(target)
    eventually(lambda: target.calls)

    promise.addCallback(lambda value: value)
    eventually(promise.ready)
    turns(10)
    target.gate.set()

    assert called.get(timeout=5) == "echo"
    assert len(target.calls) == 1


def test_call_counts_as_looking_at_the_failure() -> None:
    promise = pb.fail(Boom("x"))

    called = promise.callRemote("echo")

    called.wait(5)
    assert isinstance(called.exception, Boom)


def test_promise_is_collected_at_once_when_its_calls_are_sent() -> None:
    promise = pb.succeed(FakeReference())
    promise.callRemote("echo").get(timeout=5)
    turns()
    gone = weakref.ref(promise)

    gc.disable()
    try:
        del promise

        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("add", ["addCallback", "addErrback", "addBoth"])
def test_none_is_no_handler(add: str) -> None:
    """`addCallbacks` takes it, for the side that passes on what comes."""
    with pytest.raises(TypeError, match="NoneType object is not callable"):
        getattr(pb.succeed(1), add)(None)
