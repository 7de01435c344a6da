"""Copies over a connection: what is sent, what arrives, and what the hooks may do."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.roots import Doing, root_of
from tests.support import eventually


class Pond(pb.Copyable):
    def __init__(self, frogs: int) -> None:
        self.frogs = frogs


class ReceiverPond(pb.RemoteCopy):
    frogs: int
    made: bool = False

    def __init__(self) -> None:
        self.made = True


class Lake(pb.Copyable, pb.RemoteCopy):
    """Crosses both ways as itself."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class DeepLake(Lake):
    pass


class SlotBase(pb.Copyable, pb.RemoteCopy):
    __slots__ = ("depth",)
    depth: Any


class Slotted(SlotBase):
    __slots__ = ("__private", "width")
    width: Any

    def hide(self, value: Any) -> None:
        self.__private = value

    def hidden(self) -> Any:
        return self.__private


class Hooked(pb.Copyable):
    """Its hooks do what the test says."""

    def __init__(
        self,
        state: Callable[[Any], Any] = lambda perspective: {},
        name: Callable[[Any], Any] = lambda perspective: "hooked",
    ) -> None:
        self._state = state
        self._name = name

    def getStateToCopyFor(self, perspective: Any) -> Any:
        return self._state(perspective)

    def getTypeToCopyFor(self, perspective: Any) -> Any:
        return self._name(perspective)


class Taking(pb.RemoteCopy):
    """Arrives as its state, whatever that is."""

    took: Any
    hook: Callable[[Any], object] = staticmethod(lambda state: None)

    def setCopyableState(self, state: Any) -> None:
        self.hook(state)
        self.took = state


class Two(pb.Referenceable):
    def remote_three(self) -> int:
        return 3


@pytest.fixture
def registry() -> pb.ClassRegistry:
    registry = pb.ClassRegistry()
    for each in (Lake, SlotBase, Slotted):
        registry.setUnjellyableForClass(each, each)
    registry.setUnjellyableForClass(Pond, ReceiverPond)
    registry.setUnjellyableForClass("hooked", Taking)
    return registry


@pytest.fixture
def taking() -> Iterator[Callable[[Callable[[Any], object]], None]]:
    """Set what copies do when they take their state."""

    def set_hook(hook: Callable[[Any], object]) -> None:
        Taking.hook = staticmethod(hook)

    yield set_hook
    Taking.hook = staticmethod(lambda state: None)


@pytest.fixture
def remote(pair: Pair, registry: pb.ClassRegistry) -> Any:
    """A root that does what ``remote.root.do`` says, and echoes."""
    _, client = pair(Doing(), registry=registry)
    return root_of(client)


def echo(remote: Any, value: Any) -> Any:
    return remote.callRemote("echo", value).get(timeout=5)


# -- what arrives ----------------------------------------------------------------------


