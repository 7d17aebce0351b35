"""What counts as a face, and which of several findings of one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.faces.face import Face, distinct, is_plausible, keep_best
from tests.faces.scenes import MARK_POINTS


def face(left=10.0, top=20.0, side=50.0, score=0.9) -> Face:
    corner = np.array([left, top])
    return Face((left, top, left + side, top + side), corner + MARK_POINTS * side, score)


def overlap(one, other) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 40), st.floats(0.1, 0.8))
def test_what_is_kept_overlaps_little_and_covers_the_rest(seed, count, threshold):
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 60, [count, 2])
    boxes = np.concatenate([corners, corners + generator.uniform(5, 40, [count, 2])], axis=1)
    scores = generator.permutation(count).astype(float)
    kept = keep_best(boxes, scores, threshold)
    for number in range(count):
        better = [
            one for one in kept if scores[one] > scores[number] and overlap(boxes[one], boxes[number]) > threshold
        ]
        assert (number in kept) == (not better)
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    np.testing.assert_array_equal(keep_best(boxes, scores, threshold, limit=3), kept[:3])


def test_of_two_findings_of_one_face_the_surer_counts():
    one, other = face(score=0.97), face(left=13.0, score=0.99)
    assert distinct([one, other]) == [other]
    assert distinct([face(left=200.0), face()])[0].box[0] == 10.0  # from left to right
    inside = face(left=20.0, top=40.0, side=20.0, score=0.95)
    assert distinct([face(score=0.97), inside])[0].score == 0.97  # a part of a face that was found as another
    assert len(distinct([face(), face(left=45.0)])) == 2  # people side by side
    assert distinct([]) == []


def test_tilt_and_size():
    turned = face()._replace(points=np.array([[0.0, 0], [10, 10], [0, 10], [-5, 10], [0, 15]]))
    assert face().tilt == 0 and turned.tilt == pytest.approx(45) and face().size == 50


@pytest.mark.parametrize(
    "change",
    [
        {"box": (0.0, 0.0, np.nan, 10.0)},
        {"box": (0.0, 0.0, 1e9, 1e9)},
        {"box": (10.0, 20.0, 10.0, 70.0)},
        {"box": (60.0, 20.0, 10.0, 70.0)},
        {"points": np.full([5, 2], np.inf)},
        {"points": np.full([5, 2], 30.0)},
        {"points": MARK_POINTS * 50 + 1000},
        {"score": np.nan},
    ],
)
def test_numbers_of_a_damaged_network_are_no_face(change):
    assert is_plausible(face()) and not is_plausible(face()._replace(**change))
