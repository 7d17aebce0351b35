"""CRC-32C, the checksum of TFRecord and TensorBoard event files."""

from __future__ import annotations

import google_crc32c


def crc32c(data: bytes) -> int:
    """CRC-32C of `data` (Castagnoli's polynomial; RFC 3720, appendix B.4)."""
    return int(google_crc32c.value(data))


def masked_crc32c(data: bytes) -> int:
    """`crc32c` rotated right by 15 bits plus a constant, as TFRecord files store it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
