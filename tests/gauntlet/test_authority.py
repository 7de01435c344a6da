"""What a peer may call: the methods with a prefix, of the objects it was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import geopb as pb
from geopb.jelly import tags
from geopb.wire import messages
from tests.gauntlet.arena import Arena
from tests.gauntlet.conftest import MakeArena
from tests.net.peers import ROOT, Peer
from tests.vectors import classes  # noqa: F401 (registers what is sent here)
from tests.vectors.cbor import Pairs, Raw, Tag, frame


class Guarded(pb.Root):
    """Has much that is not to be called, and one method that is.

    Attributes:
        ran: What was called that may be.
    """

    remote_number = 5
    secret = "secret"

    def __init__(self) -> None:
        self.ran: list[Any] = []

    def remote_echo(self, value: Any = None) -> Any:
        self.ran.append(value)
        return value

    def remote_two(self, one: Any, two: Any = 2) -> Any:
        return [one, two]

    def remote__hidden(self) -> None:
        raise AssertionError("a name that begins with an underscore was called")

    @property
    def remote_property(self) -> Any:
        raise AssertionError("a property was looked at")

    class remote_Class:
        """Is no method."""

    def local(self) -> None:
        raise AssertionError("what has no prefix was called")

    def view_local(self, perspective: Any) -> None:
        raise AssertionError("another flavor's method was called")


#: 67: each is an error to its caller, and runs nothing.
NAMES = {
    **{
        name or "empty": name
        for name in (
            "",
            "__init__",
            "__class__",
            "__del__",
            "_hidden",
            "__hidden",
            "remote_echo",
            "local",
            "view_local",
            "secret",
            "number",
            "rootObject",
            "remoteMessageReceived",
            "a.b",
            "echo.__call__",
            "echo()",
            "echo ",
            " echo",
            "ECHO",
            "echo\x00",
            "\x00",
            "echo\n",
            "../echo",
            "no",
        )
    },
    "Cyrillic": "\u0435cho",
    "full width": "\uff45cho",
    "combining": "echo\u0301",
    "right to left": "\u202eohce",
    "a property": "property",
    "a class": "Class",
    "a kilobyte": "x" * 1000,
    "a mebibyte": "x" * 2**20,
}
#: These are no names: the message is no call.
NO_NAMES = [b"echo", 5, None, ["echo"], {"echo": 1}, True]


@contextmanager
def peer(ring: Arena, *, cpu: float = 0.5) -> Iterator[Peer]:
    """A case with a peer that has the root, and is served at its end."""
    with ring.case(cpu=cpu), Peer(ring.server) as made:
        yield made
        made.call(2**62, "echo", "alive")
        assert made.read_answer(2**62) == [messages.ANSWER, 2**62, ["alive"]]


def test_names_of_what_may_not_be_called(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    root = Guarded()
    ring = arena(root)
    for label, name in NAMES.items():
        with subtests.test(label), peer(ring) as attacker:
            attacker.call(2, name)
            answer = attacker.read_answer(2)
            assert answer[0] == messages.ERROR
            long = len(name) > 256
            wanted = "geopb.LimitExceeded" if long else "geopb.NoSuchMethod"
            assert answer[2] == wanted
            assert len(str(answer)) < 2000


def test_what_is_no_name_ends_the_connection(arena: MakeArena) -> None:
    ring = arena()
    for name in NO_NAMES:
        with ring.case():
            raw = ring.raw()
            raw.say(frame([1, 1, 0, name, []]))
            assert raw.ends()


#: Each of these arguments is refused, with its error.
ARGUMENTS: dict[str, tuple[Any, str]] = {
    "68 an id never given": (Tag(tags.YOURS, 77), "geopb.InsecureJelly"),
    "73 the peer's own as ours": (Tag(tags.YOURS, 2), "geopb.InsecureJelly"),
    "76 a copy never registered": (
        Tag(tags.COPY, ["os.system", {"command": "true"}]),
        "geopb.InsecureJelly",
    ),
    "76 a class of the standard library": (
        Tag(tags.COPY, ["subprocess.Popen", ["true"]]),
        "geopb.InsecureJelly",
    ),
    "77 a record without a field": (
        Tag(tags.COPY, ["vectors.Point", {"x": 1}]),
        "geopb.InsecureJelly",
    ),
    "77 a record with its class": (
        Tag(tags.COPY, ["vectors.Point", {"x": 1, "y": 2, "__class__": "x"}]),
        "geopb.InsecureJelly",
    ),
    "77 a copy of another state": (
        Tag(tags.COPY, ["vectors.Note", [1, 2]]),
        "builtins.TypeError",
    ),
}


def test_arguments_that_a_peer_may_not_send(
    arena: MakeArena, subtests: pytest.Subtests
) -> None:
    root = Guarded()
    ring = arena(root)
    for label, (argument, error) in ARGUMENTS.items():
        with subtests.test(label), peer(ring) as attacker:
            attacker.call(2, "echo", argument)
            answer = attacker.read_answer(2)
            assert answer[:1] + answer[2:3] == [messages.ERROR, error]
    assert {type(each) for each in root.ran} <= {int, str}


def test_an_id_of_another_connection_is_none(arena: MakeArena) -> None:
    """69, 71: neither of another one now, nor of one before."""
    ring = arena(Guarded())
    for gone in (False, True):
        with ring.case(), Peer(ring.server) as first, Peer(ring.server) as second:
            for number in range(2, 12):
                first.call(number, "echo", Tag(tags.YOURS, ROOT))
                first.read_answer(number)
            if gone:
                first.close()
            for number in (ROOT + 1, ROOT + 5):
                second.call(number, "echo", target=number)
                assert second.read_answer(number)[2] == "geopb.InsecureJelly"


def test_an_id_that_was_released_is_none(arena: MakeArena) -> None:
    """70, 81: and releasing it once more ends the connection."""
    ring = arena(Guarded())
    with ring.case():
        attacker = Peer(ring.server)
        attacker.send(frame([4, ROOT, 1]))
        attacker.call(2, "echo", target=ROOT)
        assert attacker.read_answer(2)[2] == "geopb.InsecureJelly"
        attacker.send(frame([4, ROOT, 1]))
        assert attacker.connection.closed.wait(5)
        attacker.close()


def test_a_reference_sent_home_is_the_object(arena: MakeArena) -> None:
    """72."""
    root = Guarded()
    ring = arena(root)
    with peer(ring) as attacker:
        attacker.call(2, "echo", Tag(tags.YOURS, ROOT))
        attacker.read_answer(2)
    assert any(each is root for each in root.ran)


#: 74, 75: what stands for keyword arguments and for how many there are.
KEYWORDS: dict[str, tuple[list[Any], Any, str | None]] = {
    "self": ([1], {"self": 2}, "builtins.TypeError"),
    "twice": ([1], {"one": 2}, "builtins.TypeError"),
    "dunder": ([1], {"__class__": 2}, "builtins.TypeError"),
    "empty": ([1], {"": 2}, "builtins.TypeError"),
    "none of them": ([], {}, "builtins.TypeError"),
    "three": ([1, 2, 3], {}, "builtins.TypeError"),
    "ten thousand": ([0] * 10_000, {}, "builtins.TypeError"),
    "as they should be": ([1], {"two": 5}, None),
}


def test_arguments_that_do_not_fit(arena: MakeArena, subtests: pytest.Subtests) -> None:
    ring = arena(Guarded())
    for label, (args, kwargs, error) in KEYWORDS.items():
        with subtests.test(label), peer(ring) as attacker:
            attacker.send(frame([1, 2, ROOT, "two", args, kwargs]))
            answer = attacker.read_answer(2)
            assert (answer[2] if answer[0] == messages.ERROR else None) == error


@pytest.mark.parametrize(
    "kwargs",
    [
        Pairs((("one", 1), ("one", 2))),
        Pairs(((1, 1),)),
        Pairs(((b"one", 1),)),
        Tag(tags.MAP, [1, 1]),
        [],
        Raw(b"\xf7", "undefined"),
    ],
    ids=["twice", "integer", "bytes", "our map", "array", "undefined"],
)
def test_keywords_that_are_none_end_the_connection(
    arena: MakeArena, kwargs: Any
) -> None:
    ring = arena(Guarded())
    with ring.case():
        raw = ring.raw()
        raw.say(frame([1, 2, 0, "getRootObject", [], kwargs]))
        assert raw.ends()
