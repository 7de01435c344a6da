"""Calls on promises, and with promises: what needs one another takes one round trip."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from geopb.broker import exports
from geopb.net import quiet
from geopb.testing import Pair, connected_pair, settle
from tests.net.roots import root_of
from tests.support import (
    assert_released,
    client_connection,
    collect,
    collected,
    eventually,
    server_connection,
    turns,
)


class Two(pb.Referenceable):
    """Remembers what was asked of it, and by which name."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def remote_three(self, n: int) -> int:
        self.log.append(n)
        return n * 3

    def remote_me(self) -> Two:
        return self

    def remote_take(self, data: bytes) -> None:
        self.log.append(data[:1])

    def remote_hold(self, what: Any, release: Any) -> Any:
        self.log.append(what)
        return release.callRemote("wait", what)


class Board(pb.Cacheable):
    def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
        return {"text": "t"}

    def stoppedObserving(self, perspective: Any, observer: Any) -> None:
        pass


class BoardCache(pb.RemoteCache):
    text: str


pb.setUnjellyableForClass(Board, BoardCache)


class Root(pb.Root):
    def __init__(self) -> None:
        self.log: list[Any] = []
        self.two = Two(self.log)
        self.go = Event()
        self.waiting: list[Any] = []
        self.values: list[Any] = [1, [2]]

    def remote_getTwo(self) -> Two:
        self.log.append("getTwo")
        return self.two

    def remote_new(self) -> Two:
        return Two(self.log)

    def remote_slow(self, what: Any = None) -> Any:
        """Return Two, or what it is given, when the test says so."""
        self.waiting.append(what)
        self.go.wait()
        return self.two if what is None else what

    def remote_shielded(self) -> Two:
        self.waiting.append(None)
        with pb.shielded():
            self.go.wait()
        return self.two

    def remote_me(self) -> Root:
        return self

    def remote_echo(self, value: Any, **more: Any) -> Any:
        self.log.append("echo")
        return (value, more) if more else value

    def remote_consume(self, items: Any, *more: Any) -> list[Any]:
        return list(items)

    def remote_text_of(self, boards: list[Any], *more: Any) -> Any:
        return boards[0].text

    def remote_wait_for(self, value: Any) -> Two:
        self.go.wait()
        return self.two

    def remote_values(self) -> list[Any]:
        return self.values

    def remote_add(self, values: list[Any]) -> list[Any]:
        values.append("added")
        values[1].append("added")
        return values

    def remote_is_two(self, *given: Any) -> bool:
        return all(each is self.two for each in given)

    def remote_fail(self, text: str = "no") -> None:
        raise Refused(text)

    def remote_boom(self) -> None:
        raise ValueError("boom")

    def remote_back(self, given: Any) -> Any:
        return given

    def remote_ask(self, client: Any) -> Any:
        """Pipeline in the other direction."""
        return client.callRemote("getTwo").callRemote("three", 14)

    def remote_pass(self, client: Any) -> Any:
        two = client.callRemote("getTwo")
        return client.callRemote("is_two", two, two)


class Refused(pb.Error):
    """What a method may raise."""


@pytest.fixture
def root() -> Root:
    return Root()


@pytest.fixture
def joined(root: Root) -> Iterator[Pair]:
    with connected_pair(root) as pair:
        yield pair


@pytest.fixture
def remote(joined: Pair) -> Any:
    return root_of(joined.client)


@pytest.fixture
def deaf(joined: Pair, remote: Any) -> Pair:
    """A pair whose client has the root and hears nothing further."""
    joined.link.to_client.stall()
    return joined


# -- one round trip ----------------------------------------------------------------


def test_a_call_on_a_promise_runs_before_its_answer_is_heard(
    deaf: Pair, root: Root, remote: Any
) -> None:
    called = remote.callRemote("getTwo").callRemote("three", 12)

    eventually(lambda: root.log == ["getTwo", 12])
    assert not called.ready()
    deaf.link.resume()
    assert called.get(timeout=5) == 36


