"""Noise for each pixel, beside the noise that modulates whole channels."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import EqualizedConv2D

_FIRST_GAIN = 0.1


class PixelNoise(keras.layers.Layer):
    """Adds a noise map to features, with a learned gain for each channel and a gate that the features open.

        f*_ijc = f_ijc + g_c sigmoid(w . f_ij + b) eps_ij

    The map and its gain are those of StyleGAN (Karras et al. 2019, arXiv:1812.04948, section 2). The gate is our
    reading of what Eq. 6 of "Rethinking Deep Face Restoration" becomes for a map: noise that depends on the image, here
    on each position, so that the network can be in doubt about a blurred eye and sure of a plain cheek. A style vector
    modulates whole channels and cannot say that.

    Call with `(features, noise)`: `[B, H, W, C]` and `[B, H, W, 1]`, drawn from N(0, 1) by the caller. Returns
    `[B, H, W, C]`.

    Example:
        >>> layer = PixelNoise()
        >>> layer(tf.zeros([1, 4, 4, 2]), tf.ones([1, 4, 4, 1]))[0, 0, 0].numpy()  # untrained: 0.1, half open
        array([0.05, 0.05], dtype=float32)
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])
        # Large enough that a network learns to use the noise from its first steps, small beside features of about 1.
        self.gain = self.add_weight(name="gain", shape=[channels], initializer=keras.initializers.Constant(_FIRST_GAIN))
        self.gate = EqualizedConv2D(1, 1, name="gate")
        super().build(input_shape)

    def call(self, features: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return features + tf.sigmoid(self.gate(features)) * noise * self.gain
