from __future__ import annotations

import decimal
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from geopb.errors import InsecureJelly, LimitExceeded
from geopb.jelly import tags
from geopb.jelly.scalars import MAX_DECIMAL_EXPONENT, SCALARS
from geopb.limits import Limits
from geopb.wire.codec import DecodeRefused
from tests.jelly.graphs import crossed, read, sent
from tests.strategies import same
from tests.vectors.cbor import Tag

EAST = timezone(timedelta(hours=5, minutes=30))
ODD = timezone(-timedelta(hours=3, seconds=1, microseconds=7))

EXACT: list[Any] = [
    1.0 + 2.0j,
    complex(float("inf"), -0.0),
    complex(float("nan"), 0),
    datetime.min,
    datetime.max,
    datetime(2026, 3, 29, 2, 30, fold=1),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=EAST),
    datetime(2026, 1, 1, tzinfo=ODD),
    datetime.min.replace(tzinfo=EAST),
    date.min,
    date.max,
    time.min,
    time.max,
    time(1, tzinfo=ODD, fold=1),
    timedelta.min,
    timedelta.max,
    timedelta(0),
    timedelta(microseconds=-1),
    Decimal(0),
    Decimal("-0"),
    Decimal("1.50"),
    Decimal("0E-9999"),
    Decimal("1E+9999"),
    Decimal("1E-9999"),
    Decimal("0.000001"),
    Decimal("1E-7"),
    Decimal("9" * 4096),
    Decimal("-0." + "0" * 4 + "9" * 4096),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    Decimal("NaN"),
    Decimal("-NaN123"),
    Decimal("sNaN"),
    Fraction(0),
    Fraction(-7, 3),
    Fraction(2**8192 - 1, 2**8191),
    UUID(int=0),
    UUID(int=2**128 - 1),
    ip_address("0.0.0.0"),  # noqa: S104 - a value, no interface is bound
    ip_address("255.255.255.255"),
    ip_address("::"),
    ip_address("fe80::1%eth0"),
    ip_address("::ffff:192.0.2.1"),
    ip_network("0.0.0.0/0"),
    ip_network("192.0.2.1/32"),
    ip_network("::/0"),
    ip_network("2001:db8::1/128"),
]


@pytest.mark.parametrize("value", EXACT)
def test_a_value_crosses_exactly(value: Any) -> None:
    arrived = crossed(value)

    assert same(arrived, value)
    assert repr(arrived) == repr(value)


def test_a_named_zone_becomes_its_offset() -> None:
    summer = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    arrived = crossed(summer)

    assert arrived == summer
    assert arrived.tzinfo == timezone(timedelta(hours=2))


def test_each_of_two_like_times_keeps_its_offset() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for fold, hours in ((0, 2), (1, 1)):
        moment = datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold)
        assert crossed(moment).utcoffset() == timedelta(hours=hours)
        assert crossed(moment).fold == fold


def test_a_time_of_day_in_a_zone_without_a_fixed_offset_may_not_cross() -> None:
    with pytest.raises(InsecureJelly, match="no fixed offset"):
        sent(time(1, tzinfo=ZoneInfo("Europe/Berlin")))


class BrokenZone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError("no idea")


def test_a_zone_that_raises_is_refused() -> None:
    with pytest.raises(InsecureJelly, match="tzinfo raised RuntimeError"):
        sent(datetime(2026, 1, 1, tzinfo=BrokenZone()))


def test_a_network_with_a_zone_may_not_cross() -> None:
    with pytest.raises(InsecureJelly, match="zone"):
        sent(IPv6Network((IPv6Address("fe80::%eth0"), 64)))


def test_a_decimal_is_exact_whatever_the_context_says() -> None:
    value = Decimal("1.234567890123456789e-20")

    with decimal.localcontext() as context:
        context.prec = 3
        context.capitals = 0
        context.Emax = 5
        context.traps[decimal.Inexact] = True
        assert same(crossed(value), value)


OVER: dict[str, tuple[Any, str]] = {
    "digits": (Decimal("1" * 4097), "max_decimal_digits=4096"),
    "exponent": (Decimal((0, (1,), MAX_DECIMAL_EXPONENT + 1)), "exponent=9999"),
    "small exponent": (Decimal((0, (1,), -MAX_DECIMAL_EXPONENT - 1)), "exponent=9999"),
    "denominator": (Fraction(1, 2**8192), "max_integer_bits=8192"),
    "numerator": (Fraction(2**8192), "max_integer_bits=8192"),
    "integer": (2**8192, "max_integer_bits=8192"),
    "negative integer": (-(2**8192) - 1, "max_integer_bits=8192"),
}


