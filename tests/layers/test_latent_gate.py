"""Eqs. 5 and 6: noise gated by the latent, element by element."""

import numpy as np

from rethink_fr.layers import AdaptiveLatentGate


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_each_element_of_noise_is_scaled_by_the_sigmoid_of_its_own_element_of_the_latent():
    latent, noise = 2 * normal(0, 3, 8), normal(1, 3, 5, 8)
    outputs = AdaptiveLatentGate()(latent, noise).numpy()
    for sample, site, channel in np.ndindex(3, 5, 8):
        expected = noise[sample, site, channel] / (1 + np.exp(-latent[sample, channel]))
        np.testing.assert_allclose(outputs[sample, site, channel], expected, rtol=1e-6)  # sigmoid in float32


def test_one_latent_gates_every_site_alike():
    noise = np.repeat(normal(1, 2, 1, 8), 4, axis=1)
    outputs = AdaptiveLatentGate()(normal(0, 2, 8), noise).numpy()
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], 4, axis=1))


def test_the_gate_opens_and_closes_with_the_latent():
    latent = np.array([[100, -100, 0]], np.float32)
    np.testing.assert_allclose(
        AdaptiveLatentGate()(latent, np.full([1, 1, 3], 2, np.float32)), [[[2, 0, 1]]], atol=1e-30
    )


def test_a_bias_moves_the_gate():
    latent, noise = normal(0, 2, 8), normal(1, 2, 3, 8)
    moved = AdaptiveLatentGate(bias=-4.0)(latent, noise)
    np.testing.assert_array_equal(moved, AdaptiveLatentGate()(latent - np.float32(4), noise))


def test_no_noise_gives_zero_and_there_are_no_parameters():
    layer = AdaptiveLatentGate()
    np.testing.assert_array_equal(layer(normal(0, 2, 8), np.zeros([2, 3, 8], np.float32)), 0)
    assert layer.weights == []


def test_gradient_equals_finite_differences(float64, assert_gradient):
    assert_gradient(AdaptiveLatentGate(), normal(0, 2, 4).astype(np.float64), normal(1, 2, 3, 4).astype(np.float64))
