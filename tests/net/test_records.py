"""Dataclasses, Enums and exceptions over a connection: they arrive as themselves."""

from __future__ import annotations

import dataclasses
import enum
import logging
import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.peers import Peer
from tests.net.roots import Doing, root_of
from tests.vectors.cbor import Tag, frame

COPY, COPIES, ENUM = 60122, 60123, 60124
CALL, ERROR = 1, 3


@pb.copyable
@dataclass
class Plain:
    name: str
    values: list[Any] = field(default_factory=list)
    kind: ClassVar[str] = "not a field"


@pb.copyable
@dataclass(frozen=True)
class Frozen:
    x: int
    y: Any = 0


@pb.copyable
@dataclass(slots=True)
class Slots:
    x: int
    inner: Any = None


@pb.copyable
@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class FrozenSlots:
    x: int
    y: Any = 0


@pb.copyable
@dataclass
class Child(Plain):
    more: int = 1


@dataclass
class Unmarked(Plain):
    pass


@pb.copyable
@dataclass(slots=True)
class SlotChild(Slots):
    more: int = 1


@pb.copyable
@dataclass
class Empty:
    pass


@pb.copyable
@dataclass
class Counted:
    """Code of its own that must not be run by a peer."""

    n: int
    runs: ClassVar[list[str]] = []

    def __post_init__(self) -> None:
        self.runs.append("__post_init__")

    def __setattr__(self, name: str, value: Any) -> None:
        self.runs.append("__setattr__")
        super().__setattr__(name, value)


@pb.copyable
@dataclass
class Partial:
    shown: int
    computed: int = field(init=False, default=5)
    hidden: int = field(repr=False, compare=False, default=7)


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"
    VERT = "green"  # noqa: PIE796 (an alias)


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    YES = "yes"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class IntRights(enum.IntFlag):
    A = 1
    B = 2


class Masks(enum.Flag):
    LOW = 3
    HIGH = 12


class Unregistered(enum.Enum):
    MEMBER = 1


class Broken(Exception):
    def __init__(self, part: str, *, code: int = 0) -> None:
        super().__init__(part)
        self.code = code


class Worse(Broken):
    pass


class Expected(pb.Error):
    pass


class Jam(OSError):
    __slots__ = ("length",)
    length: int


class Refusing(Exception):
    def __init__(self) -> None:
        super().__init__("made by __init__")


for _cls in (
    Colour,
    Number,
    Word,
    Rights,
    IntRights,
    Masks,
    Broken,
    Jam,
    Refusing,
    Expected,
):
    pb.setUnjellyableForClass(_cls, _cls)


@pytest.fixture
def remote(pair: Pair) -> Any:
    _, client = pair(Doing())
    return root_of(client)


def echo(remote: Any, value: Any) -> Any:
    return remote.callRemote("echo", value).get(timeout=5)


# -- dataclasses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        Plain("a", [1, (2,)]),
        Frozen(1, {"k": {1}}),
        Slots(1, [2]),
        FrozenSlots(x=1, y=None),
        Child("c", [1], 7),
        SlotChild(1, 2, 3),
        Empty(),
        Partial(1),
        Plain("outer", [Frozen(1, Slots(2, FrozenSlots(x=3)))]),
    ],
    ids=repr,
)
def test_a_dataclass_arrives_equal_and_new(remote: Any, value: Any) -> None:
    for number in range(3):
        # Alone, in a list, in a list of its own kind.
        sent = [value] * (number > 0) + [dataclasses.replace(value)] * (number > 1)
        back = echo(remote, sent or value)
        assert back == (sent or value)
        one = back[0] if sent else back
        assert type(one) is type(value)
        assert one is not value


def test_fields_keep_what_they_were_not_their_defaults(remote: Any) -> None:
    value = Partial(1, hidden=2)
    value.computed = 3

    back = echo(remote, value)

    assert (back.shown, back.computed, back.hidden) == (1, 3, 2)


def test_what_is_no_field_does_not_cross(remote: Any) -> None:
    value = Plain("a")
    value.extra = 1  # type: ignore[attr-defined]

    assert not hasattr(echo(remote, value), "extra")


