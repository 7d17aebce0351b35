"""Feature and style losses on VGG-19: Eqs. 14 and 15 of "Rethinking Deep Face Restoration"."""

from __future__ import annotations

from typing import Sequence

import tensorflow as tf
from tensorflow import keras

from rethink_fr.losses.vgg19 import TAPPED_LAYERS, preprocess, vgg19
from rethink_fr.weights.published_network import Layers

__all__ = ["TAPPED_LAYERS", "feature_loss", "gram_matrix", "preprocess", "style_loss", "vgg19_features"]


def vgg19_features(vgg: keras.Model, preprocessed: tf.Tensor) -> list[tf.Tensor]:
    """The five maps of `vgg19`, with the weights of a Keras model.

    Args:
        vgg: `keras.applications.VGG19(include_top=False)`.
        preprocessed: images `[B, H, W, 3]` as `preprocess` returns them.

    Returns:
        Five maps `[B, h, w, C]`.
    """

    def take(name: str, shape: Sequence[int]) -> tf.Tensor:
        layer, _, part = name.partition(".")
        return getattr(vgg.get_layer(layer), {"weight": "kernel", "bias": "bias"}[part])

    return vgg19(Layers(take), preprocessed)


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
