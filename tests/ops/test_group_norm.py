"""Group normalization with swish: accuracy, both implementations compared, gradients."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.ops import group_norm_swish


def by_definition(inputs, gamma, beta, groups, epsilon=1e-6):
    """The formula of the definition, in float64."""
    batch, rows, columns, channels = inputs.shape
    grouped = inputs.astype("float64").reshape(batch, rows * columns, groups, channels // groups)
    mean, variance = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    z = ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(inputs.shape) * gamma + beta
    return z / (1 + np.exp(np.minimum(-z, 700)))


def random_tensors(seed, shape, centre=0.0, deviation=1.0):
    generator = np.random.default_rng(seed)
    return [
        (centre + deviation * generator.normal(size=shape)).astype("float32"),
        generator.normal(size=shape[-1]).astype("float32"),
        generator.normal(size=shape[-1]).astype("float32"),
    ]


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 3),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    groups=st.integers(1, 8),
    depth=st.integers(1, 12),
    centre=st.sampled_from([0.0, 1.0, -30.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_both_implementations_follow_the_definition(batch, rows, columns, groups, depth, centre, seed):
    tensors = random_tensors(seed, (batch, rows, columns, groups * depth), centre)
    expected = by_definition(*tensors, groups)
    for name in ("reference", "compiled"):
        outputs = group_norm_swish(*tensors, groups=groups, implementation=name)
        # A group of one value has no variance: division by sqrt(epsilon) makes float32 errors a thousand times larger.
        tolerance = 2e-5 if rows * columns * depth > 8 else 1e-2
        np.testing.assert_allclose(outputs, expected, atol=tolerance * (1 + abs(centre)))


@pytest.fixture(scope="module")
def large_inputs():
    return random_tensors(0, (1, 512, 512, 128), centre=2.0, deviation=0.5)[0]


def test_statistics_are_accurate_at_512(implementation, large_inputs):
    """To 2e-6 of the deviation, where a plain float32 sum over a million values loses four digits."""
    inputs, gamma, beta = large_inputs, np.ones(128, "float32"), np.full(128, 20.0, "float32")  # swish(20) is 20 - 4e-8
    outputs = group_norm_swish(inputs, gamma, beta, implementation=implementation).numpy()
    grouped = outputs.reshape(-1, 32, 4).astype("float64") - 20.0
    # Normalized values have mean 0 and deviation 1; a difference is the error of the statistics. Rounding to float32
    # near 20 adds noise of 1e-6, which averages out.
    np.testing.assert_allclose(grouped.mean((0, 2)), 0, atol=2e-6)
    np.testing.assert_allclose(grouped.std((0, 2)), 1, atol=4e-6)


def test_gradients_of_both_implementations_agree(implementation):
    for shape, groups in (((2, 13, 17, 96), 32), ((1, 5, 3, 10), 2), ((3, 1, 1, 64), 8)):
        tensors = random_tensors(1, shape, centre=0.5)
        cotangent = np.random.default_rng(2).normal(size=shape)
        results = []
        for dtype, name in (("float64", "reference"), ("float32", implementation)):
            sources = [tf.constant(value.astype(dtype)) for value in tensors]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                outputs = group_norm_swish(*sources, groups=groups, implementation=name)
                loss = tf.reduce_sum(outputs * cotangent.astype(dtype))
            results.append([outputs, *tape.gradient(loss, sources)])
        for expected, value in zip(*results):
            np.testing.assert_allclose(value, expected, atol=2e-6 * np.abs(expected).max() + 2e-5)


def test_the_gradient_of_the_reference_is_right(float64, assert_gradient):
    tensors = [value.astype("float64") for value in random_tensors(3, (2, 3, 4, 6))]
    assert_gradient(lambda *t: group_norm_swish(*t, groups=3, implementation="reference"), *tensors)


def test_extreme_values_stay_finite_and_nan_stays_nan(implementation):
    inputs, gamma, beta = random_tensors(4, (1, 4, 4, 32))
    outputs = group_norm_swish(inputs, 1e4 * gamma, beta, groups=4, implementation=implementation)
    np.testing.assert_allclose(outputs, by_definition(inputs, 1e4 * gamma, beta, 4), rtol=1e-4, atol=1e-2)
    inputs[0, 1, 2, 3] = np.nan
    outputs = group_norm_swish(inputs, gamma, beta, groups=4, implementation=implementation).numpy()
    assert np.isnan(outputs[..., :8]).all() and np.isfinite(outputs[..., 8:]).all()


def test_an_empty_batch_is_allowed(implementation):
    sources = [tf.constant(value) for value in random_tensors(5, (0, 4, 4, 8))]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = group_norm_swish(*sources, groups=2, implementation=implementation)
    assert outputs.shape == (0, 4, 4, 8)
    assert not tape.gradient(outputs, sources)[1].numpy().any()


@pytest.mark.parametrize(
    ("shape", "groups", "message"),
    [
        ((1, 2, 2, 8), 3, "8 channels do not fall in 3 equal groups"),
        ((2, 8), 2, r"expected \[B, H, W, C\]"),
    ],
)
def test_what_does_not_fit_is_refused(shape, groups, message):
    with pytest.raises(ValueError, match=message):
        group_norm_swish(np.zeros(shape, "float32"), np.ones(8, "float32"), np.ones(8, "float32"), groups=groups)
    with pytest.raises(ValueError, match="gamma is"):
        group_norm_swish(np.zeros([1, 2, 2, 8], "float32"), np.ones(7, "float32"), np.ones(8, "float32"), groups=2)