def test_no_code_of_a_dataclass_is_run_on_arrival(pair: Pair) -> None:
    seen: list[Any] = []
    _, client = pair(Doing(seen.append))
    value = Counted(4)
    Counted.runs.clear()

    root_of(client).callRemote("do", value).get(timeout=5)
    root_of(client).callRemote("do", [value, Counted(5)]).get(timeout=5)

    assert seen[0].n == 4
    assert [each.n for each in seen[1]] == [4, 5]
    # One was made here.
    assert Counted.runs == ["__setattr__", "__post_init__"]


def test_a_frozen_dataclass_is_a_key_and_a_member(remote: Any) -> None:
    key, other = Frozen(1, (2,)), FrozenSlots(x=1)
    value = {key: "a", (other, 1): "b", "set": {key, other}, "f": frozenset([key])}

    back = echo(remote, value)

    assert back == value
    assert back[Frozen(1, (2,))] == "a"


def test_the_same_dataclass_twice_is_one_object(remote: Any) -> None:
    one = Plain("a")

    a, b, c = echo(remote, [one, one, Plain("b", [one])])

    assert a is b is c.values[0]


def test_a_list_of_many_keeps_aliases_into_it(remote: Any) -> None:
    many = [Frozen(n, str(n)) for n in range(100)]

    back = echo(remote, {"many": many, "last": many[-1], "again": many})

    assert back["many"] == many
    assert back["last"] is back["many"][-1]
    assert back["again"] is back["many"]


def test_dataclasses_may_stand_in_cycles(remote: Any) -> None:
    slots = Slots(1)
    slots.inner = [slots, Frozen(1, slots)]

    back = echo(remote, slots)

    assert back.inner[0] is back
    assert back.inner[1].y is back


def test_a_dataclass_holds_references_and_bulk(remote: Any) -> None:
    two = pb.Referenceable()
    data = b"x" * 300_000

    back = echo(remote, [Plain("a", [two, remote, data]), Plain("b", [data])])

    assert back[0].values[0] is two
    assert back[0].values[1] is remote
    assert back[0].values[2] == back[1].values[0] == data


def test_a_subclass_of_a_marked_dataclass_has_to_be_marked(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match="Unmarked"):
        echo(remote, Unmarked("a"))
    with pytest.raises(pb.InsecureJelly, match="Unmarked"):
        echo(remote, [Unmarked("a"), Unmarked("b")])

    assert echo(remote, 1) == 1


def test_a_field_that_may_not_cross_fails_that_call(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match=r"builtins\.object"):
        echo(remote, [Frozen(object()), Frozen(1)])  # type: ignore[arg-type]

    assert echo(remote, 1) == 1


@pytest.mark.parametrize("cls", [int, object, pb.Copyable, Colour, 5])
def test_copyable_stands_above_a_dataclass(cls: Any) -> None:
    with pytest.raises(TypeError, match="@dataclass"):
        pb.copyable(cls)


def test_copyable_of_an_object_of_a_dataclass_is_an_error() -> None:
    with pytest.raises(TypeError, match="@dataclass"):
        pb.copyable(Plain("a"))  # type: ignore[type-var]


def test_a_field_that_was_deleted_fails_that_call(remote: Any) -> None:
    value = Slots(1)
    del value.inner

    with pytest.raises(AttributeError):
        echo(remote, value)
    with pytest.raises(AttributeError):
        echo(remote, [value, Slots(2)])
    assert echo(remote, 1) == 1


# -- fields that do not fit ------------------------------------------------------------


@pb.copyable
@dataclass
class Older:
    a: int
    b: int


@pb.copyable
@dataclass
class Newer:
    a: int
    b: int
    c: int


@pytest.mark.parametrize("number", [1, 2], ids=["one", "a table"])
@pytest.mark.parametrize(
    ("sent", "local", "says"),
    [
        (Older(1, 2), Newer, "came without its field c"),
        (Newer(1, 2, 3), Older, "has no field c"),
    ],
    ids=["missing", "unknown"],
)
def test_a_field_too_few_or_too_many_is_named(
    pair: Pair, sent: Any, local: type, says: str, number: int
) -> None:
    registry = pb.ClassRegistry()
    registry.setUnjellyableForClass(type(sent), local)
    _, client = pair(Doing(), server_options={"registry": registry})
    remote = root_of(client)
    value = [dataclasses.replace(sent) for _ in range(number)]

    with pytest.raises(pb.InsecureJelly, match=says):
        echo(remote, value)

    assert echo(remote, 1) == 1


