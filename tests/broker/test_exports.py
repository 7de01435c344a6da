from __future__ import annotations

import weakref

import pytest

from geopb.broker.exports import Exports
from geopb.errors import LimitExceeded, ProtocolError


class Thing:
    pass


def table() -> Exports:
    return Exports("the lobby")


def test_ids_begin_at_1_and_are_never_used_again() -> None:
    exports = table()
    one, other = Thing(), Thing()

    assert exports.export(one, 10) == 1
    assert exports.export(other, 10) == 2
    exports.release(1, 1)
    assert exports.export(one, 10) == 3


def test_the_same_object_has_one_id_and_a_count() -> None:
    exports = table()
    thing = Thing()

    assert [exports.export(thing, 10) for _ in range(3)] == [1, 1, 1]

    assert exports.statistics() == {"objects": 1, "references": 3}
    assert len(exports) == 1


def test_equal_objects_are_not_the_same() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    exports = table()

    assert exports.export(Equal(), 10) != exports.export(Equal(), 10)


def test_an_object_is_found_until_the_last_reference_is_released() -> None:
    exports = table()
    thing = Thing()
    exports.export(thing, 10)
    exports.export(thing, 10)

    assert exports.release(1, 1) is None
    assert exports.find(1) is thing
    assert exports.release(1, 1) is thing
    assert exports.find(1) is None
    assert len(exports) == 0


def test_an_entry_keeps_its_object_alive() -> None:
    exports = table()
    thing = Thing()
    gone = weakref.ref(thing)
    exports.export(thing, 10)

    del thing
    assert gone() is not None
    exports.release(1, 1)
    assert gone() is None


@pytest.mark.parametrize(("number", "count"), [(1, 3), (2, 1), (99, 1), (0, 1)])
def test_releasing_more_than_was_sent_breaks_the_protocol(
    number: int, count: int
) -> None:
    exports = table()
    thing = Thing()
    exports.export(thing, 10)
    exports.export(thing, 10)

    with pytest.raises(ProtocolError, match=f"release of {count} references"):
        exports.release(number, count)

    assert exports.statistics() == {"objects": 1, "references": 2}


def test_the_lobby_is_found_and_not_counted() -> None:
    exports = table()

    assert exports.find(0) == "the lobby"
    assert len(exports) == 0


def test_a_table_at_its_limit_takes_known_objects_only() -> None:
    exports = table()
    things = [Thing() for _ in range(3)]
    for thing in things:
        exports.export(thing, 3)

    with pytest.raises(LimitExceeded, match="a table of 4 exceeds max_references=3"):
        exports.export(Thing(), 3)

    assert exports.export(things[0], 3) == 1
    assert len(exports) == 3


def test_a_rollback_takes_back_what_was_counted_for_one_message() -> None:
    exports = table()
    kept, failed = Thing(), Thing()
    exports.export(kept, 10)

    counted = [exports.export(each, 10) for each in (kept, failed, failed)]
    assert counted == [1, 2, 2]
    exports.rollback(counted)

    assert exports.statistics() == {"objects": 1, "references": 1}
    assert exports.find(1) is kept
    exports.rollback([])
    assert exports.statistics() == {"objects": 1, "references": 1}


def test_a_cleared_table_is_empty() -> None:
    exports = table()
    exports.export(Thing(), 10)

    exports.clear()

    assert len(exports) == 0
    assert exports.find(1) is None
    # A message was being packed when the connection ended.
    exports.rollback([1])


def test_a_pinned_object_outlives_its_release() -> None:
    exports = table()
    thing = Thing()
    exports.export(thing, 10)

    assert exports.pin(1)
    exports.release(1, 1)
    assert exports.find(1) is thing
    with pytest.raises(ProtocolError, match="0 held"):
        exports.release(1, 1)

    exports.unpin(1)
    assert exports.find(1) is None
    assert len(exports) == 0


def test_a_pin_leaves_what_the_peer_holds() -> None:
    exports = table()
    exports.export(Thing(), 10)
    exports.pin(1)

    exports.unpin(1)

    assert exports.statistics() == {"objects": 1, "references": 1}


def test_nothing_is_pinned_that_is_not_there() -> None:
    exports = table()

    assert not exports.pin(1)
    exports.unpin(1)
