"""VGG-19, whose features the restorer's paper compares."""

from __future__ import annotations

from typing import List

import tensorflow as tf

from rethink_fr.images import to_levels
from rethink_fr.weights.published_network import Layers, max_pool

_STAGES = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # (convolutions, filters) between two poolings
TAPPED_LAYERS = tuple(f"block{stage}_conv{count}" for stage, (count, _) in enumerate(_STAGES, start=1))
_CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)


def vgg19(layers: Layers, preprocessed: tf.Tensor) -> List[tf.Tensor]:
    """The features of VGG-19 before the ReLUs of conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4.

    Configuration E of Simonyan and Zisserman 2015 (arXiv:1409.1556), a network for
    `rethink_fr.weights.published_network` with Keras' names of the layers (`block1_conv1.weight` and so on). These five
    maps, before their ReLUs, are our reading of "Rethinking Deep Face Restoration", Eqs. 14 and 15.

    Args:
        layers: gives the weights.
        preprocessed: images `[B, H, W, 3]` as `preprocess` returns them, with sides of 16 pixels or more.

    Returns:
        Five maps of the images' dtype: `[B, H, W, 64]`, then 128, 256, 512 and 512 channels, each with half the rows
        and columns of the one before (rounded down).
    """
    taps: List[tf.Tensor] = []
    features = preprocessed
    for stage, (count, filters) in enumerate(_STAGES, start=1):
        if taps:
            features = max_pool(features, 2, 2)
        for number in range(1, count + 1):
            outputs = layers.convolution(f"block{stage}_conv{number}", features, filters, 3, padding=1)
            features = tf.nn.relu(outputs)
        taps.append(outputs)
    return taps


def preprocess(images: tf.Tensor) -> tf.Tensor:
    """RGB images in [-1, 1] as Keras' `imagenet` weights expect them: BGR, 0..255, less the channels' means."""
    return to_levels(images[..., ::-1]) - tf.constant(_CHANNEL_MEANS_BGR, images.dtype)
