from __future__ import annotations

from dataclasses import dataclass
from time import thread_time
from typing import Any

from geopb.flavors.copyable import copyable
from geopb.jelly.decode import Unjellier
from geopb.jelly.encode import Encoder
from geopb.jelly.registry import process_registry
from geopb.limits import Limits


@copyable
@dataclass
class Measured:
    n: int
    made: Any = None


def _make(self: Measured) -> Any:
    return ({"n": [self.n]}, [{}])


# A field that is a property: what it returns is made anew each time.
Measured.made = property(_make, lambda self, value: None)


class Records:
    """Knows records, and no other objects."""

    find_record = staticmethod(process_registry.find_record)

    def passed(self, value: object, packing: object) -> None:
        return None


def test_what_a_field_makes_is_never_taken_for_another_s() -> None:
    """Its id() may be that of something which was made, sent and freed before."""
    passer: Any = Records()
    finder: Any = None
    unjellier = Unjellier(finder, Limits(), thread_time, process_registry)
    sent = [Measured(n) for n in range(300)]

    packed = Encoder(passer, Limits).pack([1, 1, 0, "take"], (sent,))
    message = unjellier.read(packed.body)
    unfinished = unjellier.draft.unfinished(message)
    assert unfinished is not None
    unfinished.finish()

    assert [each.__dict__["made"] for each in message[4][0]] == [
        ({"n": [n]}, [{}]) for n in range(300)
    ]