def test_a_chain_runs_before_any_answer_is_heard(
    deaf: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("getTwo")
    for _ in range(50):
        two = two.callRemote("me")
    called = two.callRemote("three", 1)

    eventually(lambda: root.log == ["getTwo", 1])
    deaf.link.resume()
    assert called.get(timeout=5) == 3


def test_a_promise_is_an_argument_before_it_is_there(
    deaf: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("getTwo")
    same = remote.callRemote("is_two", two, two)
    nested = remote.callRemote("echo", {"a": [two, (two,)]}, more={1: two})

    eventually(lambda: root.log == ["getTwo", "echo"])
    deaf.link.resume()
    assert same.get(timeout=5) is True
    found = two.get(timeout=5)
    assert nested.get(timeout=5) == ({"a": [found, (found,)]}, {"more": {1: found}})


def test_a_call_on_an_answer_that_is_on_its_way_runs_at_once(
    deaf: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("getTwo")
    eventually(lambda: root.log == ["getTwo"])
    settle()

    called = two.callRemote("three", 4)
    passed = remote.callRemote("is_two", two)

    eventually(lambda: root.log == ["getTwo", 4])
    deaf.link.resume()
    assert (called.get(timeout=5), passed.get(timeout=5)) == (12, True)


@pytest.mark.parametrize(
    "value", [None, 5, "text", 2**70, (1, 2), {"a": [1]}, {1: {2}}]
)
def test_a_value_that_is_on_its_way_is_an_argument_at_once(
    deaf: Pair, root: Root, remote: Any, value: Any
) -> None:
    first = remote.callRemote("echo", value)
    eventually(lambda: root.log == ["echo"])
    settle()

    second = remote.callRemote("echo", first)

    eventually(lambda: root.log == ["echo", "echo"])
    deaf.link.resume()
    assert second.get(timeout=5) == value


def test_a_large_value_that_is_on_its_way_is_sent_when_it_is_there(
    deaf: Pair, root: Root, remote: Any
) -> None:
    value = [["many"] * 100]
    first = remote.callRemote("echo", value)
    eventually(lambda: root.log == ["echo"])
    settle()

    second = remote.callRemote("echo", [first])
    settle()

    assert root.log == ["echo"]
    deaf.link.resume()
    assert second.get(timeout=5) == [value]


def test_the_server_pipelines_calls_to_the_client(joined: Pair, remote: Any) -> None:
    client = Root()

    asked = remote.callRemote("ask", client)
    passed = remote.callRemote("pass", client)

    assert asked.get(timeout=5) == 42
    assert passed.get(timeout=5) is True


def test_before_the_connection_is_there_calls_on_the_root_are_kept_in_order(
    root: Root,
) -> None:
    """The server has run all of them before its hello arrives."""
    with connected_pair(
        root, on_link=lambda link: link.to_client.stall(), wait=False
    ) as pair:
        asked = pair.client.getRootObject()
        two = asked.callRemote("getTwo")
        called = [two.callRemote("three", n) for n in range(3)]
        passed = asked.callRemote("is_two", two)

        eventually(lambda: root.log == ["getTwo", 0, 1, 2])
        assert not asked.ready()
        pair.link.resume()

        assert [each.get(timeout=5) for each in called] == [0, 3, 6]
        assert passed.get(timeout=5) is True
        assert two.get() == asked.callRemote("getTwo").get(timeout=5)


def test_calls_before_connect_wait_for_it(root: Root) -> None:
    factory = pb.PBClientFactory()
    called = factory.getRootObject().callRemote("getTwo").callRemote("three", 2)
    assert not called.ready()

    with pb.serve(root, "127.0.0.1:0") as server, factory.connect(server.address):
        assert called.get(timeout=5) == 6


def test_calls_on_a_root_that_cannot_be_had_fail_as_it_does() -> None:
    with pb.serve(pb.Root(), "127.0.0.1:0") as server:
        address = server.address
    factory = pb.PBClientFactory()
    called = factory.getRootObject().callRemote("getTwo").callRemote("three", 2)

    factory.connect(address)

    with pytest.raises(ConnectionRefusedError):
        called.get(timeout=5)


def test_a_peer_that_takes_one_call_at_a_time_runs_them_all_in_their_order(
    root: Root,
) -> None:
    """Before its hello its client cannot know that."""
    options = {"max_pending_calls": 1}
    with connected_pair(root, server_options=options, wait=False) as pair:
        two = pair.client.getRootObject().callRemote("getTwo")
        called = [two.callRemote("three", n) for n in range(20)]

        assert [each.get(timeout=5) for each in called] == [n * 3 for n in range(20)]
        assert root.log == ["getTwo", *range(20)]


class Deeper(pb.Root):
    """Calls its caller, through a promise, so many levels deep."""

    def remote_me(self) -> Deeper:
        return self

    def remote_deeper(self, other: Any, levels: int) -> Any:
        if not levels:
            return "bottom"
        return other.callRemote("me").callRemote("deeper", self, levels - 1)


def test_nested_calls_that_name_answers_go_as_deep_as_those_that_do_not() -> None:
    """The waiting call takes a place that the awaited one gives back: no more."""
    with connected_pair(Deeper(), max_pending_calls=1) as pair:
        remote: Any = root_of(pair.client)

        assert remote.callRemote("deeper", Deeper(), 3).get(timeout=5) == "bottom"


def test_a_call_too_large_for_before_the_hello_waits_for_it(root: Root) -> None:
    text = "x" * 20_000
    with connected_pair(
        root, on_link=lambda link: link.to_client.stall(), wait=False
    ) as pair:
        called = pair.client.getRootObject().callRemote("echo", text)
        settle()
        assert root.log == []
        pair.link.resume()

        assert called.get(timeout=5) == text


# -- order -------------------------------------------------------------------------


def test_calls_on_one_promise_start_in_order_across_its_resolution(
    joined: Pair, root: Root, remote: Any
) -> None:
    root.go.clear()
    two = remote.callRemote("slow")
    called = [two.callRemote("three", n) for n in range(10)]
    eventually(lambda: root.waiting)
    root.go.set()
    called += [two.callRemote("three", n) for n in range(10, 20)]
    two.get(timeout=5)
    called += [two.callRemote("three", n) for n in range(20, 30)]

    assert pb.gather(called).get(timeout=5) == [n * 3 for n in range(30)]
    assert root.log == list(range(30))


def test_order_holds_though_the_answer_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, joined: Pair, root: Root
) -> None:
    """What named it before is made again, and what names it now stays behind that."""
    monkeypatch.setattr(exports, "_MOST_ANSWERS", 0)
    remote = root_of(joined.client)
    joined.link.to_client.stall()
    two = remote.callRemote("getTwo")
    eventually(lambda: root.log == ["getTwo"])
    settle()
    early = [two.callRemote("three", n) for n in range(3)]
    settle()
    assert root.log == ["getTwo"]

    joined.link.to_server.stall()
    joined.link.to_client.resume()
    eventually(two.ready)
    late = [two.callRemote("three", n) for n in range(3, 6)]
    joined.link.resume()

    assert pb.gather(early + late).get(timeout=5) == [n * 3 for n in range(6)]
    assert root.log == ["getTwo", *range(6)]


def test_a_call_that_waits_holds_up_no_others(
    joined: Pair, root: Root, remote: Any
) -> None:
    waits = remote.callRemote("slow")
    behind = waits.callRemote("three", 1)
    with_it = remote.callRemote("echo", [waits])

    assert remote.callRemote("getTwo").callRemote("three", 2).get(timeout=5) == 6
    assert remote.callRemote("echo", 5).get(timeout=5) == 5
    assert not behind.ready()
    assert not with_it.ready()
    root.go.set()
    assert behind.get(timeout=5) == 3
    assert with_it.get(timeout=5) == [waits.get()]


def test_calls_with_and_on_one_promise_start_in_their_order(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    called = [
        two.callRemote("three", 1),
        remote.callRemote("echo", two),
        two.callRemote("three", 2),
    ]
    root.go.set()

    pb.gather(called).get(timeout=5)
    assert root.log == [1, "echo", 2]


def test_a_call_with_bulk_on_a_promise_keeps_its_place(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    called = [
        two.callRemote("three", "a"),
        two.callRemote("three", b"b" * 100_000),
        two.callRemote("three", "c"),
    ]
    root.go.set()

    pb.gather(called).get(timeout=5)
    assert [each[:1] for each in root.log] == ["a", b"b", "c"] or [
        each[:1] for each in root.log
    ] == ["a", "c", b"b"]
    # It starts when its last byte is there; what is small may pass it, as always.
    assert root.log[0] == "a"


# -- values ------------------------------------------------------------------------


@pytest.mark.parametrize("waits_here", [False, True])
def test_calls_on_one_promise_keep_their_order_though_it_is_made_again(
    joined: Pair, root: Root, remote: Any, waits_here: bool
) -> None:
    note = remote.callRemote("echo", Note("n"))
    # Not run before the copy is here; nor is what was called on it.
    two: Any = remote.callRemote("wait_for", note)
    called = [two.callRemote("take", b"1")]
    eventually(lambda: two._followed)

    second = remote.callRemote("me").addCallback(lambda _: b"2")
    called.append(two.callRemote("take", second if waits_here else b"2"))
    called.append(two.callRemote("take", b"3"))
    second.get(timeout=5)
    root.go.set()

    for each in called:
        each.get(timeout=5)
    assert root.log == ["echo", b"1", b"2", b"3"]


@pytest.mark.parametrize("there", [False, True], ids=["waiting", "there"])
def test_a_list_that_is_passed_is_a_new_one(
    joined: Pair, root: Root, remote: Any, there: bool
) -> None:
    """As when it had come to the caller, and gone back: never its owner's own."""
    values = remote.callRemote("values")
    if there:
        values.get(timeout=5)

    added = remote.callRemote("add", values)

    assert added.get(timeout=5) == [1, [2, "added"], "added"]
    assert root.values == [1, [2]]
    assert values.get() == [1, [2]]


def test_one_promise_in_two_places_is_one_object(joined: Pair, root: Root) -> None:
    class Compares(pb.Root):
        def remote_values(self) -> list[int]:
            return [1]

        def remote_same(self, first: Any, second: Any) -> bool:
            return first is second

    with connected_pair(Compares()) as pair:
        remote = root_of(pair.client)
        values = remote.callRemote("values")
        before = remote.callRemote("same", values, values)
        values.get(timeout=5)
        after = remote.callRemote("same", values, values)

        assert (before.get(timeout=5), after.get(timeout=5)) == (True, True)


class Note(pb.Copyable, pb.RemoteCopy):
    def __init__(self, text: str) -> None:
        self.text = text


pb.setUnjellyableForClass(Note, Note)


def test_a_copy_is_passed_when_it_is_there(joined: Pair, remote: Any) -> None:
    note = remote.callRemote("echo", Note("n"))

    passed = remote.callRemote("echo", note)

    assert passed.get(timeout=5).text == "n"


@pytest.mark.parametrize("what", ["copy", "object"])
@pytest.mark.parametrize("on", ["root", "promise", "by hand"])
def test_streams_and_caches_cross_beside_promises(
    joined: Pair, root: Root, remote: Any, what: str, on: str
) -> None:
    """They can be sent once: the call waits here for what it names."""

    def promised() -> Any:
        return remote.callRemote("echo", Note("n")) if what == "copy" else target()

    def target() -> Any:
        return remote.callRemote("me")

    waits: Any = pb.Promise()
    board = Board()
    on_whom = {"root": remote, "promise": target(), "by hand": waits}[on]
    given = [promised() for _ in range(2)]
    if on == "by hand":
        # These follow others, and can be named before they are there.
        given = [waits.callRemote("echo", each) for each in given]

    consumed = on_whom.callRemote("consume", (each for each in [1, 2]), given[0])
    read = on_whom.callRemote("text_of", [board], given[1])
    waits.set(remote)

    assert consumed.get(timeout=5) == [1, 2]
    assert read.get(timeout=5) == "t"


def test_an_object_of_the_callers_comes_home(joined: Pair, remote: Any) -> None:
    own = Root()
    back = remote.callRemote("back", own)

    again = remote.callRemote("back", [back])

    assert again.get(timeout=5) == [own]


def test_arguments_are_what_they_were_when_the_call_was_made(
    joined: Pair, root: Root, remote: Any
) -> None:
    """Also where it has to be made again, or waits here."""
    argument = [1]
    copy = remote.callRemote("echo", Note("made again"))
    first = remote.callRemote("echo", argument, copy=copy)
    handled = remote.callRemote("getTwo").addCallback(lambda two: two)
    second = handled.callRemote("three", argument)
    third = remote.callRemote("echo", argument, two=handled)
    argument.append(2)

    assert first.get(timeout=5)[0] == [1]
    assert second.get(timeout=5) == [1, 1, 1]
    assert third.get(timeout=5)[0] == [1]


# -- failures ----------------------------------------------------------------------


def test_a_call_on_what_failed_fails_with_the_same_failure(
    joined: Pair, remote: Any
) -> None:
    failed = remote.callRemote("fail", "first")
    on, with_it = failed.callRemote("three", 1), remote.callRemote("echo", [failed])

    for each in (on, with_it, failed):
        with pytest.raises(Refused, match="first"):
            each.get(timeout=5)
    late, with_late = failed.callRemote("three", 1), remote.callRemote("echo", failed)
    for each in (late, with_late):
        with pytest.raises(Refused, match="first"):
            each.get(timeout=5)


def test_a_long_chain_fails_with_its_first_failure(joined: Pair, remote: Any) -> None:
    called = remote.callRemote("fail", "first")
    for n in range(5_000):
        called = called.callRemote("three", n)

    with pytest.raises(Refused, match="first"):
        called.get(timeout=20)


def test_a_failure_is_logged_once_when_nobody_looks(
    joined: Pair, remote: Any, geopb_log: list[Any]
) -> None:
    called = remote.callRemote("fail", "unseen").callRemote("three", 1)
    called.wait(timeout=5)

    del called
    collect()

    unhandled = [each for each in geopb_log if "Unhandled" in each.getMessage()]
    assert len(unhandled) == 1
    assert "unseen" in unhandled[0].getMessage()


def test_a_failure_is_logged_once_however_many_depend_on_it(
    joined: Pair, remote: Any, geopb_log: list[Any]
) -> None:
    failing = remote.callRemote("fail", "unseen")
    called = [failing.callRemote("three", 1), remote.callRemote("echo", failing)]
    for each in called:
        each.wait(timeout=5)

    del failing, called, each
    collect()

    unhandled = [each for each in geopb_log if "Unhandled" in each.getMessage()]
    assert len(unhandled) == 1


@pytest.mark.parametrize("there", [False, True], ids=["waiting", "there"])
def test_a_failure_that_was_looked_at_is_not_logged(
    joined: Pair, remote: Any, geopb_log: list[Any], there: bool
) -> None:
    """Whatever promises have passed it on."""
    back = remote.callRemote("back", 1)
    root = joined.client.getRootObject()
    if there:
        root.get(timeout=5)
        back.get(timeout=5)
    failed = [
        root.callRemote("fail"),
        root.callRemote("fail").callRemote("three", 1),
        root.callRemote("echo", root.callRemote("fail")),
        root.callRemote("echo", back, note=Note("n")).callRemote("three"),
        root.callRemote("echo", root.callRemote("echo", Note("n"))).callRemote("x"),
        root.callRemote("echo", root.callRemote("echo", 1).callRemote("x")),
    ]
    for each in failed:
        each.wait(timeout=5)
        assert isinstance(each.exception, Exception)

    del failed, each, root, back
    collect()

    assert not geopb_log


def test_looking_at_the_end_of_a_chain_is_enough(
    joined: Pair, remote: Any, geopb_log: list[Any]
) -> None:
    called = remote.callRemote("fail").callRemote("three", 1).callRemote("three", 2)
    assert isinstance(called.wait(timeout=5) or called.exception, Refused)

    del called
    collect()

    assert not geopb_log


@pytest.mark.parametrize("there", [False, True], ids=["waiting", "there"])
@pytest.mark.parametrize("value", [None, 5, [1], "own"])
def test_a_call_on_what_cannot_be_called_is_a_clear_error(
    joined: Pair, remote: Any, value: Any, there: bool
) -> None:
    given = remote.callRemote("back", Root() if value == "own" else value)
    if there:
        given.get(timeout=5)

    called = given.callRemote("three", 1)

    with pytest.raises(TypeError, match="has no remote methods"):
        called.get(timeout=5)


def test_a_typo_on_a_promise_says_which_class_has_no_such_method(
    joined: Pair, remote: Any
) -> None:
    called = remote.callRemote("getTwo").callRemote("tree", 1)

    with pytest.raises(pb.NoSuchMethod, match="Two has no method remote_tree"):
        called.get(timeout=5)


@pytest.mark.parametrize("kind", ["pending", "there", "chained", "by hand"])
def test_a_name_of_a_wrong_kind_is_a_type_error_at_once(
    joined: Pair, remote: Any, kind: str
) -> None:
    two: Any = pb.Promise() if kind == "by hand" else remote.callRemote("getTwo")
    if kind == "there":
        two.get(timeout=5)
    elif kind == "chained":
        two.addCallback(lambda two: two)

    with pytest.raises(TypeError, match="method name"):
        two.callRemote(5)


def test_an_argument_that_may_not_cross_fails_that_call_alone(
    joined: Pair, remote: Any
) -> None:
    two = remote.callRemote("getTwo")
    bad = two.callRemote("three", object())

    with pytest.raises(pb.InsecureJelly):
        bad.get(timeout=5)
    assert two.callRemote("three", 1).get(timeout=5) == 3


# -- promises that are no answers --------------------------------------------------


def test_a_promise_with_handlers_is_called_when_its_chain_has_ended(
    joined: Pair, root: Root, remote: Any
) -> None:
    other = root.remote_new()
    handled = remote.callRemote("getTwo").addCallback(lambda two: two.callRemote("me"))

    called = handled.callRemote("three", 3)
    passed = remote.callRemote("is_two", handled)

    assert (called.get(timeout=5), passed.get(timeout=5)) == (9, True)
    assert other is not root.two


def test_handlers_that_are_added_later_do_not_change_what_was_called(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    before = two.callRemote("three", 1)
    passed = remote.callRemote("is_two", two)
    two.addCallback(lambda _: "something else")
    after = remote.callRemote("echo", two)
    root.go.set()

    assert before.get(timeout=5) == 3
    assert passed.get(timeout=5) is True
    assert after.get(timeout=5) == "something else"


def test_a_promise_made_by_hand_is_called_when_it_is_set(
    joined: Pair, remote: Any
) -> None:
    by_hand: pb.Promise[Any] = pb.Promise()
    called = by_hand.callRemote("getTwo").callRemote("three", 2)

    by_hand.set(remote)

    assert called.get(timeout=5) == 6


def test_the_promise_of_a_call_on_one_made_by_hand_is_an_argument(
    joined: Pair, remote: Any
) -> None:
    by_hand: pb.Promise[Any] = pb.Promise()
    two = by_hand.callRemote("getTwo")
    passed = remote.callRemote("is_two", two)

    by_hand.set(remote)

    assert passed.get(timeout=5) is True


@pytest.mark.parametrize(
    "make",
    [pb.Promise, lambda: pb.succeed(5), lambda: pb.gather([])],
    ids=["waiting", "there", "gathered"],
)
def test_a_promise_that_is_no_calls_is_no_argument(
    joined: Pair, remote: Any, make: Callable[[], Any]
) -> None:
    called = remote.callRemote("echo", [make()])

    with pytest.raises(pb.InsecureJelly, match="no call's result"):
        called.get(timeout=5)


def test_a_promise_of_another_connection_is_no_argument(
    joined: Pair, root: Root, remote: Any
) -> None:
    with connected_pair(Root()) as other:
        two = root_of(other.client).callRemote("slow")
        called = remote.callRemote("echo", [two])

        with pytest.raises(pb.InsecureJelly, match="third party"):
            called.get(timeout=5)
        assert remote.callRemote("echo", 1).get(timeout=5) == 1


def test_a_promise_inside_a_result_is_refused(root: Root) -> None:
    class Returns(pb.Root):
        def remote_list(self, client: Any) -> list[Any]:
            return [client.callRemote("getTwo")]

    with connected_pair(Returns()) as pair:
        called = root_of(pair.client).callRemote("list", Root())

        with pytest.raises(pb.InsecureJelly, match="argument of a call only"):
            called.get(timeout=5)


def test_a_one_way_call_takes_promises(joined: Pair, root: Root, remote: Any) -> None:
    two = remote.callRemote("slow")

    remote.callRemoteOnly("echo", two)

    settle()
    assert root.log == []
    root.go.set()
    eventually(lambda: root.log == ["echo"])
    with pytest.raises(pb.InsecureJelly):
        remote.callRemoteOnly("echo", [pb.Promise()])


# -- cancel, deadlines -------------------------------------------------------------


def test_cancelling_what_is_awaited_cancels_what_depends_on_it(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    called = two.callRemote("three", 1)
    eventually(lambda: root.waiting)

    two.cancel()

    with pytest.raises(pb.Cancelled):
        called.get(timeout=5)
    assert root.log == []


@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_what_depends_on_a_call_that_goes_on_at_the_peer_fails_with_its_promise(
    joined: Pair, root: Root, remote: Any, end: str
) -> None:
    """The promise has failed here, whatever the shielded method answers."""
    timed = remote.options(timeout=0.05 if end == "deadline" else 5)
    two = timed.callRemote("shielded")
    called = two.callRemote("me")
    further = called.callRemote("three", 1)
    passed = remote.callRemote("echo", two)
    eventually(lambda: root.waiting)

    if end == "cancel":
        two.cancel()

    kind = pb.DeadlineExceeded if end == "deadline" else pb.Cancelled
    for each in (two, called, further, passed):
        with pytest.raises(kind):
            each.get(timeout=5)
    eventually(lambda: not joined.server_connection.service.waiting)
    root.go.set()
    assert remote.callRemote("echo", 5).get(timeout=5) == 5
    eventually(lambda: not joined.server_connection.service.asked)
    assert root.log == ["echo"]


def test_what_depends_on_an_answer_that_cannot_be_used_fails_with_it(
    root: Root,
) -> None:
    """Here, where more references came than this side takes."""
    with connected_pair(root, client_options={"max_references": 2}) as pair:
        few: Any = root_of(pair.client)
        kept = few.callRemote("getTwo").get(timeout=5)
        # The server would send no more than it was told.
        pair.server_connection.broker._objects._max_exports = 10

        two = few.callRemote("new")
        called = two.callRemote("three", 1)

        for each in (two, called):
            with pytest.raises(pb.LimitExceeded):
                each.get(timeout=5)
        del kept


def test_a_cancelled_call_that_waits_at_the_peer_never_runs(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    called = two.callRemote("three", 1)
    behind = remote.callRemote("echo", called)
    eventually(lambda: root.waiting)

    called.cancel()

    with pytest.raises(pb.Cancelled):
        called.get(timeout=5)
    with pytest.raises(pb.Cancelled):
        behind.get(timeout=5)
    eventually(lambda: not joined.server_connection.service.waiting)
    root.go.set()
    assert two.callRemote("three", 2).get(timeout=5) == 6
    assert root.log == [2]
    assert joined.server_connection.service.waiting == 0


def test_the_deadline_of_a_call_that_waits_ends_it(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    with pb.deadline(0.02):
        called = two.callRemote("three", 1)
        passed = remote.callRemote("echo", two)
    timed = remote.options(timeout=0.02).callRemote("echo", [two])

    for each in (called, passed, timed):
        with pytest.raises(pb.DeadlineExceeded):
            each.get(timeout=5)
    eventually(lambda: not joined.server_connection.service.waiting)
    root.go.set()
    assert two.callRemote("three", 2).get(timeout=5) == 6
    assert root.log == [2]


@pytest.mark.parametrize("kind", ["by hand", "with handlers", "argument"])
def test_the_deadline_of_a_call_that_waits_here_ends_it(
    joined: Pair, remote: Any, kind: str
) -> None:
    waits: Any = pb.Promise()
    if kind == "with handlers":
        waits = remote.callRemote("slow").addCallback(lambda two: two)
    elif kind == "argument":
        waits = waits.callRemote("getTwo")
    with pb.deadline(0.02):
        if kind == "argument":
            called = remote.callRemote("echo", waits)
        else:
            called = waits.callRemote("three", 1)

    with pytest.raises(pb.DeadlineExceeded):
        called.get(timeout=5)


@pytest.mark.parametrize("end", ["deadline", "cancel"])
def test_a_call_that_ended_while_it_waited_here_is_not_sent(
    joined: Pair, root: Root, remote: Any, end: str
) -> None:
    """Not while its handlers run either, which may block; nor does it end twice."""
    waits: Any = pb.Promise()
    go = Event()
    with pb.deadline(0.02):
        called = waits.callRemote("echo", 1)
    called.addErrback(lambda failure: (go.wait(), failure.type)[1])
    if end == "cancel":
        called.cancel()
    gevent.sleep(0.04)

    waits.set(remote)
    assert remote.callRemote("getTwo").get(timeout=5)
    assert not called.ready()
    go.set()

    kind = "DeadlineExceeded" if end == "deadline" else "Cancelled"
    assert called.get(timeout=5) == f"geopb.{kind}"
    assert root.log == ["getTwo"]


def test_nothing_is_kept_of_calls_that_ended_while_they_waited_here() -> None:
    waits: Any = pb.Promise()
    values = [Two([]), Two([])]
    called = [waits.callRemote("echo", values[0])]
    with pb.deadline(0.01):
        called.append(waits.callRemote("echo", values[1]))
    kept = list(map(weakref.ref, values))
    del values

    called[0].cancel()
    called[1].wait(timeout=5)
    assert isinstance(called[1].exception, pb.DeadlineExceeded)

    assert all(collected(each) for each in kept)


def test_a_call_that_is_cancelled_while_it_waits_for_room_never_runs(
    root: Root,
) -> None:
    with connected_pair(root, server_options={"max_pending_calls": 1}) as pair:
        remote: Any = root_of(pair.client)
        waits: Any = pb.Promise()
        called = waits.callRemote("echo", 1)
        slow = remote.callRemote("slow")
        waits.set(remote)
        eventually(lambda: client_connection(pair.client)._gate.waited_for)

        called.cancel()
        root.go.set()

        slow.get(timeout=5)
        with pytest.raises(pb.Cancelled):
            called.get(timeout=5)
        assert remote.callRemote("getTwo").get(timeout=5)
        assert root.log == ["getTwo"]


# -- the end of a connection -------------------------------------------------------


def test_calls_that_wait_fail_when_the_line_goes(
    joined: Pair, root: Root, remote: Any
) -> None:
    two = remote.callRemote("slow")
    called = [two.callRemote("three", 1), remote.callRemote("echo", [two])]
    called.append(called[0].callRemote("three", 2))
    eventually(lambda: root.waiting)

    joined.link.reset()

    for each in called:
        with pytest.raises(pb.PBConnectionLost):
            each.get(timeout=5)
    assert root.log == []


def test_a_call_that_was_put_off_fails_when_the_line_goes(
    deaf: Pair, root: Root, remote: Any
) -> None:
    value = ["large"] * 200
    first = remote.callRemote("echo", value)
    eventually(lambda: root.log == ["echo"])
    settle()
    called = remote.callRemote("echo", first)
    settle()

    deaf.link.reset()

    with pytest.raises(pb.PBConnectionLost):
        called.get(timeout=5)


def test_calls_on_pending_answers_are_let_in_while_the_server_drains(
    joined: Pair, root: Root, remote: Any
) -> None:
    two, before = remote.callRemote("slow"), remote.callRemote("echo", 1)
    before.get(timeout=5)
    eventually(lambda: root.waiting)
    stopping = gevent.spawn(joined.server_connection.drain)
    eventually(lambda: joined.client.draining)
    stopping.get()

    called, passed = two.callRemote("three", 5), remote.callRemote("is_two", two)
    there = pb.succeed(remote).callRemote
    with pytest.raises(pb.Draining):
        remote.callRemote("echo", 1)
    with pytest.raises(pb.Draining):
        remote.callRemote("echo", before)
    with pytest.raises(pb.Draining):
        there("echo", 1).get(timeout=5)
    root.go.set()

    assert (called.get(timeout=5), passed.get(timeout=5)) == (15, True)


def test_only_what_is_pending_has_calls_let_in_while_the_server_drains(
    joined: Pair, root: Root, remote: Any
) -> None:
    there = remote.callRemote("getTwo")
    there.get(timeout=5)
    two = remote.callRemote("slow")
    chained = remote.callRemote("slow").addCallback(lambda two: two)
    waits = remote.callRemote("is_two", chained)
    eventually(lambda: len(root.waiting) == 2)
    joined.server_connection.drain()
    eventually(lambda: joined.client.draining)

    for call in (remote.callRemote, remote.callRemoteOnly):
        with pytest.raises(pb.Draining):
            call("echo", [there])
    remote.callRemoteOnly("echo", two)
    root.go.set()

    assert waits.get(timeout=5) is True
    eventually(lambda: root.log == ["getTwo", "echo"])


def test_a_call_that_has_to_be_made_again_is_let_in_while_the_server_drains(
    joined: Pair, root: Root, remote: Any
) -> None:
    note = remote.callRemote("slow", Note("n"))
    called = remote.callRemote("echo", note)
    eventually(lambda: root.waiting)
    joined.server_connection.drain()
    eventually(lambda: joined.client.draining)

    root.go.set()

    assert called.get(timeout=5).text == "n"


def test_stop_waits_for_calls_that_wait(root: Root) -> None:
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        remote = root_of(client)
        two = remote.callRemote("slow")
        called = two.callRemote("three", 5)
        eventually(lambda: server_connection(server).service.waiting)
        stopping = gevent.spawn(server.stop, 5)
        eventually(lambda: client.draining)
        root.go.set()

        assert called.get(timeout=5) == 15
        stopping.get(timeout=5)


def test_stop_waits_for_a_call_that_has_to_be_made_again(root: Root) -> None:
    """It has been let in; whether it can be run as it was is this side's own affair."""
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        remote = root_of(client)
        note = remote.callRemote("slow", Note("n"))
        called = remote.callRemote("echo", note)
        eventually(lambda: server_connection(server).service.waiting)
        stopping = gevent.spawn(server.stop)
        eventually(lambda: client.draining)
        root.go.set()

        assert called.get(timeout=5).text == "n"
        stopping.get(timeout=5)


def test_stop_waits_a_moment_for_a_call_that_is_not_made_again(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "_MADE_AGAIN", 0.1)
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        remote = root_of(client)
        note = remote.callRemote("slow", Note("n"))
        called = remote.callRemote("echo", note)
        service = server_connection(server).service
        eventually(lambda: service.waiting)
        called.cancel()
        service.quiet.put_off()

        stopping = gevent.spawn(server.stop)
        root.go.set()

        stopping.get(timeout=5)
        assert isinstance(called.exception, pb.Cancelled)


def test_stop_is_not_held_up_by_one_that_is_put_off_meanwhile(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller may not want it any more; nothing tells that."""
    monkeypatch.setattr(quiet, "_MADE_AGAIN", 0.1)
    with pb.serve(root, "127.0.0.1:0") as server, pb.connect(server.address) as client:
        slow = root_of(client).callRemote("slow", 1)
        eventually(lambda: root.waiting)
        stopping = gevent.spawn(server.stop)
        eventually(lambda: client.draining)

        server_connection(server).service.quiet.put_off()
        root.go.set()

        assert slow.get(timeout=5) == 1
        stopping.get(timeout=5)


def test_a_call_that_a_hook_makes_is_an_argument_of_the_one_being_packed(
    joined: Pair, root: Root, remote: Any
) -> None:
    class Asks(Note):
        def getStateToCopy(self) -> Any:
            return {"text": remote.callRemote("slow")}

    pb.setUnjellyableForClass(Asks, Note)
    called = remote.callRemote("echo", Asks("x"), beside=remote.callRemote("echo", 1))
    eventually(lambda: root.waiting)
    root.go.set()

    note, more = called.get(timeout=5)
    assert isinstance(note.text, pb.RemoteReference)
    assert more == {"beside": 1}


def test_a_method_that_stops_its_server_is_not_waited_for_by_its_dependents() -> None:
    class Stops(pb.Root):
        server: Any = None

        def remote_stop(self) -> str:
            self.server.stop()
            return "stopped"

        def remote_echo(self, value: Any) -> Any:
            return value

    root = Stops()
    root.server = pb.serve(root, "127.0.0.1:0")
    with pb.connect(root.server.address) as client:
        remote = root_of(client)
        stopped = remote.callRemote("stop")
        passed = remote.callRemote("echo", stopped)
        behind = passed.callRemote("echo", 1)

        assert stopped.get(timeout=5) == "stopped"
        for each in (passed, behind):
            each.wait(timeout=5)
            # Whether the first of them still runs is open; none of them hangs.
            assert each.successful() or isinstance(each.exception, Exception)


# -- nothing is kept ---------------------------------------------------------------


def test_what_was_pipelined_is_released(joined: Pair, root: Root, remote: Any) -> None:
    made: list[weakref.ref[Any]] = []

    class Makes(pb.Root):
        def remote_new(self) -> Two:
            two = Two([])
            made.append(weakref.ref(two))
            return two

        def remote_take(self, given: Any) -> None:
            del given

    with connected_pair(Makes()) as pair:
        remote = root_of(pair.client)
        for n in range(100):
            two = remote.callRemote("new")
            remote.callRemote("take", [two]).get(timeout=5)
            assert two.callRemote("three", n).get(timeout=5) == n * 3
        del two, remote

        connections = [pair.server_connection, pair.client._connection]
        assert_released([each for each in connections if each is not None])
        eventually(lambda: not any(each() for each in made))
        assert not pair.server_connection.broker.exports._answers


def test_a_promise_that_is_dropped_frees_its_object_when_its_calls_are_answered(
    joined: Pair, root: Root, remote: Any
) -> None:
    gc.disable()
    try:
        new = remote.callRemote("new")
        called = new.callRemote("three", 1)
        gone = weakref.ref(new)
        del new
        assert called.get(timeout=5) == 3
        turns()
        assert gone() is None
        eventually(lambda: len(joined.server_connection.broker.exports) == 1)
    finally:
        gc.enable()
