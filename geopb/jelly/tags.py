"""The CBOR tags of geopb's values. Private to this protocol, see docs/protocol.md.

Owns the numbers. "Mine" and "yours" are always the sender's words.
"""

from __future__ import annotations

MINE = 60100
YOURS = 60101
TUPLE = 60102
SET = 60103
FROZENSET = 60104
MAP = 60105
BYTEARRAY = 60106
DEFINE = 60107
AGAIN = 60108
BULK = 60109
COMPLEX = 60110
DATETIME = 60111
DATE = 60112
TIME = 60113
TIMEDELTA = 60114
DECIMAL = 60115
FRACTION = 60116
UUID_ = 60117
IPV4_ADDRESS = 60118
IPV6_ADDRESS = 60119
IPV4_NETWORK = 60120
IPV6_NETWORK = 60121

#: Standard tags: integers that 64 bits cannot hold.
POSITIVE_BIGNUM = 2
NEGATIVE_BIGNUM = 3

#: What bulk bytes become when they are all there.
BULK_BYTES = 0
BULK_BYTEARRAY = 1
BULK_TEXT = 2
