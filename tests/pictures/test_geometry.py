"""Alignment and pasting, against closed forms and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from rethink_fr.addons import distance_to_edge, warp
from rethink_fr.pictures.geometry import crop, ffhq_points, from_enlarged, inverse, share_outside, similarity
from rethink_fr.pictures.pasting import feathered_mask


def turned(angle: float, scale: float, shift: tuple) -> np.ndarray:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def applied(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@settings(max_examples=100, deadline=None)
@given(st.floats(-3, 3), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again_and_undone(angle, scale, x, y):
    wanted, points = turned(angle, scale, (x, y)), ffhq_points(64)
    found = similarity(points, applied(wanted, points))
    np.testing.assert_allclose(found, wanted, atol=1e-9 * (1 + abs(x) + abs(y) + scale))
    np.testing.assert_allclose(applied(inverse(found), applied(found, points)), points, atol=1e-8)


def test_points_that_fit_no_similarity_are_fitted_by_least_squares_without_a_mirror():
    points = ffhq_points(512)
    mirrored = points * [-1, 1]
    found = similarity(points, mirrored)
    assert np.linalg.det(found[:, :2]) > 0

    def error(matrix):
        return np.sum(np.square(applied(matrix, points) - mirrored))

    for change in np.eye(4) * 1e-3:  # in the four numbers of a similarity
        a, b, x, y = change
        other = found + np.array([[a, -b, x], [b, a, y]])
        assert error(other) > error(found)
    for wrong in (([[0, 0]], [[1, 1]]), (np.zeros([5, 2]), points), (points, points[:4])):
        with pytest.raises(ValueError, match="expected"):
            similarity(*wrong)


def test_warping_agrees_with_scipy_inside_the_picture():
    picture = np.random.default_rng(0).normal(size=[40, 50, 2]).astype(np.float32)
    matrix = turned(0.3, 0.7, (9.3, 2.1))
    found = warp(picture, matrix, (30, 32))
    order = matrix[::-1, 1::-1]  # SciPy has rows first
    for channel in range(2):
        wanted = ndimage.affine_transform(picture[..., channel], order, matrix[::-1, 2], (30, 32), order=1)
        rows, columns = np.mgrid[:30, :32]
        places = applied(matrix, np.stack([columns, rows], axis=-1).reshape(-1, 2)).reshape(30, 32, 2)
        inside = ((places > 0) & (places < [49, 39])).all(axis=-1)
        assert inside.sum() > 300
        np.testing.assert_allclose(found[..., channel][inside], wanted[inside], atol=1e-4)  # float32 coordinates


def test_distances_are_scipys():
    mask = np.random.default_rng(1).uniform(size=[60, 70]) > 0.05
    np.testing.assert_allclose(distance_to_edge(mask), ndimage.distance_transform_edt(mask), atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_square_is_found_again_in_the_enlarged_picture(factor):
    matrix = similarity(applied(turned(0.2, 1.3, (9, 5)), ffhq_points(100)), ffhq_points(64))
    points = np.array([[0.0, 0.0], [37.5, 11.0], [80.0, 3.0]])
    enlarged = (points + 0.5) * factor - 0.5
    np.testing.assert_allclose(applied(from_enlarged(matrix, factor), enlarged), applied(matrix, points), atol=1e-9)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_crop_is_the_picture_where_the_map_is_a_shift(mode):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, [60, 70, 3], np.uint8)).convert(mode)
    shift = np.array([[1.0, 0.0, -11.0], [0.0, 1.0, -7.0]])
    wanted = np.asarray(picture.convert("RGB"))[7:39, 11:43]
    np.testing.assert_array_equal(crop(picture, shift, 32), wanted)
    beyond = crop(picture, np.array([[1.0, 0.0, 10.0], [0.0, 1.0, 7.0]]), 32)  # begins above and left of the picture
    np.testing.assert_array_equal(beyond[7:, 10:], np.asarray(picture.convert("RGB"))[:25, :22])
    assert (beyond[:7, 10:] == beyond[7, 10:]).all() and (beyond[:, :10] == beyond[:, 10:11]).all()


def test_a_large_face_is_reduced_and_not_skipped_over():
    stripes = np.zeros([800, 800, 3], np.uint8)
    stripes[:, ::2] = 200
    matrix = np.array([[0.08, 0.0, 0.0], [0.0, 0.08, 0.0]])
    assert np.abs(crop(Image.fromarray(stripes), matrix, 64).astype(int)[2:-2, 2:-2] - 100).max() <= 2


def test_what_lies_outside_of_the_picture_is_counted():
    assert share_outside(np.array([[1.0, 0, 0], [0, 1.0, 0]]), 64, (64, 64)) == 0
    assert share_outside(np.array([[1.0, 0, 32], [0, 1.0, 0]]), 64, (64, 64)) == pytest.approx(0.5)
    assert share_outside(np.array([[1.0, 0, 500], [0, 1.0, 0]]), 64, (64, 64)) == 1


def test_the_mask_is_none_at_the_margin_and_whole_in_the_middle():
    mask = feathered_mask(100, margin=0.05, feather=0.1)
    assert mask[:5].max() == 0 and mask[50, 50] == 1 and (np.diff(mask[50, :50]) >= 0).all()
    assert np.abs(np.diff(mask, axis=0)).max() < 0.2
