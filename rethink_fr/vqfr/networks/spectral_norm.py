"""Spectral normalisation: the layers of the discriminators, whose weights are divided by their largest singular value.

Miyato et al. 2018 (arXiv:1802.05957), Algorithm 1. As in the released code of VQFR, every call takes one step of the
power iteration, in training and in inference alike. tensorflow-addons' wrapper is not used: it takes its steps in
training only, and its vectors are not those of the published weights.
"""

from __future__ import annotations

import math
from typing import Any, Optional, Sequence

import tensorflow as tf
from tensorflow import keras

_EPSILON = 1e-12


class SpectralNormalized(keras.layers.Layer):
    """What the convolution and the dense layer have in common: a kernel, its two singular vectors, and a bias.

    Let W be the kernel as a matrix with one row for each output. A call computes v = n(W^T u) and u = n(W v), where
    n(a) = a / (||a|| + 1e-12), and uses W / sigma, where sigma = u^T W v. The kernel has a gradient through sigma, too;
    u and v are constants in it. They are stored for the next call.

    All replicas have the same kernel, so each computes and stores the same u and v, and the first one's are saved. No
    communication is needed, and the layer can be called inside `tf.cond`.

    Kernel and bias start as PyTorch starts them, since the released code does not say otherwise for discriminators:
    both uniform in +-1 / sqrt(number of inputs of one output), which is He et al. 2015 (arXiv:1502.01852) with a slope
    of sqrt 5. u and v start as random directions.

    Args:
        filters: number of outputs.
        use_bias: whether a bias is added. It is not normalised.

    Attributes:
        iterates: if False, calls leave u and v unchanged. Takes effect when the layer is traced.
    """

    def __init__(self, filters: int, use_bias: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.use_bias = use_bias
        self.iterates = True

    def make_weights(self, fan_in: Sequence[int]) -> None:
        """Create the variables for a kernel of shape `[*fan_in, filters]`."""

        def vector(name: str, shape: Sequence[int]) -> tf.Variable:
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=_RandomDirection(stddev=1.0),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        limit = 1.0 / math.sqrt(math.prod(fan_in))
        uniform = keras.initializers.RandomUniform
        self.spectral_kernel = self.add_weight(
            name="spectral_kernel", shape=[*fan_in, self.filters], initializer=uniform(-limit, limit)
        )
        self.left_vector = vector("left_vector", [self.filters])  # u
        self.right_vector = vector("right_vector", fan_in)  # v, its axes those of the kernel
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=[self.filters], initializer=uniform(-limit, limit))

    def normalized_kernel(self) -> tf.Tensor:
        """The kernel divided by its largest singular value, after one step of the power iteration."""
        matrix = tf.reshape(self.spectral_kernel, [-1, self.filters])  # W^T: [inputs, O]
        left = tf.convert_to_tensor(self.left_vector)
        right = tf.reshape(self.right_vector, [-1])
        if self.iterates:
            right = _normalized(tf.linalg.matvec(tf.stop_gradient(matrix), left))
        product = tf.linalg.matvec(matrix, right, transpose_a=True)  # W v
        if self.iterates:
            left = _normalized(tf.stop_gradient(product))
            self.left_vector.assign(left)
            self.right_vector.assign(tf.reshape(right, self.right_vector.shape))
        return self.spectral_kernel / tf.reduce_sum(left * product)


class SpectralConvolution(SpectralNormalized):
    """A spectrally normalised convolution. `[B, H, W, C]` to `[B, h, w, filters]`.

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, in pixels.
        strides: step in pixels, the same in both directions.
        padding: number of zeros added on each of the four sides.
        use_bias: whether a bias is added. It is not normalised.
    """

    def __init__(
        self, filters: int, kernel_size: int, strides: int = 1, padding: int = 0, use_bias: bool = True, **kwargs
    ) -> None:
        super().__init__(filters, use_bias, **kwargs)
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding

    def build(self, input_shape: tf.TensorShape) -> None:
        self.make_weights([self.kernel_size, self.kernel_size, int(tf.TensorShape(input_shape)[-1])])
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        border = [self.padding, self.padding]
        padding = [[0, 0], border, border, [0, 0]]
        outputs = tf.nn.conv2d(features, self.normalized_kernel(), self.strides, padding)
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


class SpectralDense(SpectralNormalized):
    """A spectrally normalised dense layer. `[B, C]` to `[B, filters]`."""

    def build(self, input_shape: tf.TensorShape) -> None:
        self.make_weights([int(tf.TensorShape(input_shape)[-1])])
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = tf.matmul(features, self.normalized_kernel())
        return tf.nn.bias_add(outputs, self.bias) if self.use_bias else outputs


def set_power_iteration(network: keras.Model, enabled: bool) -> None:
    """Turn the steps of the power iteration on or off, in all layers of a network.

    Functions that were traced before keep what they had.
    """
    for layer in network.submodules:
        if isinstance(layer, SpectralNormalized):
            layer.iterates = enabled


class _RandomDirection(keras.initializers.RandomNormal):
    """A tensor of length 1, every direction of which is as likely."""

    def __call__(self, shape: Sequence[int], dtype: Optional[tf.DType] = None, **kwargs: Any) -> tf.Tensor:
        return _normalized(super().__call__(shape, dtype, **kwargs))


def _normalized(vector: tf.Tensor) -> tf.Tensor:
    return vector / (tf.norm(vector) + tf.cast(_EPSILON, vector.dtype))
