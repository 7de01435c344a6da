from __future__ import annotations

import array
import subprocess
import sys
import tracemalloc
from time import thread_time
from typing import Any

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopb.errors import InsecureJelly, LimitExceeded
from geopb.jelly import tags
from geopb.jelly.arrays import LEAST_BYTES, MAX_DIMENSIONS, _to_ndarray
from geopb.jelly.census import BULK_BYTES
from geopb.jelly.decode import Unjellier
from geopb.jelly.elements import ELEMENTS, TAG_OF, is_array
from geopb.jelly.encode import Encoder
from geopb.jelly.passing import Packed, Packing
from geopb.jelly.registry import ClassRegistry
from geopb.limits import MAX_BULK, Limits
from geopb.wire.codec import DecodeRefused
from tests.timing import seconds
from tests.vectors.cbor import Tag, item

CLASSES = (np.ndarray, array.array, memoryview)
MEBI = 1 << 20
#: The type code of characters.
LETTERS = "u" if sys.version_info < (3, 13) else "w"


def registry(*classes: type) -> ClassRegistry:
    made = ClassRegistry()
    for cls in classes:
        made.setUnjellyableForClass(cls, cls)
    return made


ALL = registry(*CLASSES)


class Knows:
    """Knows arrays, and no other objects."""

    def __init__(self, known: ClassRegistry = ALL) -> None:
        self.bulk = 0
        self.find_record = known.find_record
        self.find_array = known.find_array

    def passed(self, value: object, packing: Packing) -> None:
        return None

    def copied(self, value: object, packing: Packing) -> None:
        return None

    def new_bulk(self) -> int:
        self.bulk += 1
        return self.bulk


def pack(
    value: Any, known: ClassRegistry = ALL, limits: Limits | None = None
) -> Packed:
    kept = limits or Limits()
    return Encoder(Knows(known), lambda: kept).pack([1, 1, 0, "take"], (value,))


def unpack(
    body: bytes,
    bulk: list[bytes],
    known: ClassRegistry = ALL,
    limits: Limits | None = None,
) -> Any:
    """Return the argument of a call, as the intake makes it."""
    finder: Any = None
    unjellier = Unjellier(finder, limits or Limits(), thread_time, known)
    message = unjellier.read(body)
    slots = unjellier.draft.slots
    unfinished = unjellier.draft.unfinished(message)
    for slot, data in zip(slots, bulk, strict=True):
        slot.fill([data[:1], data[1:]])
    if unfinished is not None:
        unfinished.finish()
    return message[4][0]


def crossed(value: Any, limits: Limits | None = None) -> Any:
    packed = pack(value, limits=limits)
    return unpack(packed.body, [bulk.data for bulk in packed.bulk], limits=limits)


def read(content: Any, *bulk: bytes, known: ClassRegistry = ALL) -> Any:
    """Return what this CBOR brings as an argument."""
    return unpack(item([1, 1, 0, "take", [content]]), list(bulk), known)


def typed(data: bytes, tag: int = tags.UINT8) -> Tag:
    return Tag(tag, data)


def tags_of(content: Any) -> set[int]:
    """Return the tags that stand in some CBOR."""
    if isinstance(content, Tag):
        return {content.number} | tags_of(content.content)
    if isinstance(content, list):
        return set().union(*map(tags_of, content))
    return set()


def bulk(length: int, kind: int = tags.BULK_BYTEARRAY) -> Tag:
    return Tag(tags.BULK, [1, length, kind])


def assert_same(arrived: np.ndarray[Any, Any], sent: np.ndarray[Any, Any]) -> None:
    assert type(arrived) is np.ndarray
    assert arrived.dtype.str == sent.dtype.str
    assert arrived.shape == sent.shape
    assert arrived.tobytes() == sent.tobytes()
    assert arrived.flags.writeable
    assert arrived.flags.c_contiguous


# -- what arrives --------------------------------------------------------------------

DTYPES = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(endianness="?"),
    arrays_of.unsigned_integer_dtypes(endianness="?"),
    arrays_of.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    arrays_of.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)


@given(arrays_of.arrays(DTYPES, SHAPES))
def test_an_array_arrives_as_it_is(sent: np.ndarray[Any, Any]) -> None:
    assert_same(crossed(sent), sent)


