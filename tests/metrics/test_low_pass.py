"""Consistency: the low-pass that fits best is found, and what it leaves counts."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.data.degradation.stages import blur, downsample, upsample
from rethink_fr.metrics import consistency, fit_low_pass
from rethink_fr.pictures.files import square_resize
from tests.weights.filled import pictures


def degraded(picture: np.ndarray, sigma: float, factor: float) -> np.ndarray:
    """As `rethink-fr degrade` does it, without noise and JPEG."""
    image = blur(tf.constant(picture, tf.float32), tf.constant(sigma), 20)
    return upsample(downsample(image, tf.constant(factor)), *picture.shape[:2]).numpy()


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return square_resize(pictures(1, 128, 128)[0], 96)


@pytest.mark.parametrize(
    "sigma, factor", [(0.0, 1.0), (0.0, 4.0), (10 * 96 / 512, 1.0), (2 * 96 / 512, 2.0), (1.5, 6.0)]
)
def test_the_parameters_of_a_degradation_are_found(clean, sigma, factor):
    fit = fit_low_pass(clean, degraded(clean, sigma, factor))
    assert fit.error < (0.01 if sigma != 1.5 else 2.5)  # 1.5 pixels are not in the grid
    assert fit.factor == factor and fit.sigma == pytest.approx(sigma, abs=0.4)


def test_the_truth_is_consistent_and_another_picture_is_not(clean):
    observed = degraded(clean, 1.0, 4.0)
    other = square_resize(pictures(1, 128, 128, seed=1)[0], 96)
    detail = clean + np.random.default_rng(0).normal(0, 10, clean.shape)  # which the degradation takes away
    brighter = clean + 10.0  # which it leaves
    together = np.stack([clean, detail, brighter, other])
    values = consistency(together, np.stack([observed] * 4))
    assert values[0] > 45 and values[1] > 38 and values[2] == pytest.approx(20 * np.log10(255 / 10), abs=0.2)
    assert values[3] < 20


def test_an_input_that_is_returned_is_wholly_consistent(clean):
    observed = degraded(clean, 1.0, 4.0).round()[None]
    assert consistency(observed, observed)[0] == np.inf


def test_sides_may_differ_and_scale_with_the_range():
    one, other = pictures(2, 40, 61)
    assert consistency(one[None], other[None])[0] == pytest.approx(
        consistency(one[None] / 255.0, other[None] / 255.0, 1.0)[0], abs=1e-3
    )
    for a, b in ((one, other), (one[None], other[None, :30]), (one[None, :7], other[None, :7])):
        with pytest.raises(ValueError, match=r"expected two of one shape \[B, H, W, C\], with sides of 8 or more"):
            consistency(a, b)
