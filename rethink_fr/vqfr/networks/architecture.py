"""The numbers that make a network of version 1 or 2, published or reduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

# Channels at full size, half size, a quarter, ...: the published networks.
_PUBLISHED_CHANNELS: Dict[int, Tuple[int, ...]] = {
    1: (128, 128, 256, 256, 256, 512),
    2: (64, 128, 128, 256, 256, 512),
}
_GROUPS = 32  # of every group normalization; must divide all channels
_CODE_SIZE = 256


@dataclass(frozen=True)
class Architecture:
    """Of what size the parts of a network are. The defaults of `reduced_architecture` are the published ones.

    Version 1 is the network of "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder"
    (Gu et al., ECCV 2022), version 2 the one its authors released later.
    """

    version: int
    resolution: int  # side of the images it is made for
    channels: Tuple[int, ...]  # at full size, half size, ...; the last is the codes' size
    code_size: int
    codebook_size: int

    @property
    def factors(self) -> Tuple[int, ...]:
        """By how much each level is smaller than the image: 1, 2, 4, ..."""
        return tuple(1 << level for level in range(len(self.channels)))

    def check_images(self, name: str, shape: Tuple[int | None, ...]) -> None:
        """Refuse images of a size that the network is not made for.

        Version 1 is fully convolutional: sides from half to twice its resolution, in steps of the size of one code.
        Version 2 predicts its codes from a fixed number of positions.

        Raises:
            ValueError: if the static shape does not fit.
        """
        if len(shape) != 4 or shape[3] not in (None, 3):
            raise ValueError(f"{name}: images are {list(shape)}, expected [B, H, W, 3]")
        step, resolution = self.factors[-1], self.resolution
        for side in shape[1:3]:
            if side is None:
                continue
            if self.version == 2 and side != resolution:
                raise ValueError(
                    f"{name}: images are {shape[1]} x {shape[2]}, but version 2 takes {resolution} x {resolution} "
                    "only; resize them first"
                )
            if side % step or not resolution // 2 <= side <= 2 * resolution:
                raise ValueError(
                    f"{name}: images are {shape[1]} x {shape[2]}, expected sides that are multiples of {step} from "
                    f"{resolution // 2} to {2 * resolution}; resize or pad them first"
                )


def reduced_architecture(
    version: int, resolution: int = 512, width: float = 1.0, levels: int = 6, codebook_size: int = 1024
) -> Architecture:
    """The published architecture of a version, or a smaller one like it.

    Args:
        version: 1 or 2.
        resolution: side of the images, a multiple of twice the size of one code.
        width: factor on all channels, which are rounded to multiples of 32, at least 32.
        levels: sizes at which it works: full, half, ... A code stands for a square of 2 ** (levels - 1) pixels.
        codebook_size: number of codes.

    Raises:
        ValueError: if a number does not fit.
    """
    if version not in _PUBLISHED_CHANNELS:
        raise ValueError(f"VQFR: version is {version!r}, expected 1 or 2")
    published = _PUBLISHED_CHANNELS[version]
    if not 2 <= levels <= len(published):
        raise ValueError(f"VQFR: levels is {levels!r}, expected 2 to {len(published)}")
    if not 0.0 < width <= 8.0:
        raise ValueError(f"VQFR: width is {width!r}, expected above 0, at most 8")
    step = 1 << levels
    if resolution < step or resolution % step:
        raise ValueError(f"VQFR: resolution is {resolution!r}, expected a multiple of {step} with {levels} levels")
    if codebook_size < 2:
        raise ValueError(f"VQFR: codebook_size is {codebook_size!r}, expected 2 or more")

    def scaled(channels: int) -> int:
        return _GROUPS * max(1, round(channels * width / _GROUPS))

    channels = tuple(scaled(count) for count in published[:levels])
    return Architecture(version, resolution, channels, scaled(_CODE_SIZE), codebook_size)
