"""SqueezeNet 1.0, a small network trained on ImageNet, whose features perceptual terms and measures compare."""

from __future__ import annotations

from typing import List

import tensorflow as tf

from rethink_fr.images import to_levels
from rethink_fr.weights.published_network import Layers, max_pool_ceil

_MEANS_BGR = (104.0, 117.0, 123.0)
_SQUEEZED = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}  # module -> channels of its first convolution
_POOLED_BEFORE = (2, 5, 9)
_TAPPED = (3, 5, 7, 9)
BESIDE = ("conv_final.",)  # how the entries of the classifier begin, which the published file holds beside the features


def squeezenet(layers: Layers, images: tf.Tensor) -> List[tf.Tensor]:
    """The features of SqueezeNet 1.0 after the ReLUs of its first convolution and of its fire modules 3, 5, 7 and 9.

    Iandola et al. 2016 (arXiv:1602.07360), Table 1, in the convention of its Caffe release: BGR in 0..255 less the
    channels' means, poolings that reach over the bottom and right. A network for `rethink_fr.weights.published_network`
    with the names of its weights in the release of Deep Compression (`conv1.weight`, `fire2.conv1x1_1.weight` and so
    on). Our reading of which features to compare: those where the map's size or the modules' width is about to change.

    Args:
        layers: gives the weights.
        images: RGB `[B, H, W, 3]` in [-1, 1], with sides of 21 pixels or more.

    Returns:
        Five maps of the images' dtype, none negative, with 96, 128, 256, 384 and 512 channels; at 224 x 224 pixels they
        have 109, 54, 27, 27 and 13 rows and columns.
    """
    levels = to_levels(images[..., ::-1]) - tf.constant(_MEANS_BGR, images.dtype)
    features = tf.nn.relu(layers.convolution("conv1", levels, 96, 7, strides=2))
    taps = [features]
    for module, squeezed in _SQUEEZED.items():
        if module in _POOLED_BEFORE:
            features = max_pool_ceil(features, 3, 2)
        features = _fire(layers, f"fire{module}", features, squeezed)
        if module in _TAPPED:
            taps.append(features)
    return taps


def _fire(layers: Layers, name: str, features: tf.Tensor, squeezed: int) -> tf.Tensor:
    """1 x 1 to `squeezed` channels, then 1 x 1 and 3 x 3 side by side to four times as many each."""
    inner = tf.nn.relu(layers.convolution(f"{name}.conv1x1_1", features, squeezed))
    small = layers.convolution(f"{name}.conv1x1_2", inner, 4 * squeezed)
    large = layers.convolution(f"{name}.conv3x3_2", inner, 4 * squeezed, 3, padding=1)
    return tf.nn.relu(tf.concat([small, large], axis=3))
