"""Resizing by matrices, and bands, against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses import posterior
from rethink_fr.metrics import bands
from rethink_fr.metrics.resampling import BANDS, bilinear, resized


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape)


@pytest.mark.parametrize("size, wanted", [(16, 32), (15, 31), (32, 8), (30, 7), (31, 31), (5, 1), (1, 4)])
def test_a_resize_is_that_of_tensorflow(size, wanted):
    picture = pictures(size, size + 3, 2)
    expected = tf.image.resize(picture, [wanted, wanted], "bilinear", antialias=True)
    np.testing.assert_allclose(resized(picture, wanted, wanted), expected, atol=1e-3)  # of 255, float32 there
    np.testing.assert_allclose(bilinear(size, wanted).sum(1), 1)


def test_bands_are_those_of_the_loss():
    images = pictures(2, 16, 24, 3)
    for ours, theirs in zip(bands(images), posterior.bands(tf.constant(images, tf.float32)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)  # of 255, float32 there
    assert BANDS == posterior.BANDS


@pytest.mark.parametrize("rows, columns", [(16, 16), (17, 22), (4, 7)])
def test_bands_add_up_to_the_picture(rows, columns):
    picture = pictures(rows, columns, 3)
    fine, middle, coarse = bands(picture)
    half = resized(coarse, *middle.shape[:2]) + middle
    np.testing.assert_allclose(resized(half, rows, columns) + fine, picture)
    assert coarse.shape == (rows // 4, columns // 4, 3)


def test_where_there_is_what_can_be_told_by_the_bands():
    flat = np.full([32, 32, 1], 7.0)
    fine, middle, coarse = bands(flat)
    assert not np.any(np.abs(fine) > 1e-12) and not np.any(np.abs(middle) > 1e-12) and np.allclose(coarse, 7)
    board = np.indices([32, 32]).sum(0)[..., None] % 2 * 2.0 - 1.0
    fine, middle, coarse = bands(board)
    np.testing.assert_allclose(fine, board)
    assert not middle.any() and not coarse.any()
    with pytest.raises(ValueError, match="sides of 4 or more"):
        bands(flat[:3])
