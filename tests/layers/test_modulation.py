"""Modulated convolution against one kernel per sample, StyleGAN2's eqs. 1 and 3."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import ModulatedConv2D, StyleBlock
from rethink_fr.layers.resample import upsample_2x


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def built(layer: ModulatedConv2D, channels: int = 4, style: int = 6) -> ModulatedConv2D:
    """With weights that no initialiser gives, so that none can hide."""
    layer(np.zeros([1, 2, 2, channels], np.float32), np.zeros([1, style], np.float32))
    layer.bias.assign(normal(8, layer.filters))
    layer.affine.bias.assign(1 + 0.5 * normal(9, channels))
    return layer


def convolve(sample: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[H, W, in] with [k, k, in, out], zeros around."""
    side = kernel.shape[0]
    padded = np.pad(sample, [(side // 2, side // 2)] * 2 + [(0, 0)])
    rows, columns = sample.shape[:2]
    return sum(
        padded[row : row + rows, column : column + columns] @ kernel[row, column]
        for row in range(side)
        for column in range(side)
    )


def modulated(layer: ModulatedConv2D, features: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Sample by sample: w' = s_i w_ijk, w'' = w' / sqrt(sum_ik w'^2 + eps)."""
    kernel = layer.kernel.numpy().astype(np.float64)
    kernel /= math.sqrt(kernel[..., 0].size)
    outputs = []
    for sample, vector in zip(features, style):
        gain = vector @ layer.affine.kernel.numpy() / math.sqrt(len(vector)) + layer.affine.bias.numpy()
        weights = np.array(kernel)
        for channel in range(kernel.shape[2]):
            weights[:, :, channel] *= gain[channel]
        if layer.demodulate:
            for output in range(kernel.shape[3]):
                weights[..., output] /= math.sqrt(np.sum(weights[..., output] ** 2) + 1e-8)
        outputs.append(layer.gain * (convolve(sample, weights) + layer.bias.numpy()))
    return np.stack(outputs)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize(("kernel_size", "gain"), [(3, math.sqrt(2)), (1, 1.0), (1, 0.5)])
def test_it_equals_a_loop_with_a_kernel_of_its_own_for_each_sample(demodulate, kernel_size, gain):
    layer = built(ModulatedConv2D(5, kernel_size, demodulate, gain))
    features, style = normal(0, 3, 4, 6, 4), normal(1, 3, 6)
    # 1e-5: float32 sums of 36 products; measured 1e-6.
    np.testing.assert_allclose(layer(features, style), modulated(layer, features, style), atol=1e-5)


def test_a_tenfold_style_leaves_demodulated_outputs_unchanged_and_scales_the_others():
    features, style = normal(0, 2, 4, 4, 4), normal(1, 2, 6)
    for demodulate, factor in ((True, 1), (False, 10)):
        layer = built(ModulatedConv2D(5, demodulate=demodulate))
        layer.affine.bias.assign(np.zeros(4))
        layer.bias.assign(np.zeros(5))
        # 1e-5: float32, and eps = 1e-8 beside energies of 0.1 and more.
        np.testing.assert_allclose(layer(features, 10 * style), factor * layer(features, style), rtol=1e-5, atol=1e-5)


def test_a_zero_style_is_a_plain_convolution_with_a_unit_norm_kernel():
    layer = ModulatedConv2D(5)
    features = normal(0, 2, 4, 4, 4)
    outputs = layer(features, np.zeros([2, 6], np.float32))
    np.testing.assert_array_equal(layer.affine.bias, 1)
    np.testing.assert_array_equal(layer.bias, 0)
    kernel = layer.kernel / np.sqrt(np.sum(np.square(layer.kernel), axis=(0, 1, 2)))
    # 1e-5: as above; eps = 1e-8 beside an energy of about 1.
    np.testing.assert_allclose(outputs, tf.nn.conv2d(features, kernel, 1, "SAME"), atol=1e-5)


def test_demodulation_keeps_unit_variance_for_any_style():
    layer = ModulatedConv2D(64)
    outputs = layer(normal(0, 4, 16, 16, 32), 5 * normal(1, 4, 6))[:, 1:-1, 1:-1]
    assert abs(np.var(outputs) - 1) < 0.1  # 14 * 14 * 64 correlated samples; measured 0.02


def test_each_sample_sees_its_own_style_only():
    layer = built(ModulatedConv2D(5))
    features, style = normal(0, 2, 4, 4, 4), normal(1, 2, 6)
    outputs = layer(features, style).numpy()
    style[1] += 1
    changed = layer(features, style).numpy()
    np.testing.assert_array_equal(changed[0], outputs[0])
    assert np.abs(changed[1] - outputs[1]).max() > 0.1


def test_the_whole_batch_goes_through_one_ungrouped_convolution():
    layer = built(ModulatedConv2D(5))
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec([3, 4, 4, 4]), tf.TensorSpec([3, 6])).graph
    (convolution,) = [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    assert [list(tensor.shape) for tensor in convolution.inputs] == [[3, 4, 4, 4], [3, 3, 4, 5]]


def test_an_even_kernel_is_an_error():
    with pytest.raises(ValueError, match="expected an odd number"):
        ModulatedConv2D(4, kernel_size=2)


def test_style_block_upsamples_then_convolves_twice_with_styles_of_their_own():
    block = StyleBlock(5)
    features, style = normal(0, 2, 3, 4, 4), normal(1, 2, 6)
    assert block(features, style).shape == [2, 6, 8, 5]
    built(block.conv_up)
    built(block.conv_out, channels=5)
    outputs = upsample_2x(features).numpy()
    for layer in (block.conv_up, block.conv_out):
        assert layer.demodulate and layer.kernel.shape[:2] == [3, 3]
        assert layer.gain == math.sqrt(2)
        outputs = modulated(layer, outputs, style)
        outputs = np.where(outputs > 0, outputs, 0.2 * outputs)
    # 2e-5: two convolutions of 45 float32 products.
    np.testing.assert_allclose(block(features, style), outputs, atol=2e-5)


@pytest.mark.parametrize("demodulate", [True, False])
def test_gradients_equal_finite_differences(float64, assert_gradient, demodulate):
    layer = ModulatedConv2D(3, demodulate=demodulate, gain=1.5)
    assert_gradient(layer, normal(0, 2, 3, 3, 4).astype(np.float64), normal(1, 2, 5).astype(np.float64), rtol=1e-6)


def test_gradient_of_the_style_block_equals_finite_differences(float64, assert_gradient):
    features, style = normal(0, 2, 2, 2, 4).astype(np.float64), normal(1, 2, 5).astype(np.float64)
    # tf.image.resize computes in float32: 1e-7 of rounding over a step of 1e-3, and kinks of the leaky ReLU.
    assert_gradient(StyleBlock(3), features, style, step=1e-3, rtol=2e-3)
