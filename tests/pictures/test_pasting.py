"""Restored faces in their pictures: nothing changes that was not restored, and no seam shows."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from rethink_fr.addons import warp
from rethink_fr.pictures.geometry import crop, ffhq_points, from_enlarged, similarity
from rethink_fr.pictures.pasting import feathered_mask, paste, patch, spread
from tests.pictures.test_geometry import applied, turned


def noisy(columns=240, rows=200, seed=0, mode="RGB") -> Image.Image:
    """Texture that no resampling keeps."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, [rows, columns, 3], np.uint8)).convert(mode)


def aligned(side, angle=0.2, size=60.0, x=70.0, y=60.0):
    """The map of a face of about `size` px at (x, y) to a square."""
    return similarity(applied(turned(angle, size / 100, (x, y)), ffhq_points(100)), ffhq_points(side))


def pasted(picture, square, matrix, side, **options):
    result = picture.copy()
    cut = crop(picture, matrix, side)
    paste(result, [patch(square(cut), cut, matrix, picture.size)], **options)
    return np.asarray(result).astype(int)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize(("side", "size"), [(64, 100.0), (128, 40.0), (16, 150.0), (64, 64.0)])
def test_a_model_that_changes_nothing_changes_no_byte(mode, side, size):
    picture = noisy(mode=mode)
    again = pasted(picture, lambda cut: cut, aligned(side, size=size), side)
    np.testing.assert_array_equal(again, np.asarray(picture))


@pytest.mark.parametrize(("side", "size"), [(64, 100.0), (128, 40.0), (16, 150.0)])
def test_nothing_changes_outside_of_the_mask_and_all_inside(side, size):
    picture, matrix = noisy(), aligned(side, size=size)
    bright = pasted(picture, lambda cut: np.full_like(cut, 255), matrix, side)
    weight = warp(feathered_mask(side)[..., None], matrix, (200, 240))[..., 0]
    outside, inside = weight == 0, weight > 0.999
    assert outside.sum() > 1000 and inside.sum() > 300
    # The mask of a square that is reduced is made anew: along its edge it may be a pixel or two off.
    far, deep = (ndimage.binary_erosion(part, iterations=2, border_value=1) for part in (outside, inside))
    np.testing.assert_array_equal(bright[far], np.asarray(picture)[far])
    assert (bright[deep] >= 254).all()


def test_an_even_change_has_no_step_at_the_edge_of_the_mask():
    picture = Image.fromarray(np.full([200, 240, 3], 100, np.uint8))
    for upscale in (1, 2, 4):
        large = picture.resize((240 * upscale, 200 * upscale))
        matrix = aligned(64)
        cut = crop(picture, matrix, 64)
        enlarged = from_enlarged(matrix, upscale)
        paste(large, [patch(cut + np.uint8(40), cut, enlarged, large.size)])
        result = np.asarray(large).astype(int)
        assert result.max() == 140 and result.min() == 100
        steps = max(np.abs(np.diff(result, axis=axis)).max() for axis in (0, 1))
        # 40 levels over a tenth of the face's side, at most 1.5 times the mean slope.
        assert steps <= np.ceil(1.5 * 40 / (0.1 * 60 * upscale)) + 1


def test_detail_that_the_square_cannot_hold_stays_where_nothing_was_restored():
    picture = noisy()
    side, matrix = 64, aligned(64, angle=0.0, size=150.0, x=30.0, y=20.0)

    def right_half(cut):
        made = cut.copy()
        made[:, side // 2 :] = 128
        return made

    again = pasted(picture, right_half, matrix, side)
    texture = np.asarray(picture).astype(int)
    np.testing.assert_array_equal(again[80:120, 50:80], texture[80:120, 50:80])
    assert again[80:120, 130:150].std() < 3


def test_faces_that_overlap_are_blended_and_their_order_makes_no_difference():
    picture = noisy()
    maps = [aligned(64, x=50.0), aligned(64, x=80.0, angle=-0.1)]
    cuts = [crop(picture, matrix, 64) for matrix in maps]
    patches = [patch(np.full_like(cut, 200), cut, matrix, picture.size) for cut, matrix in zip(cuts, maps)]
    one, other = picture.copy(), picture.copy()
    paste(one, patches)
    paste(other, patches[::-1])
    np.testing.assert_allclose(np.asarray(one).astype(int), np.asarray(other), atol=1)  # sums in another order
    middle = np.asarray(one)[85:95, 95:115].astype(int)
    assert np.abs(middle - 200).max() <= 1  # added twice it would be 255


def test_a_weaker_blend_is_between_the_picture_and_the_whole_change():
    picture, matrix = noisy(), aligned(64)
    half = pasted(picture, lambda cut: np.full_like(cut, 255), matrix, 64, blend=0.5)
    whole = pasted(picture, lambda cut: np.full_like(cut, 255), matrix, 64)
    np.testing.assert_allclose(half, (np.asarray(picture).astype(int) + whole) / 2, atol=1)
    none = pasted(picture, lambda cut: np.full_like(cut, 255), matrix, 64, blend=0.0)
    np.testing.assert_array_equal(none, np.asarray(picture))


def test_a_face_at_the_edge_and_one_beside_the_picture():
    picture = noisy()
    edge = pasted(picture, lambda cut: np.full_like(cut, 255), aligned(64, x=-20.0, y=-10.0), 64)
    assert edge.shape == (200, 240, 3) and (edge[5, 5] == 255).all()
    away = pasted(picture, lambda cut: np.full_like(cut, 255), aligned(64, x=5000.0), 64)
    np.testing.assert_array_equal(away, np.asarray(picture))


def test_transparency_stays():
    picture = noisy(mode="RGBA")
    picture.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, [200, 240], np.uint8)))
    again = pasted(picture, lambda cut: 255 - cut, aligned(64), 64)
    np.testing.assert_array_equal(again[..., 3], np.asarray(picture)[..., 3])
    assert np.abs(again[..., :3] - np.asarray(picture)[..., :3]).max() > 50


def test_a_face_of_many_tiles_is_pasted_as_one():
    picture = Image.fromarray(np.full([1500, 1600, 3], 90, np.uint8))
    matrix = aligned(64, angle=0.0, size=1200.0, x=200.0, y=150.0)
    again = pasted(picture, lambda cut: cut + np.uint8(50), matrix, 64)
    middle = again[400:1100, 450:1150]
    assert (middle == 140).all()  # across the tiles' edges at 1,024


def test_the_spread_is_that_of_what_is_pasted():
    picture, matrix = noisy(), aligned(64)
    cut = crop(picture, matrix, 64)
    levels = (40, 100, 220)
    samples = [[patch(np.full_like(cut, level), cut, matrix, picture.size)] for level in levels]
    found = np.zeros([200, 240], np.float32)
    for (left, top, right, bottom), values in spread(picture, len(samples), samples.__getitem__):
        found[top:bottom, left:right] = values
    results = []
    for patches in samples:
        one = picture.copy()
        paste(one, patches)
        results.append(np.asarray(one).astype(float))
    wanted = np.sqrt(np.stack(results).var(axis=0).mean(axis=2))
    np.testing.assert_allclose(found, wanted, atol=0.6)  # rounded to levels
    assert found[85:95, 95:105].mean() == pytest.approx(np.std(levels), abs=0.5)
