"""Whatever a method does, its caller gets one clear answer, and all else goes on."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import Greenlet, GreenletExit
from gevent.event import AsyncResult, Event
from gevent.local import local as greenlet_local

import geopb as pb
from geopb.workers import worker_pool
from tests.conftest import Pair
from tests.net.roots import Doing, Holding, root_of
from tests.support import collect, eventually, named, turns

UNEXPECTED = "Peer will receive following PB traceback"
Call = Callable[..., Any]


class Harness:
    """A server whose method does what the test says, and its client."""

    def __init__(self, pair: Pair, log: list[logging.LogRecord]) -> None:
        self.root = Doing()
        self.server, self.client = pair(self.root)
        self.remote = root_of(self.client)
        self._log = log

    def call(self, do: Call, *args: Any, **kwargs: Any) -> Any:
        """Have the server run `do`; return the promise."""
        self.root.do = do
        return self.remote.callRemote("do", *args, **kwargs)

    def failure(self, do: Call, *args: Any, **kwargs: Any) -> Any:
        """Have the server run `do`; return the failure, and see that all goes on."""
        other = self.remote.callRemote("echo", "before")
        seen: list[Any] = []
        self.call(do, *args, **kwargs).addErrback(seen.append).get(timeout=5)
        assert other.get(timeout=5) == "before"
        assert self.remote.callRemote("echo", "after").get(timeout=5) == "after"
        assert len(seen) == 1, "it did not fail"
        return seen[0]

    def logged(self) -> list[str]:
        """Return the lines that began a record of the log, and forget them."""
        found = [each.getMessage().splitlines()[0] for each in self._log]
        self._log.clear()
        return found


@pytest.fixture
def harness(pair: Pair, geopb_log: list[logging.LogRecord]) -> Harness:
    return Harness(pair, geopb_log)


def raising(error: BaseException) -> Call:
    def do(*_args: Any) -> None:
        raise error

    return do


# -- misuse: one clear error to one caller ---------------------------------------------


@pytest.mark.parametrize(
    "name",
    [None, 5, b"echo", ["echo"], ("echo",), object(), 1.5, True, print, str.upper, int],
    ids=named,
)
def test_a_method_name_of_a_wrong_kind_is_a_TypeError_at_once(
    harness: Harness, name: Any
) -> None:
    for use in (
        harness.remote.callRemote,
        harness.remote.callRemoteOnly,
        harness.remote.remoteMethod,
    ):
        with pytest.raises(TypeError):
            use(name)

    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


def test_no_method_name_at_all_is_a_TypeError_at_once(harness: Harness) -> None:
    with pytest.raises(TypeError):
        harness.remote.callRemote()
    with pytest.raises(TypeError):
        harness.remote.callRemote(method="echo")


@pytest.mark.parametrize("name", ["unknown", "x" * 200, "\n\x1b[31m", "\udc80", "é"])
def test_an_unknown_method_is_at_most_one_log_line_without_a_traceback(
    harness: Harness, geopb_log: list[logging.LogRecord], name: str
) -> None:
    promise = harness.remote.callRemote(name)

    with pytest.raises((pb.NoSuchMethod, pb.InsecureJelly)):
        promise.get(timeout=5)
    assert len(geopb_log) <= 1
    for record in geopb_log:
        assert record.getMessage().isprintable()
        assert record.exc_info is None
    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_method_name_over_its_limit_names_the_limit(harness: Harness) -> None:
    with pytest.raises(pb.LimitExceeded, match=r"300 exceeds max_name_length=256"):
        harness.remote.callRemote("x" * 300).get(timeout=5)

    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2), {}), ((1,), {"wrong": 1}), ((1,), {"value": 2})],
)
def test_arguments_that_do_not_fit_are_a_TypeError_and_one_line(
    harness: Harness,
    geopb_log: list[logging.LogRecord],
    args: Any,
    kwargs: Any,
) -> None:
    class Needs(pb.Referenceable):
        def remote_needs(self, value: Any) -> None:
            raise AssertionError("not to be run")

    needy = harness.call(Needs).get(timeout=5)

    with pytest.raises(TypeError, match="needs") as caught:
        needy.callRemote("needs", *args, **kwargs).get(timeout=5)

    assert isinstance(caught.value, pb.RemoteError)
    assert len(geopb_log) == 1
    assert "\n" not in geopb_log[0].getMessage()
    assert geopb_log[0].exc_info is None


def test_static_and_class_methods_are_called_as_such(harness: Harness) -> None:
    class Both(pb.Referenceable):
        @staticmethod
        def remote_static(*args: Any) -> Any:
            return args

        @classmethod
        def remote_class(cls, *args: Any) -> Any:
            return cls.__name__, args

    both = harness.call(Both).get(timeout=5)

    assert both.callRemote("static", 1).get(timeout=5) == (1,)
    assert both.callRemote("class", 1).get(timeout=5) == ("Both", (1,))


def test_a_TypeError_of_the_method_itself_is_logged_with_its_traceback(
    harness: Harness,
) -> None:
    failure = harness.failure(lambda: len(5))  # type: ignore[arg-type]

    assert failure.check(TypeError)
    assert harness.logged() == [f"{UNEXPECTED}:"]


class Unencodable:
    """Has no flavor."""


UNENCODABLE: dict[str, Any] = {
    "instance": Unencodable(),
    "nested": {1: [Unencodable()]},
    "key": {Unencodable(): 1},
    "function": print,
    "lone surrogate": "\ud800",
    "class": bytes,
    "huge int": 1 << 9000,
    "dict subclass": type("Sub", (dict,), {})(),
    "int subclass": type("Sub", (int,), {})(5),
    "logger": logging.getLogger(),
    "iterator": iter(()),
}
unencodable = pytest.mark.parametrize("value", UNENCODABLE.values(), ids=UNENCODABLE)


@unencodable
def test_an_argument_that_may_not_cross_fails_that_call_through_the_promise(
    harness: Harness, value: Any
) -> None:
    before = harness.remote.callRemote("echo", "before")

    for promise in (
        harness.remote.callRemote("echo", value),
        harness.remote.callRemote("echo", value=[value]),
        harness.remote.callRemote("echo", {"key": value}),
    ):
        with pytest.raises((pb.InsecureJelly, pb.LimitExceeded)):
            promise.get(timeout=5)

    assert before.get(timeout=5) == "before"
    assert harness.remote.callRemote("echo", "after").get(timeout=5) == "after"


@unencodable
def test_a_result_that_may_not_cross_fails_that_call(
    harness: Harness, value: Any
) -> None:
    for result in (value, (1, value)):
        failure = harness.failure(lambda result=result: result)
        assert failure.check(pb.InsecureJelly, pb.LimitExceeded)

    # The callee is told too, in one line at the most, as the mistake is its own.
    assert all(UNEXPECTED not in line for line in harness.logged())


class Broken:
    """A proxy whose object is gone."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(f"no {name} any more")


