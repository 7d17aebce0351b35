"""The search through a picture: every face once, where it is, whatever the picture's size; no large copies."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.faces.face import Face
from rethink_fr.faces.search import centre_face, find_faces, smallest_by_default
from tests.faces.scenes import MARK_POINTS, MarkDetector, marked


def expected(left, top, side):
    corner = np.array([left, top]) - 0.5
    return corner + MARK_POINTS * side


def assert_found(faces, marks, tolerance):
    assert len(faces) == len(marks)
    for face, (left, top, side) in zip(faces, sorted(marks)):
        np.testing.assert_allclose(face.points, expected(left, top, side), atol=tolerance)
        np.testing.assert_allclose(
            face.box, (left - 0.5, top - 0.5, left + side - 0.5, top + side - 0.5), atol=tolerance
        )


def test_marks_in_a_small_picture_are_found_to_the_pixel():
    marks = [(5, 60, 30), (100, 20, 60)]
    assert_found(find_faces(marked((190, 150), marks), MarkDetector()), marks, 1e-9)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_other_modes_are_seen_as_rgb(mode):
    class Sizes(MarkDetector):
        def __call__(self, picture, smallest, threshold):
            assert picture.shape[2] == 3 and picture.dtype == np.uint8
            return super().__call__(picture, smallest, threshold)

    find_faces(marked((190, 150), [(100, 20, 60)]).convert(mode), Sizes())


def test_a_large_picture_is_searched_in_small_copies():
    detector, marks = MarkDetector(), [(300, 1600, 300), (1500, 200, 240)]
    faces = find_faces(marked((2000, 2400), marks), detector)
    assert_found(faces, marks, 15)  # a pixel of the copy is twelve of the picture
    assert max(max(size) for size in detector.given) == 200
    assert smallest_by_default((2000, 2400), detector) == pytest.approx(120)


def test_smaller_faces_are_found_in_tiles_when_asked_for():
    detector = MarkDetector()
    marks = [(x, y, 40) for x in (10, 430, 980) for y in (20, 610, 900)] + [(150, 150, 200)]
    picture = marked((1200, 1000), marks)
    assert_found(find_faces(picture, detector), [(150, 150, 200)], 6)
    faces = find_faces(picture, detector, min_face=30)
    assert_found(faces, marks, 6)
    assert max(max(size) for size in detector.given) <= 200


def test_faces_smaller_than_the_detector_sees_are_looked_for_enlarged():
    detector, marks = MarkDetector(), [(30, 40, 8), (100, 90, 7)]
    picture = marked((150, 120), marks)
    assert find_faces(picture, detector) == []
    assert len(find_faces(picture, detector, min_face=6)) == 2


def test_faces_larger_than_the_detector_sees_are_looked_for_reduced():
    detector = MarkDetector()
    detector.largest = 30
    assert_found(find_faces(marked((200, 160), [(60, 40, 100)]), detector), [(60, 40, 100)], 4)


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
def test_a_head_that_lies_is_found_and_its_points_are_its_own(turn):
    upright = marked((100, 80), [(20, 10, 40)])
    lying = upright.transpose(turn)
    (face,) = find_faces(lying, MarkDetector())
    # Where the five points went, as pixels of an index picture that is turned along.
    rows, columns = np.mgrid[:80, :100]
    index = Image.fromarray((rows * 100 + columns).astype(np.int32))
    turned = np.asarray(index.transpose(turn))
    for point, wanted in zip(face.points, expected(20, 10, 40)):
        row, column = np.divmod(turned[int(round(point[1])), int(round(point[0]))], 100)
        assert abs(row - wanted[1]) <= 1.5 and abs(column - wanted[0]) <= 1.5
    across = face.points[1] - face.points[0]
    assert np.linalg.norm(across) == pytest.approx(16, abs=1)


def test_a_detector_that_cannot_tell_upright_is_asked_about_lying_heads_only_if_there_is_none_else():
    detector = MarkDetector()
    detector.tells_upright = False
    both = marked((200, 100), [(120, 30, 40)])
    both.paste(marked((40, 40), [(0, 0, 40)]).transpose(Image.Transpose.ROTATE_90), (10, 30))
    assert len(find_faces(both, detector)) == 1
    assert len(find_faces(both.crop((0, 0, 90, 100)), detector)) == 1
    detector.tells_upright = True
    assert len(find_faces(both, detector)) == 2


def test_faces_below_the_smallest_are_left_out():
    faces = find_faces(marked((190, 150), [(5, 60, 20), (100, 20, 60)]), MarkDetector(), min_face=40)
    assert [round(face.size) for face in faces] == [60]


def test_the_face_in_the_middle():
    faces = [Face((left, 0.0, left + 10.0, 10.0), MARK_POINTS * 10, 1.0) for left in (0.0, 40.0, 80.0)]
    assert centre_face(faces, (100, 10)).box[0] == 40.0


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (5000, 3)])
def test_odd_sizes_hold_no_face_and_break_nothing(size):
    assert find_faces(Image.new("RGB", size), MarkDetector(), min_face=10) == []
