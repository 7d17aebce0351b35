"""Feature and style losses on VGG-19: Eqs. 14 and 15 of "Rethinking Deep Face Restoration"."""

from __future__ import annotations

from typing import Sequence

import tensorflow as tf
from tensorflow import keras

from rethink_fr.images import to_levels

TAPPED_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv4", "block4_conv4", "block5_conv4")
_CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)


def vgg19_features(vgg: keras.Model, preprocessed: tf.Tensor) -> list[tf.Tensor]:
    """Features of VGG-19 before the ReLUs of conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4: our reading of the paper.

    Args:
        vgg: `keras.applications.VGG19(include_top=False)`.
        preprocessed: images `[B, H, W, 3]` as `preprocess` returns them.

    Returns:
        Five maps `[B, h, w, C]`.
    """
    taps = []
    features = preprocessed
    for layer in vgg.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # Keras computes the ReLU within its convolutions, but the value before it is needed.
            features = tf.nn.bias_add(tf.nn.conv2d(features, layer.kernel, 1, "SAME"), layer.bias)
            if layer.name in TAPPED_LAYERS:
                taps.append(features)
                if len(taps) == len(TAPPED_LAYERS):
                    break
            features = tf.nn.relu(features)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            features = tf.nn.max_pool2d(features, 2, 2, "VALID")
    return taps


def preprocess(images: tf.Tensor) -> tf.Tensor:
    """RGB images in [-1, 1] as Keras' `imagenet` weights expect them: BGR, 0..255, less the channels' means."""
    return to_levels(images[..., ::-1]) - tf.constant(_CHANNEL_MEANS_BGR, images.dtype)


def feature_loss(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor], weights: Sequence[float]) -> tf.Tensor:
    """Eq. 14: the mean squared difference of features, weighted and summed over the maps; a scalar.

    Args:
        clean, restored: maps of `vgg19_features`, `[B, H, W, C]` each.
        weights: one for each map.
    """
    return tf.add_n(
        [
            weight * tf.reduce_mean(tf.math.squared_difference(one, other))
            for weight, one, other in zip(weights, clean, restored)
        ]
    )


def style_loss(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor], weights: Sequence[float]) -> tf.Tensor:
    """Eq. 15: the squared Frobenius distance of Gram matrices, weighted and summed over the maps; a scalar.

    It is averaged over the batch. Arguments as for `feature_loss`.
    """
    terms = []
    for weight, one, other in zip(weights, clean, restored):
        difference = gram_matrix(one) - gram_matrix(other)
        terms.append(weight * tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=[1, 2])))
    return tf.add_n(terms)


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Inner products of channels over all positions, divided by C*H*W: from `[B, H, W, C]` to `[B, C, C]`."""
    channels = features.shape[-1]
    flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])
    elements = tf.cast(tf.shape(flat)[1] * channels, features.dtype)
    return tf.matmul(flat, flat, transpose_a=True) / elements
