"""The drawn faces: pure functions of (identity, picture, size), exact landmarks, FFHQ's framing."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from rethink_fr.drawn_faces.face import LANDMARK_NAMES, DrawnFace, draw_face
from rethink_fr.drawn_faces.person import draw_person
from rethink_fr.drawn_faces.shot import draw_shot

# FFHQ-aligned faces at 512 pixels: eyes, nose tip, mouth corners.
TEMPLATE = np.array([[193, 240], [319, 240], [257, 314], [201, 371], [313, 371]], np.float32)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10.0 * np.log10(255.0**2 / np.mean((first.astype(np.float64) - second) ** 2)))


def landmark(face: DrawnFace, name: str) -> np.ndarray:
    return face.landmarks[LANDMARK_NAMES.index(name)]


def test_face_has_the_declared_types_and_range():
    face = draw_face(3, 1, 64)
    assert face.image.shape == (64, 64, 3) and face.image.dtype == np.uint8
    assert face.landmarks.shape == (len(LANDMARK_NAMES), 2) and face.landmarks.dtype == np.float32
    assert face.identity == 3
    assert LANDMARK_NAMES[:5] == ("left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right")
    assert len(set(LANDMARK_NAMES)) == len(LANDMARK_NAMES)
    assert face.image.min() < 60 and face.image.max() > 160
    assert face.image.flags["C_CONTIGUOUS"]


def test_the_same_numbers_give_the_same_face_and_global_random_state_is_untouched():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first, second = draw_face(12, 4, 64), draw_face(12, 4, 64)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_another_process_draws_the_same_bytes():
    program = (
        "import hashlib; from rethink_fr.drawn_faces.face import draw_face; f = draw_face(21, 2, 64); "
        "print(hashlib.sha256(f.image.tobytes() + f.landmarks.tobytes()).hexdigest())"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    face = draw_face(21, 2, 64)
    assert output.strip() == hashlib.sha256(face.image.tobytes() + face.landmarks.tobytes()).hexdigest()


def test_drawing_faces_does_not_import_tensorflow():
    program = "import sys, rethink_fr.drawn_faces.face; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_pictures_of_one_person_differ_but_the_person_does_not():
    person = draw_person(8)
    assert draw_person.__wrapped__(8) == person
    shots = [draw_shot(8, picture, person) for picture in range(6)]
    assert len({shot.yaw for shot in shots}) == 6
    faces = [draw_face(8, picture, 32).image for picture in range(6)]
    assert all(psnr(faces[0], other) < 25.0 for other in faces[1:])


def test_people_differ():
    people = [draw_person(identity) for identity in range(200)]
    assert len({person.skin for person in people}) == 200
    assert len({person.hair_style for person in people}) >= 9
    assert {person.glasses_style for person in people} == {"none", "round", "square", "oval"}
    assert len({person.beard_style for person in people}) == 5
    luma = [np.dot(person.skin, [0.25, 0.6, 0.15]) for person in people]
    assert min(luma) < 0.07 and max(luma) > 0.5


def test_landmarks_lie_inside_the_picture_and_in_order():
    for identity in range(60):
        face = draw_face(identity, identity % 5, 32)
        # The farthest jaw and brow points of 300 faces stayed 10 % of the side away from the border, the chin 3 %.
        assert face.landmarks.min() > 0.0 and face.landmarks.max() < 32.0
        assert landmark(face, "left_eye")[0] < landmark(face, "right_eye")[0]
        assert landmark(face, "mouth_left")[0] < landmark(face, "mouth_right")[0]
        heights = [
            landmark(face, n)[1] for n in ("right_brow_middle", "right_eye", "nose_tip", "upper_lip_top", "chin")
        ]
        assert heights == sorted(heights)
        assert landmark(face, "lower_lip_bottom")[1] > landmark(face, "upper_lip_top")[1]
        assert landmark(face, "nose_left")[0] < landmark(face, "nose_right")[0]


def test_mean_landmarks_are_near_the_ffhq_template():
    landmarks = np.mean([draw_face(identity, 0, 16).landmarks[:5] for identity in range(150)], axis=0) * 32.0
    # 6 of 512 pixels: three times the distance measured on 300 faces.
    np.testing.assert_allclose(landmarks, TEMPLATE, atol=6.0)


def test_landmarks_scale_exactly_with_the_size():
    small, large = draw_face(5, 2, 64), draw_face(5, 2, 128)
    # One table of the surface serves both; only the rounding to float32 remains.
    np.testing.assert_allclose(large.landmarks, 2.0 * small.landmarks, rtol=1e-6)
    # Past 128 pixels the surface is sampled more finely: it moves by a small part of a pixel.
    np.testing.assert_allclose(draw_face(5, 2, 256).landmarks, 4.0 * small.landmarks, atol=0.6)


def test_pupils_are_drawn_at_their_landmarks():
    distances = []
    for identity in range(40):
        person = draw_person(identity)
        # Dark eyes and rims would hide which spot is the pupil.
        if sum(person.iris) < 0.3 or person.glasses_style != "none":
            continue
        shot = draw_shot(identity, 0, person)
        if min(shot.eye_open) < 0.85 or abs(shot.yaw) > 0.35:
            continue
        face = draw_face(identity, 0, 256)
        luma = face.image.astype(np.float32).mean(axis=2)
        for name in ("left_pupil", "right_pupil"):
            x, y = landmark(face, name)
            top, left = int(y) - 4, int(x) - 6
            iris = luma[top : top + 9, left : left + 13]
            rows, columns = np.nonzero(iris < iris.min() + 12.0)
            distances.append(np.hypot(left + columns.mean() + 0.5 - x, top + rows.mean() + 0.5 - y))
    assert len(distances) >= 10
    # Measured on 54 eyes: median 0.9 pixels, at most 2.5; catch-lights and lids hide parts of the pupil.
    assert np.median(distances) < 1.4 and max(distances) < 4.0


def test_another_size_shows_the_same_scene():
    for identity in range(4):
        large = draw_face(identity, 3, 128).image.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        # The worst of 12 faces was 32 dB; what differs is sampling of edges and of detail finer than a pixel.
        assert psnr(large, draw_face(identity, 3, 64).image) > 28.0


def test_larger_pictures_have_detail_that_small_ones_lack():
    large = draw_face(2, 0, 256).image
    smooth = large.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3)).repeat(4, axis=0).repeat(4, axis=1)
    assert psnr(large, smooth) < 35.0


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="size is 8, expected 16..2048"):
        draw_face(0, 0, 8)
    with pytest.raises(ValueError, match="size is 4096"):
        draw_face(0, 0, 4096)
    with pytest.raises(ValueError, match="identity -1"):
        draw_face(-1, 0, 64)
    with pytest.raises(ValueError, match="picture -2"):
        draw_face(0, -2, 64)


@pytest.mark.parametrize("size", [16, 17, 33, 96, 200])
def test_any_size_draws(size):
    face = draw_face(30, 0, size)
    assert face.image.shape == (size, size, 3)
    assert np.isfinite(face.landmarks).all()