@pytest.mark.parametrize("name", OVER)
def test_a_number_over_a_limit_is_refused_at_the_sender(name: str) -> None:
    value, limit = OVER[name]
    for form in (value, [value], (value,), {"a": value}, {1: value}):
        with pytest.raises(LimitExceeded, match=limit):
            sent(form)


def test_integers_at_the_limit_cross() -> None:
    for value in (2**8192 - 1, -(2**8192) + 1):
        assert crossed(value) == value
        assert crossed([value, (value,)]) == [value, (value,)]


def test_limits_of_numbers_can_be_others() -> None:
    small = Limits(max_integer_bits=64, max_decimal_digits=3)
    large = Limits(max_integer_bits=20_000, max_decimal_digits=5000)

    assert crossed([2**64 - 1, Decimal(999)], small) == [2**64 - 1, Decimal(999)]
    for value in (2**64, [2**64], (2**64,), {"a": -(2**65)}, Decimal(1000)):
        with pytest.raises(LimitExceeded):
            sent(value, small)
    for value in (2**20_000 - 1, Decimal("1" * 5000)):
        assert crossed(value, large) == value


def test_an_integer_over_the_receiver_s_limit_is_refused() -> None:
    small = Limits(max_integer_bits=100)

    assert read(Tag(2, b"\xff" * 12), small) == 2**96 - 1
    for content in (b"\x10" + b"\x00" * 12, b"\xff" * 100_000):
        with pytest.raises(LimitExceeded, match="max_integer_bits=100"):
            read(Tag(2, content), small)
        with pytest.raises(LimitExceeded, match="max_integer_bits=100"):
            read(Tag(3, content), small)


def test_a_big_integer_may_have_zeros_in_front() -> None:
    assert read(Tag(2, b"\x00\x01")) == 1
    assert read(Tag(3, b"")) == -1


#: Contents that are wrong for every tag of ours.
NEVER: list[Any] = [
    None,
    True,
    -1,
    1.5,
    "",
    "x",
    {},
    {"a": 1},
    [None],
    [None] * 20,
    [[]],
    ["a", "b"],
    Tag(tags.TUPLE, []),
    Tag(tags.AGAIN, 0),
]


@pytest.mark.parametrize("tag", [scalar.tag for scalar in SCALARS.values()] + [2, 3])
def test_a_wrong_content_is_refused(tag: int) -> None:
    for content in NEVER:
        with pytest.raises(DecodeRefused):
            read(Tag(tag, content))


