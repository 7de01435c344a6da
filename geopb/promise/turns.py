"""The order of calls on one promise, where one of them may begin late.

Calls that wait for the promise alone keep their order by themselves. Owns what the next
call stays behind when one waits for its arguments, too. Only calls of one job stay
behind one another: what a remote method or a handler calls never waits for calls from
elsewhere, which may be waiting for it. Never sends anything. Called by promises and
connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from gevent import get_hub

from geopb.failure import Failure
from geopb.promise.jobs import job_here
from geopb.promise.waiting import Waitable

if TYPE_CHECKING:
    from geopb.promise.dependents import Dependents


class Turn:
    """The place of one call among those on its promise.

    Attributes:
        behind: What it stays behind, None when it has surely begun. Of a call that was
            given up it is what stands in its place.
    """

    __slots__ = ("_call", "_cause", "behind")

    def __init__(self, call: InTurn, behind: Turn | None) -> None:
        # Its result is not kept by the order of calls.
        self._call = ref(call)
        self.behind = behind
        #: The turn of the call for which this one may begin late.
        late = behind is None or call.begins_late()
        self._cause: Turn = self if late or behind is None else behind._cause

    def stands(self) -> InTurn | None:
        """Return what those behind this one stay behind now, None for nothing."""
        turn: Turn | None = self
        while turn is not None:
            call = turn._call()
            now = None if call is None else call.under_way()
            if now is not None:
                return now
            turn = turn.behind
        return None

    def is_held_up(self) -> bool:
        """Whether a call that it stays behind may not have begun."""
        behind = self.behind
        while behind is not None:
            cause = behind._cause
            call = cause._call()
            if call is not None and call.under_way() is not None:
                return True
            behind = cause.behind
        return False


class InTurn(Waitable):
    """The promise of a call, or one that is called: what order hangs on."""

    #: The turn of the last call on it, of each job.
    _turns: WeakKeyDictionary[object, Turn] | None = None
    #: Its own among the calls on another, if that may begin late.
    _turn: Turn | None = None
    #: Whether it is of a call that is not sent yet.
    _waits_here = False
    #: The promise of the call as it was sent, where that may begin late.
    _sent_as: InTurn | None = None
    #: Ready when the call is sent, or is not to be sent any more.
    _gone: Gone | None = None

    def stays_behind(self) -> Turn | None:
        """Return the turn that a call made here on this one stays behind, if any."""
        if self._turns is None:
            return None
        job = job_here()
        turn = self._turns.get(job)
        if turn is not None and turn.stands() is not None:
            return turn
        self._turns.pop(job, None)
        if not self._turns:
            self._turns = None
        return None

    def note_call(self, called: object, behind: Turn | None) -> None:
        """Have later calls on this one stay behind a call, if that may begin late.

        Args:
            called: The promise of the call.
            behind: What it stays behind itself.
        """
        if (
            isinstance(called, InTurn)
            # Those that wait for this one alone keep their order.
            and called._waits_for != (self,)
            and (behind is not None or called.begins_late())
        ):
            called.take_turn(behind)
            if self._turns is None:
                self._turns = WeakKeyDictionary()
            if called._turn is not None:
                self._turns[job_here()] = called._turn

    def take_turn(self, behind: Turn | None) -> None:
        """Take note of what the call stays behind."""
        if self._turn is None:
            self._turn = Turn(self, behind)

    def begins_late(self) -> bool:
        """Whether it waits for more than what it is called on."""
        return self._waits_here

    def under_way(self) -> InTurn | None:
        """Return what stands for the call now, None if it has surely begun.

        It is what waits here, or what was sent.
        """
        called = self
        while (now := called._becomes()) is not called:
            if now is None:
                return None
            called = now
        return called

    def _becomes(self) -> InTurn | None:
        """Return what stands for the call: this one, or what that is told by."""
        return self if self._waits_here else self._sent_as

    def gone(self) -> Gone:
        """Return what is ready when the call does not wait here any more."""
        if self._gone is None:
            self._gone = Gone()
        return self._gone

    def went(self) -> None:
        """Take note that the call was sent, or is not to be sent any more."""
        self._waits_here = False
        gone, self._gone = self._gone, None
        if gone is not None:
            gone.come()

    def was_sent_as(self, answer: InTurn) -> None:
        """Take note of what the call is that waited here."""
        if answer._turn is None:
            answer._turn = self._turn
        self._sent_as = answer.under_way()
        if self._sent_as is None and not answer.ready():
            # Not one that has failed on this side.
            self.has_begun()

    def has_begun(self) -> None:
        """Take note that the call, and all that it stayed behind, has begun."""
        if self._turn is not None:
            self._turn.behind = None


class Gone(Waitable):
    """What calls wait for that stay behind one which waits here; no failure."""

    _failure: Failure | None = None
    _handlers: Any = None
    _value: Any = None
    _dependents: Dependents | None = None

    def __init__(self) -> None:
        self._hub = get_hub()

    def come(self) -> None:
        """Become ready."""
        self._ready = True
        if self._links:
            self._call_links_soon()
        if self._dependents is not None:
            self._dependents.send_soon()

    def _give_up(self) -> None:
        """Nothing: others may wait, and it comes by itself."""