@given(arrays_of.arrays(DTYPES, SHAPES), st.data())
def test_any_order_in_memory_arrives_as_the_order_of_c(
    whole: np.ndarray[Any, Any], data: st.DataObject
) -> None:
    part = np.asarray(whole[data.draw(arrays_of.basic_indices(whole.shape))])
    for sent in (part.T, np.asfortranarray(part)):
        assert_same(crossed(sent), sent)


@pytest.mark.parametrize("dtype", list("?bBhHiIlLqQefdFD"))
@pytest.mark.parametrize("order", "<>")
def test_large_ones_travel_as_bulk(dtype: str, order: str) -> None:
    made = np.arange(BULK_BYTES).reshape(4, -1).astype(dtype)
    sent = made.astype(made.dtype.newbyteorder(order))

    packed = pack(sent)

    assert [len(each.data) for each in packed.bulk] == [sent.nbytes]
    assert len(packed.body) < 100
    assert_same(crossed(sent), sent)


def test_bulk_begins_at_the_same_size_as_that_of_bytes() -> None:
    assert pack(np.zeros(BULK_BYTES, "u1")).bulk
    assert not pack(np.zeros(BULK_BYTES - 1, "u1")).bulk


def test_more_than_may_be_bulk_travels_in_the_message() -> None:
    limits = Limits(max_message_size=1 << 30, max_structure_size=8 * MEBI)
    sent = [np.full(BULK_BYTES, n % 256, "u1") for n in range(MAX_BULK + 2)]

    packed = pack(sent, limits=limits)

    assert len(packed.bulk) == MAX_BULK
    arrived = unpack(packed.body, [each.data for each in packed.bulk], limits=limits)
    assert all(map(np.array_equal, arrived, sent))


