"""The messages of protocol version 1: ``[kind, ...]``, kinds are small integers.

Owns the numbers, the shape that each message must have, and the hello. Never acts
on a message. Called by the broker. Every line here has its line in
``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geopb.errors import ProtocolError
from geopb.failure.fresh import OS_ERROR_FIELDS
from geopb.failure.report import MAX_PARENTS, Report
from geopb.limits import LEAST_TOLD, NOT_TOLD, TOLD
from geopb.text import MAX_MESSAGE, printable, safe_repr, shorten

VERSION = 1
MAGIC = "geopb"
#: Told in the hello for people who read captures; nothing depends on it.
SOFTWARE = "geopb-python"

HELLO = 0
CALL = 1
ANSWER = 2
ERROR = 3
RELEASE = 4
CHUNK = 5
GOODBYE = 6
UPDATE = 7
SNAPSHOT = 8
UPDATES_END = 9
CANCEL = 10
DRAINING = 11
NOT_RUN = 12
TAKEN = 13

#: Ids are allotted by whoever uses them first, from 1; target 0 is the lobby, and one
#: below 0 is what the answer to the question of that number will be.
MAX_ID = 2**63 - 1
#: Ids below it are compared faster.
_USUAL = 2**30

#: Seconds that a call may be given, some 30 years: timers take no more.
LONGEST = 1e9

#: Options of a call, a map behind its arguments.
NESTED = "nested"
TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """What the peer's hello told: the bounds to keep when sending to it."""

    max_message_size: int
    max_structure_size: int
    max_depth: int
    max_references: int
    max_pending_calls: int
    max_integer_bits: int
    max_decimal_digits: int
    max_pending_bytes: int


#: A message of up to this size passes every limit that a peer may announce.
SMALLEST_LIMIT = LEAST_TOLD["max_structure_size"]
#: What may be sent before the peer's hello is in.
BEFORE_HELLO = PeerLimits(**(LEAST_TOLD | NOT_TOLD))


def hello(limits: Mapping[str, int], features: tuple[str, ...] = ()) -> list[object]:
    """Return the hello message that tells `limits`."""
    told = {
        "versions": [VERSION],
        "limits": dict(limits),
        "features": list(features),
        "software": SOFTWARE,
    }
    return [HELLO, MAGIC, told]


def read_hello(message: list[object]) -> PeerLimits:
    """Return the limits that a hello tells; unknown keys are ignored.

    Raises:
        ProtocolError: It is no hello, or has no version in common.
    """
    # Types first: of a value of a wrong one even == may raise.
    kinds = list(map(type, message[:3]))
    if kinds[:2] != [int, str] or len(kinds) < 3 or message[:2] != [HELLO, MAGIC]:
        raise ProtocolError("the first message is not a hello")
    told = message[2]
    if not isinstance(told, dict):
        raise ProtocolError("the hello tells nothing")
    versions = told.get("versions")
    if not isinstance(versions, list) or not any(map(_is_version, versions)):
        offered = safe_repr(versions)
        raise ProtocolError(f"the peer speaks versions {offered}, this side {VERSION}")
    limits = told.get("limits", {})
    if not isinstance(limits, dict):
        raise ProtocolError("the hello's limits are not a map")
    sizes = {name: _told_limit(limits, name) for name in TOLD}
    whole = sizes["max_message_size"]
    sizes["max_structure_size"] = min(sizes["max_structure_size"], whole)
    return _shared(PeerLimits(**sizes))


def _shared(limits: PeerLimits) -> PeerLimits:
    """Return the same object for the same limits, as those of most peers are."""
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    return _known.setdefault(limits, limits)


#: Limits that peers have told.
_known: dict[PeerLimits, PeerLimits] = {}
_MOST_KNOWN = 100


def _is_version(value: object) -> bool:
    return type(value) is int and value == VERSION


def _told_limit(limits: dict[object, object], name: str) -> int:
    value = limits.get(name, NOT_TOLD.get(name, LEAST_TOLD[name]))
    if type(value) is not int or value < LEAST_TOLD[name]:
        raise ProtocolError(
            f"the hello tells {name}={safe_repr(value)}, the least is "
            f"{LEAST_TOLD[name]}"
        )
    return value


def is_id(value: object) -> bool:
    """Whether `value` may be an id: an integer from 1 on."""
    return type(value) is int and 0 < value <= MAX_ID


#: Question or None, target, name, args, kwargs, options.
Call = tuple[int | None, int, str, list[Any], dict[str, Any], dict[Any, Any]]


def read_call(message: list[Any]) -> Call:
    """Return what a call asks; refuse one of the wrong shape.

    ``[CALL, question or null, target, name, args, kwargs?, options?]``
    """
    count = len(message)
    if count == 5:
        _, question, target, name, args = message
        kwargs: dict[str, Any] = {}
        options: dict[Any, Any] = {}
    elif count > 5:
        _, question, target, name, args, kwargs = message[:6]
        options = message[6] if count > 6 else {}
        if not _is_kwargs(kwargs) or type(options) is not dict:
            raise _wrong("call", message)
    else:
        raise _wrong("call", message)
    if (
        type(name) is str
        and type(target) is int
        and (0 <= target < _USUAL or -MAX_ID <= target <= MAX_ID)
        and (
            (type(question) is int and (0 < question < _USUAL or is_id(question)))
            or question is None
        )
        and type(args) is list
    ):
        return question, target, name, args, kwargs, options
    raise _wrong("call", message)


