"""Linear gated fusion against Eq. 4, and the spatial feature transform."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import LinearGatedFusion, SpatialFeatureTransform


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def with_random_gate(side: int, channels: int) -> LinearGatedFusion:
    """A layer as training might leave it; a new one has half-open gates everywhere."""
    layer = LinearGatedFusion()
    layer.build([None, side, side, channels])
    layer.kernel.assign(normal(9, *layer.kernel.shape))
    return layer


def bilinear_matrix(size: int, factor: int) -> np.ndarray:
    """[size * factor, size]: linear interpolation between pixel centres, edges repeated."""
    matrix = np.zeros([size * factor, size])
    for row in range(size * factor):
        position = np.clip((row + 0.5) / factor - 0.5, 0, size - 1)
        low = int(position)
        high = min(low + 1, size - 1)
        matrix[row, low] += 1 - (position - low)
        matrix[row, high] += position - low
    return matrix


def fuse(kernel: np.ndarray, encoder: np.ndarray, decoder: np.ndarray) -> np.ndarray:
    """Eq. 4, channel by channel."""
    side = encoder.shape[1]
    reduction = 2 ** max(int(math.log2(side)) - 5, 0)
    pooled_side = side // reduction
    matrix = kernel.astype(np.float64) / math.sqrt(len(kernel))
    upsample = bilinear_matrix(pooled_side, reduction)
    outputs = np.zeros(encoder.shape)
    for sample, channel in np.ndindex(len(encoder), encoder.shape[3]):
        p, q = encoder[sample, ..., channel], decoder[sample, ..., channel]
        u = (p + q).astype(np.float64)
        pooled = u.reshape(pooled_side, reduction, pooled_side, reduction).mean((1, 3))
        o = (matrix @ pooled.reshape(-1)).reshape(pooled_side, pooled_side)
        s = upsample @ (1 / (1 + np.exp(-o))) @ upsample.T
        outputs[sample, ..., channel] = s * u + (1 - s) * q
    return outputs


@pytest.mark.parametrize(("side", "channels"), [(4, 3), (8, 2), (32, 2), (64, 2), (128, 1)])
def test_it_equals_equation_4(side, channels):
    layer = with_random_gate(side, channels)
    encoder, decoder = normal(0, 2, side, side, channels), normal(1, 2, side, side, channels)
    outputs = layer(encoder, decoder)
    # 1e-5: a float32 sum of up to 1024 products inside a sigmoid; measured 1e-6.
    np.testing.assert_allclose(outputs, fuse(layer.kernel.numpy(), encoder, decoder), atol=1e-5)


@pytest.mark.parametrize(
    ("side", "positions", "reduction"),
    [(4, 16, 1), (8, 64, 1), (16, 256, 1), (32, 1024, 1), (64, 1024, 2), (128, 1024, 4), (256, 1024, 8)],
)
def test_the_only_weight_maps_pooled_positions_to_pooled_positions_whatever_the_channels(side, positions, reduction):
    layer = LinearGatedFusion()
    layer.build([None, side, side, 7])
    assert [tuple(weight.shape) for weight in layer.weights] == [(positions, positions)]
    assert layer.reduction == reduction


def test_a_new_layer_adds_half_of_the_encoder_feature():
    encoder, decoder = normal(0, 2, 8, 8, 3), normal(1, 2, 8, 8, 3)
    np.testing.assert_allclose(LinearGatedFusion()(encoder, decoder), decoder + encoder / 2, atol=1e-6)


def test_permuting_channels_permutes_the_output():
    layer, order = with_random_gate(8, 4), np.array([2, 0, 3, 1])
    encoder, decoder = normal(0, 2, 8, 8, 4), normal(1, 2, 8, 8, 4)
    outputs = layer(encoder, decoder).numpy()
    permuted = layer(encoder[..., order], decoder[..., order])
    np.testing.assert_allclose(permuted, outputs[..., order], atol=1e-6)  # another order of summation


def test_channels_do_not_mix_and_positions_do():
    layer = with_random_gate(8, 4)
    encoder, decoder = tf.constant(normal(0, 1, 8, 8, 4)), tf.constant(normal(1, 1, 8, 8, 4))
    with tf.GradientTape() as tape:
        tape.watch([encoder, decoder])
        corner = layer(encoder, decoder)[0, 0, 0, 1]
    for gradient in tape.gradient(corner, [encoder, decoder]):
        np.testing.assert_array_equal(np.delete(gradient, 1, axis=3), 0)
        assert np.all(gradient[..., 1] != 0)


def test_a_closed_gate_gives_the_decoder_feature_and_an_open_one_the_sum():
    layer = LinearGatedFusion()
    encoder, decoder = np.abs(normal(0, 1, 4, 4, 2)) + 1, np.abs(normal(1, 1, 4, 4, 2))
    layer(encoder, decoder)
    for sign, expected in ((-1, decoder), (0, decoder + encoder / 2), (1, decoder + encoder)):
        layer.kernel.assign(np.full([16, 16], 100.0 * sign))
        np.testing.assert_allclose(layer(encoder, decoder), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 4, 2), (1, 12, 12, 2), (1, None, 8, 2), (1, None, None, 2)])
def test_only_squares_of_a_known_power_of_two_are_taken(shape):
    with pytest.raises(ValueError, match="expected a square whose side is a power of two"):
        LinearGatedFusion().build(tf.TensorShape(shape))


def test_features_of_different_shapes_are_an_error():
    with pytest.raises(ValueError, match="expected equal shapes"):
        LinearGatedFusion()(normal(0, 1, 8, 8, 3), normal(1, 1, 8, 8, 1))


def test_gradient_equals_finite_differences(float64, assert_gradient):
    assert_gradient(
        with_random_gate(4, 3), normal(0, 2, 4, 4, 3).astype(np.float64), normal(1, 2, 4, 4, 3).astype(np.float64)
    )


def test_gradient_through_pooling_and_upsampling_equals_finite_differences(assert_gradient):
    layer = with_random_gate(64, 1)
    # float32, as tf.image.resize returns float32 whatever it is given: step 0.03 and its rounding; measured 2e-3.
    assert_gradient(layer, normal(0, 1, 64, 64, 1), normal(1, 1, 64, 64, 1), step=0.03, rtol=1e-2)


def test_the_transform_scales_and_shifts_each_position_by_what_the_encoder_says_there():
    layer = SpatialFeatureTransform(3)
    encoder, decoder = normal(0, 2, 4, 5, 6), normal(1, 2, 4, 5, 3)
    layer(encoder, decoder)
    first, second = (layer.hidden.kernel.numpy()[0, 0], layer.parameters.kernel.numpy()[0, 0])
    layer.parameters.bias.assign(normal(2, 6))
    hidden = math.sqrt(2 / 6) * encoder @ first
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    scale, shift = np.split(hidden @ second / math.sqrt(3) + normal(2, 6), 2, axis=-1)
    np.testing.assert_allclose(layer(encoder, decoder), (1 + scale) * decoder + shift, atol=1e-5)  # float32


def test_a_transform_of_encoder_features_that_are_zero_changes_nothing():
    decoder = normal(1, 2, 4, 4, 3)
    np.testing.assert_array_equal(SpatialFeatureTransform(3)(np.zeros([2, 4, 4, 6], np.float32), decoder), decoder)
