"""Values without parts that CBOR lacks, or that cbor2 reads without bounds.

Owns, for each such type, its tag, how it becomes plain and how it is read back:
exactly the same value, or a refusal. Never sees containers or objects. Called by
``encode`` (by exact type) and ``decode`` (by tag).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Protocol
from uuid import UUID

from geopb.errors import InsecureJelly, over_limit
from geopb.jelly import tags
from geopb.wire.codec import DecodeRefused

_MICROSECOND = timedelta(microseconds=1)
#: ``int(Decimal("1E+1000000"))`` is a bomb for whoever receives it.
MAX_DECIMAL_EXPONENT = 9_999
#: Bytes of integers that any side takes: no limit is lower.
FEW_BYTES = 8
#: Texts of decimals up to here are read without counting their digits.
_FEW_DIGITS = 64
#: Length of an IPv6 zone name; Linux allows 15.
_MAX_ZONE = 64
#: Text of a decimal must not depend on the caller's decimal context.
_DECIMAL_TEXT = Context(capitals=1)


class NumberLimits(Protocol):
    """The bounds that apply: the peer's when sending, our own when receiving."""

    @property
    def max_integer_bits(self) -> int:
        """Bits of one integer."""

    @property
    def max_decimal_digits(self) -> int:
        """Digits of one Decimal."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """How one type crosses."""

    tag: int
    #: The value as plain CBOR data. Raises InsecureJelly or LimitExceeded.
    plain: Callable[[Any, NumberLimits], Any]
    #: The value back. Raises DecodeRefused, ValueError, OverflowError, TypeError.
    read: Callable[[Any, NumberLimits], Any]


def check_integer(value: int, limits: NumberLimits) -> int:
    """Return `value`, refusing one that has too many bits."""
    bits = value.bit_length()
    if bits > limits.max_integer_bits:
        raise over_limit(
            "max_integer_bits", limits.max_integer_bits, "an integer", bits
        )
    return value


def read_bignum(content: Any, limits: NumberLimits) -> int:
    """Return the integer that big-endian bytes hold, bounded before it is made."""
    if type(content) is not bytes:
        raise DecodeRefused("a big integer that is not bytes")
    if len(content) * 8 > limits.max_integer_bits + 7:
        limit = limits.max_integer_bits
        raise over_limit("max_integer_bits", limit, "an integer", len(content) * 8)
    return check_integer(int.from_bytes(content, "big"), limits)


def _numbers(content: Any, count: int) -> list[int]:
    if type(content) is not list or len(content) != count:
        raise DecodeRefused(f"expected {count} numbers")
    for number in content:
        if type(number) is not int:
            raise DecodeRefused("expected integers")
    return content


def _fixed_bytes(content: Any, count: int) -> bytes:
    if type(content) is not bytes or len(content) != count:
        raise DecodeRefused(f"expected {count} bytes")
    return content


def _pair(content: Any) -> tuple[Any, Any]:
    if type(content) is not list or len(content) != 2:
        raise DecodeRefused("expected two items")
    return content[0], content[1]


def _offset(value: datetime | time) -> int | None:
    """Return the UTC offset in microseconds, None for a naive time."""
    if value.tzinfo is None:
        return None
    try:
        offset = value.utcoffset()
    except Exception as error:
        raise InsecureJelly(
            f"a {type(value).__name__} whose tzinfo raised {type(error).__name__}"
        ) from error
    if offset is None:
        raise InsecureJelly(
            f"a {type(value).__name__} whose time zone has no fixed offset"
        )
    return offset // _MICROSECOND


def _zone(offset: Any) -> tzinfo | None:
    if offset is None:
        return None
    if type(offset) is not int:
        raise DecodeRefused("expected an offset in microseconds")
    return timezone(timedelta(microseconds=offset)) if offset else UTC


def _timed(content: Any, count: int) -> tuple[list[int], int, tzinfo | None]:
    if type(content) is not list or len(content) != count + 2:
        raise DecodeRefused(f"expected {count + 2} items")
    numbers = _numbers(content[: count + 1], count + 1)
    return numbers[:count], numbers[count], _zone(content[count + 1])


def _plain_datetime(v: datetime, limits: NumberLimits) -> list[int | None]:
    day = [v.year, v.month, v.day]
    return [*day, v.hour, v.minute, v.second, v.microsecond, v.fold, _offset(v)]


def _read_datetime(content: Any, limits: NumberLimits) -> datetime:
    numbers, fold, zone = _timed(content, 7)
    return datetime(*numbers, fold=fold, tzinfo=zone)  # type: ignore[misc, arg-type]


def _plain_time(v: time, limits: NumberLimits) -> list[int | None]:
    return [v.hour, v.minute, v.second, v.microsecond, v.fold, _offset(v)]


def _read_time(content: Any, limits: NumberLimits) -> time:
    numbers, fold, zone = _timed(content, 4)
    return time(*numbers, fold=fold, tzinfo=zone)  # type: ignore[misc, arg-type]


def _read_timedelta(content: Any, limits: NumberLimits) -> timedelta:
    days, seconds, microseconds = _numbers(content, 3)
    if not (0 <= seconds < 86_400 and 0 <= microseconds < 1_000_000):
        raise DecodeRefused("a timedelta that is not normal")
    return timedelta(days, seconds, microseconds)


def _plain_decimal(value: Decimal, limits: NumberLimits) -> str:
    text = _DECIMAL_TEXT.to_sci_string(value)
    _, digits, exponent = value.as_tuple()
    if len(digits) > limits.max_decimal_digits:
        limit = limits.max_decimal_digits
        raise over_limit(
            "max_decimal_digits", limit, "digits of a Decimal", len(digits)
        )
    if isinstance(exponent, int) and abs(exponent) > MAX_DECIMAL_EXPONENT:
        limit = MAX_DECIMAL_EXPONENT
        raise over_limit("the Decimal exponent", limit, "an exponent", abs(exponent))
    return text


def _read_decimal(content: Any, limits: NumberLimits) -> Decimal:
    # Behind the digits: sign, point, zeros of a small exponent, "E-9999".
    if type(content) is not str or len(content) > limits.max_decimal_digits + 20:
        raise DecodeRefused("a Decimal that is no text, or too long")
    value = Decimal(content)
    # A short text without an exponent passes no limit.
    short = len(content) <= _FEW_DIGITS <= limits.max_decimal_digits
    if short and "E" not in content:
        plain = _DECIMAL_TEXT.to_sci_string(value)
    else:
        plain = _plain_decimal(value, limits)
    if plain != content:
        raise DecodeRefused("a Decimal in another form than its own")
    return value


def _plain_fraction(value: Fraction, limits: NumberLimits) -> list[int]:
    parts = [value.numerator, value.denominator]
    return [check_integer(part, limits) for part in parts]


def _read_fraction(content: Any, limits: NumberLimits) -> Fraction:
    numerator, denominator = _numbers(content, 2)
    if denominator < 1:
        raise DecodeRefused("a fraction with a denominator below 1")
    value = Fraction(numerator, denominator)
    if value.denominator != denominator:
        raise DecodeRefused("a fraction that is not in lowest terms")
    return value


def _read_complex(content: Any, limits: NumberLimits) -> complex:
    real, imaginary = _pair(content)
    if type(real) is not float or type(imaginary) is not float:
        raise DecodeRefused("expected two floats")
    return complex(real, imaginary)


def _plain_address6(value: IPv6Address, limits: NumberLimits) -> list[Any]:
    return [value.packed, value.scope_id]


def _read_address6(content: Any, limits: NumberLimits) -> IPv6Address:
    packed, zone = _pair(content)
    if zone is None:
        return IPv6Address(_fixed_bytes(packed, 16))
    if type(zone) is not str or not 0 < len(zone) <= _MAX_ZONE or "/" in zone:
        raise DecodeRefused("an IPv6 zone that is no name")
    # The long form of the text: quicker to make than the short one.
    return IPv6Address(f"{_fixed_bytes(packed, 16).hex(':', 2)}%{zone}")


def _plain_network(value: IPv4Network | IPv6Network, limits: NumberLimits) -> Any:
    if getattr(value.network_address, "scope_id", None) is not None:
        raise InsecureJelly("an IPv6 network with a zone may not cross")
    return [value.network_address.packed, value.prefixlen]


def _network_reader(
    address: type[IPv4Address | IPv6Address], network: Any, count: int
) -> Callable[[Any, NumberLimits], Any]:
    def read(content: Any, limits: NumberLimits) -> Any:
        packed, length = _pair(content)
        if type(length) is not int or not 0 <= length <= count * 8:
            raise DecodeRefused("a network prefix out of range")
        # Host bits that are set make the constructor raise ValueError.
        return network((_fixed_bytes(packed, count), length))

    return read


SCALARS: dict[type, Scalar] = {
    complex: Scalar(tags.COMPLEX, lambda v, _: [v.real, v.imag], _read_complex),
    datetime: Scalar(tags.DATETIME, _plain_datetime, _read_datetime),
    date: Scalar(
        tags.DATE,
        lambda v, _: [v.year, v.month, v.day],
        lambda content, _: date(*_numbers(content, 3)),
    ),
    time: Scalar(tags.TIME, _plain_time, _read_time),
    timedelta: Scalar(
        tags.TIMEDELTA,
        lambda v, _: [v.days, v.seconds, v.microseconds],
        _read_timedelta,
    ),
    Decimal: Scalar(tags.DECIMAL, _plain_decimal, _read_decimal),
    Fraction: Scalar(tags.FRACTION, _plain_fraction, _read_fraction),
    UUID: Scalar(
        tags.UUID_,
        lambda v, _: v.bytes,
        lambda content, _: UUID(bytes=_fixed_bytes(content, 16)),
    ),
    IPv4Address: Scalar(
        tags.IPV4_ADDRESS,
        lambda v, _: v.packed,
        lambda content, _: IPv4Address(_fixed_bytes(content, 4)),
    ),
    IPv6Address: Scalar(tags.IPV6_ADDRESS, _plain_address6, _read_address6),
    IPv4Network: Scalar(
        tags.IPV4_NETWORK, _plain_network, _network_reader(IPv4Address, IPv4Network, 4)
    ),
    IPv6Network: Scalar(
        tags.IPV6_NETWORK, _plain_network, _network_reader(IPv6Address, IPv6Network, 16)
    ),
}
