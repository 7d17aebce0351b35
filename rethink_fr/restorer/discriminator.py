"""The stochastic restorer's discriminator."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import EqualizedConv2D, EqualizedDense, MinibatchStdDev, ResBlock
from rethink_fr.layers.equalized import ACTIVATION_GAIN, leaky_relu
from rethink_fr.restorer.channels import ENCODER_CHANNELS, encoder_resolutions, scaled


class Discriminator(keras.Model):
    """Tells restored from clean images.

    "Rethinking Deep Face Restoration", Appendix A: the encoder's blocks without attention pooling; then minibatch
    standard deviation, conv 3x3, dense 512, dense 1 (Karras et al. 2018).

    Call with images float32 `[B, R, R, 3]` in [-1, 1]; returns logits `[B, 1]`, higher for clean.

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: factor on every number of channels.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        channels = scaled(ENCODER_CHANNELS[4], width)
        self.blocks = [
            ResBlock(scaled(ENCODER_CHANNELS[side], width), name=f"block_{side}")
            for side in encoder_resolutions(resolution)
        ]
        self.minibatch_stddev = MinibatchStdDev()
        self.conv = EqualizedConv2D(channels, 3, gain=ACTIVATION_GAIN, name="conv")
        self.flatten = keras.layers.Flatten()
        self.dense = EqualizedDense(channels, gain=ACTIVATION_GAIN, name="dense")
        self.logits = EqualizedDense(1, name="logits")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        features = images
        for block in self.blocks:
            features = block(features)
        features = leaky_relu(self.conv(self.minibatch_stddev(features)))
        return self.logits(leaky_relu(self.dense(self.flatten(features))))
