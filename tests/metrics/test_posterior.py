"""Measures of samples: by hand, by loops, and on draws whose distribution is known."""

import itertools

import numpy as np
import pytest

from rethink_fr import metrics
from rethink_fr.metrics.posterior import SampleErrors

COUNT = 8


@pytest.fixture(scope="module")
def calibrated():
    """Samples `[S, H, W, 3]` and truth `[H, W, 3]` from one Gaussian; its mean and deviation vary over the pixels."""
    generator = np.random.default_rng(0)
    mean = generator.normal(128, 30, [96, 96, 3])
    deviation = 5 * np.exp(generator.normal(0, np.sqrt(np.log(1.25)), mean.shape))  # varies by half its mean
    draws = mean + deviation * generator.normal(size=[COUNT + 1, *mean.shape])
    return draws[1:], draws[0]


def test_errors_by_hand():
    samples, clean = np.array([[0.0, 4.0], [2.0, 0.0]]), np.array([1.0, 1.0])
    assert metrics.sample_errors(samples, clean) == SampleErrors((1 + 9 + 1 + 1) / 4, (0 + 1) / 2)
    assert metrics.error_ratio([SampleErrors(3.0, 0.5), SampleErrors(1.0, 1.5)]) == 2.0
    assert metrics.sample_spread(samples) == pytest.approx([np.sqrt(2), np.sqrt(8)])


def test_the_ratio_of_samples_that_are_alike_is_one():
    clean = np.arange(12.0).reshape(2, 2, 3)
    assert metrics.error_ratio([metrics.sample_errors([clean + 3] * 4, clean)]) == 1.0
    assert metrics.error_ratio([metrics.sample_errors([clean] * 4, clean)]) == 1.0
    assert metrics.error_ratio([metrics.sample_errors([clean - 1, clean + 1], clean)]) == np.inf


def test_what_theory_says_holds_for_calibrated_samples(calibrated):
    samples, clean = calibrated
    assert metrics.calibrated_ratio(8) == pytest.approx(16 / 9) and metrics.calibrated_ratio(2) == pytest.approx(4 / 3)
    assert metrics.error_ratio([metrics.sample_errors(*calibrated)]) == pytest.approx(16 / 9, rel=0.02)
    for name, errors in metrics.band_errors(*calibrated).items():
        assert metrics.error_ratio([errors]) == pytest.approx(16 / 9, rel=0.1), name  # the coarse band has 1,728 values
    for level in (0.5, 0.8, 0.95):
        assert metrics.interval_coverage(samples, clean, level) == pytest.approx(level, abs=0.01)
    assert metrics.spread_error_correlation(samples, clean) == pytest.approx(0.44, abs=0.03)
    exact = metrics.spread_error_correlation(np.concatenate([samples] * 2), clean)
    assert exact == pytest.approx(
        metrics.spread_error_correlation(samples, clean), abs=1e-9
    )  # of scale it knows nothing


@pytest.mark.parametrize("factor, direction", [(0.5, -1), (2.0, 1)])
def test_too_little_and_too_much_spread_are_told_apart(calibrated, factor, direction):
    samples, clean = calibrated
    mean = samples.mean(0)
    scaled = mean + factor * (samples - mean)
    assert direction * (metrics.error_ratio([metrics.sample_errors(scaled, clean)]) - 16 / 9) > 0.3
    assert direction * (metrics.interval_coverage(scaled, clean, 0.8) - 0.8) > 0.1
    assert metrics.fair_crps(scaled, clean) > metrics.fair_crps(samples, clean)


def test_a_spread_in_the_wrong_place_is_seen(calibrated):
    samples, clean = calibrated
    mean, spread = samples.mean(0), metrics.sample_spread(samples)
    moved = mean + (samples - mean) / spread * np.random.default_rng(1).permutation(spread.ravel()).reshape(
        spread.shape
    )
    assert abs(metrics.spread_error_correlation(moved, clean)) < 0.02
    ratios = [metrics.error_ratio([metrics.sample_errors(one, clean)]) for one in (samples, moved)]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.02)  # which the ratio does not see


def test_without_spread_nothing_correlates_and_only_equal_values_are_covered():
    clean = np.arange(12.0).reshape(2, 2, 3)
    assert metrics.spread_error_correlation([clean + clean**2] * 3, clean) == 0.0
    assert metrics.interval_coverage([clean.round(-1)] * 3, clean, 0.95) == pytest.approx(2 / 12)


def test_the_score_is_its_formula(calibrated):
    samples, clean = (one[..., :6, :5, :] for one in calibrated)
    pairs = np.mean([np.abs(a - b).mean() for a, b in itertools.permutations(samples, 2)])
    assert metrics.fair_crps(samples, clean) == pytest.approx(np.abs(samples - clean).mean() - pairs / 2)
    assert metrics.fair_crps([clean + 3] * 2, clean) == pytest.approx(3.0)


def test_the_score_does_not_depend_on_the_number_of_samples():
    generator = np.random.default_rng(0)
    draws = generator.normal(size=[17, 200_000])
    expected = 1 / np.sqrt(np.pi)  # of draws and truth from N(0, 1)
    for count in (2, 4, 16):
        assert metrics.fair_crps(draws[1 : count + 1], draws[0]) == pytest.approx(expected, abs=0.01)


def test_diversity_is_the_mean_distance_over_pairs():
    samples = np.random.default_rng(0).uniform(-1, 1, [4, 6, 6, 3]).astype(np.float32)
    network = lambda images: [images, images[:, ::2, ::2, :2] ** 2]  # noqa: E731
    pairs = itertools.combinations(samples, 2)
    expected = np.mean([metrics.perceptual_distance(a[None], b[None], network)[0] for a, b in pairs])
    assert metrics.diversity(samples, network) == pytest.approx(expected)
    assert metrics.diversity(samples[:1].repeat(3, 0), network) == pytest.approx(0.0, abs=1e-12)


def test_the_identity_is_compared_over_pairs():
    east, north, both = [2.0, 0.0], [0.0, 1.0], [1.0, 1.0]
    assert metrics.identity_spread([east, north, both]) == pytest.approx((90 + 45 + 45) / 3)
    assert metrics.identity_spread([east, east]) == 0.0


@pytest.mark.parametrize("function", ["sample_errors", "band_errors", "spread_error_correlation", "fair_crps"])
def test_one_sample_says_nothing(function):
    clean = np.zeros([8, 8, 3])
    with pytest.raises(ValueError, match="expected two samples or more"):
        getattr(metrics, function)([clean], clean)
    with pytest.raises(ValueError, match="in the shape of one"):
        getattr(metrics, function)([clean, clean], clean[:4])


def test_one_sample_has_no_diversity():
    for function, given in ((metrics.identity_spread, [[1.0, 0.0]]), (metrics.sample_spread, [[1.0]])):
        with pytest.raises(ValueError, match="two samples or more"):
            function(given)
    with pytest.raises(ValueError, match="two samples or more"):
        metrics.diversity(np.zeros([1, 4, 4, 3]), lambda images: [images])