NAME = f"{__name__}.Older"
GOOD = Tag(COPY, [NAME, {"a": 1, "b": 2}])


def told(tag: Tag) -> str:
    return f"{tag.number} {tag.content}".replace(f"{__name__}.", "")[:80]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Tag(COPY, [NAME, {"a": 1}]), "field b"),
        (Tag(COPY, [NAME, {}]), "field a"),
        (Tag(COPY, [NAME, {"a": 1, "b": 2, "__class__": 3}]), "__class__"),
        (Tag(COPY, [NAME, {"a": 1, "b": 2, "__dict__": {}}]), "__dict__"),
        (Tag(COPY, [NAME, ["a", "b"]]), "map of its fields"),
        (Tag(COPY, [NAME, None]), "map of its fields"),
        (Tag(COPY, [NAME]), "type and a state"),
        (Tag(COPY, [NAME, {}, {}]), "type and a state"),
        (Tag(COPY, NAME), "type and a state"),
        (Tag(COPY, {}), "type and a state"),
        (Tag(COPY, [7, {}]), "type and a state"),
        (Tag(COPY, [GOOD, {}]), "type and a state"),
        (Tag(COPY, ["os.system", {}]), "os.system is not registered"),
        (Tag(COPY, ["builtins.object", {}]), "builtins.object is not"),
        (Tag(COPY, ["", {}]), "not registered"),
        (Tag(COPY, [f"{__name__}.Plain.__init__", {}]), "not registered"),
        (Tag(COPY, ["x\nforged\x1b[31m", {}]), "not registered"),
        (Tag(COPY, [f"{__name__}.Colour", {}]), "no class of copies"),
        (Tag(ENUM, [NAME, "a"]), "no Enum"),
        (Tag(ENUM, [f"{__name__}.Colour", "BLUE"]), "BLUE"),
        (Tag(ENUM, [f"{__name__}.Colour", "name"]), "no member"),
        (Tag(ENUM, [f"{__name__}.Colour", "__class__"]), "no member"),
        (Tag(ENUM, [f"{__name__}.Colour", 1]), "no member"),
        (Tag(ENUM, [f"{__name__}.Colour", ["RED"]]), "no member"),
        (Tag(ENUM, [f"{__name__}.Rights", ["READ", "NONE"]]), "no member"),
        (Tag(ENUM, [f"{__name__}.Rights", ["READ", 2]]), "no member"),
        (Tag(ENUM, [f"{__name__}.Rights", ["READ"] * 100]), "no member"),
        (Tag(COPIES, [NAME, ["a", "b"], [[1, 2], [1]], []]), "another length"),
        (Tag(COPIES, [NAME, ["a"], [[1]], []]), "field b"),
        (Tag(COPIES, [NAME, ["a", "c"], [[1, 2]], []]), "no field c"),
        (Tag(COPIES, [NAME, ["a", "a", "b"], [[1, 2, 3]], []]), "twice"),
        (Tag(COPIES, [NAME, [1, 2], [[1, 2]], []]), "no names"),
        (Tag(COPIES, [NAME, ["a", "b"], {}, []]), "no table"),
        (Tag(COPIES, [NAME, ["a", "b"], [[1, 2]], [0]]), "no table"),
        (Tag(COPIES, [NAME, ["a", "b"], [[1, 2]], [0, 1]]), "no row"),
        (Tag(COPIES, [NAME, ["a", "b"], [[1, 2]], ["x", 0]]), "number"),
        (Tag(COPIES, [f"{__name__}.Colour", [], [], []]), "no copyable dataclass"),
        (Tag(COPIES, [f"{__name__}.Slotless", [], [], []]), "not registered"),
    ],
    ids=lambda value: told(value) if isinstance(value, Tag) else "",
)
def test_a_hostile_copy_is_an_error_to_its_sender_alone(
    serve: Serve, geopb_log: list[logging.LogRecord], value: Tag, named: str
) -> None:
    ran: list[Any] = []
    server = serve(Doing(ran.append))

    with Peer(server) as peer:
        peer.call(2, "do", value)
        peer.call(3, "do", [1, {"deep": [value]}])
        for number in (2, 3):
            kind, _, raised, message, *_ = peer.read_answer(number)
            assert (kind, raised) == (ERROR, "geopb.InsecureJelly")
            assert named in message
            assert "\n" not in message
            assert "\x1b" not in message
        assert not ran
        peer.call(4, "echo", GOOD)
        peer.call(5, "echo", "alive")
        assert peer.read_answer(5)[2] == ["alive"]
        assert peer.read_answer(4)[0] != ERROR
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