@given(st.sampled_from("bBhHiIlLqQfd"), st.binary(max_size=80))
def test_an_array_of_the_standard_library_arrives(code: str, data: bytes) -> None:
    sent = array.array(code)
    sent.frombytes(data[: len(data) // sent.itemsize * sent.itemsize])

    arrived = crossed(sent)

    assert type(arrived) is array.array
    assert arrived.itemsize == sent.itemsize
    assert arrived.tobytes() == sent.tobytes()
    arrived.append(1)


def test_a_large_array_of_the_standard_library_arrives() -> None:
    sent = array.array("d", range(BULK_BYTES))

    assert len(pack(sent).bulk) == 1
    assert crossed(sent) == sent


@pytest.mark.parametrize(
    "sent",
    [
        memoryview(b""),
        memoryview(b"abc"),
        memoryview(bytearray(BULK_BYTES)),
        memoryview(array.array("d", [1, 2, 3])),
        memoryview(array.array("d")),
        memoryview(array.array("q", [1, 2, 3]))[::2],
        memoryview(array.array("q", [1, 2, 3]))[::-1],
        memoryview(np.arange(6, dtype="i2").reshape(2, 3)),
        memoryview(np.arange(6, dtype="f4").reshape(2, 3).T),
        memoryview(np.arange(6, dtype=">f8")),
        memoryview(np.arange(6, dtype=">i4").reshape(1, 6)),
        memoryview(np.array(2.5)),
        memoryview(np.array([True, False])),
        memoryview(np.zeros(0, "?")),
        memoryview(b"12345678").cast("n"),
    ],
)
def test_a_memoryview_arrives(sent: memoryview) -> None:
    arrived = crossed(sent)

    assert type(arrived) is memoryview
    assert arrived == sent
    assert (arrived.shape, arrived.itemsize) == (sent.shape, sent.itemsize)
    assert not arrived.readonly


def test_nan_and_the_infinities_arrive() -> None:
    sent = np.array([np.nan, np.inf, -np.inf, -0.0])

    assert_same(crossed(sent), sent)


# -- the graph -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, BULK_BYTES])
def test_an_array_that_is_met_again_arrives_as_one(count: int) -> None:
    sent = np.arange(count)
    view = memoryview(bytearray(count))

    arrived = crossed([sent, (sent, view), {"a": [sent], 1: view}, [view]])

    first, (second, third), mapping, (fourth,) = arrived
    assert first is second is mapping["a"][0]
    assert third is mapping[1] is fourth
    assert_same(first, sent)
    assert third == view


def test_an_array_that_is_met_again_travels_once() -> None:
    sent = np.zeros(BULK_BYTES, "u1")

    assert len(pack([sent] * 1000).bulk) == 1


def test_two_that_are_equal_stay_two() -> None:
    one, other = crossed([np.zeros(3), np.zeros(3)])

    one[0] = 1
    assert other[0] == 0


def test_an_array_is_made_where_its_message_is_read() -> None:
    """None of it is users' code: it needs no worker."""
    finder: Any = None
    unjellier = Unjellier(finder, Limits(), thread_time, ALL)
    message = unjellier.read(pack([np.zeros(3), memoryview(b"a")]).body)
    unfinished = unjellier.draft.unfinished(message)

    assert unfinished is not None
    assert not unfinished.runs_code


def test_what_the_caller_changes_afterwards_does_not_arrive() -> None:
    large, small = np.zeros(BULK_BYTES), np.zeros(3)
    packed = pack([large, small])
    large[:] = small[:] = 1

    arrived = unpack(packed.body, [each.data for each in packed.bulk])

    assert [each.max() for each in arrived] == [0, 0]


def test_a_number_may_come_before_its_array() -> None:
    array_itself = Tag(tags.ARRAY, [[2], typed(b"ab")])

    again, inside, made = read(
        [
            Tag(tags.AGAIN, 5),
            Tag(tags.TUPLE, [Tag(tags.AGAIN, 5)]),
            Tag(tags.DEFINE, [5, array_itself]),
        ]
    )

    assert again is made
    assert inside[0] is made
    assert made.tolist() == [97, 98]


def test_an_array_is_complete_before_any_copy_takes_its_state() -> None:
    taken: list[Any] = []

    class Copy:
        def setCopyableState(self, state: Any) -> None:
            taken.append(state[0].sum())

    known = registry(np.ndarray)
    known.setUnjellyableForClass("a.Copy", Copy)
    finder: Any = None
    unjellier = Unjellier(finder, Limits(), thread_time, known)
    copy = Tag(tags.COPY, ["a.Copy", [Tag(tags.AGAIN, 0)]])
    made = Tag(tags.ARRAY, [[2], typed(b"\1\2")])
    message = unjellier.read(
        item([1, 1, 0, "take", [copy, Tag(tags.DEFINE, [0, made])]])
    )

    unfinished = unjellier.draft.unfinished(message)
    assert unfinished is not None
    assert unfinished.runs_code
    unfinished.finish()

    assert taken == [3]


def test_arrays_cross_at_the_full_depth() -> None:
    value: Any = np.zeros(BULK_BYTES, "c16")
    for _ in range(127):
        value = [value]
    value = [value, value]

    arrived = crossed(value)

    assert arrived[0] is arrived[1]


# -- what may not --------------------------------------------------------------------


class Matrix(np.ndarray):
    pass


class Numbers(array.array):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([object()]), "dtype object"),
        (np.array(["a"]), "dtype <U1"),
        (np.array([b"a"]), r"dtype \|S1"),
        (np.zeros(2, "M8[s]"), "dtype datetime64"),
        (np.zeros(2, "m8[s]"), "dtype timedelta64"),
        (np.zeros(2, "i4,f8"), r"dtype \[\('f0'"),
        (np.zeros(2, "V3"), r"dtype \|V3"),
        (np.zeros(2, "longdouble"), "dtype .*float"),
        (np.zeros(2, "clongdouble"), "dtype .*complex"),
        (np.zeros((1, 1)).view(np.matrix), "subclass of ndarray"),
        (np.ma.array([1], mask=[True]), "subclass of ndarray"),
        (np.rec.array([(1,)]), "subclass of ndarray"),
        (np.zeros(1).view(Matrix), "subclass of ndarray"),
        (Numbers("i"), "subclass of array"),
        (np.float64(1), "subclass of float"),
        (np.int64(1), "numpy.int64 may not cross"),
        (array.array(LETTERS, "a"), "typecode"),
        (memoryview(b"a").cast("c"), "format 'c'"),
        (memoryview(np.zeros(1, "c16")), "format 'Zd'"),
        (memoryview(np.zeros(1, "i4,f8")), "format 'T{"),
        (memoryview(np.zeros((0, 2))), "several dimensions"),
        ({memoryview(b"a"): 1}, "in a key"),
        ({memoryview(b"a")}, "in a key"),
    ],
)
def test_what_would_lose_something_is_refused(value: Any, text: str) -> None:
    with pytest.raises(InsecureJelly, match=text):
        pack(value)


def test_a_memoryview_that_is_released_is_refused() -> None:
    view = memoryview(b"abc")
    view.release()

    with pytest.raises(InsecureJelly, match="released"):
        pack(view)


