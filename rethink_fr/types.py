"""Small shared types. Imports no TensorFlow at run time, so that `config` can use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Literal, Mapping, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from tensorflow import keras

Precision = Literal["float32", "bfloat16"]  # of the products at inference; everything else is float32


class Quantization(NamedTuple):
    """What `VectorQuantizer` returns for features `[B, h, w, C]`."""

    quantized: tf.Tensor  # [B, h, w, C], straight-through: its gradient is that of the features
    commitment_loss: tf.Tensor  # scalar, mean ||p - sg(p_q)||^2 over all elements
    code_indices: tf.Tensor  # int32 [B, h, w]


class Restoration(NamedTuple):
    """What the restorer returns."""

    image: tf.Tensor  # [B, R, R, 3], nominally [-1, 1], not clipped (the losses must see overshoot)
    commitment_loss: tf.Tensor  # scalar, mean over the skips' quantizers; 0 without quantization


class Inference(NamedTuple):
    """A restorer's network as `restore`, `export` and `load_restorer` use it."""

    network: keras.Model
    function: Callable[..., Dict[str, tf.Tensor]]  # (images, control=None) -> "restored", and "texture" if it has one
    resolution: int
    check_shape: Optional[Callable[[Tuple[int, ...]], None]]  # refuses images by a ValueError; None: one size only
    control: Optional[Literal["noise", "fidelity"]]  # what is given beside the images
    control_shape: Tuple[Optional[int], ...] = ()  # None stands for the batch
    has_texture: bool = False


class RestorerKind(NamedTuple):
    """A family of restorers, as the workflows see it. Each is an entry of `RESTORERS` in `workflows.build`."""

    settings: type  # frozen dataclass: the `model` section of a run's config.yaml
    build: Callable[[Any], keras.Model]  # settings -> network, its variables created
    inference: Callable[[keras.Model, Precision], Inference]
    # Weights under their published PyTorch names -> settings and network; a ValueError if they are something else.
    from_torch: Optional[Callable[[Mapping[str, np.ndarray]], Tuple[Any, keras.Model]]] = None


@dataclass(frozen=True)
class DegradationRanges:
    """Ranges of Eq. 13 of "Rethinking Deep Face Restoration"; every value is drawn uniformly per image.

    `blur_sigma` is in pixels of a 512 x 512 image and scales with the resolution; `downscale` is the factor r;
    `noise` is a standard deviation in 8-bit units; `jpeg_quality` is JPEG's 1..100 scale, drawn as an integer.
    """

    blur_sigma: Tuple[float, float] = (0.2, 10.0)
    downscale: Tuple[float, float] = (1.0, 8.0)
    noise: Tuple[float, float] = (0.0, 15.0)
    jpeg_quality: Tuple[int, int] = (60, 100)
