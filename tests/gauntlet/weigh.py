"""What one payload costs: CPU time, memory, stack; each in a process of its own.

Owns the measuring. `weigh` gives a payload to a broker in a forked child, so that what
crashes, never ends or takes all memory is told as such and harms nothing. Run as
``python -m tests.gauntlet.weigh [names]``: it prints a line of JSON for each payload.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from time import process_time
from typing import Any

import geopb as pb
from tests.broker.harness import Side, Thing, opened
from tests.gauntlet.corpus import (
    ENDS,
    FAILS,
    LARGE,
    MEBI,
    TAKEN,
    Payload,
    all_payloads,
)
from tests.timing import slowness
from tests.vectors.cbor import frame

#: CPU seconds from which the machine's present speed is measured as well.
WORTH_A_LOOK = 0.05
#: Seconds for a payload, and bytes of a child: it is ended there.
_MOST_SECONDS, _MOST_MEMORY = 25, 3 * 1024 * MEBI
_libc: Any = ctypes.CDLL(None)
#: Where Linux tells what a process holds.
_STATUS = "/proc/self/status"


def weigh(payloads: Sequence[Payload]) -> Iterator[dict[str, Any]]:
    """Yield what becomes of each payload, and what it costs.

    One child takes them all, but for those behind one that has ended it.
    """
    left = list(payloads)
    while left:
        told = _Child(left).told()
        yield from told
        left = left[len(told) :]


def weigh_each(payloads: Iterable[Payload]) -> Iterator[dict[str, Any]]:
    """Do the same with a child for each, as many at a time as there are processors."""
    begun: deque[_Child] = deque()
    for payload in payloads:
        begun.append(_Child([payload]))
        if len(begun) >= (os.cpu_count() or 1):
            yield from begun.popleft().told()
    while begun:
        yield from begun.popleft().told()


class _Child:
    """A process that weighs payloads in turn, until one ends it."""

    def __init__(self, payloads: Sequence[Payload]) -> None:
        self._payloads = payloads
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _run_child(payloads, writing)
        os.close(writing)

    def told(self) -> list[dict[str, Any]]:
        """Wait for its end; return what it has told, and which one has ended it."""
        with os.fdopen(self._reading, "rb") as pipe:
            told = [json.loads(line) for line in pipe]
        _, status = os.waitpid(self._pid, 0)
        if len(told) < len(self._payloads):
            died = {"name": self._payloads[len(told)].name, "outcome": _how(status)}
            told.append({**died, "slowness": 1.0})
        return told


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.WEXITSTATUS(status)}"


def _run_child(payloads: Iterable[Payload], writing: int) -> None:
    """Weigh them and end the process."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for payload in payloads:
            # One that hangs, computing or not: the signal ends the child.
            signal.alarm(_MOST_SECONDS)
            told = {"name": payload.name, **_safely_weighed(payload)}
            os.write(writing, json.dumps(told).encode() + b"\n")
    finally:
        os._exit(0)


def _safely_weighed(payload: Payload) -> dict[str, Any]:
    try:
        return _weighed(payload)
    except BaseException as error:
        return {"outcome": f"{type(error).__name__}: {error}"[:500], "slowness": 1.0}


def _weighed(payload: Payload) -> dict[str, Any]:
    side = opened()
    side.ask("take", Thing())
    side.take()
    body = payload.body()
    framed = len(body).to_bytes(4, "big") + body
    if len(body) >= LARGE:
        gc.collect()
    _forget_peak()
    before, stack = _status("VmRSS"), _status("VmStk")
    begun = process_time()
    outcome = _receive(side, framed)
    spent = process_time() - begun
    peak = _status("VmHWM")
    if outcome in (TAKEN, FAILS) and not _serves_on(side):
        outcome = f"{outcome}, and the next call is not run"
    side.desk.remote_forget()
    side.close()
    if side.tables():
        outcome = f"{outcome}, and the tables hold {side.tables()}"
    size = len(body)
    del body, framed
    if size >= LARGE:
        gc.collect()
        # What is free, the allocator may keep for later: that is nobody's.
        _libc.malloc_trim(0)
    left = max(0, _status("VmRSS") - before) / MEBI
    return {
        "outcome": outcome,
        "size": size,
        "slowness": slowness() if spent > WORTH_A_LOOK else 1.0,
        "seconds": spent,
        "mebibytes": max(0, peak - before) / MEBI,
        "left": left,
        "stack": (_status("VmStk") - stack) / MEBI,
    }


def _receive(side: Side, framed: bytes) -> str:
    try:
        side.receive(framed)
    except (pb.ProtocolError, pb.LimitExceeded) as error:
        if len(str(error)) > 1000:
            return f"a refusal of {len(str(error))} characters"
        return ENDS
    answer = side.take()
    if b"\x83\x02\x01\x81" in answer[:64]:
        return TAKEN
    # What came with it may be given back first.
    return FAILS if b"\x89\x03\x01" in answer else f"no answer: {answer[:50]!r}"


def _serves_on(side: Side) -> bool:
    side.desk.remote_forget()
    side.receive(_NEXT)
    return side.desk.taken == ["still"]


_NEXT = frame([1, 77, 0, "take", ["still"]])


def _forget_peak() -> None:
    """Count the most memory from now on: a forked process begins with its parent's."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _status(name: str) -> int:
    """Return one of the kernel's figures of this process, in bytes."""
    with open(_STATUS, encoding="ascii") as lines:
        for line in lines:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    raise LookupError(name)


def main(names: Iterable[str]) -> None:
    """Weigh those payloads, or all; print a line for each."""
    known = all_payloads()
    # What the importing has made is not looked at by each child's collector.
    gc.collect()
    gc.freeze()
    for name in list(names) or known:
        for told in weigh([known[name]]):
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
