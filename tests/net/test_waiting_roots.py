"""Promises of a root that wait, and those that nobody waits for any more."""

from __future__ import annotations

import weakref
from typing import Any

import gevent
import pytest

import geopb as pb
from geopb.failure import Failure
from geopb.net.waiting_roots import WaitingRoots
from tests.support import collected, turns


def test_an_abandoned_promise_is_forgotten() -> None:
    waiting = WaitingRoots()
    promise: pb.Promise[Any] = pb.Promise()
    waiting.add(promise)
    waiting.forget_unwanted()
    assert len(waiting) == 1
    gone = weakref.ref(promise)

    del promise
    waiting.forget_unwanted()

    assert len(waiting) == 0
    assert collected(gone)


def test_a_get_that_timed_out_abandons_its_promise() -> None:
    waiting = WaitingRoots()

    def ask() -> None:
        promise: pb.Promise[Any] = pb.Promise()
        waiting.add(promise)
        with pytest.raises(pb.Timeout):
            promise.get(timeout=0)

    for _ in range(10_000):
        ask()

    assert len(waiting) <= 64


def test_one_that_is_followed_is_kept() -> None:
    waiting = WaitingRoots()
    seen: list[Any] = []

    def add() -> pb.Promise[Any]:
        promise: pb.Promise[Any] = pb.Promise()
        waiting.add(promise)
        return promise

    add().addCallback(seen.append)
    add().rawlink(lambda _: seen.append("linked"))
    called = add().callRemote("echo")
    blocked = gevent.spawn(lambda: add().get())
    gathered = pb.gather([add()])
    turns()
    waiting.forget_unwanted()
    assert len(waiting) == 5

    waiting.give(pb.succeed("root"))

    assert blocked.get(timeout=5) == "root"
    assert gathered.get(timeout=5) == ["root"]
    with pytest.raises(TypeError):
        called.get(timeout=5)
    assert sorted(seen) == ["linked", "root"]
    assert len(waiting) == 0


def test_those_that_are_many_and_wanted_all_end() -> None:
    waiting = WaitingRoots()
    promises: list[pb.Promise[Any]] = [pb.Promise() for _ in range(1000)]
    for promise in promises:
        waiting.add(promise)

    waiting.fail(Failure(ValueError("gone")))

    for promise in promises:
        with pytest.raises(ValueError, match="gone"):
            promise.get(timeout=5)