def test_a_name_to_import_imports_nothing(serve: Serve) -> None:
    server = serve(Doing())
    name = "xml.dom.pulldom"
    assert name not in sys.modules

    with Peer(server) as peer:
        for number, each in enumerate((f"{name}.DOMEventStream", name), 2):
            peer.call(number, "echo", Tag(COPY, [each, {}]))
            assert peer.read_answer(number)[0] == ERROR
        peer.send(frame([CALL, 9, 1, "echo", [], {"value": Tag(ENUM, [name, "x"])}]))
        assert peer.read_answer(9)[0] == ERROR

    assert name not in sys.modules


# -- Enums -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member",
    [
        Colour.RED,
        Colour.VERT,
        Number.ONE,
        Word.YES,
        Rights.READ,
        Rights.READ | Rights.RUN,
        Rights(0),
        ~Rights.READ,
        IntRights.A | IntRights.B,
    ],
    ids=repr,
)
def test_a_member_of_a_registered_enum_arrives_as_itself(
    remote: Any, member: Any
) -> None:
    back = echo(remote, [member, {member: member}, {member}, Frozen(1, member)])

    assert back[0] is member
    assert back[1] == {member: member}
    assert back[2] == {member}
    assert back[3].y is member


def test_a_member_of_another_enum_is_insecure(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match="Unregistered"):
        echo(remote, Unregistered.MEMBER)

    assert echo(remote, 1) == 1


def test_bits_of_a_flag_that_have_no_name_are_never_dropped(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match=r"IntRights.*65"):
        echo(remote, IntRights(1 | 64))

    assert echo(remote, 1) == 1


def test_a_flag_combined_of_masks_arrives_whole(remote: Any) -> None:
    both = Masks.LOW | Masks.HIGH

    assert echo(remote, [both, Masks.LOW]) == [both, Masks.LOW]


def test_an_enum_without_members_cannot_be_registered() -> None:
    class Nothing(enum.Enum):
        pass

    with pytest.raises(TypeError):
        pb.setUnjellyableForClass(Nothing, Nothing)


# -- exceptions ------------------------------------------------------------------------


def broken() -> Broken:
    error = Broken("wheel", code=7)
    error.where = ["front", Frozen(1)]  # type: ignore[attr-defined]
    return error


def is_as_sent(error: Any) -> bool:
    return (
        type(error) is Broken
        and error.args == ("wheel",)
        and error.code == 7
        and error.where == ["front", Frozen(1)]
    )


