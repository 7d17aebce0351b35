"""Batch normalization over all replicas, with PyTorch's running statistics."""

import numpy as np
import tensorflow as tf

from rethink_fr.vqfr.networks.batch_norm import SyncBatchNorm


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_in_training_each_channel_has_the_batchs_mean_and_deviation_taken_out(float64):
    layer, features = SyncBatchNorm(), 3 * normal(0, 2, 5, 4, 3) + [1, 2, 3]
    layer.build(features.shape)
    layer.gamma.assign([2.0, 1.0, 0.5])
    layer.beta.assign([0.0, -1.0, 4.0])
    centred = features - features.mean((0, 1, 2))
    expected = centred / np.sqrt(features.var((0, 1, 2)) + 1e-5) * [2, 1, 0.5] + [0, -1, 4]
    np.testing.assert_allclose(layer(features, training=True), expected, rtol=1e-12, atol=1e-12)


def test_running_statistics_move_by_a_tenth_towards_mean_and_unbiased_variance(float64):
    layer, features = SyncBatchNorm(), normal(0, 2, 3, 2, 3)
    for _ in range(2):
        layer(features, training=True)
    np.testing.assert_allclose(layer.running_mean, 0.19 * features.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_variance, 0.81 + 0.19 * features.var((0, 1, 2), ddof=1), rtol=1e-12)


def test_otherwise_the_running_statistics_are_used_and_stay(float64):
    layer, features = SyncBatchNorm(), normal(0, 2, 3, 2, 3)
    layer.build(features.shape)
    layer.running_mean.assign([1.0, 2.0, 3.0])
    layer.running_variance.assign([4.0, 0.25, 1.0])
    expected = (features - [1, 2, 3]) / np.sqrt(np.array([4, 0.25, 1]) + 1e-5)
    np.testing.assert_allclose(layer(features), expected, rtol=1e-12)
    np.testing.assert_array_equal(layer.running_mean, [1, 2, 3])


def test_the_gradient_passes_through_the_statistics(float64, assert_gradient):
    layer = SyncBatchNorm()
    assert_gradient(lambda features: layer(features, training=True), normal(7, 2, 3, 2, 3))


def test_one_pixel_gives_finite_statistics():
    layer = SyncBatchNorm()
    assert np.all(np.isfinite(layer(np.float32(normal(0, 1, 1, 1, 3)), training=True)))
    assert np.all(np.isfinite(layer.running_variance))


def test_a_large_mean_costs_no_accuracy():
    features = np.float32(normal(0, 4, 64, 64, 2) + 1000)
    expected = (features - features.mean((0, 1, 2), dtype=np.float64)) / features.std((0, 1, 2), dtype=np.float64)
    # 1e-3: a value near 1000 has a grain of 6e-5. Mean of squares less squared mean: whole units off.
    np.testing.assert_allclose(SyncBatchNorm()(features, training=True), expected, atol=1e-3)


def test_two_replicas_compute_what_one_does(mirrored):
    features, upstream = tf.constant(normal(0, 4, 3, 5, 3), tf.float32), tf.constant(normal(1, 4, 3, 5, 3), tf.float32)

    def step(layer, inputs: tf.Tensor, weights: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs * weights)
        return outputs, *tape.gradient(loss, [inputs, layer.gamma, layer.beta])

    single = SyncBatchNorm()
    expected = step(single, features, upstream)
    with mirrored.scope():
        double = SyncBatchNorm()
        double.build(features.shape)
    shares = [
        mirrored.experimental_distribute_values_from_function(
            lambda context, value=value: tf.split(value, 2)[context.replica_id_in_sync_group]
        )
        for value in (features, upstream)
    ]
    results = tf.function(lambda *values: mirrored.run(lambda *share: step(double, *share), values))(*shares)
    parts = [mirrored.experimental_local_results(result) for result in results]
    joined = [tf.concat(part, 0) for part in parts[:2]] + [tf.add_n(part) for part in parts[2:]]
    for ours, theirs in zip(joined, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)  # float32 sums in two halves
    for variable, other in zip(double.weights, single.weights):
        for local in mirrored.experimental_local_results(variable):
            np.testing.assert_allclose(local, other, rtol=1e-6, atol=1e-7)
