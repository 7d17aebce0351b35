"""Channels by resolution: Tables 4 and 5 of "Rethinking Deep Face Restoration".

Channels belong to resolutions, not to depth: a network for a smaller image uses the entries of that image's octaves.
1024 continues the tables with halved channels (our reading).
"""

from __future__ import annotations

ENCODER_CHANNELS = {512: 16, 256: 32, 128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512}
DECODER_CHANNELS = {1024: 16, 512: 32, 256: 64, 128: 128, 64: 256, 32: 512, 16: 512, 8: 512}

BOTTOM = 4  # resolution of the encoder's last feature
FIRST_SKIP = 8  # resolution of the first skip block


def encoder_resolutions(resolution: int) -> list[int]:
    """Output resolutions of the encoder's blocks for an image of `resolution`: R / 2, R / 4, ... 4."""
    check_resolution(resolution)
    return [side for side in ENCODER_CHANNELS if side < resolution]


def decoder_resolutions(resolution: int) -> list[int]:
    """Output resolutions of the decoder's blocks: 8, 16, ... R."""
    check_resolution(resolution)
    return sorted(side for side in DECODER_CHANNELS if side <= resolution)


def skip_resolutions(resolution: int, n_skips: int) -> list[int]:
    """Resolutions of the skip blocks, counted from 8 upward: 8, 16, ... 2^(n_skips + 2)."""
    possible = [side for side in decoder_resolutions(resolution) if side < resolution]
    if not 0 <= n_skips <= len(possible):
        raise ValueError(f"n_skips is {n_skips}, expected 0 to {len(possible)} for a {resolution} px network")
    return possible[:n_skips]


def scaled(channels: int, width: float) -> int:
    """Channels under a width multiplier, at least 1."""
    return max(1, round(channels * width))


def check_resolution(resolution: int) -> None:
    """Raise ValueError unless `resolution` is a power of two from 32 to 1024."""
    if resolution not in (32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution is {resolution}, expected a power of two from 32 to 1024")