def test_a_registered_exception_is_raised_as_itself_with_its_attributes(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        raise broken()

    _, client = pair(Doing(fail))

    with pytest.raises(Broken) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert is_as_sent(caught.value)
    assert len(geopb_log) == 1


def test_an_exception_crosses_as_a_value_both_ways(pair: Pair) -> None:
    seen: list[Any] = []

    def take(error: Any) -> Any:
        seen.append(error)
        return [error, broken()]

    _, client = pair(Doing(take))

    back = root_of(client).callRemote("do", broken()).get(timeout=5)

    assert all(map(is_as_sent, [*seen, *back]))


def test_a_callback_that_raises_tells_the_server_the_same(
    pair: Pair, geopb_log: Any
) -> None:
    class Fails(pb.Referenceable):
        def remote_go(self) -> None:
            raise broken()

    def call(target: Any) -> bool:
        try:
            target.callRemote("go").get(timeout=5)
        except Broken as error:
            return is_as_sent(error)
        return False

    _, client = pair(Doing(call))

    assert root_of(client).callRemote("do", Fails()).get(timeout=5)


def test_no_init_of_an_exception_is_run_on_arrival(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        error = Refusing()
        error.args = ("changed", 2)
        raise error

    _, client = pair(Doing(fail))

    with pytest.raises(Refusing) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert caught.value.args == ("changed", 2)


def test_an_attribute_that_may_not_cross_stays_behind(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        error = Broken("wheel", code=1)
        error.secret = object()  # type: ignore[attr-defined]
        raise error

    _, client = pair(Doing(fail))

    with pytest.raises(Broken) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert vars(caught.value)["code"] == 1
    assert not hasattr(caught.value, "secret")


def test_a_subclass_of_a_registered_exception_is_not_it(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        raise Worse("wheel")

    _, client = pair(Doing(fail))

    promise = root_of(client).callRemote("do")
    with pytest.raises(pb.RemoteError) as caught:
        promise.get(timeout=5)

    assert caught.value.remote_type == f"{__name__}.Worse"
    with pytest.raises(pb.InsecureJelly, match="Worse"):
        echo(root_of(client), Worse("wheel"))


def test_slots_and_the_fields_of_an_os_error_cross_as_well(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail(error: Any) -> None:
        seen.append(error)
        error.extra = "added"
        raise error

    seen: list[Any] = []
    _, client = pair(Doing(fail))
    jam = Jam(11, "stuck", "road")
    jam.length = 3

    with pytest.raises(Jam) as caught:
        root_of(client).callRemote("do", jam).get(timeout=5)

    for error in (seen[0], caught.value):
        assert (error.errno, error.strerror, error.filename) == (11, "stuck", "road")
        assert error.length == 3
        assert str(error) == str(jam)
    assert vars(caught.value)["extra"] == "added"


def test_an_exception_that_is_not_registered_is_no_value(remote: Any) -> None:
    with pytest.raises(pb.InsecureJelly, match="ValueError"):
        echo(remote, [ValueError("x")])

    assert echo(remote, 1) == 1


def test_attributes_of_exceptions_that_are_not_registered_stay_behind(
    pair: Pair,
) -> None:
    class Quiet(pb.Error):
        pass

    def fail() -> None:
        error = Quiet("text")
        error.password = "secret"  # type: ignore[attr-defined]
        raise error

    _, client = pair(Doing(fail))

    with pytest.raises(Quiet) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert not hasattr(caught.value, "password")


def test_a_registered_expected_error_brings_its_attributes_unlogged(
    pair: Pair, geopb_log: list[logging.LogRecord]
) -> None:
    def fail() -> None:
        error = Expected("text")
        error.code = 3  # type: ignore[attr-defined]
        raise error

    _, client = pair(Doing(fail))

    with pytest.raises(Expected) as caught:
        root_of(client).callRemote("do").get(timeout=5)

    assert vars(caught.value)["code"] == 3
    assert not geopb_log


@pytest.mark.parametrize(
    "state",
    [
        {},
        None,
        [],
        [[]],
        [[], []],
        [[], {b"x": 2}],
        [{}, {}],
        ["text", {}],
        [[], {}, 1],
    ],
    ids=repr,
)
def test_a_hostile_exception_value_is_refused(serve: Serve, state: Any) -> None:
    ran: list[Any] = []
    server = serve(Doing(ran.append))

    with Peer(server) as peer:
        peer.call(2, "do", Tag(COPY, [f"{__name__}.Broken", state]))
        assert peer.read_answer(2)[:3] == [ERROR, 2, "geopb.InsecureJelly"]
        peer.call(3, "echo", 1)
        assert peer.read_answer(3)[2] == [1]
    assert not ran


@pytest.mark.parametrize(
    "name", ["__class__", "__cause__", "__traceback__", "__dict__", "args"]
)
def test_an_exceptions_attributes_cannot_be_its_own_workings(
    serve: Serve, name: str
) -> None:
    seen: list[Any] = []
    server = serve(Doing(seen.append))

    with Peer(server) as peer:
        state = [["wheel"], {name: "forged"}]
        peer.call(2, "do", Tag(COPY, [f"{__name__}.Broken", state]))
        peer.read_answer(2)

    (error,) = seen
    assert type(error) is Broken
    assert error.__class__ is Broken
    assert error.__cause__ is None
    assert error.args == ("wheel",)
