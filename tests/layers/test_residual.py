"""The residual block against NumPy."""

import math

import numpy as np

from rethink_fr.layers import ResBlock
from rethink_fr.layers.equalized import EqualizedConv2D


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def equalized(layer: EqualizedConv2D, features: np.ndarray, stride: int, gain: float) -> np.ndarray:
    """An equalized convolution as a sum over taps; even sides."""
    kernel = layer.kernel.numpy()
    side = kernel.shape[0]
    before = side // 2 if stride == 1 else (side - stride) // 2
    padded = np.pad(features, [(0, 0), (before, side), (before, side), (0, 0)])
    rows, columns = features.shape[1:3]
    outputs = sum(
        padded[:, row : row + rows : stride, column : column + columns : stride] @ kernel[row, column]
        for row in range(side)
        for column in range(side)
    )
    bias = layer.bias.numpy() if layer.use_bias else 0
    return gain * (outputs / math.sqrt(kernel[..., 0].size) + bias)


def leaky(features: np.ndarray) -> np.ndarray:
    return np.where(features > 0, features, 0.2 * features)


def test_block_is_two_convolutions_beside_a_mean_and_a_1x1_convolution_over_sqrt_two():
    block, features = ResBlock(6), normal(2, 8, 4, 3)
    block(features)
    block.conv_in.bias.assign(normal(6))
    block.conv_down.bias.assign(-normal(6))

    outputs = leaky(equalized(block.conv_in, features, 1, math.sqrt(2)))
    outputs = leaky(equalized(block.conv_down, outputs, 2, math.sqrt(2)))
    means = features.reshape(2, 4, 2, 2, 2, 3).mean((2, 4))
    expected = (outputs + equalized(block.shortcut, means, 1, 1.0)) / math.sqrt(2)
    np.testing.assert_allclose(block(features), expected, atol=5e-6)  # float32 sums over 54 products


def test_the_first_convolution_changes_the_channels_and_the_second_the_resolution():
    block = ResBlock(6)
    assert block(normal(2, 8, 4, 3)).shape == [2, 4, 2, 6]
    assert block.conv_in.kernel.shape == [3, 3, 3, 6] and block.conv_in.strides == 1
    assert block.conv_down.kernel.shape == [3, 3, 6, 6] and block.conv_down.strides == 2
    assert block.shortcut.kernel.shape == [1, 1, 3, 6] and len(block.shortcut.weights) == 1


def test_gradient_equals_finite_differences(float64, assert_gradient):
    # 1e-5: a leaky ReLU's kink inside the step; none in these directions, measured 1e-9.
    assert_gradient(ResBlock(4), normal(2, 4, 4, 3).astype(np.float64), step=1e-6, rtol=1e-6)
