"""Noise for each pixel: added by a gain for each channel, gated by the features at each position."""

import numpy as np

from rethink_fr.layers import PixelNoise, StyleBlock


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_it_is_its_formula():
    layer = PixelNoise()
    features, noise = normal(0, 2, 4, 5, 3), normal(1, 2, 4, 5, 1)
    layer(features, noise)
    layer.gain.assign([0.5, -1.0, 2.0])
    layer.gate.bias.assign([0.3])
    gate = 1 / (1 + np.exp(-(features @ layer.gate.kernel.numpy()[0, 0] / np.sqrt(3) + 0.3)))
    np.testing.assert_allclose(layer(features, noise), features + gate * noise * [0.5, -1.0, 2.0], atol=1e-6)


def test_no_noise_changes_nothing():
    features = normal(0, 2, 4, 5, 3)
    np.testing.assert_array_equal(PixelNoise()(features, np.zeros([2, 4, 5, 1], np.float32)), features)


def test_a_style_block_without_maps_is_one_with_maps_of_zeros_and_each_map_has_a_convolution_of_its_own():
    block = StyleBlock(4, pixel_noise=True)
    features, style, noise = normal(0, 2, 3, 3, 5), normal(1, 2, 6), normal(2, 2, 6, 6, 2)
    still = block(features, style)
    np.testing.assert_array_equal(block(features, style, np.zeros([2, 6, 6, 2], np.float32)), still)
    both = block(features, style, noise)
    block.noise_up.gain.assign(np.zeros(4))
    second = block(features, style, noise)
    assert np.abs(second - still).max() > 1e-3 and np.abs(second - both).max() > 1e-3
    block.noise_out.gain.assign(np.zeros(4))
    np.testing.assert_array_equal(block(features, style, noise), still)
