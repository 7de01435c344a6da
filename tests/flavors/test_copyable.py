"""Objects that cross by value, between two brokers in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, field
from enum import Enum, Flag, IntEnum
from typing import Any, ClassVar

import pytest

import geopb as pb
from tests.broker.harness import Pair, Thing, joined


class Point(pb.Copyable, pb.RemoteCopy):
    def __init__(self, x: Any = 0, y: Any = 0) -> None:
        self.x, self.y = x, y


class Slotted(pb.Copyable, pb.RemoteCopy):
    __slots__ = ("_z", "x", "y")

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y, self._z = x, y, 3


class SlottedMore(Slotted):
    __slots__ = ("more", "never_set")

    def __init__(self) -> None:
        super().__init__(1, 2)
        self.more = 4


class Half(Slotted):
    """Slots of its base, and a dict of its own."""


class Unregistered(pb.Copyable):
    pass


class Base(pb.Copyable, pb.RemoteCopy):
    pass


class Derived(Base):
    pass


for _cls in (Point, Slotted, SlottedMore, Half, Base, Derived):
    pb.setUnjellyableForClass(_cls, _cls)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with joined() as made:
        yield made
        made.a.desk.taken.clear()
        made.b.desk.taken.clear()
        made.a.desk.keywords.clear()
        made.b.desk.keywords.clear()
        made.assert_released()


def echoed(pair: Pair, value: Any) -> Any:
    """Send `value` to the peer and back."""
    answer = pair.a.ask("echo", value)
    pair.deliver()
    result = answer.get()
    answer.drop()
    return result


def sent(pair: Pair, value: Any) -> Any:
    """Send `value` to the peer; return what has arrived."""
    answer = pair.a.ask("take", value)
    pair.deliver()
    answer.get()
    return pair.b.desk.taken.pop()


def refused(pair: Pair, value: Any, error: type[Exception] = pb.InsecureJelly) -> str:
    """Send `value`, which fails its call and nothing else; return the text."""
    answer = pair.a.ask("take", value)
    pair.deliver()
    with pytest.raises(error) as raised:
        answer.get()
    assert pair.b.desk.taken == []
    assert echoed(pair, 5) == 5
    return str(raised.value)


def test_a_copy_arrives_as_a_new_object_with_its_attributes(pair: Pair) -> None:
    one = Point(1, [2, (3,)])

    back = echoed(pair, one)

    assert type(back) is Point
    assert back is not one
    assert vars(back) == {"x": 1, "y": [2, (3,)]}


def test_a_copy_is_a_new_one_each_time(pair: Pair) -> None:
    one = Point(1, 2)

    assert sent(pair, one) is not sent(pair, one)


def test_a_copy_in_two_places_is_one_object(pair: Pair) -> None:
    one = Point(1, 2)

    first, second, (third,) = sent(pair, [one, {"a": one}, (one,)])

    assert first is second["a"] is third


def test_a_copy_in_two_arguments_is_one_object(pair: Pair) -> None:
    one = Point(1, 2)

    answer = pair.a.ask("take", one, again=one)
    pair.deliver()

    answer.get()
    assert pair.b.desk.taken[0] is pair.b.desk.keywords["again"]


def test_init_and_new_are_not_run_at_the_receiver(pair: Pair) -> None:
    made: list[Any] = []

    class Careful(pb.Copyable, pb.RemoteCopy):
        def __new__(cls) -> Careful:
            made.append("new")
            return super().__new__(cls)

        def __init__(self) -> None:
            made.append("init")

    pb.setUnjellyableForClass(Careful, Careful)
    one = Careful()
    made.clear()

    echoed(pair, one)

    assert made == []


@pytest.mark.parametrize("cls", [Slotted, Half])
def test_slots_cross_also_inherited_ones(cls: type, pair: Pair) -> None:
    back = echoed(pair, cls(1, 2))

    assert type(back) is cls
    assert (back.x, back.y, back._z) == (1, 2, 3)


def test_a_slot_that_was_never_set_stays_unset(pair: Pair) -> None:
    back = echoed(pair, SlottedMore())

    assert (back.x, back.y, back.more) == (1, 2, 4)
    assert not hasattr(back, "never_set")


def test_a_class_with_slots_and_a_dict_sends_both(pair: Pair) -> None:
    one = Half(1, 2)
    one.other = 5  # type: ignore[attr-defined]

    back = echoed(pair, one)

    assert (back.x, back.other) == (1, 5)


def test_a_subclass_crosses_under_its_own_name(pair: Pair) -> None:
    assert type(echoed(pair, Derived())) is Derived
    assert type(echoed(pair, Base())) is Base


def test_a_subclass_that_is_not_registered_does_not_arrive_as_its_base(
    pair: Pair,
) -> None:
    class Further(Base):
        pass

    text = refused(pair, Further())

    assert "Further is not registered here" in text
    assert "setUnjellyableForClass" in text


def test_a_class_that_is_not_registered_fails_that_call_alone(pair: Pair) -> None:
    text = refused(pair, [Unregistered()])

    assert f"{__name__}.Unregistered is not registered here" in text


def test_a_result_that_is_not_registered_here_fails_the_call(pair: Pair) -> None:
    pair.b.desk.objects["it"] = Unregistered()

    answer = pair.a.ask("get", "it")
    pair.deliver()

    with pytest.raises(pb.InsecureJelly, match="Unregistered is not registered"):
        answer.get()
    assert echoed(pair, 5) == 5


class Renamed(pb.Copyable):
    def getTypeToCopy(self) -> str:
        return "copies.Other"


class Other(pb.RemoteCopy):
    x: Any


def test_the_type_to_copy_names_the_receivers_class() -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass("copies.Other", Other)
    with joined(b_registry=registry) as pair:
        one = Renamed()
        one.x = 1  # type: ignore[attr-defined]

        arrived = sent(pair, one)

        assert type(arrived) is Other
        assert arrived.x == 1


def test_each_side_s_registry_is_its_own() -> None:
    class Here(pb.RemoteCopy):
        pass

    class There(pb.RemoteCopy):
        pass

    mine, theirs = pb.ClassRegistry(), pb.ClassRegistry()
    mine.setUnjellyableForClass("copies.Same", Here)
    theirs.setUnjellyableForClass("copies.Same", There)

    class Same(pb.Copyable):
        def getTypeToCopy(self) -> str:
            return "copies.Same"

    with joined(a_registry=mine, b_registry=theirs) as pair:
        pair.b.desk.objects["it"] = Same()
        answer = pair.a.ask("get", "it")
        pair.deliver()

        assert type(answer.get()) is Here
        assert type(sent(pair, Same())) is There


class Asked(pb.Copyable, pb.RemoteCopy):
    """Tells its perspective, and takes what comes."""

    def getStateToCopyFor(self, perspective: Any) -> Any:
        return ["for", perspective]

    def setCopyableState(self, state: Any) -> None:
        self.state = state


pb.setUnjellyableForClass(Asked, Asked)


def test_a_state_may_be_anything_that_crosses(pair: Pair) -> None:
    assert echoed(pair, Asked()).state == ["for", None]


class Angry(pb.Copyable, pb.RemoteCopy):
    def __init__(self, where: str) -> None:
        self.where = where

    def getStateToCopy(self) -> Any:
        if self.where == "here":
            raise ZeroDivisionError("no state")
        return {"where": self.where}

    def getTypeToCopy(self) -> Any:
        return 5 if self.where == "type" else super().getTypeToCopy()

    def setCopyableState(self, state: Any) -> None:
        raise KeyError("not taken")


pb.setUnjellyableForClass(Angry, Angry)


def test_a_hook_that_raises_at_the_sender_fails_that_call(pair: Pair) -> None:
    thing = Thing()
    answer = pair.a.ask("take", thing, Angry("here"))
    pair.deliver()

    with pytest.raises(ZeroDivisionError, match="no state"):
        answer.get()
    # What it had exported is taken back.
    assert pair.a.tables() == {}


def test_a_type_that_is_no_name_fails_that_call(pair: Pair) -> None:
    assert "getTypeToCopyFor() returned int" in refused(pair, Angry("type"), TypeError)


def test_a_state_that_is_not_taken_fails_that_call(pair: Pair) -> None:
    assert "not taken" in refused(pair, [Angry("there")], KeyError)


def test_a_result_whose_hook_raises_fails_the_call(pair: Pair) -> None:
    for where, error in (("here", ZeroDivisionError), ("there", KeyError)):
        pair.b.desk.objects["it"] = Angry(where)
        answer = pair.a.ask("get", "it")
        pair.deliver()
        with pytest.raises(error):
            answer.get()
    assert echoed(pair, 5) == 5


@pytest.mark.parametrize(
    "state", [None, 5, "ab", [1], (1,), {1: 2}, {b"x": 1}, {(): 1}, [["x", 1]]]
)
def test_a_state_that_is_no_dict_of_attributes_is_a_type_error(state: Any) -> None:
    with pytest.raises(TypeError, match="dict of attributes"):
        Point().setCopyableState(state)


@pytest.mark.parametrize(
    "name", ["__class__", "__dict__", "__weakref__", "nothing", "_geopb_entry"]
)
def test_a_state_sets_no_attribute_that_a_slotted_class_has_not(name: str) -> None:
    with pytest.raises(TypeError, match="has no attribute"):
        Slotted(1, 2).setCopyableState({name: 5})


def test_a_state_sets_attributes_past_properties_and_setattr() -> None:
    ran: list[str] = []

    class Guarded(pb.RemoteCopy):
        @property
        def x(self) -> int:
            return 5

        def __setattr__(self, name: str, value: Any) -> None:
            ran.append(name)

    one = Guarded()
    one.setCopyableState({"x": 1, "__class__": 2, "setCopyableState": 3})

    assert ran == []
    assert type(one) is Guarded
    assert one.x == 5
    assert vars(one)["x"] == 1


def test_a_remote_cache_s_own_slot_cannot_be_set_by_a_state() -> None:
    class Shown(pb.RemoteCache):
        pass

    with pytest.raises(TypeError, match="_geopb_entry"):
        Shown().setCopyableState({"_geopb_entry": 5})


def test_copies_nest_and_hold_references(pair: Pair) -> None:
    thing = Thing("answer")
    one = Point(Point(1, [Slotted(thing, 2)]), (thing,))

    back = echoed(pair, one)

    assert back.x.y[0].x is thing
    assert back.y[0] is thing


def test_a_reference_in_a_copy_can_be_called(pair: Pair) -> None:
    thing = Thing("answer")

    arrived = sent(pair, Point(thing))
    answer = arrived.x.callRemote("ask")
    pair.deliver()

    assert answer.get() == "answer"


def test_copies_in_cycles_keep_their_shape(pair: Pair) -> None:
    one, other = Point(), Slotted(1, 2)
    one.x, one.y = one, [other, {"back": one}]
    other.x = (one,)

    back = echoed(pair, one)

    assert back.x is back
    assert back.y[1]["back"] is back
    assert back.y[0].x[0] is back
    one.x = one.y = other.x = back.x = back.y = None


def test_the_state_of_inner_copies_is_taken_first(pair: Pair) -> None:
    seen: list[Any] = []

    class Watching(pb.Copyable, pb.RemoteCopy):
        def setCopyableState(self, state: Any) -> None:
            seen.append([vars(each) for each in state["inner"]])
            super().setCopyableState(state)

    pb.setUnjellyableForClass(Watching, Watching)
    one = Watching()
    one.inner = [Point(1, 2), Point(3, 4)]  # type: ignore[attr-defined]

    echoed(pair, one)

    assert seen == [[{"x": 1, "y": 2}, {"x": 3, "y": 4}]] * 2


def test_what_changes_after_the_call_was_made_does_not_cross(pair: Pair) -> None:
    one = Point(1, [2])
    answer = pair.a.ask("echo", one)
    one.x = 5
    one.y.append(6)

    pair.deliver()

    assert vars(answer.get()) == {"x": 1, "y": [2]}


class Key(pb.Copyable, pb.RemoteCopy):
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class NoKey(pb.Copyable, pb.RemoteCopy):
    __hash__ = None  # type: ignore[assignment]


class BadKey(Key):
    def __hash__(self) -> int:
        raise ZeroDivisionError("no hash")


for _cls in (Key, NoKey):
    pb.setUnjellyableForClass(_cls, _cls)


def test_copies_are_keys_and_members_with_their_state(pair: Pair) -> None:
    one = Key("a")

    back = echoed(pair, [{one: 1}, {Key("b")}, frozenset([Key("c")]), {(one,): 2}, one])

    assert back == [{one: 1}, {Key("b")}, frozenset([Key("c")]), {(one,): 2}, one]
    assert next(iter(back[0])) is back[4]
    assert next(iter(back[3]))[0] is back[4]


def test_a_key_in_the_state_of_a_copy_has_its_own_state_first(pair: Pair) -> None:
    one = Key("a")
    holder = Point({one: 1}, {one})

    # In the message the key's place comes ahead of where it is defined.
    back, again = echoed(pair, [holder, one])

    assert back.x == {again: 1}
    assert back.y == {again}
    assert next(iter(back.x)) is again


def test_copies_that_are_equal_may_not_be_in_one_set(pair: Pair) -> None:
    one, other = Key("a"), Key("b")
    both = {one, other}
    other.name = "a"

    assert "twice" in refused(pair, both)


def test_a_copy_that_cannot_be_hashed_fails_its_call(pair: Pair) -> None:
    class Fine(pb.Copyable):
        def getTypeToCopy(self) -> str:
            return f"{__name__}.NoKey"

    assert "cannot be hashed" in refused(pair, {Fine()})
    assert "cannot be hashed" in refused(pair, {Fine(): 1})
    assert "cannot be hashed" in refused(pair, frozenset([Fine()]))


def test_a_hash_that_raises_fails_its_call() -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(Key, BadKey)
    with joined(b_registry=registry) as pair:
        refused(pair, {Key("a")}, ZeroDivisionError)


# -- dataclasses ---------------------------------------------------------------------


@pb.copyable
@dataclass
class Task:
    name: str
    tags: list[str] = field(default_factory=list)
    done: bool = False
    kept: ClassVar[int] = 5


@pb.copyable
@dataclass(frozen=True)
class Frozen:
    x: Any
    y: Any = None


@pb.copyable
@dataclass(slots=True)
class WithSlots:
    x: Any
    y: Any = 2


@pb.copyable
@dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: Any
    y: Any = 2


@pb.copyable
@dataclass
class One:
    x: Any


@pb.copyable
@dataclass
class Nothing:
    pass


@pb.copyable
@dataclass
class Inherited(Task):
    owner: str = "nobody"


@dataclass
class NotMarked(Task):
    more: int = 1


@pb.copyable
@dataclass
class Checked:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")


RECORDS = [
    Task("a", ["b"], done=True),
    Frozen(1, Frozen(2, [3])),
    WithSlots(1),
    FrozenSlots(Frozen(1), (2, 3)),
    One("x"),
    Nothing(),
    Inherited("a", [], done=False, owner="me"),
]


@pytest.mark.parametrize("value", RECORDS, ids=lambda each: type(each).__name__)
def test_a_dataclass_arrives_as_an_equal_one(value: Any, pair: Pair) -> None:
    back = echoed(pair, value)

    assert type(back) is type(value)
    assert back == value
    assert back is not value


@pytest.mark.parametrize("value", RECORDS, ids=lambda each: type(each).__name__)
def test_a_list_of_dataclasses_arrives_alike(value: Any, pair: Pair) -> None:
    others = [echoed(pair, value) for _ in range(3)]

    assert echoed(pair, others) == [value] * 3
    assert all(type(each) is type(value) for each in echoed(pair, others))


def test_a_frozen_one_is_frozen_when_it_arrives(pair: Pair) -> None:
    for back in (echoed(pair, Frozen(1)), *echoed(pair, [Frozen(1), Frozen(2)])):
        with pytest.raises(FrozenInstanceError):
            back.x = 5
        assert {back: 1}[back] == 1


def test_a_frozen_one_is_a_key(pair: Pair) -> None:
    value = {Frozen(1, 2): "a", FrozenSlots(1): "b"}

    assert echoed(pair, value) == value
    assert echoed(pair, set(value)) == set(value)


def test_init_and_post_init_are_not_called(pair: Pair) -> None:
    one = Checked(1)
    one.x = -1

    assert echoed(pair, one).x == -1


def test_a_subclass_has_to_be_marked_itself(pair: Pair) -> None:
    answer = pair.a.ask("take", NotMarked("a"))

    with pytest.raises(pb.InsecureJelly, match=r"NotMarked may not cross"):
        answer.get()


def test_attributes_that_are_no_fields_stay_behind(pair: Pair) -> None:
    one = One(1)
    one.other = 2  # type: ignore[attr-defined]

    assert vars(echoed(pair, one)) == {"x": 1}


def test_a_field_that_was_deleted_fails_the_call(pair: Pair) -> None:
    one = One(1)
    del one.x

    answer = pair.a.ask("take", one)

    with pytest.raises(AttributeError):
        answer.get()


def test_dataclasses_in_cycles_and_aliases_keep_their_shape(pair: Pair) -> None:
    one = One(None)
    one.x = [one, Frozen(one)]
    task = Task("a")

    back, first, (second, third) = echoed(pair, [one, task, [task, task]])

    assert back.x[0] is back
    assert back.x[1].x is back
    assert first is second is third
    one.x = back.x = None


def test_rows_of_a_table_keep_their_aliases(pair: Pair) -> None:
    rows = [Task("a"), Task("b"), Task("c")]
    for value in ([rows, rows[1]], [rows[1], rows], [rows, [rows[2]], rows]):
        back = echoed(pair, value)
        flat = {id(each) for part in back for each in _flat(part)}
        assert back == value
        assert len(flat) == len({id(each) for part in value for each in _flat(part)})


def _flat(part: Any) -> list[Any]:
    return part if type(part) is list else [part]


class Described:
    """Keeps a field where only its own code finds it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = "_" + name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if value == "bad":
            raise ZeroDivisionError("bad")
        object.__setattr__(instance, self.name, ["set", value])