def test_more_dimensions_than_numpy_1_has_are_refused() -> None:
    most = memoryview(b"a").cast("B", [1] * MAX_DIMENSIONS)
    more = memoryview(b"a").cast("B", [1] * (MAX_DIMENSIONS + 1))

    assert crossed(most) == most
    assert_same(crossed(np.zeros((1,) * MAX_DIMENSIONS)), np.zeros((1,) * 32))
    with pytest.raises(InsecureJelly, match="33 dimensions"):
        pack(more)


def test_an_array_that_is_larger_than_the_peer_takes_is_refused_uncopied() -> None:
    endless = np.broadcast_to(np.float64(1), (1 << 40,))

    with pytest.raises(LimitExceeded, match="max_message_size"):
        pack(endless)


@pytest.mark.parametrize("cls", CLASSES)
def test_what_the_sender_has_not_registered_is_refused(cls: type) -> None:
    value = {np.ndarray: np.zeros(1), array.array: array.array("i")}.get(
        cls, memoryview(b"")
    )
    known = registry(*(set(CLASSES) - {cls}))

    with pytest.raises(InsecureJelly, match=r"setUnjellyableForClass\(.*both sides"):
        pack(value, known)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("count", [3, BULK_BYTES])
def test_what_the_receiver_has_not_registered_is_refused(cls: type, count: int) -> None:
    value = {
        np.ndarray: np.zeros(count),
        array.array: array.array("d", [1]) * count,
        memoryview: memoryview(bytes(count)),
    }[cls]
    packed = pack(value)
    known = registry(*(set(CLASSES) - {cls}))

    with pytest.raises(DecodeRefused, match=r"is not registered.*setUnjellyable"):
        unpack(packed.body, [each.data for each in packed.bulk], known)


def test_a_class_that_calls_itself_an_array_is_none() -> None:
    fake = type("ndarray", (), {"__module__": "numpy"})

    assert is_array(np.ndarray)
    assert not is_array(fake)
    with pytest.raises(TypeError, match="expected a class"):
        ClassRegistry().setUnjellyableForClass("numpy.ndarray", fake)


def test_a_name_that_stands_for_another_class_makes_no_arrays() -> None:
    class Copy:
        def setCopyableState(self, state: Any) -> None:
            raise AssertionError(state)

    known = ClassRegistry()
    known.setUnjellyableForClass("numpy.ndarray", Copy)

    with pytest.raises(DecodeRefused, match="is not registered"):
        read(Tag(tags.ARRAY, [[1], typed(b"a")]), known=known)


def test_an_array_arrives_as_itself_only() -> None:
    with pytest.raises(TypeError, match="as itself only"):
        ClassRegistry().setUnjellyableForClass("array.array", np.ndarray)


def test_a_subclass_of_an_array_is_not_registered() -> None:
    with pytest.raises(TypeError, match="expected a class"):
        ClassRegistry().setUnjellyableForClass(Matrix, Matrix)


def test_the_process_s_registration_counts_for_each_factory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geopb.jelly.registry.process_registry", ALL)

    assert ClassRegistry().find_array("numpy.ndarray") is np.ndarray


