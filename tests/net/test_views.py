"""Views and avatars: who calls is this side's own knowledge, never the caller's."""

# ruff: noqa: N802 (names of the API stand in test names)

from __future__ import annotations

import logging
from typing import Any

import pytest

import geopb as pb
from tests.conftest import Pair, Serve
from tests.net.caches import Followed, Log, until
from tests.net.peers import Peer
from tests.net.roots import Doing, root_of
from tests.support import eventually
from tests.vectors.cbor import Tag, frame

MINE, YOURS = 60100, 60101
CALL, ERROR = 1, 3


class Board(pb.Viewable):
    """Looked at by users; each sees it as itself."""

    def __init__(self) -> None:
        self.inner: Any = None
        self.secret = "an attribute"

    def view_who(self, perspective: Any) -> Any:
        return getattr(perspective, "name", perspective)

    def view_args(self, perspective: Any, *args: Any, **kw: Any) -> Any:
        return [getattr(perspective, "name", perspective), list(args), kw]

    def view_strict(self, perspective: Any, text: str = "") -> Any:
        return [getattr(perspective, "name", perspective), text]

    def view_any(self, perspective: Any, /, **kw: Any) -> Any:
        return [getattr(perspective, "name", perspective), kw]

    def view_inner(self, perspective: Any) -> Any:
        return self.inner

    def view_holds(self, perspective: Any) -> Any:
        return {"deep": [(self.inner,)]}

    def view_copy(self, perspective: Any) -> Any:
        return Shown()

    def view_is(self, perspective: Any, other: Any) -> bool:
        return other is self

    def view_give(self, perspective: Any, to: Any) -> Any:
        return to.callRemote("take", self.inner).get(timeout=5)

    def view__private(self, perspective: Any) -> None:
        raise AssertionError("not to be called")

    def remote_who(self) -> None:
        raise AssertionError("not to be called")


class Shown(pb.Copyable):
    def getStateToCopyFor(self, perspective: Any) -> Any:
        return {"to": getattr(perspective, "name", perspective)}


class SeenCopy(pb.RemoteCopy):
    to: Any


pb.setUnjellyableForClass(Shown, SeenCopy)


class User(pb.Avatar):
    def __init__(self, name: str, board: Board, log: Log | None = None) -> None:
        self.name = name
        self.board = board
        self.log = log

    def perspective_board(self) -> Any:
        return self.board

    def perspective_name(self, *args: Any, **kw: Any) -> Any:
        return [self.name, list(args), kw]

    def perspective_log(self) -> Any:
        return self.log

    def perspective_copy(self) -> Any:
        return [Shown()]

    def perspective_take(self, copy: Any) -> Any:
        return copy

    def perspective__private(self) -> None:
        raise AssertionError("not to be called")

    def remote_name(self) -> None:
        raise AssertionError("not to be called")


class Door(pb.Root):
    """Gives out avatars by name, as a login will."""

    def __init__(self, **shared: Any) -> None:
        self.board = Board()
        self.shared = shared
        self.users: dict[str, Any] = {}

    def remote_enter(self, name: str) -> Any:
        user = self.users.setdefault(name, User(name, self.board, **self.shared))
        return pb.AsReferenceable(user, "perspective")

    def remote_board(self) -> Any:
        return self.board

    def remote_is_board(self, other: Any) -> bool:
        return other is self.board

    def remote_inner_is(self, other: Any) -> bool:
        return other is self.board.inner


class Taking(pb.Referenceable):
    def __init__(self) -> None:
        self.took: list[Any] = []

    def remote_take(self, what: Any) -> None:
        self.took.append(what)


def ask(reference: Any, *args: Any, **kw: Any) -> Any:
    return reference.callRemote(*args, **kw).get(timeout=5)


@pytest.fixture
def remote(pair: Pair) -> Any:
    _, client = pair(Door())
    return root_of(client)


def enter(remote: Any, name: str) -> Any:
    return ask(remote, "enter", name)


# -- views -----------------------------------------------------------------------------


def test_a_view_method_gets_the_callers_perspective_first(remote: Any) -> None:
    board = ask(enter(remote, "ada"), "board")

    assert type(board) is pb.RemoteReference
    assert ask(board, "who") == "ada"
    assert ask(board, "args", 1, 2, a=3) == ["ada", [1, 2], {"a": 3}]


def test_a_view_from_a_plain_root_has_no_perspective(remote: Any) -> None:
    board = ask(remote, "board")

    assert ask(board, "who") is None
    assert ask(board, "args", "ada") == [None, ["ada"], {}]


def test_each_user_sees_the_same_object_as_itself(serve: Serve) -> None:
    server = serve(Door())
    with pb.connect(server.address) as one, pb.connect(server.address) as two:
        boards = [
            ask(enter(root_of(client), name), "board")
            for client, name in ((one, "ada"), (two, "bob"))
        ]

        assert [ask(board, "who") for board in boards] == ["ada", "bob"]
        assert [ask(board, "who") for board in boards] == ["ada", "bob"]


