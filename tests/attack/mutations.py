"""Damage to files, drawn from a seed."""

from __future__ import annotations

import struct

import numpy as np

_HEADER = 64  # bytes at the beginning, where most formats say what follows
_ODD = (0, 1, 0x7F, 0x80, 0xFF)
_SIZES = (0, 1, 255, 65535, 0x7FFFFFFF, 0xFFFFFFFF)
_TEXT = (b"nan", b"-1", b"1e999", b"null", b"[" * 2000, b"{}", b"\\ud800", b"\x00", b"\n", b'"', b"../../etc", b"\xff")


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """`data` after one accident or attack, sometimes two or three."""
    for _ in range(max(1, generator.integers(-2, 4))):
        data = _once(bytearray(data), generator)
    return data


def _once(data: bytearray, generator: np.random.Generator) -> bytes:
    size = len(data)
    kind = generator.integers(0, 11)
    if size < 8 or kind == 0:
        return bytes(data[: size // 2])
    place = int(generator.integers(0, size - 4))
    length = int(min(generator.integers(1, 1 + size // 2), size - place))
    if kind == 1:  # cut off
        return bytes(data[:place])
    if kind == 2:  # a hole
        return bytes(data[:place] + data[place + length :])
    if kind == 3:  # a piece twice
        return bytes(data[:place] + data[place : place + length] + data[place:])
    if kind == 4:  # a piece elsewhere
        target = int(generator.integers(0, size - length + 1))
        data[target : target + length] = data[place : place + length]
    elif kind == 5:  # blocks that never reached the disk
        data[place : place + length] = bytes(length)
    elif kind == 6:  # a word that might be a size
        order = "<>"[generator.integers(0, 2)]
        data[place : place + 4] = struct.pack(f"{order}I", _SIZES[generator.integers(0, len(_SIZES))])
    elif kind == 7:  # the same where sizes stand
        place = int(generator.integers(0, min(_HEADER, size - 4)))
        order = "<>"[generator.integers(0, 2)]
        data[place : place + 4] = struct.pack(f"{order}I", _SIZES[generator.integers(0, len(_SIZES))])
    elif kind == 8:  # text where text stands
        word = _TEXT[generator.integers(0, len(_TEXT))]
        data[place : place + int(generator.integers(0, 8))] = word
    elif kind == 9:  # bytes
        for place in generator.integers(0, size, generator.integers(1, 16)):
            data[place] = _ODD[generator.integers(0, len(_ODD))]
    else:  # bits
        for place in generator.integers(0, 8 * size, generator.integers(1, 8)):
            data[place // 8] ^= 1 << (place % 8)
    return bytes(data)