def read_answer(message: list[Any]) -> tuple[int, list[Any]]:
    """Return the question and the array of ``[ANSWER, question, [value]]``.

    The value stands in an array, as arguments do: user's values always begin two
    levels down.
    """
    if len(message) >= 3:
        _, question, values = message if len(message) == 3 else message[:3]
        if (
            type(question) is int
            and (0 < question < _USUAL or is_id(question))
            and type(values) is list
            and len(values) == 1
        ):
            return question, values
    raise _wrong("answer", message)


def read_report(message: list[Any]) -> Report:
    """Return what an error answer tells; texts are cut to what this side would send.

    ``[ERROR, question, type, message, parents, args, attributes, traceback?,
    details?]``
    """
    if len(message) < 7 or not is_id(message[1]):
        raise _wrong("error", message)
    name, text, parents, args, attributes = message[2:7]
    traceback = message[7] if len(message) > 7 else None
    details = message[8] if len(message) > 8 else {}
    if (
        type(name) is str
        and type(text) is str
        and type(parents) is list
        and all(type(parent) is str for parent in parents)
        and type(args) is list
        and _is_kwargs(attributes)
        and (traceback is None or type(traceback) is str)
        and type(details) is dict
    ):
        told = None if traceback is None else shorten(traceback, 4 * MAX_MESSAGE)
        return Report(
            type=printable(name, 1024),
            message=shorten(text, MAX_MESSAGE),
            parents=tuple(parents[:MAX_PARENTS]),
            args=tuple(args),
            attributes=attributes,
            traceback=told,
            details={k: v for k, v in details.items() if _is_detail(k, v)},
        )
    raise _wrong("error", message)


def _is_detail(name: object, value: object) -> bool:
    return name in OS_ERROR_FIELDS and type(value) in (int, str, bytes)


def read_release(message: list[object]) -> list[tuple[int, int]]:
    """Return the ``(id, count)`` pairs of ``[RELEASE, id, count, id, count, ...]``."""
    numbers = message[1:]
    if len(numbers) % 2 or not all(map(is_id, numbers)):
        raise _wrong("release", message)
    return list(zip(numbers[::2], numbers[1::2], strict=True))  # type: ignore[arg-type]


def read_update(message: list[Any]) -> Call:
    """Return what an update asks: a call, whose target is a cache's id."""
    # It has no options: what is behind the keywords means nothing yet.
    call = read_call(message[:6])
    if call[1] <= 0:
        raise _wrong("update", message)
    return call


def read_snapshot(message: list[Any]) -> tuple[int | None, int, list[Any]]:
    """Return question, cache and array of ``[SNAPSHOT, question, cache, [state]]``."""
    if len(message) >= 4:
        _, question, number, state = message[:4]
        if (
            (question is None or is_id(question))
            and is_id(number)
            and type(state) is list
            and len(state) == 1
        ):
            return question, number, state
    raise _wrong("snapshot", message)


def call_options(*, nested: bool, timeout: float | None) -> dict[str, object] | None:
    """Return what travels beside the arguments of a call, None for nothing.

    Args:
        nested: It is made while serving a call: the peer takes it in although it runs
            as many as it likes, or is shutting down.
        timeout: Seconds that it has, None for no deadline.
    """
    options: dict[str, object] = {}
    if nested:
        options[NESTED] = True
    if timeout is not None:
        options[TIMEOUT] = timeout
    return options or None


def read_timeout(options: dict[Any, Any]) -> float | None:
    """Return how many seconds a call has, by its options; None for no limit."""
    timeout = options.get(TIMEOUT)
    if timeout is None:
        return None
    if type(timeout) not in (int, float) or not abs(timeout) < LONGEST:
        raise ProtocolError(f"a call with a timeout of {safe_repr(timeout, 50)}")
    return max(0.0, float(timeout))


def read_cancel(message: list[Any]) -> tuple[int, bool]:
    """Return the question of ``[CANCEL, question, late]``, and whether it is late."""
    if len(message) < 2 or not is_id(message[1]):
        raise _wrong("cancel", message)
    late = message[2] if len(message) > 2 else False
    if type(late) is not bool:
        raise _wrong("cancel", message)
    return message[1], late


def read_not_run(message: list[Any]) -> tuple[int, int]:
    """Return the two questions of ``[NOT_RUN, question, of]``."""
    if len(message) < 3 or not is_id(message[1]) or not is_id(message[2]):
        raise _wrong("refusal to run a call", message)
    return message[1], message[2]


def read_draining(message: list[Any]) -> bool:
    """Return whether ``[DRAINING, seen]`` acknowledges what the other side said."""
    if len(message) < 2 or type(message[1]) is not bool:
        raise _wrong("draining", message)
    return message[1]


def read_taken(message: list[Any]) -> int:
    """Return how many bytes of bulk ``[TAKEN, bytes]`` says that the peer has taken."""
    if len(message) < 2 or not is_id(message[1]):
        raise _wrong("taken", message)
    return int(message[1])


def read_updates_end(message: list[Any]) -> int:
    """Return the cache's id of ``[UPDATES_END, cache]``."""
    if len(message) < 2 or not is_id(message[1]):
        raise _wrong("updates' end", message)
    return int(message[1])


def read_goodbye(message: list[object]) -> str:
    """Return the reason of ``[GOODBYE, text]``, printable."""
    if len(message) < 2 or type(message[1]) is not str:
        raise _wrong("goodbye", message)
    return printable(message[1])


def _is_kwargs(value: object) -> bool:
    return type(value) is dict and all(type(key) is str for key in value)


def _wrong(what: str, message: list[object]) -> ProtocolError:
    return ProtocolError(f"a {what} of the wrong shape: {safe_repr(message)}")
