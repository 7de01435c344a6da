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
COPY = 60122
COPIES = 60123
ENUM = 60124
CACHE = 60125
MEMORYVIEW = 60126
BOOLS = 60127
COMPLEXES = 60128
ANSWER_OF = 60129
STREAM = 60130
ROWS = 60131

#: Standard tags: integers that 64 bits cannot hold.
POSITIVE_BIGNUM = 2
NEGATIVE_BIGNUM = 3

#: RFC 8746: an array of any number of dimensions, the last of which runs fastest; and
#: typed arrays, by what their elements are and which of their bytes comes first.
ARRAY = 40
UINT8 = 64
UINT16_BE = 65
UINT32_BE = 66
UINT64_BE = 67
UINT16_LE = 69
UINT32_LE = 70
UINT64_LE = 71
INT8 = 72
INT16_BE = 73
INT32_BE = 74
INT64_BE = 75
INT16_LE = 77
INT32_LE = 78
INT64_LE = 79
FLOAT16_BE = 80
FLOAT32_BE = 81
FLOAT64_BE = 82
FLOAT16_LE = 84
FLOAT32_LE = 85
FLOAT64_LE = 86

#: What bulk bytes become when they are all there.
BULK_BYTES = 0
BULK_BYTEARRAY = 1
BULK_TEXT = 2
