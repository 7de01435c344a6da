"""Calls of the peer that name answers of this side, given or still to be given.

Owns which calls wait for which answers, and what is kept of the last answers: numbers
and a few hundred bytes, never an object of the user's. Of a call that cannot be run so
the peer is told `NOT_RUN`; then its caller, who has the answer, makes it again. So
nothing has to be kept for anyone's calls to be right. Never runs a call: the host does.
Called by the broker (answers given) and the host (calls that arrive).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from geopb.broker.calls import IncomingCall
from geopb.broker.exports import Exports
from geopb.broker.host import Host
from geopb.broker.imports import Imports
from geopb.broker.intake import Intake
from geopb.broker.objects import Objects
from geopb.errors import LimitExceeded
from geopb.jelly.readers import Readers
from geopb.jelly.slots import AnswerSlot
from geopb.wire.codec import DecodeRefused

#: Answers that are kept to be arguments of calls which are on their way, and the bytes
#: of one: scalars, most often. It saves such calls a second journey.
KEPT = 32
KEPT_BYTES = 256
#: Bytes of answers that are read to be arguments: of one call, and of all together that
#: wait for the same answer, which each have a value of their own. As costly as one
#: message, where a thousand small calls could have a large one read a thousand times.
_MOST_BYTES = 256 * 1024


class Given:
    """An answer that was sent, as far as calls can use it.

    Attributes:
        number: The export that it is, None for anything else.
        body: The message, empty where it is not to be read again.
    """

    __slots__ = ("body", "number")

    def __init__(self, number: int | None = None, body: bytes = b"") -> None:
        self.number = number
        self.body = body


_NOTHING = Given()
#: In place of a queue that is empty; never changed.
_NONE: deque[Any] = deque(maxlen=0)
#: Calls, each once, in the order of their coming.
_Calls = dict[IncomingCall, None]


class Names:
    """The answers that one call names.

    Attributes:
        target: The question whose answer is called, None where an object is.
        slots: Where in its arguments answers belong.
        missing: Questions that are not answered yet.
        found: The answers to the others.
    """

    __slots__ = ("found", "missing", "slots", "target")

    def __init__(self, target: int | None, slots: list[AnswerSlot]) -> None:
        self.target = target
        self.slots = slots
        self.missing: set[int] = set()
        self.found: dict[int, Given] = {}

    def questions(self) -> list[int]:
        """Return all of them."""
        questions = [slot.question for slot in self.slots]
        return questions if self.target is None else [self.target, *questions]


class Pipeline:
    """The calls of one connection that name answers."""

    # fmt: off
    __slots__ = (
        "_due", "_exports", "_giving", "_host", "_imports", "_intake", "_left",
        "_objects", "_readers", "kept", "waiting"
    )
    # fmt: on

    def __init__(
        self,
        host: Host,
        objects: Objects,
        exports: Exports,
        imports: Imports,
        readers: Readers,
        intake: Intake,
    ) -> None:
        self._host = host
        self._objects = objects
        self._exports = exports
        self._imports = imports
        self._readers = readers
        self._intake = intake
        #: Calls by the questions that they wait for, each in the order of their coming.
        self.waiting: dict[int, _Calls] = {}
        #: The last answers that are no objects: each body stands in the place of its
        #: question, counted round. Made when needed, and never another.
        self.kept: list[bytes] = []
        #: Given, and not told yet to those that wait.
        self._due: deque[tuple[_Calls, int, Given]] = _NONE
        self._giving = False
        #: Bytes of answers that may still be read for those that are told now.
        self._left = 0

    def __len__(self) -> int:
        return len(self.waiting)

    # -- calls in --------------------------------------------------------------------

    def hold(self, call: IncomingCall, names: Names) -> bool:
        """Have a call that has arrived wait; False if all that it names is given."""
        for question in dict.fromkeys(names.questions()):
            if self._host.is_open(question) or self._intake.waits_for_bulk(question):
                self.waiting.setdefault(question, {})[call] = None
                names.missing.add(question)
            else:
                names.found[question] = self._given(question)
        return bool(names.missing)

    def leave(self, call: IncomingCall) -> None:
        """Forget a call that does not wait any more: it was stopped."""
        for question in () if call.names is None else call.names.missing:
            waiting = self.waiting.get(question)
            if waiting is not None:
                waiting.pop(call, None)
                if not waiting:
                    del self.waiting[question]

    def complete(self, call: IncomingCall, names: Names) -> int | None:
        """Give a call what it has named; return the question that it cannot have.

        Returns None if it can be run now. May refuse what is there: its caller will
        make it again.
        """
        if names.target is not None:
            number = names.found[names.target].number
            target = None if number is None else self._exports.find(number)
            if target is None:
                return names.target
            call.target = target
        values: dict[int, object] = {}
        if not self._giving:
            self._left = _MOST_BYTES
        for slot in names.slots:
            question = slot.question
            if question not in values:
                given = names.found[question]
                self._left -= len(given.body)
                if self._left < 0:
                    # Nor do those behind it run, which would overtake it.
                    return question
                try:
                    values[question] = self._value(question, given)
                except (DecodeRefused, LimitExceeded):
                    return question
            slot.value = values[question]
        return None

    def behind(self, questions: Iterable[int]) -> int:
        """Return how many calls wait for these questions, directly or not."""
        waiting = list(questions)
        seen: set[int] = set()
        while waiting:
            for call in self.waiting.get(waiting.pop(), ()):
                if call.waits and id(call) not in seen:
                    seen.add(id(call))
                    waiting.append(call.question or 0)
        return len(seen)

    # -- answers out -----------------------------------------------------------------

    def answered(self, question: int, number: int | None, body: bytes) -> None:
        """Take note of an answer that was sent.

        Args:
            question: The peer's.
            number: The export that it is alone, None for any other value.
            body: The message; empty where its value cannot be told from it.
        """
        if number is not None:
            self._exports.note_answer(question, number)
        elif 0 < len(body) <= KEPT_BYTES:
            if not self.kept:
                self.kept.extend([b""] * KEPT)
            self.kept[question % KEPT] = body
        if self.waiting:
            self._give(question, Given(number, body))

    def failed(self, question: int) -> None:
        """Take note that a question was answered in another way."""
        if self.waiting:
            self._give(question, _NOTHING)

    def clear(self) -> None:
        """Forget all: the connection has ended."""
        self.waiting.clear()
        self._due = _NONE
        self.kept.clear()

    def _give(self, question: int, given: Given) -> None:
        """Tell those that wait for an answer; in turn, however long their chains."""
        waiting = self.waiting.pop(question, None)
        if waiting is None:
            return
        if self._due is _NONE:
            # Made when needed: a deque takes as much as all the rest here.
            self._due = deque()
        self._due.append((waiting, question, given))
        if self._giving:
            # Further up this is being done: a call that is not run is answered, too.
            return
        self._giving = True
        self._left = _MOST_BYTES
        try:
            while self._due:
                self._tell(*self._due.popleft())
        finally:
            self._giving = False
            if not self._due:
                self._due = _NONE
        if not self.waiting:
            # A dict keeps the room of all that it ever held.
            self.waiting.clear()

    def _tell(self, waiting: _Calls, question: int, given: Given) -> None:
        for call in waiting:
            names = call.names
            # One that was stopped meanwhile does not wait any more.
            if names is not None and call.waits:
                names.missing.discard(question)
                names.found[question] = given
                if not names.missing:
                    self._host.run_waiting(call)

    def _given(self, question: int) -> Given:
        number = self._exports.find_answer(question)
        if number is not None:
            return Given(number)
        # Perhaps another's, whose place is the same: that is seen when it is read.
        return Given(None, self.kept[question % KEPT]) if self.kept else _NOTHING

    # -- values ----------------------------------------------------------------------

    def _value(self, question: int, given: Given) -> object:
        """Return what the peer would send, had it waited for the answer."""
        if given.number is not None:
            return self._objects.found_ours(given.number)
        if not given.body:
            raise DecodeRefused("it is not kept")
        return self._readers.read_own(self, question, given.body)

    def found_theirs(self, number: int) -> object:
        """Return the object that this side's reference is at home: for the reader."""
        return self._objects.found_ours(number)

    def found_ours(self, number: int) -> object:
        """Return the reference to an object of the peer's that it was sent home."""
        held = self._imports.held(number)
        if held is None:
            raise DecodeRefused("a reference that is not held any more")
        return held

    def found_stream(self, number: int) -> object:
        """Refuse a stream, which does not come home."""
        raise DecodeRefused("a stream is not sent home")

    def found_cache(
        self, number: int, cls: type, state: list[object]
    ) -> tuple[object, None]:
        """Refuse a cache, which is what the peer makes of it."""
        raise DecodeRefused("a cache is the peer's to send")
