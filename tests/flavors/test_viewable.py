"""Views, avatars and objects made callable, between two brokers in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import geopb as pb
from tests.broker.harness import Pair, joined


@pytest.fixture
def pair() -> Iterator[Pair]:
    with joined() as made:
        yield made
        for side in (made.a, made.b):
            side.desk.taken.clear()
            side.desk.objects.clear()
        made.assert_released()


class Shelf(pb.Viewable):
    """What each of its views is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.inner: Any = None

    def view_look(self, perspective: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append((perspective, args, kwargs))
        return len(self.seen)

    def view_open(self, perspective: Any) -> Any:
        return self.inner

    def view_is_me(self, perspective: Any, other: Any) -> bool:
        return other is self

    def view__hidden(self, perspective: Any) -> None:
        self.seen.append("hidden")

    def remote_look(self) -> None:
        self.seen.append("remote")


class Label(pb.Copyable, pb.RemoteCopy):
    """Says for whom it was sent."""

    def getStateToCopyFor(self, perspective: Any) -> Any:
        return {"perspective": getattr(perspective, "name", None)}

    def getTypeToCopyFor(self, perspective: Any) -> str:
        assert perspective is None or isinstance(perspective, User)
        return super().getTypeToCopyFor(perspective)


pb.setUnjellyableForClass(Label, Label)


class User(pb.Avatar):
    def __init__(self, name: str, shelf: Shelf) -> None:
        self.name = name
        self.shelf = shelf

    def perspective_shelf(self) -> Shelf:
        return self.shelf

    def perspective_name(self, *args: Any) -> Any:
        return [self.name, *args]

    def perspective_label(self) -> Label:
        return Label()

    def perspective_fails(self) -> None:
        raise KeyError(self.name)

    def remote_name(self) -> None:
        raise AssertionError("a perspective has no remote methods")


def called(pair: Pair, reference: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    answer = reference.callRemote(name, *args, **kwargs)
    pair.deliver()
    return answer.get()


def fetched(pair: Pair, it: Any) -> Any:
    """Have b hand `it` out; return what a has of it."""
    pair.b.desk.objects["it"] = it
    answer = pair.a.ask("get", "it")
    pair.deliver()
    result = answer.get()
    answer.drop()
    return result


def avatar(pair: Pair, user: User) -> Any:
    return fetched(pair, pb.AsReferenceable(user, "perspective"))


def test_a_view_of_nobody_is_called_with_none(pair: Pair) -> None:
    shelf = Shelf()
    view = fetched(pair, shelf)

    called(pair, view, "look", 1, a=2)

    assert shelf.seen == [(None, (1,), {"a": 2})]


def test_a_view_that_an_avatar_gives_knows_the_avatar(pair: Pair) -> None:
    shelf = Shelf()
    user = User("one", shelf)

    view = called(pair, avatar(pair, user), "shelf")
    called(pair, view, "look", 1)

    assert shelf.seen == [(user, (1,), {})]


def test_two_avatars_see_two_views_of_one_object(pair: Pair) -> None:
    shelf = Shelf()
    users = [User("one", shelf), User("two", shelf)]

    views = [called(pair, avatar(pair, user), "shelf") for user in users]
    for view in views:
        called(pair, view, "look")

    assert views[0] is not views[1]
    assert [each[0] for each in shelf.seen] == users


def test_the_same_view_is_the_same_reference(pair: Pair) -> None:
    shelf = Shelf()
    reference = avatar(pair, User("one", shelf))

    assert called(pair, reference, "shelf") is called(pair, reference, "shelf")


def test_a_view_from_a_view_keeps_the_perspective(pair: Pair) -> None:
    shelf, inner = Shelf(), Shelf()
    shelf.inner = [{"inner": inner}]
    user = User("one", shelf)
    view = called(pair, avatar(pair, user), "shelf")

    (found,) = called(pair, view, "open")
    called(pair, found["inner"], "look")

    assert inner.seen == [(user, (), {})]


def test_a_perspective_cannot_be_passed(pair: Pair) -> None:
    shelf = Shelf()
    view = called(pair, avatar(pair, User("one", shelf)), "shelf")

    with pytest.raises(TypeError, match="perspective"):
        called(pair, view, "look", perspective="forged")

    assert shelf.seen == []


def test_a_view_sent_home_is_the_object(pair: Pair) -> None:
    shelf = Shelf()
    view = called(pair, avatar(pair, User("one", shelf)), "shelf")

    assert called(pair, view, "is_me", view)


@pytest.mark.parametrize("name", ["_hidden", "nothing", "", "__init__", "seen"])
def test_only_view_methods_can_be_called(pair: Pair, name: str) -> None:
    shelf = Shelf()
    view = fetched(pair, shelf)

    with pytest.raises(pb.NoSuchMethod, match="view_"):
        called(pair, view, name)

    assert shelf.seen == []


def test_a_view_is_kept_while_a_peer_holds_it_and_let_go_after(pair: Pair) -> None:
    view = fetched(pair, Shelf())
    pair.b.desk.objects.clear()
    pair.collect()

    assert called(pair, view, "look") == 1

    del view
    pair.assert_released()


def test_views_count_in_the_table_of_references() -> None:
    with joined(pb.Limits(max_references=3)) as pair:
        shelf = Shelf()
        references = [avatar(pair, User(str(n), shelf)) for n in range(2)]
        held = called(pair, references[0], "shelf")

        with pytest.raises(pb.LimitExceeded, match="max_references=3"):
            called(pair, references[1], "shelf")

        assert called(pair, held, "look") == 1


def test_a_viewpoint_may_be_made_by_hand(pair: Pair) -> None:
    shelf = Shelf()
    view = fetched(pair, pb.ViewPoint("by hand", shelf))

    called(pair, view, "look")

    assert shelf.seen == [("by hand", (), {})]


def test_an_avatar_s_methods_are_called_and_no_others(pair: Pair) -> None:
    reference = avatar(pair, User("one", Shelf()))

    assert called(pair, reference, "name", 1) == ["one", 1]
    with pytest.raises(pb.NoSuchMethod, match="perspective_shelves"):
        called(pair, reference, "shelves")
    with pytest.raises(KeyError, match="one"):
        called(pair, reference, "fails")


def test_an_avatar_does_not_cross_by_itself(pair: Pair) -> None:
    with pytest.raises(pb.InsecureJelly, match="User may not cross"):
        fetched(pair, User("one", Shelf()))


def test_copies_are_asked_for_the_caller_s_perspective(pair: Pair) -> None:
    reference = avatar(pair, User("one", Shelf()))

    assert called(pair, reference, "label").perspective == "one"
    assert fetched(pair, Label()).perspective is None


def test_what_a_method_sends_on_its_own_has_the_caller_s_perspective(
    pair: Pair,
) -> None:
    shelf = Shelf()

    class Sending(User):
        def perspective_send(self, taker: Any) -> None:
            taker.callRemoteOnly("take", Label(), self.shelf)

    user = Sending("one", shelf)
    reference = avatar(pair, user)

    called(pair, reference, "send", pair.a.desk)
    label, view = pair.a.desk.taken
    called(pair, view, "look")

    assert label.perspective == "one"
    assert shelf.seen == [(user, (), {})]


def test_the_perspective_of_one_call_does_not_reach_the_next(pair: Pair) -> None:
    avatar_one = avatar(pair, User("one", Shelf()))
    called(pair, avatar_one, "label")

    assert fetched(pair, Label()).perspective is None


class Anything:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def remoteMessageReceived(
        self, broker: Any, message: str, args: Any, kw: Any
    ) -> Any:
        self.told.append((message, args, kw))
        return "remote"

    def oddMessageReceived(  # noqa: N802
        self, broker: Any, message: str, args: Any, kw: Any
    ) -> Any:
        return ("odd", message)


def test_any_object_can_be_made_callable(pair: Pair) -> None:
    it = Anything()

    assert called(pair, fetched(pair, pb.AsReferenceable(it)), "x", 1, a=2) == "remote"
    assert it.told == [("x", [1], {"a": 2})]
    odd = pb.AsReferenceable(it, messageType="odd")
    assert called(pair, fetched(pair, odd), "x") == ("odd", "x")


def test_an_object_without_the_dispatch_method_cannot_be_made_callable() -> None:
    with pytest.raises(AttributeError, match="otherMessageReceived"):
        pb.AsReferenceable(Anything(), "other")
