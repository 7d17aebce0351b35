"""The network that the stochastic restorer is trained against."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import EqualizedConv2D, EqualizedDense, MinibatchStdDev, ResBlock
from rethink_fr.layers.equalized import ACTIVATION_GAIN, leaky_relu
from rethink_fr.restorer.network import ENCODER_CHANNELS, encoder_resolutions, scaled


class Discriminator(keras.Model):
    """Tells restored images from clean ones.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Appendix A: the blocks of the encoder without its
    attention pooling, then minibatch standard deviation, a 3x3 convolution and two dense layers (Karras et al. 2018).

    Call with images, float32 `[B, R, R, 3]` RGB in [-1, 1]. Returns logits `[B, 1]`, higher for clean images.

    Example:
        >>> discriminator = Discriminator(resolution=64, width=0.25)
        >>> discriminator(tf.zeros([8, 64, 64, 3])).shape
        TensorShape([8, 1])

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: multiplies all numbers of channels.
        channels: of the images; 6 if it sees two beside each other, see `RestorerTask`.

    Raises:
        ValueError: if the resolution is another.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, channels: int = 3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.resolution = resolution
        self.channels = channels
        deepest = scaled(ENCODER_CHANNELS[4], width)
        self.blocks = [
            ResBlock(scaled(ENCODER_CHANNELS[side], width), name=f"block_{side}")
            for side in encoder_resolutions(resolution)
        ]
        self.minibatch_stddev = MinibatchStdDev()
        self.conv = EqualizedConv2D(deepest, 3, gain=ACTIVATION_GAIN, name="conv")
        self.flatten = keras.layers.Flatten()
        self.dense = EqualizedDense(deepest, gain=ACTIVATION_GAIN, name="dense")
        self.logits = EqualizedDense(1, name="logits")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        features = images
        for block in self.blocks:
            features = block(features)
        features = leaky_relu(self.conv(self.minibatch_stddev(features)))
        return self.logits(leaky_relu(self.dense(self.flatten(features))))
