"""VGG-16, whose features both the training losses of VQFR and the metric LPIPS compare."""

from __future__ import annotations

from typing import List

import tensorflow as tf

from rethink_fr.weights.published_network import Layers, max_pool

_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # (convolutions, filters) between two poolings
CHANNELS = tuple(filters for _, filters in _STAGES)


def vgg16(layers: Layers, images: tf.Tensor) -> List[tf.Tensor]:
    """The features of VGG-16 after the ReLUs of conv1_2, conv2_2, conv3_3, conv4_3 and conv5_3.

    Configuration D of Simonyan and Zisserman 2015 (arXiv:1409.1556), with torchvision's names of the weights
    (`features.0.weight` and so on); a network for `rethink_fr.weights.published_network`.

    Args:
        layers: gives the weights.
        images: `[B, H, W, 3]`, normalised as the weights expect.

    Returns:
        Five maps of the images' dtype, none negative: `[B, H, W, 64]`, then 128, 256, 512 and 512 channels, each with
        half the rows and columns of the one before (rounded down).
    """
    taps: List[tf.Tensor] = []
    features, position = images, 0
    for count, filters in _STAGES:
        for _ in range(count):
            features = tf.nn.relu(layers.convolution(f"features.{position}", features, filters, 3, padding=1))
            position += 2  # torchvision counts the ReLU too
        taps.append(features)
        features = max_pool(features, 2, 2)
        position += 1
    return taps
