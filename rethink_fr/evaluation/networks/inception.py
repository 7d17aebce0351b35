"""Inception V3 in the form that the Frechet inception distance is computed with."""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import resample
from rethink_fr.evaluation.networks.picture_network import PictureNetwork
from rethink_fr.weights.published_network import Layers, max_pool

SIDE = 299


def forward(layers: Layers, images: tf.Tensor) -> tf.Tensor:
    """The network: from float32 `[B, 299, 299, 3]` in [-1, 1] to `[B, 2048]`. Other sizes from 75 up work too."""
    features = layers.unit("Conv2d_1a_3x3", images, 32, 3, strides=2)
    features = layers.unit("Conv2d_2a_3x3", features, 32, 3)
    features = layers.unit("Conv2d_2b_3x3", features, 64, 3, padding=1)
    features = max_pool(features, 3, 2)
    features = layers.unit("Conv2d_3b_1x1", features, 80)
    features = layers.unit("Conv2d_4a_3x3", features, 192, 3)
    features = max_pool(features, 3, 2)
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        features = block_35(layers, name, features, pooled)
    features = reduction_to_17(layers, "Mixed_6a", features)
    for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        features = block_17(layers, name, features, width)
    features = reduction_to_8(layers, "Mixed_7a", features)
    features = block_8(layers, "Mixed_7b", features, _average)
    features = block_8(layers, "Mixed_7c", features, _maximum)
    return tf.reduce_mean(features, axis=[1, 2])


def block_35(layers: Layers, name: str, features: tf.Tensor, pooled: int) -> tf.Tensor:
    """A block at 35 x 35: 224 channels, and `pooled` more from the branch that pools."""
    small = layers.unit(f"{name}.branch1x1", features, 64)
    large = layers.unit(f"{name}.branch5x5_1", features, 48)
    large = layers.unit(f"{name}.branch5x5_2", large, 64, 5, padding=2)
    twice = layers.unit(f"{name}.branch3x3dbl_1", features, 64)
    twice = layers.unit(f"{name}.branch3x3dbl_2", twice, 96, 3, padding=1)
    twice = layers.unit(f"{name}.branch3x3dbl_3", twice, 96, 3, padding=1)
    pool = layers.unit(f"{name}.branch_pool", _average(features), pooled)
    return tf.concat([small, large, twice, pool], axis=3)


def reduction_to_17(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """From 35 x 35 to 17 x 17: 480 new channels beside the pooled old ones."""
    once = layers.unit(f"{name}.branch3x3", features, 384, 3, strides=2)
    twice = layers.unit(f"{name}.branch3x3dbl_1", features, 64)
    twice = layers.unit(f"{name}.branch3x3dbl_2", twice, 96, 3, padding=1)
    twice = layers.unit(f"{name}.branch3x3dbl_3", twice, 96, 3, strides=2)
    return tf.concat([once, twice, max_pool(features, 3, 2)], axis=3)


def block_17(layers: Layers, name: str, features: tf.Tensor, width: int) -> tf.Tensor:
    """A block at 17 x 17: 768 channels; `width` is that inside its chains of 1 x 7 and 7 x 1 convolutions."""
    small = layers.unit(f"{name}.branch1x1", features, 192)
    once = layers.unit(f"{name}.branch7x7_1", features, width)
    once = _wide(layers, f"{name}.branch7x7_2", once, width)
    once = _tall(layers, f"{name}.branch7x7_3", once, 192)
    twice = layers.unit(f"{name}.branch7x7dbl_1", features, width)
    twice = _tall(layers, f"{name}.branch7x7dbl_2", twice, width)
    twice = _wide(layers, f"{name}.branch7x7dbl_3", twice, width)
    twice = _tall(layers, f"{name}.branch7x7dbl_4", twice, width)
    twice = _wide(layers, f"{name}.branch7x7dbl_5", twice, 192)
    pool = layers.unit(f"{name}.branch_pool", _average(features), 192)
    return tf.concat([small, once, twice, pool], axis=3)


def reduction_to_8(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """From 17 x 17 to 8 x 8: 512 new channels beside the pooled old ones."""
    once = layers.unit(f"{name}.branch3x3_1", features, 192)
    once = layers.unit(f"{name}.branch3x3_2", once, 320, 3, strides=2)
    long = layers.unit(f"{name}.branch7x7x3_1", features, 192)
    long = _wide(layers, f"{name}.branch7x7x3_2", long, 192)
    long = _tall(layers, f"{name}.branch7x7x3_3", long, 192)
    long = layers.unit(f"{name}.branch7x7x3_4", long, 192, 3, strides=2)
    return tf.concat([once, long, max_pool(features, 3, 2)], axis=3)


def block_8(layers: Layers, name: str, features: tf.Tensor, pooling: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """A block at 8 x 8: 2048 channels. The branch that pools uses `pooling`: `_average` or `_maximum`."""
    small = layers.unit(f"{name}.branch1x1", features, 320)
    once = layers.unit(f"{name}.branch3x3_1", features, 384)
    twice = layers.unit(f"{name}.branch3x3dbl_1", features, 448)
    twice = layers.unit(f"{name}.branch3x3dbl_2", twice, 384, 3, padding=1)
    split = [
        layers.unit(f"{name}.{branch}{part}", inputs, 384, size, padding=padding)
        for branch, inputs in (("branch3x3_2", once), ("branch3x3dbl_3", twice))
        for part, size, padding in (("a", (1, 3), (0, 1)), ("b", (3, 1), (1, 0)))
    ]
    pool = layers.unit(f"{name}.branch_pool", pooling(features), 192)
    return tf.concat([small, *split, pool], axis=3)


def _wide(layers: Layers, name: str, features: tf.Tensor, filters: int) -> tf.Tensor:
    return layers.unit(name, features, filters, (1, 7), padding=(0, 3))


def _tall(layers: Layers, name: str, features: tf.Tensor, filters: int) -> tf.Tensor:
    return layers.unit(name, features, filters, (7, 1), padding=(3, 0))


def _average(features: tf.Tensor) -> tf.Tensor:
    """The mean of 3 x 3 pixels, as far as they exist: TensorFlow's "SAME" pool. PyTorch counts the padding too."""
    return tf.nn.avg_pool2d(features, 3, 1, "SAME")


def _maximum(features: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(features, 3, 1, "SAME")


class InceptionV3(PictureNetwork):
    """Features of the last average pooling ("pool3", 2048) of TensorFlow's Inception graph of 2015-12-05.

    Szegedy et al. 2016 (arXiv:1512.00567); FID: Heusel et al. 2017 (arXiv:1706.08500). The weights are those of
    pytorch-fid, which took them from the graph and gave them torchvision's names. The graph differs from torchvision's
    network: its average pools leave the padding out of the mean, and the pool branch of the very last block takes the
    maximum.

    Call with uint8 RGB `[B, H, W, 3]` of any size; returns float32 `[B, 2048]`, none negative. Pictures are resized to
    299 x 299 bilinearly without smoothing (torch's `align_corners=False`) and brought to [-1, 1], as pytorch-fid and
    VQFR's evaluation do.
    """

    name = "Inception V3 (FID)"
    forward = staticmethod(forward)
    image_shape = (SIDE, SIDE, 3)
    beside = ("fc.",)  # the classifier of 1008 classes

    def _of_batch(self, images: np.ndarray) -> np.ndarray:
        levels = resample(images, self.crop, SIDE, SIDE)
        return self._network(tf.constant(levels / 255.0 * 2.0 - 1.0)).numpy()