DAY = [2026, 2, 3]


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (tags.COMPLEX, [1.0]),
        (tags.COMPLEX, [1.0, 2.0, 3.0]),
        (tags.COMPLEX, [1, 2.0]),
        (tags.COMPLEX, b"\x00" * 16),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, None, 0]),
        (tags.DATETIME, [0, 1, 1, 0, 0, 0, 0, 0, None]),
        (tags.DATETIME, [10_000, 1, 1, 0, 0, 0, 0, 0, None]),
        (tags.DATETIME, [2026, 13, 1, 0, 0, 0, 0, 0, None]),
        (tags.DATETIME, [*DAY, 24, 0, 0, 0, 0, None]),
        (tags.DATETIME, [*DAY, 0, 60, 0, 0, 0, None]),
        (tags.DATETIME, [*DAY, 0, 0, 60, 0, 0, None]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 1_000_000, 0, None]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, -1, None]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, True, None]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0.0, 0, None]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, "UTC"]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, False]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, 86_400_000_000]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, -86_400_000_000]),
        (tags.DATETIME, [*DAY, 0, 0, 0, 0, 0, 2**63]),
        (tags.DATETIME, [2**63, 1, 1, 0, 0, 0, 0, 0, None]),
        (tags.DATETIME, [Tag(2, b"\xff" * 1000), 1, 1, 0, 0, 0, 0, 0, None]),
        (tags.DATETIME, "2026-02-03T00:00:00Z"),
        (tags.DATE, [2026, 2, 29]),
        (tags.DATE, [2026, 2]),
        (tags.DATE, [*DAY, 0]),
        (tags.DATE, [2026.0, 2, 3]),
        (tags.TIME, [0, 0, 0, 0, 0]),
        (tags.TIME, [0, 0, 0, -1, 0, None]),
        (tags.TIMEDELTA, [0, -1, 0]),
        (tags.TIMEDELTA, [0, 0, 1_000_000]),
        (tags.TIMEDELTA, [10**9, 0, 0]),
        (tags.TIMEDELTA, [2**63, 0, 0]),
        (tags.TIMEDELTA, [0, 0]),
        (tags.DECIMAL, "1.50 "),
        (tags.DECIMAL, " 1"),
        (tags.DECIMAL, "+1"),
        (tags.DECIMAL, "1_0"),
        (tags.DECIMAL, "01"),
        (tags.DECIMAL, "1e5"),
        (tags.DECIMAL, "inf"),
        (tags.DECIMAL, "nan"),
        (tags.DECIMAL, "1E5"),
        (tags.DECIMAL, "\u0661"),
        (tags.DECIMAL, "1" * 100_000),
        (tags.DECIMAL, "1E+999999999999999999999"),
        (tags.DECIMAL, 5),
        (tags.DECIMAL, b"1"),
        (tags.FRACTION, [1, -1]),
        (tags.FRACTION, [0, 2]),
        (tags.FRACTION, [1]),
        (tags.FRACTION, [1, True]),
        (tags.FRACTION, [1.0, 2]),
        (tags.FRACTION, "1/2"),
        (tags.UUID_, b"\x00" * 17),
        (tags.UUID_, "12345678-1234-5678-1234-567812345678"),
        (tags.IPV4_ADDRESS, b""),
        (tags.IPV4_ADDRESS, 1),
        (tags.IPV4_ADDRESS, "192.0.2.1"),
        (tags.IPV6_ADDRESS, b"\x00" * 16),
        (tags.IPV6_ADDRESS, [b"\x00" * 4, None]),
        (tags.IPV6_ADDRESS, [b"\x00" * 16, "a/b"]),
        (tags.IPV6_ADDRESS, [b"\x00" * 16, "a%b"]),
        (tags.IPV6_ADDRESS, [b"\x00" * 16, "x" * 65]),
        (tags.IPV6_ADDRESS, [b"\x00" * 16, 1]),
        (tags.IPV4_NETWORK, [b"\x00" * 4, 33]),
        (tags.IPV4_NETWORK, [b"\x00" * 4, -1]),
        (tags.IPV4_NETWORK, [b"\x00" * 4, True]),
        (tags.IPV4_NETWORK, [b"\x00" * 4, "8"]),
        (tags.IPV4_NETWORK, [b"\x00" * 16, 8]),
        (tags.IPV4_NETWORK, [b"\x01" * 4, 8]),
        (tags.IPV6_NETWORK, [b"\x00" * 4, 8]),
        (tags.IPV6_NETWORK, [b"\x01" * 16, 8]),
    ],
)
def test_a_value_out_of_its_form_is_refused(tag: int, content: Any) -> None:
    with pytest.raises((DecodeRefused, LimitExceeded)) as raised:
        read(Tag(tag, content))

    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("value", [*EXACT, uuid4()])
def test_each_scalar_may_be_a_key_or_is_not_hashable(value: Any) -> None:
    try:
        hash(value)
    except TypeError:
        with pytest.raises(DecodeRefused, match="hash"):
            read(Tag(tags.SET, [Tag(SCALARS[type(value)].tag, "sNaN")]))
        return
    (key,) = crossed({value: 1})
    assert same(key, value)


@pytest.mark.parametrize("kind", SCALARS, ids=lambda kind: kind.__name__)
def test_a_subclass_of_a_scalar_may_not_cross(kind: type) -> None:
    made = type("Mine", (kind,), {})
    value = next(each for each in EXACT if type(each) is kind)
    arguments: dict[type, Any] = {
        complex: (1,),
        datetime: (1, 1, 1),
        date: (1, 1, 1),
        time: (),
        timedelta: (),
        UUID: ("12345678123456781234567812345678",),
    }

    mine = made(*arguments.get(kind, (value,)))

    with pytest.raises(InsecureJelly, match=rf"Mine may not cross.*{kind.__name__}"):
        sent(mine)


def test_networks_cross_as_their_own_type() -> None:
    assert type(crossed(ip_network("10.0.0.0/8"))) is IPv4Network
    assert type(crossed(ip_network("fe80::/10"))) is IPv6Network
