"""Small shared types. Imports no TensorFlow at run time, so that `config` can use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    NamedTuple,
    Tuple,
)

if TYPE_CHECKING:
    import tensorflow as tf


class Quantization(NamedTuple):
    """What `VectorQuantizer` returns for features `[B, h, w, C]`."""

    quantized: tf.Tensor  # [B, h, w, C], straight-through: its gradient is that of the features
    commitment_loss: tf.Tensor  # scalar, mean ||p - sg(p_q)||^2 over all elements
    code_indices: tf.Tensor  # int32 [B, h, w]


@dataclass(frozen=True)
class DegradationRanges:
    """Ranges of Eq. 13 of "Rethinking Deep Face Restoration"; every value is drawn uniformly per image.

    `blur_sigma` is in pixels of a 512 x 512 image and scales with the resolution; `downscale` is the factor r;
    `noise` is a standard deviation in 8-bit units; `jpeg_quality` is JPEG's 1..100 scale, drawn as an integer.
    `anisotropic` is how often a kernel differs by direction; only the task `vqfr` has such kernels.
    """

    blur_sigma: Tuple[float, float] = (0.2, 10.0)
    downscale: Tuple[float, float] = (1.0, 8.0)
    noise: Tuple[float, float] = (0.0, 15.0)
    jpeg_quality: Tuple[int, int] = (60, 100)
    anisotropic: float = 0.0  # probability
