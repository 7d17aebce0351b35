"""The confidence interval of a mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rethink_fr.metrics.bootstrap import mean_interval, ratio_interval


def test_it_is_as_wide_as_the_normal_one_for_many_values():
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    # 2000 draws place an end of the interval to about 5 % of its half width.
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_it_holds_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        low, high = mean_interval(generator.exponential(1.0, 60), draws=300)
        hits += low <= 1.0 <= high
    assert 0.87 <= hits / 200 <= 0.99


@hypothesis_settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_properties(values, seed):
    low, high = mean_interval(values, seed, draws=200)
    slack = 1e-9 * (1.0 + np.abs(values).max())
    assert min(values) - slack <= low <= high <= max(values) + slack
    assert mean_interval(values, seed, draws=200) == (low, high)
    wide_low, wide_high = mean_interval(values, seed, level=0.99, draws=200)
    assert wide_low <= low and wide_high >= high


def test_infinite_values_and_single_ones():
    assert mean_interval([np.inf, np.inf]) == (np.inf, np.inf)
    low, high = mean_interval([1.0] * 9 + [np.inf])
    assert low == 1.0 and high == np.inf
    assert mean_interval([3.0]) == (3.0, 3.0)


def test_the_interval_of_a_ratio_resamples_pairs():
    generator = np.random.default_rng(0)
    below = generator.exponential(1.0, 400)
    low, high = ratio_interval(np.stack([2 * below, below], 1))
    assert low == pytest.approx(2.0) and high == pytest.approx(2.0)  # of pairs; of each by itself it would be wide
    low, high = ratio_interval(np.stack([2 * below, generator.permutation(below)], 1))
    assert 1.6 < low < 1.9 and 2.1 < high < 2.4
    assert ratio_interval([[1.0, 0.0]]) == (np.inf, np.inf) and ratio_interval([[0.0, 0.0]] * 3) == (1.0, 1.0)
    for pairs in ([], [1.0], [[1.0, np.nan]], [[-1.0, 1.0]]):
        with pytest.raises(ValueError, match="expected one or more pairs"):
            ratio_interval(pairs)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0]]])
def test_misuse(values):
    with pytest.raises(ValueError, match="expected one or more numbers"):
        mean_interval(values)
