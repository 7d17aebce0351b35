"""Style modulation: the modulated convolution and the decoder's StyleBlock."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedDense, leaky_relu
from rethink_fr.layers.resample import upsample_2x

_EPSILON = 1e-8


class ModulatedConv2D(keras.layers.Layer):
    """Convolution whose kernel is scaled per sample by a style vector, then renormalised.

    Karras et al. 2020 (arXiv:1912.04958), eqs. 1 and 3:  w' = s_i w_ijk;  w'' = w' / sqrt(sum_ik w'^2 + eps).
    Computed as scale the input, convolve once for the whole batch, scale the output: the same numbers without a
    kernel per sample, which TensorFlow's CPU convolution and TFLite cannot take.

    Call with `(features, style)`:
        features: `[B, H, W, C]`.
        style:    `[B, S]`; an affine map turns it into one gain per input channel, its bias initialised to 1, so
                  that a zero style is an ordinary convolution.
    Returns `[B, H, W, filters]`, bias added, no activation.

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, odd, in pixels.
        demodulate: rescale so that outputs keep unit variance when inputs do. Off for the final to-RGB layer.
        gain: factor on the whole output, bias included; `ACTIVATION_GAIN` before a leaky ReLU.

    Raises:
        ValueError: if `kernel_size` is even.
    """

    def __init__(
        self, filters: int, kernel_size: int = 3, demodulate: bool = True, gain: float = 1.0, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"ModulatedConv2D: kernel_size is {kernel_size}, expected an odd number")
        self.filters = filters
        self.kernel_size = kernel_size
        self.demodulate = demodulate
        self.gain = gain

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])
        side = self.kernel_size
        self.kernel = self.add_weight(
            name="kernel", shape=[side, side, channels, self.filters], initializer=keras.initializers.RandomNormal(0, 1)
        )
        self.bias = self.add_weight(name="bias", shape=[self.filters], initializer="zeros")
        self.scale = 1.0 / math.sqrt(side * side * channels)
        self.affine = EqualizedDense(channels, bias_initializer=1.0, name="affine")
        super().build(input_shape)

    def call(self, features: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
        kernel = self.kernel * self.scale  # [k, k, in, out]
        style_gain = self.affine(style)  # [B, in]
        outputs = tf.nn.conv2d(features * style_gain[:, None, None, :], kernel, 1, "SAME")
        if self.demodulate:
            energy = tf.reduce_sum(tf.square(kernel), axis=[0, 1])  # [in, out]
            normalizer = tf.math.rsqrt(tf.matmul(tf.square(style_gain), energy) + _EPSILON)  # [B, out]
            outputs = outputs * (self.gain * normalizer)[:, None, None, :]
        elif self.gain != 1.0:
            outputs = outputs * self.gain
        return tf.nn.bias_add(outputs, self.bias * self.gain)


class StyleBlock(keras.layers.Layer):
    """Doubles the resolution: bilinear upsampling, then two modulated 3x3 convolutions, leaky ReLU after each.

    Karras et al. 2020 (arXiv:1912.04958), section 2; "Rethinking Deep Face Restoration", Table 5.

    Call with `(features, style)`: features `[B, h, w, C]`, style `[B, S]`; returns `[B, 2h, 2w, filters]`.
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv_up = ModulatedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        self.conv_out = ModulatedConv2D(filters, 3, gain=ACTIVATION_GAIN)

    def call(self, features: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
        features = leaky_relu(self.conv_up(upsample_2x(features), style))
        return leaky_relu(self.conv_out(features, style))