def test_a_result_that_cannot_be_looked_at_fails_that_call(harness: Harness) -> None:
    for result in (Broken(), [Broken()]):
        failure = harness.failure(lambda result=result: result)
        assert failure.type == "builtins.RuntimeError"


def test_a_method_that_returns_its_own_greenlet_is_answered(harness: Harness) -> None:
    failure = harness.failure(gevent.getcurrent)

    assert "may not return the greenlet" in failure.getErrorMessage()


def test_callRemoteOnly_with_a_value_that_may_not_cross_does_not_hang(
    harness: Harness,
) -> None:
    try:
        harness.remote.callRemoteOnly("echo", Unencodable())
    except pb.InsecureJelly:
        pass

    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


def test_what_callRemoteOnly_runs_may_fail_without_harm(harness: Harness) -> None:
    harness.root.do = raising(ValueError("one way"))
    harness.remote.callRemoteOnly("do")
    harness.remote.callRemoteOnly("no_such_method")

    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1
    assert f"{UNEXPECTED}:" in harness.logged()


# -- exceptions ------------------------------------------------------------------------


class BadStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class BadStrExpected(pb.Error):
    __str__ = BadStr.__str__


class BadClass(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("no class for you")


class BadAttributes(Exception):
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(f"no {name} for you")


class BadMisfit(BadAttributes, TypeError):
    """What a method raises that does not take its arguments, as far as can be seen."""


class BadRepr(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no text for you")

    def __str__(self) -> str:
        return repr(self)


class StrNotText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class BadArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no arguments for you")


class BadStrHard(Exception):
    def __str__(self) -> str:
        raise SystemExit


class BadDict(Exception):
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no attributes for you")


class BadNotes(Exception):
    __notes__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


def deep_error() -> Exception:
    error: Exception = ValueError("innermost")
    for number in range(2000):
        outer = ValueError(number)
        outer.__cause__ = error
        error = outer
    return error


def cyclic_error() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


ERRORS: dict[str, tuple[Callable[[], Exception], str | None]] = {
    "bad str": (BadStr, None),
    "bad str of an expected one": (BadStrExpected, None),
    "bad class": (lambda: BadClass("x"), "x"),
    "bad attributes": (lambda: BadAttributes("x"), "x"),
    "bad attributes of a misfit": (lambda: BadMisfit("x"), "x"),
    "bad repr": (BadRepr, None),
    "str is no text": (StrNotText, None),
    "bad args": (lambda: BadArgs("x"), None),
    "str exits": (BadStrHard, None),
    "bad dict": (lambda: BadDict("x"), "x"),
    "bad notes": (lambda: BadNotes("x"), "x"),
    "large": (lambda: ValueError("x" * 1_000_000), "x" * 1000),
    "huge and expected": (lambda: pb.Error("x" * 100_000_000), "x" * 1000),
    "unencodable args": (lambda: ValueError(Unencodable(), 2), None),
    "unencodable and expected": (lambda: pb.Error(Unencodable(), "text"), None),
    "lone surrogate": (lambda: ValueError("\ud800 \x00 \n"), "ud800"),
    "huge bytes": (lambda: ValueError(b"x" * 70_000_000), None),
    "wide args": (lambda: ValueError([[]] * 100_000), None),
    "many args": (lambda: ValueError(*range(100_000)), None),
    "no args": (KeyError, ""),
    "five args": (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "decode"),
    "with a file": (lambda: FileNotFoundError(2, "No such file", "/x"), "No such file"),
    "empty OSError": (OSError, ""),
    "with attributes": (lambda: ImportError("x", name="y", path="z"), "x"),
    "StopIteration": (lambda: StopIteration(5), "5"),
    "group": (lambda: ExceptionGroup("several", [ValueError(1)]), "several"),
    "empty": (AssertionError, ""),
    "deep": (deep_error, "1999"),
    "cyclic": (cyclic_error, "first"),
}


@pytest.mark.parametrize(("make", "says"), ERRORS.values(), ids=ERRORS)
def test_the_error_path_cannot_fail(
    harness: Harness, make: Callable[[], Exception], says: str | None
) -> None:
    failure = harness.failure(raising(make()))

    assert isinstance(failure, pb.CopiedFailure)
    assert len(failure.getErrorMessage()) < 100_000
    assert len(failure.getTraceback()) < 200_000
    if says is not None:
        assert says in failure.getErrorMessage()
    with pytest.raises(pb.Error):
        failure.raiseException()
    assert len(harness.logged()) <= 1


def test_a_recursion_without_end_is_a_RecursionError(harness: Harness) -> None:
    def recurse() -> Any:
        return recurse()

    failure = harness.failure(recurse)

    assert failure.type == "builtins.RecursionError"
    assert failure.check(RecursionError, RuntimeError) is RecursionError
    assert harness.logged() == [f"{UNEXPECTED}:"]


class OwnBase(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "its_type"),
    [
        (SystemExit(3), "builtins.SystemExit"),
        (SystemExit(), "builtins.SystemExit"),
        (OwnBase("own"), f"{__name__}.OwnBase"),
        (GeneratorExit(), "builtins.GeneratorExit"),
        (gevent.Timeout(1), "gevent.timeout.Timeout"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError"),
        (BaseException("base"), "builtins.BaseException"),
    ],
    ids=named,
)
def test_what_is_no_Exception_is_answered_logged_and_harmless(
    harness: Harness, error: BaseException, its_type: str
) -> None:
    failure = harness.failure(raising(error))

    assert failure.type == its_type
    assert isinstance(failure.value, pb.RemoteError)
    assert harness.logged() == [f"{UNEXPECTED}:"]


def test_GreenletExit_of_a_method_reaches_the_caller(harness: Harness) -> None:
    failure = harness.failure(raising(GreenletExit()))

    assert failure.type == "greenlet.GreenletExit"


def test_a_method_that_kills_its_own_greenlet_is_answered(harness: Harness) -> None:
    failure = harness.failure(lambda: gevent.getcurrent().kill())

    assert failure.type == "greenlet.GreenletExit"


def test_a_method_whose_greenlet_is_killed_by_another_is_answered(
    harness: Harness,
) -> None:
    running: list[Any] = []

    def do() -> None:
        running.append(gevent.getcurrent())
        Event().wait()

    promise = harness.call(do)
    eventually(lambda: running)
    running.pop().kill(timeout=5)

    with pytest.raises(pb.RemoteError) as caught:
        promise.get(timeout=5)
    assert caught.value.remote_type == "greenlet.GreenletExit"
    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_KeyboardInterrupt_is_answered_and_goes_on_to_the_main_greenlet(
    harness: Harness,
) -> None:
    promise = harness.call(raising(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        promise.get(timeout=5)

    with pytest.raises(pb.RemoteError) as caught:
        promise.get(timeout=5)
    assert caught.value.remote_type == "builtins.KeyboardInterrupt"
    assert harness.logged() == [f"{UNEXPECTED}:"]
    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1


def test_an_exception_while_logging_harms_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ValueError("the log is full")

    log = logging.getLogger("geopb")
    broken = Broken()
    log.addHandler(broken)
    try:
        failure = harness.failure(raising(KeyError("key")))
    finally:
        log.removeHandler(broken)

    assert failure.type == "builtins.KeyError"


# -- promises as results ---------------------------------------------------------------


def spawned(function: Callable[..., Any], *args: Any) -> Greenlet[..., Any]:
    return gevent.spawn(function, *args)


def test_a_method_may_return_a_promise_an_AsyncResult_or_a_Greenlet(
    harness: Harness,
) -> None:
    promise: pb.Promise[int] = pb.Promise()
    result: AsyncResult[int] = AsyncResult()

    assert harness.call(lambda: pb.succeed(1)).get(timeout=5) == 1
    assert harness.call(lambda: spawned(lambda: 2)).get(timeout=5) == 2
    for later in (promise, result):
        called = harness.call(lambda later=later: later)
        assert harness.remote.callRemote("echo", 0).get(timeout=5) == 0
        assert not called.ready()
        later.set(3)
        assert called.get(timeout=5) == 3


def test_what_they_fail_with_is_the_calls_failure(
    harness: Harness, greenlet_errors: list[Any]
) -> None:
    result: AsyncResult[int] = AsyncResult()
    result.set_exception(KeyError("result"))

    for later, kind in (
        (lambda: pb.fail(ValueError("promise")), ValueError),
        (lambda: result, KeyError),
        (lambda: gevent.spawn_later(0, int, "x"), ValueError),
        (lambda: pb.fail(pb.Error("expected")), pb.Error),
    ):
        harness.root.do = later
        with pytest.raises(kind):
            harness.remote.callRemote("do").get(timeout=5)


def test_a_promise_of_what_may_not_cross_fails_the_call(harness: Harness) -> None:
    assert harness.failure(lambda: pb.succeed(Unencodable())).check(pb.InsecureJelly)
    nested = [pb.succeed(1)]
    assert harness.failure(lambda: nested).check(pb.InsecureJelly)


def test_a_method_may_return_the_promise_of_a_call_it_made(harness: Harness) -> None:
    class Mine(pb.Referenceable):
        def remote_answer(self) -> int:
            return 42

    def ask(mine: Any) -> Any:
        return mine.callRemote("answer").addCallback(lambda value: value + 1)

    assert harness.call(ask, Mine()).get(timeout=5) == 43


def test_a_method_may_spawn_greenlets_that_outlive_it(harness: Harness) -> None:
    go, done = Event(), Event()

    def outlive() -> None:
        go.wait(5)
        done.set()

    assert harness.call(lambda: bool(spawned(outlive))).get(timeout=5) is True
    go.set()
    assert done.wait(5)


# -- order and concurrency -------------------------------------------------------------


def test_methods_start_in_the_order_of_the_calls(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)

    promises = [remote.callRemote("hold", number) for number in range(200)]
    eventually(lambda: len(root.started) == 200)

    assert root.started == list(range(200))
    assert root.finished == []
    root.go.set()
    assert pb.gather(promises).get(timeout=5) == list(range(200))


def test_a_slow_method_does_not_hold_up_the_next(pair: Pair) -> None:
    root = Holding()
    _, client = pair(root)
    remote = root_of(client)
    slow = remote.callRemote("hold", "slow")

    for number in range(50):
        assert remote.callRemote("echo", number).get(timeout=5) == number

    assert not slow.ready()
    root.go.set()
    assert slow.get(timeout=5) == "slow"


def test_calls_back_into_the_caller_nest_100_deep(pair: Pair) -> None:
    class Side(pb.Referenceable):
        def remote_down(self, other: Any, me: Any, depth: int) -> int:
            if not depth:
                return 0
            # From here the other one is me, and I am the other one.
            deeper = other.callRemote("down", self, other, depth - 1)
            return 1 + int(deeper.get(timeout=10))

    class Start(pb.Root):
        def remote_side(self) -> Side:
            return Side()

    _, client = pair(Start())
    far = root_of(client).callRemote("side").get(timeout=5)

    assert far.callRemote("down", Side(), far, 100).get(timeout=20) == 100


# -- a call leaves nothing behind in its worker ----------------------------------------


def many(harness: Harness, do: Call, count: int = 5) -> list[Any]:
    """Run `do` several times in a row: workers are used again."""
    return [harness.call(do, number).get(timeout=5) for number in range(count)]


def test_workers_are_used_again(harness: Harness) -> None:
    """What the tests below say would be true of fresh greenlets anyway."""
    many(harness, lambda number: number)
    idle = {id(each) for each in worker_pool()._idle}

    used = many(harness, lambda number: id(gevent.getcurrent()))

    assert set(used) <= idle


def test_a_greenlet_local_is_gone(harness: Harness) -> None:
    local = greenlet_local()

    def do(number: int) -> Any:
        before = getattr(local, "mine", None)
        local.mine = number
        return before

    assert many(harness, do) == [None] * 5


def test_a_context_variable_is_gone(harness: Harness) -> None:
    from contextvars import ContextVar

    variable: ContextVar[int | None] = ContextVar("variable", default=None)

    def do(number: int) -> Any:
        before = variable.get()
        variable.set(number)
        return before

    assert many(harness, do) == [None] * 5


def test_the_decimal_context_is_gone(harness: Harness) -> None:
    import decimal

    usual = decimal.getcontext().prec

    def do(number: int) -> int:
        before = decimal.getcontext().prec
        decimal.getcontext().prec = 3 + number
        return before

    assert many(harness, do) == [usual] * 5


def test_a_late_timeout_does_not_hit_the_next_call(harness: Harness) -> None:
    started: list[Any] = []

    def leave_timeout(_number: int) -> None:
        started.append(gevent.Timeout.start_new(0.001))

    def wait(_number: int) -> str:
        gevent.sleep(0.02)
        return "undisturbed"

    many(harness, leave_timeout)

    assert many(harness, wait) == ["undisturbed"] * 5
    for timeout in started:
        timeout.close()


def test_a_greenlet_that_kept_the_worker_and_kills_it_later_hits_no_other_call(
    harness: Harness,
) -> None:
    kept: list[Any] = []
    harness.call(lambda: kept.append(gevent.getcurrent())).get(timeout=5)
    go = Event()
    promise = harness.call(lambda: go.wait(5) and "undisturbed")
    assert harness.remote.callRemote("echo", 1).get(timeout=5) == 1

    kept.pop().kill(block=False)
    turns()
    go.set()

    assert promise.get(timeout=5) == "undisturbed"


def test_what_a_call_was_given_is_forgotten_after_it(harness: Harness) -> None:
    import weakref

    given: list[weakref.ref[Any]] = []

    class Mine(pb.Referenceable):
        pass

    def do(mine: Any) -> None:
        given.append(weakref.ref(mine))

    harness.call(do, Mine()).get(timeout=5)
    collect()

    assert given[0]() is None


def test_the_method_sees_no_exception_of_an_earlier_call(harness: Harness) -> None:
    harness.failure(raising(ValueError("earlier")))

    assert harness.call(lambda: sys.exc_info()[0] is None).get(timeout=5) is True


# -- limits over the wire --------------------------------------------------------------


def test_an_argument_over_a_limit_names_limit_size_and_actual(pair: Pair) -> None:
    server, client = pair(
        Doing(),
        server_options={
            "max_message_size": 100_000,
            "max_structure_size": 20_000,
            "max_depth": 10,
            "max_integer_bits": 100,
        },
    )
    remote = root_of(client)
    deep: Any = []
    for _ in range(20):
        deep = [deep]

    for value, names in (
        (b"x" * 200_000, ("max_message_size=100000", "200[0-9]{3}")),
        ("x" * 30_000, ("max_structure_size=20000", "300[0-9]{2}")),
        (deep, ("max_depth=10", "1[0-9]")),
        (1 << 200, ("max_integer_bits=100", "201")),
    ):
        with pytest.raises(pb.LimitExceeded) as caught:
            remote.callRemote("echo", value).get(timeout=5)
        for name in names:
            assert re.search(name, str(caught.value)), str(caught.value)
        assert remote.callRemote("echo", "alive").get(timeout=5) == "alive"

    assert len(server.connections) == 1


def test_a_result_over_a_limit_names_limit_size_and_actual(pair: Pair) -> None:
    root = Doing()
    server, client = pair(
        root, client_options={"max_message_size": 100_000, "max_depth": 10}
    )
    remote = root_of(client)
    deep: Any = []
    for _ in range(20):
        deep = [deep]

    for value, name in (
        (b"x" * 200_000, "max_message_size=100000"),
        (deep, "max_depth=10"),
    ):
        root.do = lambda value=value: value
        with pytest.raises(pb.LimitExceeded, match=name):
            remote.callRemote("do").get(timeout=5)
        assert remote.callRemote("echo", "alive").get(timeout=5) == "alive"

    assert len(server.connections) == 1


def test_an_own_limit_on_receiving_is_the_peers_on_sending(pair: Pair) -> None:
    """A limit is told in the hello: too large fails without a round trip."""
    root = Doing()
    _, client = pair(root, server_options={"max_message_size": 50_000})
    remote = root_of(client)

    promise = remote.callRemote("echo", b"x" * 60_000)

    assert promise.ready()
    with pytest.raises(pb.LimitExceeded, match="max_message_size=50000"):
        promise.get(timeout=5)


def test_references_over_their_limit_fail_that_call(pair: Pair) -> None:
    class Two(pb.Referenceable):
        pass

    root = Doing(Two)
    _, client = pair(root, max_references=20)
    remote = root_of(client)
    held = [remote.callRemote("do").get(timeout=5) for _ in range(15)]

    with pytest.raises(pb.LimitExceeded, match="max_references=20"):
        [held.append(remote.callRemote("do").get(timeout=5)) for _ in range(30)]
    assert remote.callRemote("echo", 1).get(timeout=5) == 1

    held.clear()
    collect()
    assert remote.callRemote("echo", 1).get(timeout=5) == 1
    assert remote.callRemote("do").get(timeout=5) is not None
