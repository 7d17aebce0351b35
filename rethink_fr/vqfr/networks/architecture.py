"""The sizes of VQFR's networks, of version 1 or 2, published or reduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

# Channels at full size, half size, a quarter, ...: the published networks, which have six levels. The seventh, where a
# code stands for 64 x 64 pixels, is our reading: as many channels as the sixth.
_CHANNELS: Dict[int, Tuple[int, ...]] = {
    1: (128, 128, 256, 256, 256, 512, 512),
    2: (64, 128, 128, 256, 256, 512, 512),
}
_GROUPS = 32  # of every group normalization; must divide all channels
_CODE_SIZE = 256


@dataclass(frozen=True)
class Architecture:
    """The sizes of a network. Made by `reduced_architecture`, whose defaults are the published network.

    Version 1 is the network of "VQFR: Blind Face Restoration with Vector-Quantized Dictionary and Parallel Decoder"
    (Gu et al., ECCV 2022). Version 2 is the one that its authors released later.
    """

    version: int
    resolution: int  # side of the images that it is made for, in pixels
    channels: Tuple[int, ...]  # of the features at full size, half size, ...; the last have the size of the codes
    code_size: int
    codebook_size: int

    @property
    def factors(self) -> Tuple[int, ...]:
        """How much smaller than the image the features of each level are: 1, 2, 4, ... times."""
        return tuple(1 << level for level in range(len(self.channels)))

    def check_images(self, name: str, shape: Tuple[int | None, ...]) -> None:
        """Check that a network takes images of this shape.

        Version 1 is fully convolutional. It takes sides from half to twice its resolution, in steps of the pixels that
        one code stands for. Version 2 predicts its codes for a fixed number of positions, so it takes its resolution
        only.

        Args:
            name: of the network, for the error.
            shape: `[B, H, W, 3]`; None stands for what is not known.

        Raises:
            ValueError: if it does not.
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
    """The architecture of a published network, or of a smaller one like it.

    Args:
        version: 1 or 2.
        resolution: side of the images in pixels, a multiple of 2 ** levels.
        width: multiplies all numbers of channels, which are rounded to multiples of 32, at least 32.
        levels: number of sizes that features have: full, half, ... A code stands for 2 ** (levels - 1) pixels squared.
        codebook_size: number of codes.

    Raises:
        ValueError: if a number is not valid.
    """
    if version not in _CHANNELS:
        raise ValueError(f"VQFR: version is {version!r}, expected 1 or 2")
    known = _CHANNELS[version]
    if not 2 <= levels <= len(known):
        raise ValueError(f"VQFR: levels is {levels!r}, expected 2 to {len(known)}")
    if not 0.0 < width <= 8.0:
        raise ValueError(f"VQFR: width is {width!r}, expected above 0, at most 8")
    step = 1 << levels
    if resolution < step or resolution % step:
        raise ValueError(f"VQFR: resolution is {resolution!r}, expected a multiple of {step} with {levels} levels")
    if codebook_size < 2:
        raise ValueError(f"VQFR: codebook_size is {codebook_size!r}, expected 2 or more")

    def scaled(channels: int) -> int:
        return _GROUPS * max(1, round(channels * width / _GROUPS))

    channels = tuple(scaled(count) for count in known[:levels])
    return Architecture(version, resolution, channels, scaled(_CODE_SIZE), codebook_size)
