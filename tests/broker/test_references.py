from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from geopb.broker.imports import Imports
from geopb.broker.references import RemoteReference
from geopb.errors import LimitExceeded, PBConnectionLost
from tests.broker.harness import Side


def table(limit: int = 10) -> tuple[Imports, Side]:
    line = Side()
    return Imports(line, limit), line


def received(imports: Imports, *numbers: int) -> list[RemoteReference]:
    """Receive a message with references to these objects."""
    found = [imports.find(number) for number in numbers]
    imports.accept(list(numbers))
    return found


def test_the_same_object_is_the_same_reference_while_one_is_held() -> None:
    imports, _ = table()

    first, again = received(imports, 1, 1)
    (later,) = received(imports, 1)

    assert first is again is later
    assert first._entry.count == 3
    assert len(imports) == 1


def test_a_dropped_reference_is_handed_to_the_line() -> None:
    imports, line = table()
    (reference,) = received(imports, 1)
    entry = reference._entry

    del reference
    gc.collect()

    assert list(line.drops) == [entry]
    assert imports.forget(entry) == 1
    assert len(imports) == 0


def test_a_table_entry_does_not_keep_its_reference() -> None:
    imports, _ = table()
    (reference,) = received(imports, 1)
    gone = weakref.ref(reference)

    del reference

    assert gone() is None


def test_an_object_received_again_before_its_release_has_a_new_entry() -> None:
    imports, line = table()
    received(imports, 1, 1)
    (later,) = received(imports, 1)

    (entry,) = line.drops
    assert imports.forget(entry) == 2
    assert len(imports) == 1
    assert later._entry.count == 1
    assert received(imports, 1) == [later]


def test_an_entry_is_released_once() -> None:
    imports, _ = table()
    (reference,) = received(imports, 1)

    assert imports.forget(reference._entry) == 1
    assert imports.forget(reference._entry) == 0


def test_references_of_a_refused_message_leave_nothing() -> None:
    imports, line = table()
    (held,) = received(imports, 1)

    imports.find(1)
    imports.find(2)
    imports.refuse()
    gc.collect()

    assert len(imports) == 1
    assert held._entry.count == 1
    assert [imports.forget(entry) for entry in line.drops] == [0]


def test_a_reference_found_twice_in_one_message_is_one() -> None:
    imports, _ = table()

    assert imports.find(5) is imports.find(5)


def test_a_table_at_its_limit_takes_known_objects_only() -> None:
    imports, _ = table(3)
    held = received(imports, 1, 2, 3)

    with pytest.raises(LimitExceeded, match="a table of 4 exceeds max_references=3"):
        imports.find(4)

    assert received(imports, 1) == [held[0]]


def test_one_message_cannot_pass_the_limit_either() -> None:
    imports, _ = table(3)

    for number in (1, 2, 3):
        assert imports.find(number)
    with pytest.raises(LimitExceeded):
        imports.find(4)


def test_what_is_cleared_owes_nothing() -> None:
    imports, _ = table()
    (reference,) = received(imports, 1)

    imports.clear(PBConnectionLost("gone"))

    assert len(imports) == 0
    assert imports.forget(reference._entry) == 0


def test_references_compare_and_hash_whatever_the_other_is() -> None:
    imports, _ = table()
    one, other = received(imports, 1, 2)

    assert one == one
    assert one != other
    for stranger in (None, 1, "x", object(), [], float("nan")):
        assert one != stranger
    assert {one: 1}[one] == 1


def test_a_remote_method_equals_that_of_the_same_reference_and_name() -> None:
    imports, _ = table()
    one, other = received(imports, 1, 2)

    method = one.remoteMethod("echo")

    assert method == one.remoteMethod("echo")
    assert hash(method) == hash(one.remoteMethod("echo"))
    assert method != one.remoteMethod("other")
    assert method != other.remoteMethod("echo")
    assert method != "echo"
    assert "echo" in repr(method)


@pytest.mark.parametrize("wrong", [None, 5, b"echo", object()])
def test_a_wrong_name_is_a_type_error_at_once(wrong: Any) -> None:
    imports, _ = table()
    (one,) = received(imports, 1)

    with pytest.raises(TypeError):
        one.callRemote(wrong)
    with pytest.raises(TypeError):
        one.callRemoteOnly(wrong)
    with pytest.raises(TypeError):
        one.remoteMethod(wrong)
