"""Every stored sample does what it says: whole, byte by byte, with bytes behind."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import pytest

from geopb.broker.broker import State
from geopb.broker.calls import IncomingCall
from geopb.broker.pending import Named
from geopb.errors import LimitExceeded, ProtocolError
from geopb.flavors.streamed import stream
from geopb.wire import messages
from tests.broker.harness import Answer, Iterated, Side, Thing, opened
from tests.strategies import same
from tests.vectors.classes import ShownTable, Table
from tests.vectors.samples import LARGE, PATH, VALUES, document

_TOLD = json.loads(PATH.read_text(encoding="utf-8"))
SAMPLES = {sample["name"]: sample for sample in _TOLD["samples"]}
OPENING = {name for name, each in SAMPLES.items() if each["group"] == "hello"} | {
    "call-before-hello",
    "http",
}
ARGUMENTS: dict[str, Any] = {
    **{name: [value] for name, (value, _, _) in VALUES.items()},
    "call": [1],
    "call-keywords": [],
    "call-nested": [],
    "call-timeout": [],
    "call-timeout-past": [],
    "call-one-way": [1],
    "answer-passed": [[7]],
    "call-later": [],
    "call-long-heads": [],
    "bulk": [LARGE],
    "bulk-bytearray": [bytearray(b"abc")],
    "bulk-text": ["é"],
    "bulk-interleaved": [b"cd", b"ab"],
}


class Setting:
    """A receiver in the setting that the file describes."""

    def __init__(self, name: str) -> None:
        self.first = Thing("first")
        self.second = Thing("second")
        if name in OPENING:
            self.side = Side()
            self.side.broker.begin()
            self.side.take()
            self.answers: list[Answer] = []
            return
        self.side = opened()
        self.answers = [
            self.side.ask("take", self.first),
            self.side.ask("take", self.first),
            self.side.ask("take", self.second, bytes(1_000_000)),
        ]
        self.side.take()

    def receive(self, data: bytes, step: int | None = None) -> None:
        size = step or max(len(data), 1)
        for start in range(0, len(data), size):
            self.side.receive(data[start : start + size])

    def close(self) -> None:
        self.side.close()
        assert self.side.tables() == {}


def _with(outcome: str) -> list[str]:
    return [name for name, each in SAMPLES.items() if each["outcome"] == outcome]


def _stream(name: str) -> bytes:
    return b"".join(bytes.fromhex(each) for each in SAMPLES[name]["frames"])


def _check(name: str, setting: Setting) -> None:
    """Compare what has happened with what the sample says."""
    side, sample = setting.side, SAMPLES[name]
    assert side.broker.state is (
        State.PARTED if sample["outcome"] == "parted" else State.OPEN
    )
    checks = {
        "open": _check_open,
        "call": _check_call,
        "calls": _check_call,
        "update": _check_update,
        "answer": _check_answer,
        "error": _check_error,
        "release": _check_release,
        "on-answer": _check_on_answer,
        "not-run": _check_not_run,
        "cancel": _check_cancel,
        "draining": _check_draining,
        "draining-seen": _check_draining,
        "taken": _check_taken,
        "parted": _check_parted,
        "fails": _check_fails,
    }
    checks[sample["outcome"]](name, setting)


def _check_open(name: str, setting: Setting) -> None:
    limits = setting.side.broker.peer_limits
    assert setting.side.opened_count == 1
    assert limits.max_structure_size == (16384 if "least" in name else 4 * 1024 * 1024)


def _check_call(name: str, setting: Setting) -> None:
    desk = setting.side.desk
    if name == "reference":
        (reference,) = desk.taken
        assert reference._entry.number == 5
        assert reference._entry.count == 1
    elif name == "stream":
        (iterated,) = desk.taken
        assert isinstance(iterated, Iterated)
        assert iterated.reference._entry.number == 5
        assert iterated.reference._entry.count == 1
    elif name == "reference-home":
        assert desk.taken[0] is setting.first
    elif name in ("cache", "cache-again", "updates-end"):
        table = _table(setting)
        assert all(each is table for each in desk.taken)
        assert len(desk.taken) == (2 if name == "cache-again" else 1)
        assert (table.rows, table.ended) == (1, name == "updates-end")
        assert table._geopb_entry.count == len(desk.taken)
    else:
        assert same(desk.taken, ARGUMENTS[name]), desk.taken
    assert desk.keywords == ({"a": 1} if name == "call-keywords" else {})
    assert all(nested == (name == "call-nested") for nested in setting.side.nested)
    answered = setting.side.take()
    assert bool(answered) == (name != "call-one-way")


def _check_on_answer(name: str, setting: Setting) -> None:
    assert setting.first.calls == 1
    # [2, 2, ["first"]]
    assert setting.side.take().endswith(b"\x83\x02\x02\x81\x65first")


def _check_not_run(name: str, setting: Setting) -> None:
    assert setting.first.calls == 0
    assert setting.side.take().endswith(b"\x00\x00\x00\x04\x83\x0c\x02\x01")


def _table(setting: Setting) -> ShownTable:
    table = setting.side.desk.taken[0]
    assert isinstance(table, ShownTable)
    return table


def _check_update(name: str, setting: Setting) -> None:
    assert _table(setting).rows == 2
    # Both are answered, if they want to be.
    answers = setting.side.take()
    assert answers.count(b"\x83\x02") == (1 if name == "update-keywords" else 2)


def _check_answer(name: str, setting: Setting) -> None:
    assert setting.answers[0].get() == (None if name == "answer-null" else 42)
    assert not setting.answers[1].settled


def _check_error(name: str, setting: Setting) -> None:
    failure = setting.answers[0].failure
    assert failure is not None
    error = failure.value
    if name == "error-system":
        assert isinstance(error, FileNotFoundError)
        assert (error.errno, error.strerror, error.filename) == (2, "No such file", "x")
    elif name == "error-registered":
        assert error == VALUES["copy-exception"][0]
    else:
        assert isinstance(error, KeyError)
        assert error.args == ("x",)
        assert str(error) == "'x'"


def _check_release(name: str, setting: Setting) -> None:
    left = {"release": {"objects": 1, "references": 1}}
    both = {"objects": 1, "references": 1}
    assert setting.side.broker.exports.statistics() == left.get(name, both)


def _check_cancel(name: str, setting: Setting) -> None:
    assert setting.side.cancelled == [(1, name == "cancel-late")]
    assert setting.side.take() == b""


def _check_draining(name: str, setting: Setting) -> None:
    side, seen = setting.side, name == "draining-seen"
    assert (side.peer_is_draining, side.drain_is_seen) == (not seen, seen)
    assert side.take() == (b"" if seen else _stream("draining-seen"))


def _check_taken(name: str, setting: Setting) -> None:
    chunks = setting.side.take()
    assert chunks[4:7] == b"\x83\x05\x01"
    assert len(chunks) > 131_072
    assert setting.side.broker.post.outbox.taken == 131_072


def _check_parted(name: str, setting: Setting) -> None:
    assert setting.side.goodbye == "enough"


def _check_fails(name: str, setting: Setting) -> None:
    side = setting.side
    if name == "update-of-reference":
        side.desk.taken.clear()
    assert side.desk.taken == []
    answer = side.take()
    if re.search(r"601(25|30)\(\[5", SAMPLES[name]["diagnostic"][0]):
        # Before its answer, what came with it is given back.
        length = 4 + answer[3]
        assert answer[4:7] == b"\x83\x04\x05"
        answer = answer[length:]
    assert answer.startswith(_error_start(answer)), answer
    # The connection goes on: the next call is run.
    side.receive(_stream("call"))
    assert side.desk.taken == [1]


def _error_start(answer: bytes) -> bytes:
    """Return how an error answer to question 1 begins, after its length."""
    return answer[:4] + b"\x89\x03\x01"


def test_the_file_is_what_the_samples_say() -> None:
    assert PATH.read_text(encoding="utf-8") == document()


def test_names_are_not_repeated() -> None:
    assert len(SAMPLES) == len(_TOLD["samples"])


@pytest.mark.parametrize("outcome", sorted(set(_TOLD["outcomes"]) - {"ends"}))
@pytest.mark.parametrize("step", [None, 1], ids=["whole", "byte by byte"])
def test_a_good_sample_does_what_it_says(
    outcome: str, step: int | None, subtests: pytest.Subtests
) -> None:
    for name in _with(outcome):
        with subtests.test(name):
            setting = Setting(name)

            setting.receive(_stream(name), step)

            _check(name, setting)
            setting.close()


@pytest.mark.parametrize("outcome", sorted(set(_TOLD["outcomes"]) - {"ends", "fails"}))
def test_the_beginning_of_the_next_frame_changes_nothing(
    outcome: str, subtests: pytest.Subtests
) -> None:
    for name in _with(outcome):
        with subtests.test(name):
            setting = Setting(name)

            setting.receive(_stream(name) + b"\x00\x00")

            assert setting.side.broker.in_the_middle
            _check(name, setting)
            setting.close()


@pytest.mark.parametrize("outcome", sorted(set(_TOLD["outcomes"]) - {"ends"}))
def test_bytes_behind_the_item_in_its_frame_end_the_connection(
    outcome: str, subtests: pytest.Subtests
) -> None:
    for name in _with(outcome):
        with subtests.test(name):
            setting = Setting(name)
            *before, last = [bytes.fromhex(each) for each in SAMPLES[name]["frames"]]
            longer = struct.pack(">I", len(last) - 3) + last[4:] + b"\x00"

            setting.receive(b"".join(before))
            with pytest.raises(ProtocolError):
                setting.receive(longer)

            setting.close()


@pytest.mark.parametrize("step", [None, 1], ids=["whole", "byte by byte"])
def test_what_breaks_the_protocol_ends_the_connection(
    step: int | None, subtests: pytest.Subtests
) -> None:
    for name in _with("ends"):
        with subtests.test(name):
            setting = Setting(name)

            with pytest.raises((ProtocolError, LimitExceeded)):
                setting.receive(_stream(name), step)

            setting.close()
            assert all(answer.settled for answer in setting.answers)


def _send_value(name: str, side: Side) -> None:
    side.ask("take", *ARGUMENTS[name])


def _send_call_keywords(name: str, side: Side) -> None:
    side.ask("take", a=1)


def _send_call_nested(name: str, side: Side) -> None:
    side.broker.call(0, "take", (), {}, Answer(), {"nested": True})


def _send_call_timeout(name: str, side: Side) -> None:
    options = messages.call_options(nested=False, timeout=1.5)
    side.broker.call(0, "take", (), {}, Answer(), options)


def _send_draining(name: str, side: Side) -> None:
    side.broker.say_draining()


def _send_call_one_way(name: str, side: Side) -> None:
    side.call_only(0, "take", (1,), {})


def _send_reference(name: str, side: Side) -> None:
    for _ in range(4):
        side.broker.exports.export(Thing(), 10)
    side.ask("take", Thing())


def _send_stream(name: str, side: Side) -> None:
    for _ in range(4):
        side.broker.exports.export(Thing(), 10)
    side.ask("take", stream([1, 2]))


def _send_cache(name: str, side: Side) -> None:
    for _ in range(4):
        side.broker.exports.export(Thing(), 10)
    table = Table()
    side.ask("take", *[table] * (2 if name == "cache-again" else 1))
    if name == "update":
        table.observer.callRemote("set", "rows", 2)


def _send_reference_home(name: str, side: Side, method: str = "take") -> None:
    side.receive(_stream("reference").replace(b"\xd9\xea\xc4\x05", b"\xd9\xea\xc4\x01"))
    side.take()
    side.ask(method, side.desk.taken[0])


def _send_answer(name: str, side: Side) -> None:
    call = IncomingCall(side.broker, 1, side.desk, "take", [], {})
    side.broker.answer(call, 42 if name == "answer" else None)


def _send_error(name: str, side: Side) -> None:
    call = IncomingCall(side.broker, 1, side.desk, "take", [], {})
    registered = VALUES["copy-exception"][0]
    side.broker.fail(call, registered if "registered" in name else KeyError("x"))


def _send_release(name: str, side: Side) -> None:
    one = _stream("reference").replace(b"\xd9\xea\xc4\x05", b"\xd9\xea\xc4\x01")
    side.receive(one + one)
    side.take()
    side.desk.taken.clear()
    side.release_dropped()


def _send_taken(name: str, side: Side) -> None:
    peer = opened()
    peer.ask("take", bytes(131072))
    side.receive(peer.take())
    # The call, which is complete now, is answered behind it.
    frames = side.broker.post.outbox
    assert frames._frames.pop()[4:7] == b"\x83\x02\x01"


def _send_goodbye(name: str, side: Side) -> None:
    side.broker.say_goodbye("enough")


def _send_hello(name: str, side: Side) -> None:
    side.broker.begin()


class _First(Named):
    """Stands for the answer to question 1."""

    question = 1

    def stand_in(self, line: object) -> Named:
        return self


def _send_answer_called(name: str, side: Side) -> None:
    _send_reference_home(name, side, "echo")
    side.broker.call_early(-1, "ask", (), {}, Answer(), None)


def _send_answer_passed(name: str, side: Side) -> None:
    side.ask("echo", [7])
    side.broker.call_early(0, "take", (_First(),), {}, Answer(), None)


_SENDERS = {
    "answer-called": _send_answer_called,
    "answer-passed": _send_answer_passed,
    "hello": _send_hello,
    "call-keywords": _send_call_keywords,
    "call-nested": _send_call_nested,
    "call-one-way": _send_call_one_way,
    "call-timeout": _send_call_timeout,
    "draining": _send_draining,
    "reference": _send_reference,
    "reference-home": _send_reference_home,
    "answer": _send_answer,
    "answer-null": _send_answer,
    "error": _send_error,
    "error-registered": _send_error,
    "stream": _send_stream,
    "cache": _send_cache,
    "cache-again": _send_cache,
    "update": _send_cache,
    "release": _send_release,
    "taken": _send_taken,
    "goodbye": _send_goodbye,
}


def test_what_is_sent_is_as_stored(subtests: pytest.Subtests) -> None:
    for name in (name for name, each in SAMPLES.items() if each["canonical"]):
        with subtests.test(name):
            side = Side() if name in OPENING else opened()

            _SENDERS.get(name, _send_value)(name, side)

            assert side.take() == _stream(name)
            side.close()


def test_the_stored_hello_tells_the_default_limits() -> None:
    side = opened(hello=_stream("hello"))

    assert side.broker.peer_limits == opened().broker.peer_limits
