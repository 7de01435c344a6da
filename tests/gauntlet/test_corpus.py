"""Each payload of the corpus comes to what it should, within what it may cost.

One small payload after the other in one child process, each large one in a child of its
own: see ``weigh``. ``make gauntlet`` gives the bulky ones their whole mebibyte.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.gauntlet.corpus import COSTLY, MEANT, Payload, all_payloads, bounds
from tests.gauntlet.weigh import weigh, weigh_each

#: MiB of C stack that a payload may use, and that may be left when it is forgotten.
_STACK, _LEFT = 0.5, 10.0
_PAYLOADS = all_payloads()


def wrong(told: dict[str, Any]) -> list[str]:
    """Say what is wrong with what became of a payload."""
    payload = _PAYLOADS[told["name"]]
    found = []
    if told["outcome"] not in MEANT[payload.outcome]:
        found.append(f"{told['outcome']}, not {payload.outcome}")
    if "size" in told:
        seconds, mebibytes = bounds(payload.name, told["size"])
        for name, bound in (
            ("seconds", seconds * told["slowness"]),
            ("mebibytes", mebibytes),
            ("stack", _STACK),
            ("left", max(_LEFT, mebibytes / 4)),
        ):
            if told[name] > bound:
                found.append(f"{told[name]:.2f} {name}, the bound is {bound:.2f}")
    return [f"{payload.name}: {each}" for each in found]


def _weigh_again(payload: Payload) -> list[str]:
    """Weigh one once more: a busy machine makes one look slow now and then."""
    (told,) = weigh([payload])
    return wrong(told)


@pytest.mark.slow
def test_small_payloads_come_to_what_they_should() -> None:
    small = [each for each in _PAYLOADS.values() if not each.large]
    gc.collect()
    gc.freeze()

    found = [told for told in weigh(small) if wrong(told)]

    again = [_weigh_again(_PAYLOADS[told["name"]]) for told in found]
    assert [text for texts in again for text in texts] == []
    assert len(small) > 1500


FAMILIES = sorted(
    {name.partition("/")[0] for name, each in _PAYLOADS.items() if each.large}
)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_large_payloads_come_to_what_they_should(family: str) -> None:
    large = [
        each
        for each in _PAYLOADS.values()
        if each.name.startswith(f"{family}/") and each.large
    ]
    gc.collect()
    gc.freeze()

    found = [told for told in weigh_each(large) if wrong(told)]

    again = [_weigh_again(_PAYLOADS[told["name"]]) for told in found]
    assert [text for texts in again for text in texts] == []


def test_what_is_costly_is_in_the_corpus() -> None:
    assert set(COSTLY) <= set(_PAYLOADS)


def test_wrong_says_what_is_wrong() -> None:
    """What the weighing is worth: each of its bounds is one."""
    name = "heads/break alone"
    good = {"name": name, "outcome": "ends", "slowness": 1.0, "size": 20}
    good |= {"seconds": 0.0, "mebibytes": 0.0, "stack": 0.0, "left": 0.0}

    assert wrong(good) == []
    for field in ("seconds", "mebibytes", "stack", "left"):
        assert len(wrong({**good, field: 1000.0})) == 1
    for outcome in ("taken", "fails", "SIGSEGV", "SIGALRM", "RecursionError: deep"):
        assert len(wrong({**good, "outcome": outcome})) == 1


def _crash() -> bytes:
    raise RecursionError("made")


def test_what_a_payload_breaks_is_told_and_the_next_is_weighed() -> None:
    broken = Payload("broken", _crash, "taken")
    good = _PAYLOADS["text/NUL"]

    told = list(weigh([good, broken, good]))

    assert [each["outcome"] for each in told] == [
        "taken",
        "RecursionError: made",
        "taken",
    ]
