"""Conditional noise."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


class AdaptiveLatentGate(keras.layers.Layer):
    """Gates noise by the latent code, element by element: `eps_c = sigmoid(z) * eps`. No parameters.

    "Rethinking Deep Face Restoration", Eqs. 5 and 6.

    Call with `(latent, noise)`: latent `[B, C]`, noise `[B, sites, C]` drawn from N(0, 1) by the caller.
    Returns `[B, sites, C]`.
    """

    def call(self, latent: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(latent)[:, tf.newaxis, :] * noise