def test_two_users_on_one_connection_do_not_mix(remote: Any) -> None:
    ada, bob = enter(remote, "ada"), enter(remote, "bob")

    one, two, nobodys = ask(ada, "board"), ask(bob, "board"), ask(remote, "board")

    assert len({one, two, nobodys}) == 3
    assert [ask(each, "who") for each in (one, two, nobodys)] == ["ada", "bob", None]
    assert ask(ada, "board") is one
    assert ask(bob, "board") is two


def test_a_view_that_is_sent_home_is_the_object_itself(remote: Any) -> None:
    board = ask(enter(remote, "ada"), "board")

    assert ask(remote, "is_board", board)
    assert ask(board, "is", board)


@pytest.mark.parametrize(
    ("method", "args", "kw", "got"),
    [
        ("strict", (), {"perspective": "root"}, None),
        ("args", (), {"perspective": "root"}, None),
        ("strict", ("root", "text"), {}, None),
        ("args", ("root",), {}, ["ada", ["root"], {}]),
        ("any", (), {"perspective": "root"}, ["ada", {"perspective": "root"}]),
        ("any", (), {"self": "root"}, ["ada", {"self": "root"}]),
        ("args", (), {"self": 1}, None),
    ],
)
def test_nothing_that_a_caller_sends_is_taken_for_the_perspective(
    remote: Any,
    geopb_log: list[logging.LogRecord],
    method: str,
    args: Any,
    kw: Any,
    got: Any,
) -> None:
    board = ask(enter(remote, "ada"), "board")

    if got is None:
        with pytest.raises(TypeError):
            ask(board, method, *args, **kw)
    else:
        assert ask(board, method, *args, **kw) == got
    assert ask(board, "who") == "ada"
    # The caller's mistake: no traceback of the server's.
    assert not [each for each in geopb_log if each.exc_info]


@pytest.mark.parametrize(
    "name", ["_private", "", "secret", "__init__", "who.x", "object", "perspective"]
)
def test_only_view_methods_can_be_called_on_a_view(remote: Any, name: str) -> None:
    board = ask(enter(remote, "ada"), "board")

    with pytest.raises(pb.NoSuchMethod):
        ask(board, name)


def test_views_that_views_return_keep_the_perspective(pair: Pair) -> None:
    door = Door()
    _, client = pair(door)
    door.board.inner = Board()
    door.board.inner.inner = Board()
    board = ask(enter(root_of(client), "ada"), "board")

    inner = ask(board, "inner")
    innermost = ask(inner, "inner")
    held = ask(board, "holds")["deep"][0][0]

    assert [ask(each, "who") for each in (inner, innermost, held)] == ["ada"] * 3
    assert held is inner
    assert ask(root_of(client), "inner_is", inner)
    nobodys = ask(ask(root_of(client), "board"), "inner")
    assert ask(nobodys, "who") is None


def test_a_view_that_a_view_passes_to_the_client_keeps_the_perspective(
    pair: Pair,
) -> None:
    door = Door()
    _, client = pair(door)
    door.board.inner = Board()
    board = ask(enter(root_of(client), "ada"), "board")
    taking = Taking()

    ask(board, "give", taking)

    assert ask(taking.took[0], "who") == "ada"


def test_a_client_may_show_the_server_a_view_too(pair: Pair) -> None:
    seen: list[Any] = []
    _, client = pair(Doing(lambda view: seen.append(ask(view, "who"))))

    ask(root_of(client), "do", Board())

    assert seen == [None]


def test_a_view_point_made_by_hand_sees_what_it_was_made_for(pair: Pair) -> None:
    user = User("ada", Board())
    board = Board()
    board.inner = Board()
    _, client = pair(Doing(lambda: pb.ViewPoint(user, board)))

    view = ask(root_of(client), "do")

    assert ask(view, "who") == "ada"
    assert ask(ask(view, "inner"), "who") == "ada"


def test_a_dropped_view_is_forgotten(pair: Pair) -> None:
    server, client = pair(Door())
    remote = root_of(client)
    ask(ask(enter(remote, "ada"), "board"), "who")

    (connection,) = server.connections
    until(lambda: connection.statistics()["exports"] == 1)
    assert ask(ask(enter(remote, "ada"), "board"), "who") == "ada"


def test_copies_are_asked_for_their_state_by_perspective(remote: Any) -> None:
    ada = enter(remote, "ada")

    assert ask(ask(ada, "board"), "copy").to == "ada"
    assert ask(ada, "copy")[0].to == "ada"
    assert ask(ask(remote, "board"), "copy").to is None


def test_caches_are_shown_by_perspective(pair: Pair) -> None:
    log = Log()
    door = Door(log=log)
    _, client = pair(door)

    cache = ask(enter(root_of(client), "ada"), "log")

    assert type(cache) is Followed
    assert list(log.observers.values()) == [door.users["ada"]]
    client.disconnect()
    eventually(lambda: not log.observers)
    assert [(told, who.name) for told, who, _ in log.story] == [
        ("began", "ada"),
        ("stopped", "ada"),
    ]