def test_numpy_is_never_imported_because_a_peer_named_it() -> None:
    body = pack(np.zeros(3)).body
    program = f"""
import sys
import array
import geopb
from geopb.jelly.decode import Unjellier
from geopb.jelly.registry import ClassRegistry
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
known = ClassRegistry()
known.setUnjellyableForClass(array.array, array.array)
unjellier = Unjellier(None, Limits(), lambda: 0.0, known)
message = unjellier.read({body!r})
try:
    unjellier.draft.unfinished(message)
except DecodeRefused as error:
    print(error)
print("numpy" in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout == (
        "numpy.ndarray is not registered here: "
        "setUnjellyableForClass(numpy.ndarray, numpy.ndarray) does it\nFalse\n"
    )


# -- hostile bytes -------------------------------------------------------------------

SHAPED = [tags.ARRAY, tags.MEMORYVIEW]
BAD_SHAPES: list[Any] = [
    [1],
    [3],
    [],
    [2, 2],
    [-2],
    [-1, -2],
    [2, -1, -1],
    [2.0],
    [True, 2],
    ["2"],
    [None],
    2,
    None,
    {},
    "two",
    [[2]],
    [2**63],
    [2**64 - 1],
    [Tag(tags.POSITIVE_BIGNUM, b"\1" + bytes(8))],
    [2**32, 2**32],
    [2**62, 2**62, 2**62],
    [2**63 - 1, 2**63 - 1],
    [1] * 32 + [2],
    [2**62] * 32,
    [2**62] * 1000,
    [0, 2**62],
    Tag(tags.TUPLE, [2]),
]


@pytest.mark.parametrize("tag", SHAPED)
@pytest.mark.parametrize("shape", BAD_SHAPES)
def test_a_shape_that_does_not_fit_is_refused(tag: int, shape: Any) -> None:
    with pytest.raises(DecodeRefused):
        read(Tag(tag, [shape, typed(b"ab")]))


@pytest.mark.parametrize(
    "shape", [[0, 2**62], [2**62, 0, 2**62], [0, 2**63 - 1, 2**63 - 1], [0] * 33]
)
def test_an_empty_array_that_cannot_be_made_is_refused(shape: Any) -> None:
    with pytest.raises(DecodeRefused):
        read(Tag(tags.ARRAY, [shape, typed(b"", tags.INT64_LE)]))


def test_what_numpy_itself_refuses_is_refused() -> None:
    """Only what the checks above have let through comes here."""
    with pytest.raises(DecodeRefused, match=r"numpy\.ndarray refuses it: buffer is"):
        _to_ndarray(np.ndarray, ELEMENTS[tags.UINT8], (5,), [b"ab"])


@pytest.mark.parametrize("shape", [[], [0, 0], [0, 1], [1, 0]])
def test_an_empty_view_that_cannot_be_made_is_refused(shape: Any) -> None:
    with pytest.raises(DecodeRefused):
        read(Tag(tags.MEMORYVIEW, [shape, typed(b"")]))


def test_a_shape_is_compared_with_what_is_announced_before_it_comes() -> None:
    huge = Tag(tags.ARRAY, [[2**40], typed(bulk(2**20))])
    finder: Any = None
    unjellier = Unjellier(finder, Limits(), thread_time, ALL)

    with pytest.raises(DecodeRefused, match="does not fit 1048576 bytes"):
        unjellier.read(item([1, 1, 0, "take", [huge]]))


@pytest.mark.parametrize(
    "tag", [tag for tag, each in ELEMENTS.items() if each.size > 1]
)
@pytest.mark.parametrize("length", [1, 3, 7, 9])
def test_bytes_that_are_no_whole_elements_are_refused(tag: int, length: int) -> None:
    for content in (bytes(length), bulk(length)):
        with pytest.raises(DecodeRefused, match="no whole elements"):
            read(Tag(tags.ARRAY, [[1], Tag(tag, content)]), bytes(length))


CONTENTS: list[Any] = [
    None,
    True,
    1,
    1.5,
    "ab",
    [],
    [1, 2],
    {},
    {"a": 1},
    b"abc",
    Tag(tags.BYTEARRAY, b"ab"),
    Tag(tags.AGAIN, 0),
    Tag(tags.TUPLE, [[2], typed(b"ab")]),
    [[2], b"ab"],
    [[2], [1, 2]],
    [[2], typed(b"ab"), 1],
    [[2]],
    [typed(b"ab"), [2]],
    [[2], Tag(tags.AGAIN, 0)],
    [[2], Tag(tags.ARRAY, [[2], typed(b"ab")])],
    [[2], Tag(tags.MEMORYVIEW, [[2], typed(b"ab")])],
    [[2], Tag(tags.BYTEARRAY, b"ab")],
    [[2], bulk(2)],
]


@pytest.mark.parametrize("tag", [*SHAPED, tags.BOOLS, tags.COMPLEXES])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_content_of_another_form_is_refused(tag: int, content: Any) -> None:
    with pytest.raises((DecodeRefused, InsecureJelly)):
        read(Tag(tag, content), b"ab")


@pytest.mark.parametrize("content", CONTENTS)
def test_elements_of_another_form_are_refused(content: Any) -> None:
    if content == b"abc":
        content = typed(b"abc")
    with pytest.raises(DecodeRefused):
        read(typed(content))


@pytest.mark.parametrize("kind", [tags.BULK_BYTES, tags.BULK_TEXT])
def test_elements_are_bulk_of_one_kind(kind: int) -> None:
    with pytest.raises(DecodeRefused, match="no bytes"):
        read(typed(bulk(2, kind)), b"ab")


@pytest.mark.parametrize("tag", [68, 76, 83, 87, 1040])
def test_what_python_has_no_type_for_is_refused(tag: int) -> None:
    with pytest.raises(DecodeRefused, match=f"CBOR tag {tag} is not accepted"):
        read(Tag(tags.ARRAY, [[1], Tag(tag, bytes(16))]))


@pytest.mark.parametrize("tag", SHAPED)
@pytest.mark.parametrize("data", [b"\0\1\2", b"\xff\0\0", b"\0\0\xff"])
def test_a_bool_is_0_or_1(tag: int, data: bytes) -> None:
    with pytest.raises(InsecureJelly, match="neither 0 nor 1"):
        read(Tag(tag, [[3], Tag(tags.BOOLS, typed(data))]))


@pytest.mark.parametrize(
    "inner",
    [
        Tag(tags.BOOLS, Tag(tags.INT8, b"\0")),
        Tag(tags.BOOLS, Tag(tags.BOOLS, typed(b"\0"))),
        Tag(tags.COMPLEXES, Tag(tags.FLOAT16_LE, bytes(8))),
        Tag(tags.COMPLEXES, Tag(tags.INT32_LE, bytes(8))),
        Tag(tags.COMPLEXES, Tag(tags.FLOAT64_LE, bytes(8))),
        Tag(tags.COMPLEXES, Tag(tags.COMPLEXES, Tag(tags.FLOAT64_LE, bytes(32)))),
    ],
)
def test_what_is_around_the_elements_must_fit_them(inner: Tag) -> None:
    with pytest.raises(DecodeRefused):
        read(Tag(tags.ARRAY, [[1], inner]))


@pytest.mark.parametrize(
    "bare",
    [
        Tag(tags.BOOLS, typed(b"\0")),
        Tag(tags.COMPLEXES, Tag(tags.FLOAT64_LE, bytes(16))),
        Tag(tags.FLOAT16_LE, bytes(2)),
    ],
)
def test_an_array_that_the_standard_library_has_not_is_refused(bare: Tag) -> None:
    with pytest.raises(DecodeRefused, match=r"there is no array\.array of"):
        read(bare)


@pytest.mark.parametrize(
    "inner", [Tag(tags.COMPLEXES, Tag(tags.FLOAT64_LE, bytes(16))), Tag(84, b"\0\0")]
)
def test_a_view_that_python_has_not_is_refused(inner: Tag) -> None:
    with pytest.raises(DecodeRefused, match="there is no memoryview of"):
        read(Tag(tags.MEMORYVIEW, [[1], inner]))


@pytest.mark.parametrize(
    ("tag", "data", "value"),
    [
        (tags.UINT16_BE, b"\1\2", 0x0102),
        (tags.UINT16_LE, b"\1\2", 0x0201),
        (tags.INT32_BE, b"\xff\xff\xff\xfe", -2),
        (tags.INT32_LE, b"\xfe\xff\xff\xff", -2),
        (tags.UINT64_BE, bytes(7) + b"\5", 5),
        (tags.FLOAT64_BE, b"\x3f\xf0" + bytes(6), 1.0),
        (tags.FLOAT64_LE, bytes(6) + b"\xf0\x3f", 1.0),
        (tags.FLOAT32_BE, b"\x40\0\0\0", 2.0),
    ],
)
def test_either_order_of_bytes_arrives_as_the_value(
    tag: int, data: bytes, value: float
) -> None:
    assert list(read(Tag(tag, data))) == [value]
    assert read(Tag(tags.MEMORYVIEW, [[1], Tag(tag, data)])).tolist() == [value]
    assert read(Tag(tags.ARRAY, [[1], Tag(tag, data)])).tolist() == [value]


def test_half_floats_arrive() -> None:
    made = read(Tag(tags.ARRAY, [[2], Tag(tags.FLOAT16_BE, b"\x3c\0\xc0\0")]))

    assert made.tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    "content",
    [
        typed(b"a"),
        Tag(tags.ARRAY, [[1], typed(b"a")]),
        Tag(tags.MEMORYVIEW, [[1], typed(b"a")]),
        Tag(tags.ARRAY, [[1], typed(bulk(1))]),
    ],
)
@pytest.mark.parametrize("number", [tags.SET, tags.FROZENSET, tags.MAP])
def test_no_array_is_a_key(content: Tag, number: int) -> None:
    for key in (content, Tag(tags.TUPLE, [content])):
        keys = [key, None] if number == tags.MAP else [key]
        body = item([1, 1, 0, "take", [Tag(number, keys)]])
        with pytest.raises((DecodeRefused, InsecureJelly)):
            unpack(body, [b"a"] * (tags.BULK in tags_of(content)))


def test_tiny_arrays_count_as_more_than_they_measure() -> None:
    limits = Limits(max_structure_size=16 * 1024)
    most = limits.max_structure_size // LEAST_BYTES

    unpack(item([1, 1, 0, "take", [[typed(b"")] * most]]), [], limits=limits)

    with pytest.raises(LimitExceeded, match="max_structure_size=16384"):
        unpack(item([1, 1, 0, "take", [[typed(b"")] * (most + 1)]]), [], limits=limits)


def test_a_sender_counts_tiny_arrays_alike() -> None:
    limits = Limits(max_structure_size=16 * 1024)
    sent = [array.array("B") for _ in range(300)]

    with pytest.raises(LimitExceeded, match="max_structure_size=16384"):
        pack(sent, limits=limits)


@pytest.mark.slow
def test_a_message_full_of_arrays_stays_small() -> None:
    """Without the count a MiB of them would take a quarter of a gigabyte."""
    limits = Limits(max_structure_size=MEBI)
    count = limits.max_structure_size // LEAST_BYTES
    body = item([1, 1, 0, "take", [[typed(b"")] * count]])
    tracemalloc.start()
    try:
        arrived = unpack(body, [], limits=limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(arrived) == count
    assert peak < 25 * MEBI


@given(
    st.sampled_from([*SHAPED, tags.BOOLS, tags.COMPLEXES, *ELEMENTS]),
    st.recursive(
        st.one_of(
            st.integers(-5, 5),
            st.just(2**62),
            st.binary(max_size=17),
            st.none(),
            st.builds(typed, st.binary(max_size=17), st.sampled_from([*ELEMENTS])),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.builds(
                Tag, st.sampled_from([*SHAPED, tags.BOOLS, tags.COMPLEXES]), inner
            ),
            st.builds(
                lambda number, it: Tag(tags.DEFINE, [number, it]), st.just(0), inner
            ),
        ),
        max_leaves=6,
    ),
)
def test_whatever_comes_becomes_an_array_or_is_refused(number: int, it: Any) -> None:
    try:
        arrived = read(Tag(number, it))
    except (DecodeRefused, InsecureJelly, LimitExceeded):
        return
    assert type(arrived) in CLASSES
    if isinstance(arrived, np.ndarray):
        arrived.sum()
    else:
        bytes(arrived)


# -- cost ----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_eight_mebibytes_cost_no_step_an_element(cls: type) -> None:
    """A million elements: a step of Python for each takes 50 ms and more."""
    whole = np.arange(MEBI, dtype="f8")
    sent: Any = {
        np.ndarray: whole,
        array.array: array.array("d", whole.tobytes()),
        memoryview: memoryview(whole),
    }[cls]
    best = 9.0
    for _ in range(5):
        begun = thread_time()
        arrived = crossed(sent)
        best = min(best, thread_time() - begun)

    assert bytes(arrived[:100]) == whole[:100].tobytes()
    assert best < seconds(0.025)


def test_the_sender_copies_once_and_the_receiver_wraps() -> None:
    sent = np.zeros(8 * MEBI, "u1")
    tracemalloc.start()
    try:
        packed = pack(sent)
        out = tracemalloc.get_traced_memory()[1]
        finder: Any = None
        unjellier = Unjellier(finder, Limits(), thread_time, ALL)
        message = unjellier.read(packed.body)
        (slot,) = unjellier.draft.slots
        slot.fill([packed.bulk[0].data])
        unfinished = unjellier.draft.unfinished(message)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert unfinished is not None
        unfinished.finish()
        made = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert out < 9 * MEBI
    assert made < MEBI
    assert np.shares_memory(message[4][0], np.frombuffer(slot.value, "u1"))


def test_every_element_has_one_tag() -> None:
    assert len(TAG_OF) == len(ELEMENTS) == 20
    for tag, element in ELEMENTS.items():
        bits = tag - 64
        assert bool(bits & 16) == (element.kind == "f")
        if element.size > 1:
            assert bool(bits & 4) != element.big
        assert element.size == (2 if bits & 16 else 1) << (bits & 3)
        if not bits & 16:
            assert bool(bits & 8) == (element.kind == "i")
