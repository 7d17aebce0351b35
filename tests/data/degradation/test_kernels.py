"""Blur kernels and filtering: the released code's values, and properties."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from rethink_fr.data.degradation.kernels import filter_image, gaussian_kernel


def kernel(radius: int, sigma_x: float, sigma_y: float, rotation: float) -> np.ndarray:
    return gaussian_kernel(radius, *(tf.constant(value, tf.float64) for value in (sigma_x, sigma_y, rotation))).numpy()


@pytest.mark.parametrize(
    ("name", "sigma_x", "sigma_y", "rotation"), [("iso_3.3", 3.3, 3.3, 0.0), ("aniso_2_7.5_0.7", 2.0, 7.5, 0.7)]
)
def test_kernels_are_the_released_codes(shared, name, sigma_x, sigma_y, rotation):
    expected = np.load(shared / "golden/vqfr/golden_fid_degrade.npz")[f"kernel/{name}"]
    np.testing.assert_allclose(kernel(20, sigma_x, sigma_y, rotation), expected, rtol=0, atol=1e-15)


def test_a_quarter_turn_swaps_the_axes_and_a_half_turn_changes_nothing():
    plain = kernel(8, 1.5, 4.0, 0.0)
    np.testing.assert_allclose(plain, np.outer(plain.sum(1), plain.sum(0)), atol=1e-15)
    assert plain[:, 8].sum() > plain[8].sum()  # the larger deviation is along the rows' axis y
    np.testing.assert_allclose(kernel(8, 1.5, 4.0, np.pi / 2), plain.T, atol=1e-15)
    np.testing.assert_allclose(kernel(8, 1.5, 4.0, np.pi), plain, atol=1e-15)
    np.testing.assert_allclose(kernel(8, 1.5, 4.0, 0.9), kernel(8, 1.5, 4.0, 0.9)[::-1, ::-1], atol=1e-15)


def test_kernels_have_sum_one_and_their_covariance():
    values, (y, x) = kernel(30, 2.0, 5.0, 0.6), np.mgrid[-30:31, -30:31]
    np.testing.assert_allclose(values.sum(), 1, rtol=1e-12)
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    covariance = turn @ np.diag([4.0, 25.0]) @ turn.T
    measured = [np.sum(values * x * x), np.sum(values * x * y), np.sum(values * y * y)]
    np.testing.assert_allclose(measured, covariance[[0, 0, 1], [0, 1, 1]], rtol=1e-4)  # cut at six deviations


def test_no_blur_is_a_single_tap():
    np.testing.assert_array_equal(kernel(2, 0.0, 0.0, 0.3), np.pad([[1.0]], 2))


@pytest.mark.parametrize(("rows", "columns", "taps"), [(24, 31, 7), (16, 16, 3), (21, 22, 41)])
def test_filtering_is_a_correlation_with_the_border_mirrored(rows, columns, taps):
    generator = np.random.default_rng(0)
    image = generator.uniform(0, 255, [rows, columns, 3]).astype(np.float32)
    weights = generator.uniform(size=[taps, taps]).astype(np.float32)  # of no symmetry
    weights /= weights.sum()
    expected = np.stack(
        [
            scipy.ndimage.correlate(plane.astype(np.float64), weights, mode="mirror")
            for plane in np.moveaxis(image, -1, 0)
        ],
        -1,
    )
    # 5e-4 of 255: float32 transforms; measured 1e-4.
    np.testing.assert_allclose(filter_image(image, tf.constant(weights)), expected, rtol=0, atol=5e-4)
