"""Calls that go out at once give what the same calls give one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from hypothesis import given
from hypothesis import strategies as st

import geopb as pb
from geopb.testing import connected_pair
from tests.properties.profile import usual


class Refused(pb.Error):
    """What a method raises."""


class Box(pb.Referenceable):
    """Has the number of the step that made it."""

    def __init__(self, number: int, slowly: bool) -> None:
        self.number = number
        self._slowly = slowly

    def _called(self) -> None:
        if self._slowly:
            # Others are read and answered meanwhile.
            gevent.sleep(0)

    def remote_box(self, number: int) -> Box:
        self._called()
        return Box(number, self._slowly)

    def remote_me(self, *args: Any) -> Box:
        self._called()
        return self

    def remote_tell(self, *args: Any) -> list[Any]:
        self._called()
        return [self.number, seen(args)]

    def remote_back(self, *args: Any) -> Any:
        self._called()
        return args[0] if args else None

    def remote_fail(self, *args: Any) -> None:
        self._called()
        raise Refused("box")


class Root(pb.Root):
    def __init__(self, slowly: bool) -> None:
        self._slowly = slowly

    def remote_box(self, number: int) -> Box:
        return Box(number, self._slowly)

    def remote_me(self, *args: Any) -> Root:
        return self

    def remote_tell(self, *args: Any) -> Any:
        return seen(args)

    def remote_back(self, *args: Any) -> Any:
        return args[0] if args else None

    def remote_fail(self, *args: Any) -> None:
        raise Refused("root")


def seen(value: Any) -> Any:
    """Return what an argument is, with objects told by name."""
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(seen, value)]
    if isinstance(value, dict):
        return {str(key): seen(each) for key, each in value.items()}
    if isinstance(value, Box):
        return f"box {value.number}"
    if isinstance(value, Root | pb.RemoteReference):
        return type(value).__name__
    return value


#: A step: on which earlier result (0 is the root), which method, and the arguments:
#: plain values, or ``("result", index)`` anywhere in containers.
arguments = st.recursive(
    st.integers(0, 9)
    | st.text(max_size=3)
    | st.tuples(st.just("result"), st.integers(0)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.builds(lambda each: (each,), inner)
    ),
    max_leaves=5,
)
steps = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.sampled_from(["me", "me", "tell", "tell", "back", "box", "fail"]),
        st.lists(arguments, max_size=3),
        st.sampled_from(["go on", "go on", "turn", "wait"]),
    ),
    max_size=12,
)


def placed(value: Any, results: list[Any]) -> Any:
    """Return an argument with results in place."""
    if type(value) is tuple and len(value) == 2 and value[0] == "result":
        return results[value[1] % len(results)]
    if type(value) is list:
        return [placed(each, results) for each in value]
    if type(value) is tuple:
        return tuple(placed(each, results) for each in value)
    if type(value) is dict:
        return {key: placed(each, results) for key, each in value.items()}
    return value


def played(
    program: list[Any], root: Root, each: Callable[[pb.Promise[Any], str], Any]
) -> list[Any]:
    """Make the calls; return how each of them ended, and what stands after all."""
    with connected_pair(root) as pair:
        results: list[Any] = [pair.client.getRootObject()]
        for on, method, args, then in program:
            target = results[on % len(results)]
            args = [placed(arg, results) for arg in args]
            if method == "box":
                args = [len(results)]
            promise = target.callRemote(method, *args)
            each(promise, then)
            results.append(promise)
        return [ended(promise) for promise in results[1:]]


def ended(promise: pb.Promise[Any]) -> Any:
    try:
        return seen(promise.get(timeout=20))
    except (Refused, TypeError, pb.InsecureJelly):
        # Which one is told where two results that a call needs have failed is open.
        return "failed"


def one_after_the_other(promise: pb.Promise[Any], then: str) -> None:
    promise.wait(timeout=20)


def at_once(promise: pb.Promise[Any], then: str) -> None:
    if then == "turn":
        gevent.sleep(0)
    elif then == "wait":
        promise.wait(timeout=20)


@given(steps, st.booleans())
@usual
def test_a_program_gives_the_same_whether_it_waits_or_not(
    program: list[Any], slowly: bool
) -> None:
    expected = played(program, Root(slowly), one_after_the_other)
    found = played(program, Root(slowly), at_once)

    assert found == expected
