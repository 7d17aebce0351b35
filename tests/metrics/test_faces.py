"""Identity angle and landmark distance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import identity_angle, landmark_distance
from rethink_fr.metrics.vqfr_protocol import mean_identity_angle


def test_stored_values(shared):
    golden = np.load(shared / "golden/metrics/deg_lmd.npz")
    angles = identity_angle(golden["emb_a"], golden["emb_b"])
    # Near 0 the arc cosine turns one rounding of the cosine, 1e-16, into 1e-6 degrees.
    np.testing.assert_allclose(angles, golden["deg_per_pair"], rtol=1e-9, atol=3e-6)
    np.testing.assert_allclose(angles.mean(), golden["deg_mean_all"], rtol=1e-7)
    np.testing.assert_allclose(mean_identity_angle(angles), golden["deg_mean_vqfr_skip_lt1"], rtol=1e-9)
    assert np.sum(angles < 1.0) == golden["n_identical_lt1"]
    distances = landmark_distance(golden["lmk_a"], golden["lmk_b"])
    np.testing.assert_allclose(distances, golden["lmd_per_image"], rtol=1e-12)
    np.testing.assert_allclose(distances.mean(), golden["lmd_mean"], rtol=1e-12)


def test_stored_values_of_real_networks(shared):
    golden = np.load(shared / "golden/metrics/real_nets.npz")
    faces = sorted({name.split("/")[0] for name in golden.files if "/" in name})
    assert len(faces) == 8
    for face in faces:
        angle = identity_angle(golden[f"{face}/emb_lq"][None], golden[f"{face}/emb_gt"][None])
        np.testing.assert_allclose(angle, golden[f"{face}/deg"], rtol=1e-5)
        for network in ("GhostOne", "GhostNet"):
            prefix = f"{face}/pfld_{network}"
            distance = landmark_distance(golden[f"{prefix}_lq"][None], golden[f"{prefix}_gt"][None])
            np.testing.assert_allclose(distance, golden[f"{prefix}_lmd"], rtol=1e-9)


def test_by_hand():
    angles = identity_angle([[1, 0], [1, 0], [2, 0], [1, 1]], [[3, 0], [0, 1], [-1, 0], [1, 0]])
    np.testing.assert_allclose(angles, [0.0, 90.0, 180.0, 45.0])
    # One landmark moved by (3, 4), the other not at all: (5 + 0) / 2.
    np.testing.assert_allclose(landmark_distance([[[0, 0], [9, 9]]], [[[3, 4], [9, 9]]]), [2.5])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), width=st.integers(2, 30), scale=st.floats(1e-3, 1e3))
def test_properties(seed, width, scale):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=[2, 4, width])
    angles = identity_angle(a, b)
    assert ((angles >= 0.0) & (angles <= 180.0)).all()
    for same in (identity_angle(b, a), identity_angle(a * scale, b), identity_angle(a[::-1], b[::-1])[::-1]):
        np.testing.assert_allclose(same, angles, atol=1e-5)
    np.testing.assert_allclose(identity_angle(a, a), 0.0, atol=1e-5)
    np.testing.assert_allclose(identity_angle(a, -b), 180.0 - angles, atol=1e-5)
    a, b = generator.normal(size=[2, 4, width, 2])
    distances = landmark_distance(a, b)
    np.testing.assert_allclose(landmark_distance(b, a), distances)
    np.testing.assert_allclose(landmark_distance(scale * a, scale * b), scale * distances)
    np.testing.assert_allclose(landmark_distance(a[:, ::-1], b[:, ::-1]), distances)
    np.testing.assert_allclose(landmark_distance(a, a + [3.0, 4.0]), 5.0)


@pytest.mark.parametrize(
    "function, a, b, message",
    [
        (identity_angle, np.ones([2, 3]), np.ones([3, 3]), r"embeddings: shapes \(2, 3\) and \(3, 3\)"),
        (identity_angle, np.ones([2, 3]), np.zeros([2, 3]), "embeddings_b: row 0 is zero"),
        (identity_angle, [[1.0, np.nan]], [[1.0, 1.0]], "embeddings_a: row 0 is not finite"),
        (landmark_distance, np.ones([2, 98, 2]), np.ones([2, 68, 2]), r"landmarks: shapes \(2, 98, 2\)"),
        (landmark_distance, np.ones([98, 2]), np.ones([98, 2]), r"expected \[faces, landmarks, 2\]"),
        (landmark_distance, [[[1.0, 1.0]], [[np.nan, 1.0]]], np.ones([2, 1, 2]), "those of face 1 are not finite"),
    ],
)
def test_misuse(function, a, b, message):
    with pytest.raises(ValueError, match=message):
        function(a, b)


def test_pairs_below_one_degree_are_left_out_by_the_vqfr_protocol_only():
    assert mean_identity_angle([0.0, 0.99, 1.0, 3.0]) == 2.0
    with pytest.raises(ValueError, match="all 2 pairs are below one degree"):
        mean_identity_angle([0.0, 0.5])
