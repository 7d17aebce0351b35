"""In which precision convolutions multiply; everything else stays float32."""

from __future__ import annotations

import contextlib
import contextvars
from typing import Iterator

import tensorflow as tf

_in_float32 = contextvars.ContextVar("_in_float32", default=False)


def convolve(features: tf.Tensor, kernel: tf.Tensor, strides: int, precision: tf.DType) -> tf.Tensor:
    """Convolve float32 `[B, H, W, C]` with zeros around, in a smaller dtype if that is the `precision`.

    bfloat16 halves the time of the products on processors that have it (AVX512_BF16, AMX); the products' sums are
    float32 there. float16 is for GPUs. Features of another dtype are convolved as they are.

    Args:
        features: `[B, H, W, C]`.
        kernel: `[k, k, C, filters]`.
        strides: step in pixels, the same in both directions.
        precision: tf.float32, tf.bfloat16 or tf.float16.

    Returns:
        `[B, H / strides, W / strides, filters]` in the features' dtype.
    """
    precision = precision_here(precision)
    if features.dtype != tf.float32 or precision == tf.float32:
        return tf.nn.conv2d(features, kernel, strides, "SAME")
    products = tf.nn.conv2d(tf.cast(features, precision), tf.cast(kernel, precision), strides, "SAME")
    return tf.cast(products, tf.float32)


def set_precision(network: tf.Module, precision: str) -> None:
    """Let all convolutions of a network multiply in "float32", "bfloat16" or "float16"; "tf32" is float32 to them.

    It takes effect when they are traced.
    """
    for layer in network.submodules:
        if hasattr(layer, "precision"):
            layer.precision = tf.as_dtype("float32" if precision == "tf32" else precision)


@contextlib.contextmanager
def float32_products() -> Iterator[None]:
    """What is traced in this block multiplies in float32, whatever the precision of its layers."""
    before = _in_float32.set(True)
    try:
        yield
    finally:
        _in_float32.reset(before)


def precision_here(precision: tf.DType) -> tf.DType:
    """The dtype in which a layer of this precision multiplies where it is called; see `float32_products`."""
    return tf.float32 if _in_float32.get() else precision


def exact_product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """The float32 product `left @ right^T`, without TensorFloat-32 even where that is allowed.

    A GPU that might use it multiplies in float64 instead, which is for small products only. This is decided when the
    product is traced.

    Args:
        left: `[N, C]`, float32.
        right: `[M, C]`, float32.

    Returns:
        `[N, M]`, float32.
    """
    if tf.config.experimental.tensor_float_32_execution_enabled() and tf.config.list_physical_devices("GPU"):
        product = tf.matmul(tf.cast(left, tf.float64), tf.cast(right, tf.float64), transpose_b=True)
        return tf.cast(product, left.dtype)
    return tf.matmul(left, right, transpose_b=True)
