"""Makes noise depend on the image."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


class AdaptiveLatentGate(keras.layers.Layer):
    """Scales noise by a gate that is computed from the image's latent vector: `eps_c = sigmoid(z + bias) * eps`.

    "Rethinking Deep Face Restoration", Eqs. 5 and 6, where the bias is 0. The layer has no parameters.

    Args:
        bias: a constant. At -4 the gate lets 2 % through at first, and the network opens it where noise is of use.

    Call with `(latent, noise)`:
        latent: `[B, C]`, the latent vector z of each image.
        noise:  `[B, sites, C]` drawn from N(0, 1) by the caller: one vector for each place where noise enters.
    Returns the conditional noise, `[B, sites, C]`.

    Example:
        >>> AdaptiveLatentGate()(tf.zeros([1, 2]), tf.constant([[[1.0, -2.0]]])).numpy()
        array([[[ 0.5, -1. ]]], dtype=float32)
    """

    def __init__(self, bias: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.bias = bias

    def call(self, latent: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(latent + self.bias)[:, tf.newaxis, :] * noise
