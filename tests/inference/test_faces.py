"""The machinery for faces of any picture: aligned, restored in batches, finished."""

import numpy as np
import pytest

from rethink_fr.faces.face import Face
from rethink_fr.inference.faces import BATCH, align, as_grey, face_noise, restore_faces, with_colours_of
from rethink_fr.pictures.geometry import ffhq_points
from tests.faces.scenes import marked
from tests.inference.photo_calls import SIDE, noisy, restorer, same


def squares(count, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, [count, SIDE, SIDE, 3], np.uint8))


def test_a_face_that_stands_as_in_ffhq_is_cut_out_as_it_is():
    picture = marked((80, 90), [(30, 40, 20)])
    points = ffhq_points(SIDE) + [20, 30]
    (aligned,) = align(picture, [Face((25.0, 35.0, 50.0, 60.0), points, 1.0)], SIDE)
    np.testing.assert_array_equal(aligned.crop, np.asarray(picture)[30 : 30 + SIDE, 20 : 20 + SIDE])


def test_squares_are_restored_in_batches_and_come_back_in_order():
    calls = []

    def function(images):
        calls.append(len(images))
        return same(images)

    given = squares(2 * BATCH + 1)
    made = restore_faces(restorer(function), given, [None] * len(given))
    assert calls == [BATCH, BATCH, 1]
    for one, restored in zip(given, made):
        np.testing.assert_array_equal(restored, one[None])
    assert restore_faces(restorer(function), [], []) == []


def test_each_square_is_restored_once_for_each_row_of_its_noise():
    network, given = restorer(noisy), squares(3)
    draws = [face_noise(network, one, 0, samples) for one, samples in zip(given, (1, 5, 2))]
    made = restore_faces(network, given, draws)
    assert [len(one) for one in made] == [1, 5, 2]
    alone = restore_faces(network, given[1:2], draws[1:2])[0]
    np.testing.assert_array_equal(made[1], alone)
    assert len({one.tobytes() for one in made[1]}) == 5
    still = restore_faces(network, given[1:2], draws[1:2], noise_scale=0.0)[0]
    assert len({one.tobytes() for one in still}) == 1


def test_noise_belongs_to_the_pixels_and_the_seed():
    network, (one, other) = restorer(noisy), squares(2)
    assert face_noise(restorer(same), one, 0, 3) is None
    draw = face_noise(network, one, 0, 3)
    np.testing.assert_array_equal(draw, face_noise(network, one.copy(), 0, 3))
    np.testing.assert_array_equal(draw[:2], face_noise(network, one, 0, 2))
    assert (draw != face_noise(network, other, 0, 3)).any() and (draw != face_noise(network, one, 1, 3)).any()


def test_grey_is_luma():
    made = as_grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8))
    assert made[0, :, 0].tolist() == [76, 150, 29, 90] and (np.ptp(made, axis=2) == 0).all()


def test_colours_are_those_that_were_there():
    generator = np.random.default_rng(0)
    cut = np.clip(generator.normal([90, 120, 140], [20, 25, 30], [SIDE, SIDE, 3]), 0, 255).astype(np.uint8)
    tinted = np.clip(cut * 0.9 + [40, -10, 20], 0, 255).astype(np.uint8)
    (made,) = with_colours_of(tinted[None], cut)
    inner = slice(SIDE // 4, -SIDE // 4)
    for measure in (np.mean, np.std):
        wanted = measure(cut[inner, inner].astype(float), axis=(0, 1))
        assert measure(made[inner, inner].astype(float), axis=(0, 1)) == pytest.approx(wanted, abs=3)
    flat = np.full([1, SIDE, SIDE, 3], 100, np.uint8)
    assert np.isfinite(with_colours_of(flat, cut)).all()  # no contrast to divide by
