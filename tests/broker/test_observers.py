"""The owner's side of a cache: observers, their updates, and peers that are slow."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import geopb as pb
from geopb.limits import Limits
from geopb.wire.codec import Decoder
from tests.broker.boards import Board, DroppingBoard, Meanwhile, ShownBoard, show
from tests.broker.harness import Pair, Thing, joined, opened
from tests.vectors.cbor import frame


@pytest.fixture
def pair() -> Iterator[Pair]:
    with joined() as made:
        yield made
        made.b.desk.taken.clear()
        made.assert_released()


def fill(pair: Pair, board: Board, count: int) -> None:
    """Change a board so often without anything moving."""
    for number in range(count):
        board.set("n", number)


def room(pair: Pair) -> int:
    """Return how many updates may be on the way to b."""
    return min(256, pair.b.broker.limits.max_pending_calls // 4)


SLOW = Limits(max_pending_calls=8)


def test_state_comes_first_and_then_each_update_in_order(pair: Pair) -> None:
    board = Board(a=1)
    shown = show(pair, board)
    assert shown.states == [{"a": 1}]

    promises = [board.set("n", number)[0] for number in range(20)]
    pair.deliver()

    assert shown.updates == [("n", number) for number in range(20)]
    assert shown.values == board.values
    assert [promise.get() for promise in promises] == list(range(1, 21))


def test_the_state_is_asked_once_for_each_peer() -> None:
    with joined() as one, joined() as other:
        board = Board(a=1)
        first, again = show(one, board, board)
        assert first is again is show(one, board)
        second = show(other, board)

        board.set("a", 2)
        one.deliver()
        other.deliver()

        assert board.told == ["observed"] * 2
        assert first.updates == second.updates == [("a", 2)]
        del first, again, second
        one.assert_released()
        other.assert_released()
        assert sorted(board.told) == ["observed"] * 2 + ["stopped"] * 2


def test_observers_are_hashable_and_equal_to_themselves_alone() -> None:
    with joined() as one, joined() as other:
        board = Board()
        held = [show(one, board), show(other, board)]

        first, second = board.observers

        assert first == first
        assert first != second
        assert len({first, second, first}) == 2
        assert "Board" in repr(first)
        assert first != held


def test_an_update_in_the_hook_comes_behind_the_state(pair: Pair) -> None:
    class Eager(Board):
        def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
            observer.callRemote("set", "a", 2)
            return super().getStateToCacheAndObserveFor(perspective, observer)

    shown = show(pair, Eager(a=1))

    assert shown.states == [{"a": 1}]
    assert shown.updates == [("a", 2)]


def test_a_change_while_the_message_is_packed_is_in_an_update(pair: Pair) -> None:
    board = Board(a=1)
    hook = Meanwhile(lambda: board.set("a", 2))

    shown, _ = show(pair, board, hook)

    # The state is that of the moment at which it was given, the update follows.
    assert shown.states == [{"a": 1}]
    assert shown.updates == [("a", 2)]
    assert shown.values == {"a": 2}


def test_a_change_before_the_hook_is_in_the_state_and_no_update(pair: Pair) -> None:
    board = Board(a=1)
    hook = Meanwhile(lambda: board.set("a", 2))

    _, shown = show(pair, hook, board)

    assert shown.states == [{"a": 2}]
    assert shown.updates == []


def test_a_state_may_hold_objects_of_all_kinds(pair: Pair) -> None:
    thing, inner = Thing(5), Board(b=2)
    board = Board(thing=thing, inner=inner, me=None)
    board.values["me"] = board

    shown = show(pair, board)
    inner.set("b", 3)
    pair.deliver()

    assert shown.values["inner"].values == {"b": 3}
    assert shown.values["me"] is shown
    answer = shown.values["thing"].callRemote("ask")
    pair.deliver()
    assert answer.get() == 5
    shown.values.clear()
    shown.states.clear()
    board.values.clear()


def test_dropping_the_last_one_stops_the_observer_once(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)
    (observer,) = board.observers

    del shown
    pair.collect()

    assert board.events == [("observed", None, observer), ("stopped", None, observer)]
    assert pair.a.tables() == {}


def test_the_end_of_the_line_stops_the_observer_once() -> None:
    board = Board()
    with joined() as pair:
        shown = show(pair, board)
    del shown
    gc.collect()

    assert board.told == ["observed", "stopped"]


def test_a_drop_and_the_end_of_the_line_stop_it_once() -> None:
    board = Board()
    with joined() as pair:
        show(pair, board)
        gc.collect()
        # The release is on its way when the line goes.
        pair.b.release_dropped()
    assert board.told == ["observed", "stopped"]


def test_the_board_is_let_go_with_its_observer(pair: Pair) -> None:
    board = Board()
    gone = weakref.ref(board)
    shown = show(pair, board)
    del board
    gc.collect()
    assert gone() is not None

    del shown
    pair.collect()
    gc.collect()

    assert gone() is None


def test_after_its_end_an_observer_s_updates_are_dropped(pair: Pair) -> None:
    board = Board()
    show(pair, board)
    (observer,) = board.observers
    pair.collect()

    assert observer.callRemote("set", "a", 1).get() is None


def test_updates_on_their_way_to_a_dropped_cache_end_quietly(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)
    promises = board.set("a", 1) + board.set("a", 2)
    del shown
    gc.collect()

    pair.deliver()

    for promise in promises:
        assert promise.settled
        assert promise.failure is None or promise.failure.type == "geopb.InsecureJelly"
    assert board.told == ["observed", "stopped"]


def test_what_an_update_s_arguments_hold_at_the_call_is_what_arrives(
    pair: Pair,
) -> None:
    board = Board()
    shown = show(pair, board)
    value = [1]

    board.set("a", value)
    value.append(2)
    pair.deliver()

    assert shown.updates == [("a", [1])]


def test_an_update_that_cannot_cross_fails_alone(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)

    first, bad, last = board.set("a", 1) + board.set("b", object()) + board.set("c", 3)
    pair.deliver()

    assert (first.get(), last.get()) == (1, 2)
    with pytest.raises(pb.InsecureJelly):
        bad.get()
    assert shown.updates == [("a", 1), ("c", 3)]


def test_an_update_that_raises_fails_alone(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)
    (observer,) = board.observers

    promises = [observer.callRemote(name) for name in ("fail", "nothing", "_hidden")]
    board.set("a", 1)
    pair.deliver()

    with pytest.raises(KeyError, match="failed"):
        promises[0].get()
    for promise in promises[1:]:
        with pytest.raises(pb.NoSuchMethod, match="observe_"):
            promise.get()
    assert shown.updates == [("a", 1)]


@pytest.mark.parametrize("wrong", [None, 5, b"set", object()])
def test_a_name_of_a_wrong_kind_is_a_type_error_at_once(pair: Pair, wrong: Any) -> None:
    board = Board()
    shown = show(pair, board)

    with pytest.raises(TypeError):
        board.observers[0].callRemote(wrong)

    board.observers[0].callRemote(ShownBoard.observe_set, "a", value=1)
    pair.deliver()
    assert shown.updates == [("a", 1)]


def test_a_copy_in_an_update_that_blocks_keeps_its_place(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)
    hook = Meanwhile(lambda: (board.set("second", 2), pair.deliver()))

    board.set("first", hook)
    pair.deliver()

    assert [key for key, _ in shown.updates] == ["first", "second"]


def test_an_update_with_bulk_is_not_overtaken(pair: Pair) -> None:
    board = Board()
    shown = show(pair, board)
    large = b"x" * 200_000

    board.set("a", large)
    board.set("a", 2)
    board.set("b", [large])
    board.set("b", 3)
    pair.deliver()

    assert shown.updates == [("a", large), ("a", 2), ("b", [large]), ("b", 3)]


def test_the_answer_to_one_before_lets_nothing_overtake_an_update_with_bulk(
    pair: Pair,
) -> None:
    board = Board()
    shown = show(pair, board)
    large = b"x" * 300_000

    board.set("a", 1)
    board.set("a", large)
    board.set("a", 2)
    # What has come are the first one and the beginning of the second.
    sent = pair.a.take()
    pair.feed(pair.b, sent[:100_000])
    pair.b.run_due()
    pair.feed(pair.a, pair.b.take())
    assert pair.a.take() == b""

    pair.feed(pair.b, sent[100_000:])
    pair.deliver()
    assert shown.updates == [("a", 1), ("a", large), ("a", 2)]


def test_references_in_updates_are_counted_and_given_back(pair: Pair) -> None:
    board, thing = Board(), Thing()
    shown = show(pair, board)

    board.set("a", thing)
    pair.deliver()
    assert pair.a.broker.exports.statistics()["objects"] == 2

    shown.updates.clear()
    shown.values.clear()
    pair.collect()
    assert pair.a.broker.exports.statistics()["objects"] == 1


# -- messages that fail -----------------------------------------------------------


def test_a_message_that_fails_behind_the_snapshot_stops_the_observer(
    pair: Pair,
) -> None:
    board = Board(a=1)

    answer = pair.a.ask("take", board, object())
    pair.deliver()

    with pytest.raises(pb.InsecureJelly):
        answer.get()
    assert board.told == ["observed", "stopped"]
    assert pair.a.tables() == pair.b.tables() == {}
    shown = show(pair, board)
    board.set("a", 2)
    pair.deliver()
    assert (shown.states, shown.updates) == ([{"a": 1}], [("a", 2)])


def test_a_hook_that_raises_fails_its_call_and_gives_no_observer(pair: Pair) -> None:
    board = Board()

    def fail() -> None:
        raise ZeroDivisionError("no state")

    board.meanwhile = fail
    answer = pair.a.ask("take", board)
    pair.deliver()

    with pytest.raises(ZeroDivisionError):
        answer.get()
    assert pair.a.tables() == {}
    # It was never given out: it is not told to stop.
    assert board.told == ["observed"]
    board.meanwhile = lambda: None
    assert show(pair, board).values == {}


def test_a_message_that_the_peer_refuses_stops_the_observer(pair: Pair) -> None:
    class Unknown(pb.Copyable):
        pass

    board = Board(a=1)
    answer = pair.a.ask("take", board, Unknown())
    pair.deliver()

    with pytest.raises(pb.InsecureJelly, match="not registered"):
        answer.get()
    assert board.told == ["observed", "stopped"]
    assert pair.a.tables() == pair.b.tables() == {}
    assert show(pair, board).values == {"a": 1}


def test_a_name_behind_a_refused_state_is_given_fresh_state(pair: Pair) -> None:
    class Unknown(pb.Copyable):
        pass

    board = Board(a=1)
    first = pair.a.ask("take", board, Unknown())
    second = pair.a.ask("take", board)
    board.set("a", 2)
    pair.deliver()

    with pytest.raises(pb.InsecureJelly):
        first.get()
    second.get()
    shown = pair.b.desk.taken.pop()
    assert shown.values == {"a": 2}
    assert board.told == ["observed", "stopped", "observed"]
    board.set("b", 3)
    pair.deliver()
    assert shown.values == {"a": 2, "b": 3}


def test_a_name_that_overtakes_its_state_waits_for_it(pair: Pair) -> None:
    board = Board(a=1)
    early: list[Any] = []
    # While this message is packed, another one names the board.
    hook = Meanwhile(lambda: early.append(pair.a.ask("take", board)))

    late = pair.a.ask("take", board, hook)
    board.set("a", 2)
    pair.deliver()

    early[0].get()
    late.get()
    shown, again = [each for each in pair.b.desk.taken if type(each) is ShownBoard]
    assert again is shown
    assert (shown.states, shown.updates) == ([{"a": 1}], [("a", 2)])
    assert board.told == ["observed"]
    # The copies that were sent hold what holds the answers.
    hook.act = lambda: None
    pair.b.desk.taken.clear()
    early.clear()


def test_a_name_whose_state_was_not_sent_after_all_is_given_fresh_state(
    pair: Pair,
) -> None:
    board = Board(a=1)
    early: list[Any] = []
    hook = Meanwhile(lambda: early.append(pair.a.ask("take", board)))

    late = pair.a.ask("take", board, hook, object())
    board.set("a", 2)
    pair.deliver()

    with pytest.raises(pb.InsecureJelly):
        late.get()
    early[0].get()
    shown = pair.b.desk.taken.pop()
    assert shown.values == {"a": 2}
    assert board.told == ["observed", "stopped", "observed"]


def test_a_name_whose_state_could_not_be_taken_fails_its_call(pair: Pair) -> None:
    board = Board(a=1)
    early: list[Any] = []

    def fail() -> None:
        early.append(pair.a.ask("take", board))
        raise ZeroDivisionError("no state")

    board.meanwhile = fail
    late = pair.a.ask("take", board)
    pair.deliver()

    with pytest.raises(ZeroDivisionError):
        late.get()
    # It must not wait for ever.
    with pytest.raises(pb.InsecureJelly):
        early[0].get()
    assert board.told.count("stopped") == 0
    board.meanwhile = lambda: None
    pair.collect()
    assert show(pair, board).values == {"a": 1}


# -- names and releases that cross -------------------------------------------------


def test_a_name_that_crosses_a_release_is_given_fresh_state(pair: Pair) -> None:
    board = Board(a=1)
    show(pair, board)
    gc.collect()

    # The cache is gone over there, and this side does not know it yet.
    answer = pair.a.ask("take", board)
    board.set("a", 2)
    pair.deliver()

    answer.get()
    shown = pair.b.desk.taken.pop()
    assert shown.values == {"a": 2}
    assert board.told == ["observed", "stopped", "observed"]
    first, second = [observer for event, _, observer in board.events[::2]]
    assert first is not second
    board.set("b", 3)
    pair.deliver()
    assert shown.values == {"a": 2, "b": 3}


def test_a_name_that_arrives_ahead_of_the_drop_changes_nothing(pair: Pair) -> None:
    board = Board(a=1)
    shown = show(pair, board)
    answer = pair.a.ask("take", board)
    # Received, and kept, before the first one is dropped.
    pair.deliver()
    del shown
    gc.collect()

    answer.get()
    shown = pair.b.desk.taken.pop()
    board.set("a", 2)
    pair.deliver()

    assert shown.states == [{"a": 1}]
    assert shown.updates == [("a", 2)]
    assert board.told == ["observed"]


def test_many_names_that_cross_releases_lose_nothing(pair: Pair) -> None:
    board = Board(a=0)
    for number in range(20):
        answer = pair.a.ask("take", board)
        board.set("a", number)
        if number % 3:
            pair.deliver()
            answer.get()
            pair.b.desk.taken.clear()
            gc.collect()
    pair.deliver()
    shown = show(pair, board)
    board.set("b", 1)
    pair.deliver()

    assert shown.values == board.values
    assert len(board.observers) == 1
    assert board.told.count("observed") == board.told.count("stopped") + 1


# -- peers that are slow ------------------------------------------------------------


def test_a_slow_peer_s_updates_collapse_into_fresh_state() -> None:
    with joined(SLOW) as pair:
        board = Board(n=None)
        shown = show(pair, board)
        (old,) = board.observers
        pair.b.slow = True

        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()

        # The observer has ended at the bound, once.
        assert board.told == ["observed", "stopped"]
        assert board.observers == []
        board.set("n", "last")
        pair.b.catch_up()
        pair.deliver()
        assert board.told == ["observed", "stopped", "observed"]
        (new,) = board.observers
        assert new is not old
        assert [event[2] for event in board.events] == [old, old, new]
        assert shown.values == {"n": "last"}
        assert shown.states == [{"n": None}, {"n": "last"}]
        # What was on the way came before the snapshot.
        assert shown.updates == [("n", number) for number in range(room(pair))]
        board.set("n", "more")
        pair.deliver()
        assert shown.values == {"n": "more"}
        del shown
        pair.assert_released()


def test_as_many_as_may_wait_wait() -> None:
    with joined(SLOW) as pair:
        board = Board(n=None)
        shown = show(pair, board)
        pair.b.slow = True

        fill(pair, board, room(pair) + board.max_queued_updates)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()

        assert board.told == ["observed"]
        assert len(shown.updates) == room(pair) + board.max_queued_updates


def test_the_promises_of_updates_that_collapse_end_with_none() -> None:
    with joined(SLOW) as pair:
        board = Board()
        shown = show(pair, board)
        pair.b.slow = True

        promises = [board.set("n", number)[0] for number in range(8)]
        pair.deliver()

        assert [each.settled for each in promises] == [False] * 2 + [True] * 6
        assert [each.get() for each in promises[2:]] == [None] * 6
        pair.b.catch_up()
        pair.deliver()
        assert [each.get() for each in promises[:2]] == [1, 2]
        assert shown.values == {"n": 7}


def test_references_in_updates_that_collapse_are_taken_back() -> None:
    with joined(SLOW) as pair:
        board = Board()
        shown = show(pair, board)
        pair.b.slow = True

        for _ in range(8):
            board.set("n", Thing())
        board.values.clear()
        pair.b.catch_up()
        pair.deliver()

        assert shown.values == {}
        shown.updates.clear()
        del shown
        pair.assert_released()


def test_large_updates_that_wait_collapse_by_their_bytes() -> None:
    limits = Limits(max_pending_calls=8, max_unsent_bytes=100_000)
    with joined(limits) as pair:
        board = Board()
        shown = show(pair, board)
        pair.b.slow = True

        for _ in range(4):
            board.set("n", ["x" * 1000] * 60)
            pair.deliver()

        assert board.told == ["observed", "stopped"]
        pair.b.catch_up()
        pair.deliver()
        assert shown.values == board.values


def test_large_updates_of_all_caches_together_have_a_bound() -> None:
    """The fullest one falls behind, not the one that happens to be told next."""
    limits = Limits(max_pending_calls=8, max_unsent_bytes=100_000)
    with joined(limits) as pair:
        boards = [Board() for _ in range(10)]
        shown = show(pair, *boards)
        pair.b.slow = True
        for board in boards:
            # Each alone is far below it.
            for _ in range(3):
                board.set("n", ["x" * 1000] * 8)
        boards[0].set("n", ["x" * 1000] * 30)
        feeds = pair.a.broker._objects._feeds
        assert feeds is not None

        for board in boards:
            board.set("n", 1)
            assert feeds.queued_bytes <= 100_000

        pair.deliver()
        told = [board.told for board in boards]
        assert told[0] == ["observed", "stopped"]
        # Some had to, and not more than had to.
        assert 3 <= told.count(["observed"]) <= 9
        pair.b.catch_up()
        pair.deliver()
        assert feeds.queued_bytes == 0
        assert [each.values for each in shown] == [each.values for each in boards]


def test_updates_of_all_caches_together_up_to_the_bound_wait_in_full() -> None:
    limits = Limits(max_pending_calls=8, max_unsent_bytes=300_000)
    with joined(limits) as pair:
        boards = [Board() for _ in range(10)]
        shown = show(pair, *boards)
        pair.b.slow = True

        for board in boards:
            for _ in range(3):
                board.set("n", ["x" * 1000] * 8)

        assert {tuple(board.told) for board in boards} == {("observed",)}
        pair.b.catch_up()
        pair.deliver()
        assert [len(each.updates) for each in shown] == [3] * 10


def test_a_slow_peer_is_dropped_where_the_class_says_so() -> None:
    with joined(SLOW) as pair:
        board = DroppingBoard(n=None)
        shown = show(pair, board)
        (observer,) = board.observers
        pair.b.slow = True

        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()

        assert board.told == ["observed", "stopped"]
        assert shown.ended == 1
        assert shown.updates == [("n", number) for number in range(room(pair))]
        assert observer.callRemote("set", "n", 5).get() is None
        del shown
        pair.assert_released()
        assert board.told == ["observed", "stopped"]
        # A new beginning.
        assert show(pair, board).values == board.values


def test_a_name_of_a_dropped_feed_that_crosses_a_release_is_given_fresh_state() -> None:
    with joined(SLOW) as pair:
        board = DroppingBoard(n=None)
        shown = show(pair, board)
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()

        del shown
        gc.collect()
        assert show(pair, board).values == board.values


def test_a_dropped_cache_that_is_sent_again_goes_on_with_fresh_state() -> None:
    with joined(SLOW) as pair:
        board = DroppingBoard(n=None)
        shown = show(pair, board)
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()
        assert shown.values != board.values
        assert shown.ended == 1

        assert show(pair, board) is shown
        pair.deliver()

        assert shown.values == board.values
        assert board.told == ["observed", "stopped", "observed"]
        board.set("n", "later")
        pair.deliver()
        assert shown.values["n"] == "later"


@pytest.mark.parametrize("kind", [Board, DroppingBoard])
def test_updates_that_wait_for_the_state_to_be_sent_are_bounded(kind: Any) -> None:
    class Flooding(kind):  # type: ignore[misc]
        def getStateToCacheAndObserveFor(self, perspective: Any, observer: Any) -> Any:
            state = super().getStateToCacheAndObserveFor(perspective, observer)
            if len(self.told) == 1:
                for number in range(1000):
                    self.set("n", number)
                    held.append(len(observer._feed._queue))
            return state

    held: list[int] = []
    with joined() as pair:
        board = Flooding(n=None)

        shown = show(pair, board)
        pair.deliver()

        assert max(held) <= board.max_queued_updates
        if kind is Board:
            assert board.told == ["observed", "stopped", "observed"]
            assert shown.values == board.values
        else:
            assert board.told == ["observed", "stopped"]
            assert shown.ended == 1
        del shown
        pair.collect()


def test_a_hook_that_fails_for_fresh_state_ends_the_updates() -> None:
    with joined(SLOW) as pair:
        board = Board(n=None)
        shown = show(pair, board)

        def fail() -> None:
            raise ZeroDivisionError("no state")

        board.meanwhile = fail
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()

        (raised,) = pair.a.raised
        assert isinstance(raised, ZeroDivisionError)
        pair.a.raised.clear()
        assert shown.ended == 1
        assert board.told == ["observed", "stopped", "observed"]


def test_a_hook_for_the_end_that_fails_stops_nothing_else() -> None:
    class Failing(Board):
        def stoppedObserving(self, perspective: Any, observer: Any) -> None:
            super().stoppedObserving(perspective, observer)
            raise ZeroDivisionError("stopped")

    with joined(SLOW) as pair:
        board = Failing(n=None)
        shown = show(pair, board)
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        pair.b.catch_up()
        pair.deliver()

        assert board.told == ["observed", "stopped", "observed"]
        assert shown.values == board.values
        del shown
        pair.collect()
        assert len(pair.a.raised) == 2
        pair.a.raised.clear()


def test_a_drop_while_fresh_state_is_due_stops_each_observer_once() -> None:
    with joined(SLOW) as pair:
        board = Board(n=None)
        shown = show(pair, board)
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()

        del shown
        gc.collect()
        pair.b.catch_up()
        pair.collect()

        assert board.told.count("observed") == board.told.count("stopped")
        assert board.observers == []
        pair.assert_released()


def test_the_line_s_end_while_fresh_state_is_taken_stops_each_observer_once() -> None:
    board = Board(n=None)
    with joined(SLOW) as pair:
        shown = show(pair, board)
        pair.b.slow = True
        fill(pair, board, room(pair) + board.max_queued_updates + 1)
        pair.deliver()
        board.meanwhile = lambda: (pair.a.close(), pair.b.close())
        pair.b.catch_up()
        pair.deliver()
    del shown

    assert board.told == ["observed", "stopped", "observed", "stopped"]
    assert board.observers == []


def test_an_observer_ends_when_the_hook_that_was_given_it_has_returned() -> None:
    board = Board()
    with joined() as pair:
        board.meanwhile = lambda: (pair.a.close(), pair.b.close())
        answer = pair.a.ask("take", board)
        pair.deliver()

        assert answer.settled
        assert board.told == ["observed", "stopped"]
        assert board.observers == []


def test_pending_updates_end_with_the_line() -> None:
    with joined() as pair:
        board = Board()
        shown = show(pair, board)
        pair.b.slow = True
        promises = board.set("a", 1) + board.set("b", 2)
        pair.deliver()
    del shown

    assert all(promise.settled for promise in promises)
    # Nobody has to look at that.
    assert all(each.failure is None or each.failure.quiet for each in promises)


def test_many_slow_caches_share_the_room_in_turns() -> None:
    with joined(Limits(max_pending_calls=16)) as pair:
        boards = [Board(n=None) for _ in range(8)]
        shown = [show(pair, board) for board in boards]
        pair.b.slow = True
        for number in range(5):
            for board in boards:
                board.set("n", number)
        pair.deliver()

        waiting = [len(each._geopb_entry.waiting) for each in shown]
        assert sum(waiting) == 4
        pair.b.catch_up()
        pair.deliver()
        assert all(each.values == {"n": 4} for each in shown)
        assert all(board.told == ["observed"] for board in boards)


def test_updates_leave_room_for_calls() -> None:
    with joined(Limits(max_pending_calls=400)) as pair:
        board = Board()
        board.max_queued_updates = 1000  # type: ignore[misc]
        shown = show(pair, board)
        pair.b.slow = True

        fill(pair, board, 500)
        pair.deliver()

        assert len(shown._geopb_entry.waiting) == 100
        answer = pair.a.ask("echo", 5)
        pair.deliver()
        assert answer.get() == 5
        pair.b.catch_up()
        pair.deliver()


# -- what a peer sends ----------------------------------------------------------------


def received(data: bytes) -> list[Any]:
    """Return the messages in `data`, without tags."""
    decoder = Decoder({}, 100, inert=True)
    found = []
    while data:
        size = 4 + int.from_bytes(data[:4], "big")
        found.append(decoder.decode(data[4:size]))
        data = data[size:]
    return found


def test_a_cacheable_is_no_target_of_calls() -> None:
    side = opened()
    board = Board()
    side.ask("take", board)
    side.take()

    side.receive(frame([1, 1, 1, "set", ["a", 1]]))

    (answer,) = received(side.take())
    assert answer[:3] == [3, 1, "geopb.InsecureJelly"]
    assert board.values == {}
    side.close()


def test_updates_from_a_peer_never_reach_what_it_was_sent() -> None:
    side = opened()
    board = Board()
    side.ask("take", board, Thing())
    side.take()

    side.receive(frame([7, 1, 1, "set", ["a", 1]]))
    side.receive(frame([8, 2, 2, [{}]]))
    side.receive(frame([9, 1]))

    assert [each[:3] for each in received(side.take())] == [
        [3, 1, "geopb.InsecureJelly"],
        [3, 2, "geopb.InsecureJelly"],
    ]
    assert board.told == ["observed"]
    side.close()
    assert board.told == ["observed", "stopped"]


def test_a_release_of_more_than_was_sent_ends_the_connection_of_a_cache() -> None:
    side = opened()
    board = Board()
    side.ask("take", board, board)
    side.take()

    with pytest.raises(pb.ProtocolError, match="release of 3"):
        side.receive(frame([4, 1, 3]))

    side.close()
    assert board.told == ["observed", "stopped"]


def test_a_peer_that_releases_part_again_and_again_stays_one_observer() -> None:
    side = opened()
    board = Board()
    side.ask("take", *[board] * 10)
    side.take()

    for _ in range(9):
        side.receive(frame([4, 1, 1]))
        for question in [
            each[1] for each in received(side.take()) if each[0] in (7, 8)
        ]:
            side.receive(frame([2, question, [None]]))

    assert len(board.observers) == 1
    assert board.told.count("observed") <= 10
    side.close()
    assert board.observers == []
