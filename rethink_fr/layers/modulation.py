"""Style modulation: the modulated convolution and the decoder's StyleBlock."""

from __future__ import annotations

import math
from typing import Optional

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedDense, leaky_relu
from rethink_fr.layers.pixel_noise import PixelNoise
from rethink_fr.layers.precision import convolve
from rethink_fr.layers.recompute import recomputable
from rethink_fr.layers.resample import upsample_2x

_EPSILON = 1e-8


class ModulatedConv2D(keras.layers.Layer):
    """Convolution whose kernel is scaled by a style vector, for each sample by its own, and then normalised again.

    Karras et al. 2020 (arXiv:1912.04958), eqs. 1 and 3:  w' = s_i w_ijk;  w'' = w' / sqrt(sum_ik w'^2 + eps).
    The layer scales the input, convolves once for the whole batch and scales the output. That gives the same numbers
    without a kernel for each sample, which TensorFlow's CPU convolution and TFLite cannot take.

    Call with `(features, style)`:
        features: `[B, H, W, C]`.
        style:    `[B, S]`. A dense layer turns it into one gain for each input channel; its bias starts at 1, so that a
                  style of zeros gives an ordinary convolution.
    Returns `[B, H, W, filters]`. The bias is added, no activation is applied.

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, odd, in pixels.
        demodulate: whether to normalise the kernel, so that outputs have unit variance if inputs do. The last layer,
            which makes RGB, does without.
        gain: factor on the whole output, including the bias. `ACTIVATION_GAIN` before a leaky ReLU.

    Attributes:
        precision: see `convolve`.

    Raises:
        ValueError: if `kernel_size` is even.

    Example:
        >>> layer = ModulatedConv2D(filters=4)
        >>> features, style = tf.random.normal([2, 8, 8, 3]), tf.random.normal([2, 16])
        >>> layer(features, style).shape
        TensorShape([2, 8, 8, 4])
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
        self.precision = tf.float32

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
        outputs = convolve(features * style_gain[:, None, None, :], kernel, 1, self.precision)
        if self.demodulate:
            energy = tf.reduce_sum(tf.square(kernel), axis=[0, 1])  # [in, out]
            normalizer = tf.math.rsqrt(tf.matmul(tf.square(style_gain), energy) + _EPSILON)  # [B, out]
            outputs = outputs * (self.gain * normalizer)[:, None, None, :]
        elif self.gain != 1.0:
            outputs = outputs * self.gain
        return tf.nn.bias_add(outputs, self.bias * self.gain)


class StyleBlock(keras.layers.Layer):
    """Doubles the resolution of features, and convolves them in the way that a style asks for.

    Bilinear upsampling, then two modulated 3x3 convolutions with a leaky ReLU after each: the block of the decoder.
    Karras et al. 2020 (arXiv:1912.04958), section 2; "Rethinking Deep Face Restoration", Table 5.

    Call with `(features, style, noise=None, beside=None)`: features `[B, h, w, C]`, style `[B, S]`; returns
    `[B, 2h, 2w, filters]`. With `pixel_noise`, noise is `[B, 2h, 2w, 2]`, a map for each convolution; None stands for
    zeros. `beside`, `[B, 2h, 2w, D]`, joins the enlarged features.

    Args:
        filters: number of output channels.
        pixel_noise: whether noise maps are added before the leaky ReLUs, see `PixelNoise`. Not in the paper.

    Example:
        >>> StyleBlock(filters=4)(tf.zeros([1, 8, 8, 2]), style=tf.zeros([1, 16])).shape
        TensorShape([1, 16, 16, 4])
    """

    def __init__(self, filters: int, pixel_noise: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv_up = ModulatedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        self.conv_out = ModulatedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        self.noise_up = PixelNoise() if pixel_noise else None
        self.noise_out = PixelNoise() if pixel_noise else None

    @recomputable
    def call(
        self,
        features: tf.Tensor,
        style: tf.Tensor,
        noise: Optional[tf.Tensor] = None,
        beside: Optional[tf.Tensor] = None,
    ) -> tf.Tensor:
        features = upsample_2x(features)
        features = self.conv_up(features if beside is None else tf.concat([features, beside], axis=-1), style)
        if self.noise_up is None or self.noise_out is None:
            return leaky_relu(self.conv_out(leaky_relu(features), style))
        if noise is None:
            noise = tf.zeros([*tf.unstack(tf.shape(features)[:3]), 2], features.dtype)
        features = leaky_relu(self.noise_up(features, noise[..., :1]))
        return leaky_relu(self.noise_out(self.conv_out(features, style), noise[..., 1:]))
