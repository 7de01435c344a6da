"""The heads of chunks, read and made without the decoder.

Owns the CBOR of ``[CHUNK, bulk, bytes]`` up to the bytes, so that those are neither
copied nor waited for. Called by framing (in) and the outbox (out).
"""

from __future__ import annotations

from struct import Struct

#: How every chunk begins: an array of three, of kind 5. Then the bulk's id, an
#: integer, and the head of a byte string: 9 bytes each at the most.
CHUNK_START = b"\x83\x05"
CHUNK_HEAD_BYTES = 20
#: Heads of most chunks: an id of 8, 16 or 32 bits, by its head, and 64 KiB or more.
_USUAL = {0x18: Struct(">HBBBI"), 0x19: Struct(">HBHBI"), 0x1A: Struct(">HBIBI")}
_START, _LENGTH = 0x8305, 0x5A
#: The head of an id by how many bytes it has.
_ID_HEADS = (0, 0x18, 0x19, 0x1A, 0x1A)
_SHORT_ID, _SHORT_LENGTH, _LONG = 24, 0x10000, 0x100000000
#: For 1 to 8 bytes of an argument, in how many CBOR has it, as a power of two.
_SIZES = (0, 1, 2, 2, 3, 3, 3, 3)


def chunk_head(data: bytes, start: int, stop: int) -> tuple[int, int] | None:
    """Return a chunk's bulk id and where its bytes begin in ``data[start:stop]``.

    None for a body that is no chunk, whose head is not all there, or whose bytes are
    not exactly the rest of it: that is for the decoder to judge.
    """
    if not data.startswith(CHUNK_START, start):
        return None
    if len(data) - start > CHUNK_HEAD_BYTES and (form := _USUAL.get(data[start + 2])):
        _, _, usual, head, size = form.unpack_from(data, start)
        begin = start + form.size
        if head == _LENGTH and usual and size and begin + size == stop:
            return usual, begin
    number = _cbor_head(data, start + 2, 0)
    if number is None or number[0] == 0:
        return None
    length = _cbor_head(data, number[1], 2)
    if length is None or not length[0] or length[1] + length[0] != stop:
        return None
    return number[0], length[1]


def make_chunk_head(number: int, length: int) -> bytes:
    """Return the body of a chunk of bulk `number` up to its `length` bytes."""
    if _SHORT_ID <= number < _LONG and _SHORT_LENGTH <= length < _LONG:
        head = _ID_HEADS[(number.bit_length() + 7) >> 3]
        return _USUAL[head].pack(_START, head, number, _LENGTH, length)
    return CHUNK_START + _make_head(0, number) + _make_head(2, length)


def _cbor_head(data: bytes, position: int, major: int) -> tuple[int, int] | None:
    """Return the argument of the CBOR head at `position`, and where that ends."""
    if position >= len(data) or data[position] >> 5 != major:
        return None
    short = data[position] & 31
    if short < 24:
        return short, position + 1
    end = position + 1 + (1 << (short - 24))
    if short > 27 or end > len(data):
        return None
    return int.from_bytes(data[position + 1 : end], "big"), end


def _make_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    size = _SIZES[(argument.bit_length() - 1) >> 3]
    return bytes([major << 5 | 24 + size]) + argument.to_bytes(1 << size, "big")