# -- avatars and AsReferenceable -------------------------------------------------------


def test_an_avatars_methods_are_called_by_their_prefix(remote: Any) -> None:
    assert ask(enter(remote, "ada"), "name", 1, a=2) == ["ada", [1], {"a": 2}]


@pytest.mark.parametrize("name", ["_private", "", "log", "name.x", "__class__"])
def test_only_perspective_methods_can_be_called_on_an_avatar(
    pair: Pair, name: str
) -> None:
    _, client = pair(Door())
    ada = enter(root_of(client), "ada")
    if name == "log":
        assert ask(ada, name) is None
        return

    with pytest.raises(pb.NoSuchMethod):
        ask(ada, name)


def test_an_avatar_does_not_cross_by_itself(pair: Pair) -> None:
    _, client = pair(Doing(lambda: User("ada", Board())))

    with pytest.raises(pb.InsecureJelly, match="User"):
        ask(root_of(client), "do")


def test_as_referenceable_passes_calls_to_any_dispatch(pair: Pair) -> None:
    class Own:
        def whateverMessageReceived(
            self, broker: object, message: str, args: Any, kw: Any
        ) -> Any:
            return [message, list(args), dict(kw)]

    _, client = pair(Doing(lambda: pb.AsReferenceable(Own(), "whatever")))

    reference = ask(root_of(client), "do")

    assert ask(reference, "any name", 1, a=2) == ["any name", [1], {"a": 2}]


def test_as_referenceable_is_remote_by_default(pair: Pair) -> None:
    class Target(pb.Referenceable):
        def remote_go(self) -> str:
            return "gone"

    _, client = pair(Doing(lambda: pb.AsReferenceable(Target())))

    assert ask(ask(root_of(client), "do"), "go") == "gone"


def test_as_referenceable_needs_the_dispatch_method() -> None:
    with pytest.raises(AttributeError, match="perspectiveMessageReceived"):
        pb.AsReferenceable(object(), "perspective")


# -- peers that forge ------------------------------------------------------------------


def test_ids_that_were_never_given_are_no_views(
    serve: Serve, geopb_log: list[logging.LogRecord]
) -> None:
    door = Door()
    server = serve(door)
    with pb.connect(server.address) as client, Peer(server) as peer:
        board = ask(enter(root_of(client), "ada"), "board")
        peer.call(2, "enter", "bob")
        bob = peer.read_answer(2)[2][0].value
        peer.call(3, "board", target=bob)
        mine = peer.read_answer(3)[2][0].value

        # The ids of the other connection's views are nothing here.
        for number in range(bob + 10):
            if number in (0, 1, bob, mine):
                continue
            question = 100 + number
            peer.call(question, "who", target=number)
            error = peer.read_answer(question)
            assert error[:3] == [ERROR, question, "geopb.InsecureJelly"]
        peer.call(50, "who", target=mine)
        assert peer.read_answer(50)[2] == ["bob"]
        assert ask(board, "who") == "ada"
    assert not [each for each in geopb_log if each.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "forged",
    [
        Tag(YOURS, 0),
        Tag(YOURS, 99),
        Tag(60125, [5, "tests.net.test_views.User", {"name": "root"}]),
        Tag(60122, ["tests.net.test_views.User", {"name": "root"}]),
        Tag(60122, ["tests.net.test_views.Board", {}]),
        Tag(60122, ["geopb.ViewPoint", {"perspective": 1, "object": 2}]),
    ],
    ids=repr,
)
def test_a_perspective_that_a_peer_makes_up_is_an_error_to_it(
    serve: Serve, forged: Tag
) -> None:
    server = serve(Door())
    with Peer(server) as peer:
        peer.call(2, "enter", "bob")
        bob = peer.read_answer(2)[2][0].value
        peer.call(3, "board", target=bob)
        board = peer.read_answer(3)[2][0].value

        peer.call(4, "any", forged, target=board)
        peer.send(frame([CALL, 5, board, "any", [], {"perspective": forged}]))
        for number in (4, 5):
            assert peer.read_answer(number)[:3] == [
                ERROR,
                number,
                "geopb.InsecureJelly",
            ]
        peer.call(6, "who", target=board)
        assert peer.read_answer(6)[2] == ["bob"]


def test_a_reference_of_the_peers_own_is_no_perspective(serve: Serve) -> None:
    server = serve(Door())
    with Peer(server) as peer:
        peer.call(2, "enter", "bob")
        peer.call(3, "board", target=peer.read_answer(2)[2][0].value)
        board = peer.read_answer(3)[2][0].value

        peer.call(4, "args", Tag(MINE, 7), target=board)

        who, args, _ = peer.read_answer(4)[2][0]
        assert who == "bob"
        assert len(args) == 1
