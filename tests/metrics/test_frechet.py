"""Frechet distance: stored values, a case by hand, properties, streaming, misuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import FeatureMoments, frechet_distance, frechet_distance_of_moments, load_fid_statistics

CASES = (
    "full_rank_500x64 unit_var_identity_1000x8 rank_def_20x64 rank_def_relu_60x512 same_set_40x128 two_samples_2x16 "
    "constant_dims_50x32"
).split()


def features(seed, samples, width):
    return np.random.default_rng(seed).normal(size=[samples, width])


def of_moments(a, b):
    first, second = FeatureMoments.of([a]), FeatureMoments.of([b])
    return frechet_distance_of_moments(first.mean, first.covariance, second.mean, second.covariance)


@pytest.mark.parametrize("case", CASES)
def test_stored_values(shared, case):
    golden = np.load(shared / "golden/metrics/fid.npz")
    a, b = golden[f"{case}/A"], golden[f"{case}/B"]
    np.testing.assert_allclose(frechet_distance(a, b), golden[f"{case}/fid_exact"], rtol=1e-9, atol=1e-9)
    for package in ("pytorch_fid", "torch_fidelity", "cleanfid"):
        np.testing.assert_allclose(frechet_distance(a, b), golden[f"{case}/fid_{package}"], rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(of_moments(a, b), golden[f"{case}/fid_exact"], rtol=1e-6, atol=1e-4)


def test_stored_values_of_vqfr(shared):
    golden = np.load(shared / "golden/vqfr/golden_fid_degrade.npz")
    a, b = golden["fid/a"], golden["fid/b"]
    for distance in (frechet_distance, of_moments):
        np.testing.assert_allclose(distance(a, b), golden["fid/value"], atol=1e-6)
        np.testing.assert_allclose(distance(a[:10], b), golden["fid/value_first10_singular"], atol=1e-4)


def test_one_dimension_by_hand():
    # Means 0 and 3, variances 2 and 8: 3^2 + 2 + 8 - 2 sqrt(2 * 8) = 11; in one dimension, 3^2 + (sqrt 8 - sqrt 2)^2.
    assert frechet_distance([[-1.0], [1.0]], [[1.0], [5.0]]) == pytest.approx(11.0, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999), samples_a=st.integers(2, 30), samples_b=st.integers(2, 30), width=st.integers(1, 20)
)  # fmt: skip
def test_properties(seed, samples_a, samples_b, width):
    a, b = features(seed, samples_a, width), 1.0 + 2.0 * features(seed + 1000, samples_b, width)
    distance = frechet_distance(a, b)
    generator = np.random.default_rng(seed)
    rotation = np.linalg.qr(generator.normal(size=[width, width]))[0]
    assert distance >= np.square(a.mean(0) - b.mean(0)).sum() - 1e-9
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-10)
    for same in (
        frechet_distance(b, a),
        frechet_distance(generator.permutation(a), generator.permutation(b)),
        frechet_distance(a + 5.0, b + 5.0),
        frechet_distance(a @ rotation, b @ rotation),
        frechet_distance(3.0 * a, 3.0 * b) / 9.0,
    ):
        assert same == pytest.approx(distance, rel=1e-9, abs=1e-9)
    assert of_moments(a, b) == pytest.approx(distance, rel=1e-6, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=6), offset=st.floats(-1e6, 1e6))
def test_moments_do_not_depend_on_how_the_features_arrive(seed, sizes, offset):
    rows = features(seed, sum(sizes) + 2, 5) + offset
    moments = FeatureMoments.of(np.split(rows, np.cumsum(sizes)))
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-8, atol=1e-7)


def test_moments_are_copies():
    moments = FeatureMoments.of([[[1.0], [2.0]]])
    moments.mean[0] = 9.0
    assert moments.mean == [1.5]


@pytest.mark.parametrize(
    "a, b, message",
    [
        (np.zeros([3, 2]), np.zeros([3, 4]), "features of 2 and 4 dimensions; expected the same network"),
        (np.zeros([1, 2]), np.zeros([3, 2]), "features_a: 1 samples; expected 2 or more"),
        (np.zeros([3, 2]), np.zeros([3]), r"features_b: shape \(3,\); expected \[samples, dimensions\]"),
        ([[0.0], [1.0]], [[0.0], [np.nan], [np.inf]], r"features_b: row 1 is not finite \(2 such rows of 3\)"),
        ([["a"], ["b"]], [[0.0], [1.0]], "features_a: values of type <U1; expected real numbers"),
    ],
)
def test_misuse(a, b, message):
    with pytest.raises(ValueError, match=message) as caught:
        frechet_distance(a, b)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "mean, covariance, message",
    [
        (np.zeros(2), np.eye(3), r"expected \[D\] and \[D, D\]"),
        (np.zeros(2), np.full([2, 2], np.nan), "not finite"),
        (np.zeros(2), [[1.0, 0.5], [0.0, 1.0]], "covariance_a: is not symmetric"),
        (np.zeros(2), -np.eye(2), "has the eigenvalue -1; expected none below zero"),
        (np.zeros(3), np.eye(3), "features of 3 and 2 dimensions"),
    ],
)
def test_misuse_of_moments(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance_of_moments(mean, covariance, np.zeros(2), np.eye(2))


def test_moments_of_too_few_features():
    moments = FeatureMoments()
    with pytest.raises(ValueError, match="no features were added"):
        moments.mean  # noqa: B018
    moments.update([[1.0, 2.0]])
    with pytest.raises(ValueError, match="1 features were added; expected at least two"):
        moments.covariance  # noqa: B018
    with pytest.raises(ValueError, match="features of 2 and 3 dimensions"):
        moments.update([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="row 0 is not finite"):
        moments.update([[np.nan, 2.0]])
    assert moments.count == 1


def test_stored_statistics_are_read_and_checked(tmp_path):
    features = np.random.default_rng(0).normal(size=[30, 4])
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=features.mean(0), sigma=np.cov(features.T))
    mean, covariance = load_fid_statistics(file)
    other = features[:20] + 1.0
    moments = FeatureMoments.of([other])
    found = frechet_distance_of_moments(mean, covariance, moments.mean, moments.covariance)
    np.testing.assert_allclose(found, frechet_distance(features, other), rtol=1e-9)
    for mu, sigma, message in (
        (np.zeros(3), np.eye(4), r"mu, .*statistics.npz: sigma: shapes \(3,\) and \(4, 4\)"),
        (np.zeros(4), np.full([4, 4], np.nan), "not finite; compute them again"),
        (np.zeros(4), np.triu(np.ones([4, 4])), "statistics.npz: sigma: is not symmetric"),
        (np.array(["a"]), np.eye(1), "statistics.npz: mu is of type text, expected real numbers"),
        (
            np.zeros(2),
            np.array([[1.0, 2.0], [2.0, 1.0]]),
            "statistics.npz: sigma: has the eigenvalue -1; expected none",
        ),
        (np.zeros(2), np.eye(2) * 1e200, "hold values above 1e"),
        (np.zeros(0), np.zeros([0, 0]), "shapes"),
    ):
        np.savez(file, mu=mu, sigma=sigma)
        with pytest.raises(ValueError, match=message):
            load_fid_statistics(file)
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ValueError, match="text.npz: no NPZ file, or damaged .*; expected an NPZ file with mu"):
        load_fid_statistics(tmp_path / "text.npz")
