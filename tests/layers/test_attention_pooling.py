"""Attention pooling: a softmax-weighted mean whose query is the plain mean."""

import numpy as np
import pytest

from rethink_fr.layers import AttentionPooling


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def pool(features: np.ndarray) -> np.ndarray:
    pooled = []
    for sample in features.astype(np.float64):
        rows = sample.reshape(-1, sample.shape[-1])
        query = sum(rows) / len(rows)
        weights = np.array([np.exp(row @ query / np.sqrt(len(row))) for row in rows])
        pooled.append(sum(weight * row for weight, row in zip(weights / weights.sum(), rows)))
    return np.stack(pooled)


@pytest.mark.parametrize("shape", [(3, 4, 4, 16), (1, 1, 1, 4), (2, 3, 5, 7)])
def test_weights_are_the_softmax_of_scaled_inner_products_with_the_spatial_mean(shape):
    features = 2 * normal(*shape) + 0.5
    np.testing.assert_allclose(AttentionPooling()(features), pool(features), atol=3e-6)  # float32 sums


def test_it_has_no_parameters():
    layer = AttentionPooling()
    layer(normal(1, 4, 4, 8))
    assert layer.weights == []


def test_a_position_like_the_mean_weighs_more():
    features = np.zeros([1, 1, 3, 4], np.float32)
    features[0, 0, :, 0] = [4, 4, -1]
    # Between the plain mean (7/3) and the two that agree (4).
    assert 3.9 < AttentionPooling()(features)[0, 0] < 4


def test_the_order_of_positions_does_not_matter():
    features = normal(2, 4, 4, 8)
    shuffled = features.reshape(2, 16, 8)[:, np.random.default_rng(0).permutation(16)].reshape(features.shape)
    np.testing.assert_allclose(AttentionPooling()(features), AttentionPooling()(shuffled), atol=1e-6)  # sum order


def test_large_features_do_not_overflow():
    assert np.all(np.isfinite(AttentionPooling()(1e3 * normal(1, 4, 4, 8))))


def test_gradient_equals_finite_differences(float64, assert_gradient):
    assert_gradient(AttentionPooling(), normal(2, 2, 3, 5).astype(np.float64))
