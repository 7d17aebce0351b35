"""CRC-32C, the checksum of TFRecord files, fast enough in NumPy to check every image that is read.

The checksum's register is linear over GF(2): a long text is cut in equal lanes, all lanes advance together one byte at
a time, and neighbouring lanes are then joined in pairs. Half a megabyte takes a few milliseconds.
"""

from __future__ import annotations

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reflected (RFC 3720, appendix B.4)
_ONES = 0xFFFFFFFF
_LANE_BYTES = 128  # about where the loop over bytes and the work on lanes cost the same
_BITS = np.arange(32, dtype=np.uint32)


def _make_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


_TABLE = _make_table()
_TABLE_LIST = _TABLE.tolist()


def crc32c(data: bytes) -> int:
    """CRC-32C of `data`."""
    lanes = 1 << max(0, (len(data) // _LANE_BYTES).bit_length() - 1)
    if lanes == 1:
        register = _ONES
        for byte in data:
            register = (register >> 8) ^ _TABLE_LIST[(register ^ byte) & 0xFF]
        return register ^ _ONES
    # A register of ones at the beginning equals one of zeros and the first four bytes inverted; and while the register
    # is zero, zeros do not change it, so they can fill the first lane.
    lane_bytes = -(-len(data) // lanes)
    text = np.zeros(lanes * lane_bytes, np.uint8)
    start = text.size - len(data)
    text[start:] = np.frombuffer(data, np.uint8)
    text[start : start + 4] ^= np.uint8(0xFF)
    registers = np.zeros(lanes, np.uint32)
    for column in np.ascontiguousarray(text.reshape(lanes, lane_bytes).T):
        registers = (registers >> np.uint32(8)) ^ _TABLE[(registers ^ column) & np.uint32(0xFF)]
    advance = _advance(lane_bytes)
    while registers.size > 1:
        registers = _apply(advance, registers[0::2]) ^ registers[1::2]
        advance = _apply(advance, advance)
    return int(registers[0]) ^ _ONES


def masked_crc32c(data: bytes) -> int:
    """`crc32c` rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _ONES


def _apply(operator: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """A linear map on registers, given as its 32 images of single bits, for uint32 `[n]`."""
    bits = (registers[:, np.newaxis] >> _BITS) & np.uint32(1)
    return np.bitwise_xor.reduce(bits * operator, axis=1)


def _advance(count: int) -> np.ndarray:
    """The map that moves a register over `count` bytes of zeros, by repeated squaring."""
    single = np.uint32(1) << _BITS
    power = (single >> np.uint32(8)) ^ _TABLE[single & np.uint32(0xFF)]
    result = single
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result
