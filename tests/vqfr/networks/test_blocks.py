"""The parts of VQFR against plain arithmetic."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import GroupNorm
from rethink_fr.vqfr.networks.blocks import Attention, BilinearDown, BilinearUp, NearestUp, ResidualBlock, StridedDown
from rethink_fr.vqfr.networks.convolution import Convolution
from rethink_fr.vqfr.networks.texture_warping import TextureWarping


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def randomize(layer) -> None:
    for number, weight in enumerate(layer.weights):
        weight.assign(weight + 0.3 * normal(*weight.shape, seed=number + 1))


def built(layer, *inputs):
    layer(*inputs)
    randomize(layer)
    return layer


def group_norm(features: np.ndarray, groups: int, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Wu and He 2018, in float64."""
    batch, height, width, channels = features.shape
    grouped = features.astype(np.float64).reshape(batch, height, width, groups, channels // groups)
    mean, variance = grouped.mean((1, 2, 4), keepdims=True), grouped.var((1, 2, 4), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(features.shape) * gamma + beta


def test_group_norm_is_accurate_far_from_zero():
    features = normal(2, 24, 20, 64) + 1000.0
    layer = built(GroupNorm(), features)
    wanted = group_norm(features, 32, layer.gamma.numpy(), layer.beta.numpy())
    np.testing.assert_allclose(layer(features), wanted, atol=1e-3)
    wanted = group_norm(features - 1000.0, 32, layer.gamma.numpy(), layer.beta.numpy())
    np.testing.assert_allclose(layer(features - 1000.0), wanted, atol=2e-6)


def test_a_residual_block_is_its_formula():
    features = normal(2, 6, 5, 32)
    block = built(ResidualBlock(64, name="b"), features)
    assert {layer.name for layer in block.submodules} == {
        f"b.{n}" for n in "norm1 conv1 norm2 conv2 shortcut_conv".split()
    }

    def norm_swish(layer, values):
        normalized = group_norm(values, 32, layer.gamma.numpy(), layer.beta.numpy())
        return normalized / (1.0 + np.exp(-normalized))

    inner = block.conv_in(norm_swish(block.norm_in, features).astype(np.float32)).numpy()
    wanted = block.conv_out(norm_swish(block.norm_out, inner).astype(np.float32)) + block.shortcut(features)
    np.testing.assert_allclose(block(features), wanted, atol=2e-5)
    assert ResidualBlock(32)(features).shape == features.shape


def test_attention_is_its_formula():
    features = normal(2, 3, 4, 32)
    layer = built(Attention(name="a"), features)
    flat = group_norm(features, 32, layer.norm.gamma.numpy(), layer.norm.beta.numpy()).reshape(2, 12, 32)
    query, key, value = (flat @ part.kernel.numpy()[0, 0] + part.bias for part in (layer.query, layer.key, layer.value))
    scores = np.exp(np.einsum("bic,bjc->bij", query, key) / np.sqrt(32))
    weights = scores / scores.sum(-1, keepdims=True)
    project = layer.project.kernel.numpy()[0, 0]
    gathered = np.einsum("bij,bjc->bic", weights, value) @ project + layer.project.bias.numpy()
    np.testing.assert_allclose(layer(features), features + gathered.reshape(features.shape), atol=2e-5)


def test_a_stride_of_two_pads_at_the_end_only():
    features = normal(1, 6, 8, 3)
    layer = built(StridedDown(4, name="d"), features)
    padded = np.pad(features, [[0, 0], [0, 1], [0, 1], [0, 0]])
    wanted = tf.nn.conv2d(padded, layer.conv.kernel, 2, "VALID") + layer.conv.bias
    np.testing.assert_allclose(layer(features), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "resize"),
    [
        (lambda: BilinearDown(5), lambda conv, x: conv(tf.image.resize(x, [4, 3], "bilinear"))),
        (lambda: BilinearUp(5), lambda conv, x: tf.image.resize(conv(x), [16, 12], "bilinear")),
        (lambda: NearestUp(5), lambda conv, x: conv(np.repeat(np.repeat(x, 2, axis=1), 2, axis=2))),
    ],
)
def test_resampling_and_convolution_come_in_their_order(make, resize):
    features = normal(2, 8, 6, 4)
    layer = built(make(), features)
    np.testing.assert_allclose(layer(features), resize(layer.conv, features), atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 32])
def test_input_features_are_resized_in_one_bilinear_step(factor):
    features = normal(1, 64, 96, 3)
    layer = TextureWarping(32, factor, 3, resize_conv=False)
    wanted = tf.image.resize(features, [64 // factor, 96 // factor], "bilinear", antialias=False)
    np.testing.assert_allclose(layer.condition(tf.constant(features)), wanted, atol=1e-6)


def test_warping_without_offsets_is_a_convolution():
    texture, condition, coarser = normal(1, 8, 8, 32), normal(1, 16, 16, 32), normal(1, 4, 4, 64)
    layer = built(TextureWarping(32, 2, 32, resize_conv=True), texture, condition, coarser)
    layer.to_offsets.kernel.assign(tf.zeros_like(layer.to_offsets.kernel))
    layer.to_offsets.bias.assign(tf.concat([tf.zeros([72]), 40.0 * tf.ones([36])], 0))  # no offset, mask 1
    warped, offset_features = layer(texture, condition, coarser)
    wanted = tf.nn.conv2d(texture, layer.deformable.filters, 1, "SAME") + layer.deformable.bias
    np.testing.assert_allclose(warped, wanted, atol=2e-5)
    assert offset_features.shape == [1, 8, 8, 32]


def test_warping_moves_by_rows_first():
    """Offsets of (dy, dx) = (1, 0) everywhere, and only the middle tap: the picture moves up by one."""
    texture, condition = normal(1, 8, 8, 32), normal(1, 8, 8, 32)
    layer = built(TextureWarping(32, 1, 32, resize_conv=True), texture, condition, None)
    layer.to_offsets.kernel.assign(tf.zeros_like(layer.to_offsets.kernel))
    layer.to_offsets.bias.assign(tf.concat([tf.tile([1.0, 0.0], [36]), 40.0 * tf.ones([36])], 0))
    layer.deformable.filters.assign(tf.pad(tf.eye(32)[None, None], [[1, 1], [1, 1], [0, 0], [0, 0]]))
    layer.deformable.bias.assign(tf.zeros([32]))
    warped, _ = layer(texture, condition, None)
    np.testing.assert_allclose(warped[:, :-1], texture[:, 1:], atol=1e-5)
    np.testing.assert_allclose(warped[:, -1], 0.0, atol=1e-5)


def test_bfloat16_products_leave_float32_outside():
    features = normal(1, 8, 8, 16)
    layer = built(Convolution(8), features)
    exact = layer(features)
    layer.precision = tf.bfloat16
    rounded = layer(features)
    assert rounded.dtype == tf.float32
    error = np.max(np.abs(rounded - exact)) / np.std(exact)
    assert 1e-5 < error < 0.1
