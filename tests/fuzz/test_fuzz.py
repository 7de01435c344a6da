"""A bounded part of ``make fuzz``: whatever comes, what must hold holds.

The seeds and the changes by chance are the same in each run. ``make gauntlet`` makes
ten times as many; hypothesis looks for what is smallest when something is found.
"""

from __future__ import annotations

from itertools import islice
from time import process_time, thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geopb as pb
from geopb.jelly import tags
from geopb.jelly.decode import Unjellier
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.fuzz import ends, seeds
from tests.fuzz.mutants import changes, mutants
from tests.properties.profile import TIMES, many, usual
from tests.timing import seconds
from tests.vectors.cbor import Tag, item

_ONE, _TWO, _BODIES = 5_000 * TIMES, 200 * TIMES, 50_000 * TIMES
#: One decoding in so many is that of the seed itself.
_SEED = 20_261


class _Nobody:
    """Knows no reference, and takes all that a peer gives."""

    def found_theirs(self, number: int) -> object:
        return object()

    found_stream = found_theirs

    def found_cache(self, number: int, cls: type, state: list[object]) -> object:
        return object(), None

    def found_ours(self, number: int) -> object:
        raise DecodeRefused("nothing is exported")


@pytest.mark.slow
def test_a_broker_takes_or_refuses_whatever_comes() -> None:
    refused = 0
    for data in islice(mutants(_SEED, seeds.one_end()), _ONE):
        refused += ends.check_one_end(data) is not None

    # Both happen often, so both are looked at.
    assert _ONE / 20 < refused < _ONE * 19 / 20


@pytest.mark.slow
def test_two_brokers_end_whatever_becomes_of_what_one_says() -> None:
    for data in islice(changes(_SEED, seeds.two_ends()), _TWO):
        ends.check_two_ends(data)


@pytest.mark.slow
def test_a_decoder_has_two_ways_to_refuse() -> None:
    finder = _Nobody()
    reader = Unjellier(finder, Limits(), thread_time, ClassRegistry())
    refused = 0
    worst, longest = 0.0, 0
    for data in islice(mutants(_SEED, seeds.one_end()), _BODIES):
        body = data[1:].partition(ends.SEPARATOR)[0]
        begun = process_time()
        try:
            reader.read(body)
        except (DecodeRefused, pb.LimitExceeded, pb.InsecureJelly) as error:
            refused += 1
            longest = max(longest, len(str(error)))
        worst = max(worst, process_time() - begun)

    assert _BODIES / 10 < refused < _BODIES
    assert worst < seconds(0.1)
    assert longest < 1000


_bodies = st.lists(
    st.sampled_from([seed[1:] for seed in seeds.one_end()]) | st.binary(max_size=60),
    min_size=1,
    max_size=4,
)
_changes = st.tuples(st.integers(0, 9), st.integers(0, 2**16 - 1), st.integers(0, 255))


@given(
    flags=st.sampled_from(
        [0, ends.RAW, ends.OPENING, ends.BYTEWISE, ends.RAW | ends.OPENING]
    ),
    bodies=_bodies,
    change=st.lists(_changes, max_size=4),
)
@many
def test_changed_vectors_are_taken_or_refused(
    flags: int, bodies: list[bytes], change: list[tuple[int, int, int]]
) -> None:
    data = ends.SEPARATOR.join(bodies)
    for what, where, byte in change:
        data = ends.SEPARATOR.join(ends.changed(data, what, where, byte))

    ends.check_one_end(bytes([flags]) + data)


@given(
    whose=st.integers(0, 1), frames=st.lists(st.tuples(st.integers(0, 49), _changes))
)
@usual
def test_changed_conversations_end(
    whose: int, frames: list[tuple[int, tuple[int, int, int]]]
) -> None:
    told = b"".join(
        bytes([number, what]) + where.to_bytes(2, "big") + bytes([byte])
        for number, (what, where, byte) in frames
    )

    ends.check_two_ends(bytes([whose]) + told)


def test_unspoilt_seeds_are_what_they_were() -> None:
    """What the fuzzing is worth: its seeds come far."""
    refused = [ends.check_one_end(seed) for seed in seeds.one_end()]

    assert refused.count(None) > len(refused) / 2
    assert min(map(len, seeds.recorded())) > 40
    ends.check_two_ends(b"\x00")
    ends.check_two_ends(b"\x01")


def test_what_must_not_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the oracle is worth: a broker that forgets to count is found."""
    call = b"\x00" + item([1, 1, 0, "take", [Tag(tags.MINE, 5)]])
    monkeypatch.setattr("geopb.broker.imports.Imports.forget", lambda imports, entry: 0)

    with pytest.raises(ends.Finding, match="nobody holds"):
        ends.check_one_end(call)