@pb.copyable
@dataclass
class WithDescriptor:
    x: Any = Described()
    y: Any = 1


def test_a_field_with_a_descriptor_is_set_by_it(pair: Pair) -> None:
    one = WithDescriptor(5)

    assert sent(pair, one).x == ["set", ["set", 5]]
    assert sent(pair, [one, WithDescriptor(6)])[1].x == ["set", ["set", 6]]


def test_a_mark_above_no_dataclass_is_a_type_error() -> None:
    for wrong in (int, Point, Task("a"), "text", None):
        with pytest.raises(TypeError, match="above @dataclass"):
            pb.copyable(wrong)  # type: ignore[type-var]


# -- Enum classes and exceptions ----------------------------------------------------


class Color(Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 (an alias is what is wanted)
    GREEN = object()


class Level(IntEnum):
    LOW = 1


class Access(Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Unknown(Enum):
    A = 1


for _cls in (Color, Level, Access):
    pb.setUnjellyableForClass(_cls, _cls)


@pytest.mark.parametrize(
    "member",
    [
        Color.RED,
        Color.GREEN,
        Level.LOW,
        Access.READ,
        Access.BOTH,
        Access(0),
    ],
    ids=str,
)
def test_an_enum_member_is_itself_when_it_arrives(member: Any, pair: Pair) -> None:
    assert echoed(pair, member) is member
    assert echoed(pair, {member: [member]}) == {member: [member]}


def test_an_alias_and_a_combined_flag_are_the_same_members(pair: Pair) -> None:
    class Open(Flag):
        ONE = 1
        TWO = 2
        FOUR = 4

    pb.setUnjellyableForClass(Open, Open)
    assert echoed(pair, Color.CRIMSON) is Color.RED
    for flags in (Open.ONE | Open.FOUR, ~Open.TWO, Open(7)):
        assert echoed(pair, flags) is flags


def test_a_member_of_an_enum_that_is_not_registered_may_not_cross(pair: Pair) -> None:
    answer = pair.a.ask("take", Unknown.A)

    with pytest.raises(pb.InsecureJelly, match="Unknown may not cross"):
        answer.get()


class Problem(Exception):
    def __init__(self, text: str, *, code: int) -> None:
        super().__init__(text)
        self.code = code


pb.setUnjellyableForClass(Problem, Problem)


def test_a_registered_exception_crosses_as_a_value(pair: Pair) -> None:
    one = Problem("text", code=5)
    one.__cause__ = KeyError()

    back = echoed(pair, [one, one])

    assert back[0] is back[1]
    assert type(back[0]) is Problem
    assert (back[0].args, back[0].code) == (("text",), 5)
    assert back[0].__cause__ is back[0].__traceback__ is None


def test_a_registered_exception_that_is_raised_arrives_with_attributes(
    pair: Pair,
) -> None:
    class Raising(pb.Referenceable):
        def remote_fail(self) -> None:
            error = Problem("text", code=5)
            error.point = Point(1, 2)  # type: ignore[attr-defined]
            error.hidden = object()  # type: ignore[attr-defined]
            raise error

    reference = sent(pair, Raising())
    answer = reference.callRemote("fail")
    pair.deliver()

    with pytest.raises(Problem, match="text") as raised:
        answer.get()
    assert raised.value.code == 5
    assert vars(raised.value.point) == {"x": 1, "y": 2}  # type: ignore[attr-defined]
    assert not hasattr(raised.value, "hidden")
    # The failure keeps the last message's values as long as it lives.
    answer.failure = None
    raised.value.__dict__.clear()


def test_an_exception_that_is_not_registered_is_no_value(pair: Pair) -> None:
    answer = pair.a.ask("take", KeyError("x"))

    with pytest.raises(pb.InsecureJelly, match="KeyError may not cross"):
        answer.get()