def test_a_copy_arrives_as_the_class_registered_for_it(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    seen: list[Any] = []
    _, client = pair(Doing(seen.append), registry=registry)

    root_of(client).callRemote("do", Pond(12)).get(timeout=5)

    (pond,) = seen
    assert type(pond) is ReceiverPond
    assert vars(pond) == {"frogs": 12}
    assert not pond.made


def test_a_class_may_be_registered_by_name_or_by_class(
    pair: Pair, serve: Serve
) -> None:
    by_name, by_class = pb.ClassRegistry(), pb.ClassRegistry()
    by_name.setUnjellyableForClass(f"{Pond.__module__}.Pond", ReceiverPond)
    by_class.setUnjellyableForClass(Pond, ReceiverPond)

    for registry in (by_name, by_class):
        _, client = pair(Doing(lambda: Pond(3)), registry=registry)
        pond = root_of(client).callRemote("do").get(timeout=5)
        assert (type(pond), pond.frogs) == (ReceiverPond, 3)


def test_an_echoed_copy_is_a_new_object(remote: Any) -> None:
    lake = Lake(name="Bled", depths=[1, (2, 3)])

    back = echo(remote, lake)

    assert back is not lake
    assert type(back) is Lake
    assert vars(back) == vars(lake)
    assert echo(remote, lake) is not back


def test_copies_nest(remote: Any) -> None:
    back = echo(remote, [Lake(inner=Lake(inner={"k": (Lake(inner=7),)}))])

    assert back[0].inner.inner["k"][0].inner == 7


def test_dicts_and_attributes_keep_their_order_around_copies(remote: Any) -> None:
    sent = {"first": Lake(size=1, inner=Lake(), last=2), "second": 1, "third": Lake()}

    found = remote.callRemote("echo", sent).get(timeout=5)

    assert list(found) == ["first", "second", "third"]
    assert list(vars(found["first"])) == ["size", "inner", "last"]


def test_a_copy_that_stands_twice_in_one_call_is_one_copy(remote: Any) -> None:
    lake = Lake(n=1)

    one, two, inner = echo(remote, [lake, lake, Lake(same=lake)])

    assert one is two is inner.same
    assert one is not lake


def test_copies_may_stand_in_cycles(remote: Any) -> None:
    lake, other = Lake(), Lake()
    lake.self, lake.other, lake.list = lake, other, [lake]
    other.back = {"lake": lake}

    back = echo(remote, lake)

    assert back.self is back
    assert back.list == [back]
    assert back.other.back["lake"] is back


def test_copies_hold_references(remote: Any) -> None:
    two = Two()

    back = echo(remote, Lake(two=two, root=remote))

    assert back.two is two
    assert back.root is remote


def test_a_reference_in_a_copy_can_be_called(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    def ask(lake: Any) -> Any:
        return lake.two.callRemote("three").get(timeout=5)

    _, client = pair(Doing(ask), registry=registry)

    assert root_of(client).callRemote("do", Lake(two=Two())).get(timeout=5) == 3


def test_what_slots_hold_crosses_also_of_base_classes(remote: Any) -> None:
    slotted = Slotted()
    slotted.depth, slotted.width = 1, [2]
    slotted.hide("inside")

    back = echo(remote, slotted)

    assert (type(back), back.depth, back.width) == (Slotted, 1, [2])
    assert back.hidden() == "inside"


def test_a_slot_that_was_never_set_stays_unset(remote: Any) -> None:
    slotted = Slotted()
    slotted.width = 1

    back = echo(remote, slotted)

    assert back.width == 1
    assert not hasattr(back, "depth")


def test_copies_are_keys_and_members_by_their_own_hash(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    class Key(pb.Copyable, pb.RemoteCopy):
        def __init__(self, n: int) -> None:
            self.n = n

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and self.n == other.n

        def __hash__(self) -> int:
            return hash(("key", self.n))

    registry.setUnjellyableForClass(Key, Key)
    _, client = pair(Doing(), registry=registry)
    value = {
        "dict": {Key(1): "one", (Key(2), 2): "two"},
        "set": {Key(3), Key(4)},
        "frozen": frozenset([Key(5)]),
    }

    back = echo(root_of(client), value)

    assert back == value
    assert back["dict"][Key(1)] == "one"
    assert Key(3) in back["set"]
    assert Key(5) in back["frozen"]


# -- inheritance -----------------------------------------------------------------------


def test_a_subclass_of_a_registered_class_is_not_registered_with_it(
    remote: Any,
) -> None:
    with pytest.raises(pb.InsecureJelly, match="DeepLake"):
        echo(remote, DeepLake(n=1))

    assert echo(remote, Lake(n=1)).n == 1


def test_a_subclass_may_arrive_as_its_base(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    registry.setUnjellyableForClass(DeepLake, Lake)
    _, client = pair(Doing(), registry=registry)

    back = echo(root_of(client), [DeepLake(n=1), Lake(n=2)])

    assert [(type(each), each.n) for each in back] == [(Lake, 1), (Lake, 2)]


def test_a_base_may_arrive_as_a_subclass(pair: Pair) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Lake, DeepLake)
    _, client = pair(Doing(lambda: Lake(n=1)), registry=registry)

    assert type(root_of(client).callRemote("do").get(timeout=5)) is DeepLake


# -- registries ------------------------------------------------------------------------


def test_factories_of_one_process_accept_different_classes(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    _, knows = pair(Doing(lambda: Pond(1)), client_options={"registry": registry})
    _, knows_not = pair(Doing(lambda: Pond(1)))

    assert root_of(knows).callRemote("do").get(timeout=5).frogs == 1
    with pytest.raises(pb.InsecureJelly, match="Pond"):
        root_of(knows_not).callRemote("do").get(timeout=5)


def test_the_two_sides_of_a_connection_may_name_different_classes(pair: Pair) -> None:
    mine, theirs = pb.ClassRegistry(), pb.ClassRegistry()
    mine.setUnjellyableForClass(Pond, Lake)
    theirs.setUnjellyableForClass(Pond, ReceiverPond)
    seen: list[Any] = []

    def pond(value: Any) -> Pond:
        seen.append(value)
        return Pond(2)

    _, client = pair(
        Doing(pond),
        server_options={"registry": theirs},
        client_options={"registry": mine},
    )

    assert type(root_of(client).callRemote("do", Pond(1)).get(timeout=5)) is Lake
    assert type(seen[0]) is ReceiverPond


def test_a_factorys_registry_adds_to_the_process(pair: Pair) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Pond, ReceiverPond)
    pb.setUnjellyableForClass("tests.process-wide", Taking)
    named = Hooked(name=lambda perspective: "tests.process-wide")
    _, client = pair(Doing(lambda: [Pond(1), named]), registry=registry)

    back = root_of(client).callRemote("do").get(timeout=5)

    assert [type(each) for each in back] == [ReceiverPond, Taking]


def test_a_name_stands_for_one_class_only(registry: pb.ClassRegistry) -> None:
    with pytest.raises(ValueError, match=r"Pond is registered for .*ReceiverPond"):
        registry.setUnjellyableForClass(Pond, Lake)
    registry.setUnjellyableForClass(Pond, ReceiverPond)

    pb.setUnjellyableForClass("tests.twice", Lake)
    with pytest.raises(ValueError, match=r"tests\.twice"):
        pb.setUnjellyableForClass("tests.twice", ReceiverPond)


@pytest.mark.parametrize("cls", [object, int, dict, Two, pb.Copyable, "Lake", None])
def test_what_cannot_be_made_cannot_be_registered(
    cls: Any, registry: pb.ClassRegistry
) -> None:
    with pytest.raises(TypeError):
        registry.setUnjellyableForClass("some.Name", cls)


@pytest.mark.parametrize("name", [None, 1, b"bytes"])
def test_a_name_is_text_or_a_class(name: Any, registry: pb.ClassRegistry) -> None:
    with pytest.raises(TypeError):
        registry.setUnjellyableForClass(name, Lake)


@pytest.mark.parametrize("registry", [{}, "registry", object])
def test_only_a_registry_is_one(registry: Any) -> None:
    with pytest.raises(TypeError, match="registry"):
        pb.PBClientFactory(registry=registry)
    with pytest.raises(TypeError, match="registry"):
        pb.PBServerFactory(pb.Root(), registry=registry)


# -- refusals --------------------------------------------------------------------------


def test_an_unregistered_copy_fails_the_call_it_came_with_alone(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    ran: list[Any] = []
    _, client = pair(Doing(ran.append))
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match=r"Pond.*setUnjellyableForClass"):
        remote.callRemote("do", Pond(1)).get(timeout=5)

    assert not ran
    assert echo(remote, "alive") == "alive"
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


def test_an_unregistered_result_fails_at_its_caller_alone(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(Doing(lambda: [1, Pond(1)]))
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly, match="Pond"):
        remote.callRemote("do").get(timeout=5)

    assert echo(remote, "alive") == "alive"
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


def test_references_that_came_with_a_refused_copy_are_released(pair: Pair) -> None:
    _, client = pair(Doing())
    remote = root_of(client)

    with pytest.raises(pb.InsecureJelly):
        echo(remote, [Two(), Pond(1), Two()])

    connection = client._connection
    assert connection is not None
    eventually(lambda: connection.statistics()["exports"] == 0)
    assert echo(remote, 1) == 1


def test_a_copy_whose_state_may_not_cross_is_insecure(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match=r"builtins\.object"):
        echo(remote, Lake(inside=[object()]))

    assert echo(remote, 1) == 1


# -- hooks -----------------------------------------------------------------------------


def test_the_state_and_the_type_are_what_the_plain_hooks_say(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    class Plain(pb.Copyable):
        def getStateToCopy(self) -> Any:
            return ["not", "a", "dict"]

        def getTypeToCopy(self) -> str:
            return "hooked"

    _, client = pair(Doing(Plain), registry=registry)

    taken = root_of(client).callRemote("do").get(timeout=5)

    assert type(taken) is Taking
    assert taken.took == ["not", "a", "dict"]


def test_the_hooks_with_a_perspective_come_before_those_without(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    class Both(Hooked):
        def getStateToCopy(self) -> Any:
            raise AssertionError("not asked")

        def getTypeToCopy(self) -> str:
            raise AssertionError("not asked")

    both = Both(lambda perspective: ("for", perspective))
    _, client = pair(Doing(lambda: both), registry=registry)

    taken = root_of(client).callRemote("do").get(timeout=5)

    assert taken.took == ("for", None)


@pytest.mark.parametrize("state", [None, 0, "text", b"", [], (), {1: 2}, {"a": {3}}])
def test_a_state_is_any_value(
    pair: Pair, registry: pb.ClassRegistry, state: Any
) -> None:
    _, client = pair(
        Doing(lambda: Hooked(lambda perspective: state)), registry=registry
    )

    taken = root_of(client).callRemote("do").get(timeout=5)

    assert taken.took == state
    assert type(taken.took) is type(state)


@pytest.mark.parametrize("name", [None, 7, b"hooked", Lake, ["hooked"]])
def test_a_type_that_is_no_text_fails_that_call(remote: Any, name: Any) -> None:
    with pytest.raises(TypeError, match="getTypeToCopyFor"):
        echo(remote, Hooked(name=lambda perspective: name))

    assert echo(remote, 1) == 1


def test_a_state_that_is_no_dict_of_attributes_fails_that_call(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    registry.setUnjellyableForClass("plain", Lake)
    _, client = pair(Doing(), registry=registry)
    remote = root_of(client)

    for state in (None, 7, ["a"], {1: 2}, {("a",): 1}):
        with pytest.raises(TypeError, match="Lake"):
            echo(remote, Hooked(lambda _, s=state: s, lambda _: "plain"))

    assert echo(remote, 1) == 1


def test_an_attribute_that_slots_have_no_room_for_is_named(
    pair: Pair, registry: pb.ClassRegistry
) -> None:
    registry.setUnjellyableForClass("slotted", Slotted)
    _, client = pair(Doing(), registry=registry)

    with pytest.raises(TypeError, match="colour"):
        echo(root_of(client), Hooked(lambda _: {"colour": 1}, lambda _: "slotted"))


@pytest.mark.parametrize(
    "name", ["__class__", "__dict__", "setCopyableState", "_geopb_entry"]
)
def test_an_attribute_of_any_name_changes_neither_class_nor_methods(
    pair: Pair, registry: pb.ClassRegistry, name: str
) -> None:
    registry.setUnjellyableForClass("plain", Lake)
    seen: list[Any] = []
    _, client = pair(Doing(seen.append), registry=registry)
    remote = root_of(client)

    try:
        forged = Hooked(lambda _: {name: "forged"}, lambda _: "plain")
        remote.callRemote("do", forged).get(timeout=5)
    except (TypeError, pb.InsecureJelly):
        assert not seen
    else:
        assert type(seen[0]) is Lake
    assert echo(remote, Lake(n=1)).n == 1


def raise_lookup(*_: Any) -> Any:
    raise LookupError("no such state")


def test_a_state_hook_that_raises_fails_the_call_through_its_promise(
    remote: Any,
) -> None:
    promise = remote.callRemote("echo", Hooked(raise_lookup))

    with pytest.raises(LookupError, match="no such state"):
        promise.get(timeout=5)
    with pytest.raises(LookupError, match="no such state"):
        echo(remote, [Two(), Hooked(name=raise_lookup)])
    assert echo(remote, 1) == 1


def test_a_state_hook_that_raises_in_a_result_is_the_methods_failure(
    pair: Pair, registry: pb.ClassRegistry, geopb_log: list[logging.LogRecord]
) -> None:
    _, client = pair(Doing(lambda: Hooked(raise_lookup)), registry=registry)
    remote = root_of(client)

    with pytest.raises(LookupError, match="no such state") as caught:
        remote.callRemote("do").get(timeout=5)

    assert isinstance(caught.value, pb.RemoteError)
    assert caught.value.remote_type == "builtins.LookupError"
    assert len(geopb_log) == 1
    assert "no such state" in geopb_log[0].getMessage()
    assert echo(remote, 1) == 1


def test_a_setCopyableState_that_raises_fails_the_call_and_runs_no_method(
    pair: Pair,
    registry: pb.ClassRegistry,
    taking: Any,
    geopb_log: list[logging.LogRecord],
) -> None:
    ran: list[Any] = []
    _, client = pair(Doing(ran.append), registry=registry)
    remote = root_of(client)
    taking(raise_lookup)

    with pytest.raises(LookupError, match="no such state"):
        remote.callRemote("do", Hooked()).get(timeout=5)

    assert not ran
    assert echo(remote, 1) == 1


def test_a_setCopyableState_that_raises_in_a_result_fails_that_promise(
    pair: Pair, registry: pb.ClassRegistry, taking: Any
) -> None:
    _, client = pair(Doing(Hooked), registry=registry)
    remote = root_of(client)
    taking(raise_lookup)

    with pytest.raises(LookupError, match="no such state"):
        remote.callRemote("do").get(timeout=5)

    assert echo(remote, 1) == 1


@pytest.mark.parametrize(
    "error", [SystemExit(3), gevent.Timeout(1), GeneratorExit(), gevent.GreenletExit()]
)
def test_hooks_that_raise_what_is_no_Exception_still_end_the_call(
    pair: Pair,
    registry: pb.ClassRegistry,
    taking: Any,
    geopb_log: Any,
    greenlet_errors: Any,
    error: BaseException,
) -> None:
    def strike(*_: Any) -> None:
        raise error

    _, client = pair(
        Doing(lambda *given: None if given else Hooked(strike)), registry=registry
    )
    remote = root_of(client)

    # A state hook of a result, a taking hook of an argument.
    for call in (("do",), ("do", Hooked())):
        taking(strike)
        promise = remote.callRemote(*call)
        promise.wait(timeout=5)
        assert promise.failed()
        assert promise.exception is not None
        taking(lambda state: None)
    assert echo(remote, 1) == 1


def test_a_hook_may_block_and_holds_up_nothing_else(
    pair: Pair, registry: pb.ClassRegistry, taking: Any
) -> None:
    go = Event()
    begun: list[str] = []

    def wait(_: Any) -> None:
        begun.append("begun")
        go.wait()

    taking(wait)
    _, client = pair(
        Doing(lambda *given: type(given[0]).__name__ if given else Hooked(wait)),
        registry=registry,
    )
    remote = root_of(client)

    taken = remote.callRemote("do", Hooked())
    made = remote.callRemote("do")
    eventually(lambda: len(begun) == 2)
    for number in range(3):
        assert echo(remote, number) == number
    assert not taken.ready()
    assert not made.ready()
    go.set()

    assert taken.get(timeout=5) == "Taking"
    assert type(made.get(timeout=5)) is Taking


def test_a_hook_may_call_the_peer(
    pair: Pair, registry: pb.ClassRegistry, taking: Any
) -> None:
    _, client = pair(Doing(lambda taken: taken.took["n"]), registry=registry)
    remote = root_of(client)
    threes: list[int] = []
    taking(lambda s: threes.append(s["two"].callRemote("three").get(timeout=5)))
    hooked = Hooked(lambda perspective: {"two": Two(), "n": echo(remote, 5)})

    assert remote.callRemote("do", hooked).get(timeout=5) == 5

    assert threes == [3]


def test_a_hook_that_blocks_while_the_connection_ends_leaves_nothing(
    pair: Pair, registry: pb.ClassRegistry, taking: Any, geopb_log: Any
) -> None:
    go = Event()
    begun: list[int] = []

    def wait(_: Any) -> Any:
        begun.append(1)
        go.wait()
        return [Two()]

    taking(wait)
    _, client = pair(Doing(lambda: Hooked(wait)), registry=registry)
    remote = root_of(client)
    promises = [remote.callRemote("do"), remote.callRemote("echo", Hooked())]
    eventually(lambda: len(begun) == 2)

    client.disconnect()

    for promise in promises:
        with pytest.raises(pb.PBConnectionLost):
            promise.get(timeout=5)
    go.set()


def test_a_sender_may_change_a_copy_as_soon_as_the_call_is_made(remote: Any) -> None:
    lake = Lake(n=1, inner=[1])
    promise = remote.callRemote("echo", [lake])
    lake.n = 2
    lake.inner.append(2)

    (back,) = promise.get(timeout=5)

    assert (back.n, back.inner) == (1, [1])


def test_a_copy_cannot_be_called_from_outside(remote: Any) -> None:
    with pytest.raises((pb.NoSuchMethod, AttributeError)):
        echo(remote, Lake(n=1)).callRemote("anything")


def test_bulk_may_stand_in_a_copy(remote: Any) -> None:
    data = bytes(range(256)) * 4096

    back = echo(remote, Lake(data=data, text="x" * 200_000, array=bytearray(data)))

    assert back.data == data
    assert back.text == "x" * 200_000
    assert back.array == bytearray(data)


def test_copies_of_every_depth_within_the_limit_pass(pair: Pair, registry: Any) -> None:
    def nested(depth: int) -> Any:
        lake = Lake()
        for _ in range(depth - 1):
            lake = Lake(inner=lake)
        return lake

    _, client = pair(Doing(), registry=registry, max_depth=20)
    remote = root_of(client)

    assert echo(remote, nested(20)) is not None
    with pytest.raises(pb.LimitExceeded, match="max_depth=20"):
        echo(remote, nested(21))
    assert echo(remote, 1) == 1


def test_ten_thousand_copies_nest_without_a_recursion_error(remote: Any) -> None:
    lake = Lake()
    for _ in range(10_000):
        lake = Lake(inner=lake)

    with pytest.raises(pb.LimitExceeded, match="max_depth"):
        echo(remote, lake)

    assert echo(remote, 1) == 1
    while lake is not None:  # no recursion at its end either
        lake = vars(lake).pop("inner", None)
