"""Usage of a codebook."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import code_usage


def test_by_hand():
    assert code_usage([[3, 3], [3, 3]], 8) == (1 / 8, 1.0)
    assert code_usage(np.arange(8), 8) == (1.0, pytest.approx(8.0))
    # Two codes, three times and once: entropy of (3/4, 1/4).
    assert code_usage([0, 0, 0, 5], 10) == (0.2, pytest.approx(np.exp(0.75 * np.log(4 / 3) + 0.25 * np.log(4))))


@settings(max_examples=40, deadline=None)
@given(indices=st.lists(st.integers(0, 15), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_properties(indices, seed):
    generator = np.random.default_rng(seed)
    usage = code_usage(indices, 16)
    assert 1 / 16 <= usage.share <= 1.0
    assert 1.0 - 1e-9 <= usage.perplexity <= 16 * usage.share + 1e-9  # at most as many codes as are chosen at all
    for same in (generator.permutation(indices), generator.permutation(16)[indices], np.repeat(indices, 3)):
        assert code_usage(same, 16) == pytest.approx(usage)
    assert code_usage(indices, 32) == pytest.approx((usage.share / 2, usage.perplexity))


@pytest.mark.parametrize(
    "indices, message",
    [
        ([0, 8], "from 0 to 8; expected 0 to 7, the codebook's"),
        ([-1, 2], "from -1 to 2; expected 0 to 7"),
        (np.zeros([0], int), "0 values of type int64; expected integers, at least one"),
        ([0.0, 1.0], "2 values of type float64; expected integers"),
    ],
)
def test_misuse(indices, message):
    with pytest.raises(ValueError, match=message):
        code_usage(indices, 8)
