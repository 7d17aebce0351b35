"""The vector quantizer: nearest codes, straight-through gradient, and a codebook that follows averages."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import VectorQuantizer


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def built(num_codes: int, code_size: int, **arguments) -> VectorQuantizer:
    quantizer = VectorQuantizer(num_codes, code_size, **arguments)
    quantizer.build([None, None, None, code_size])
    return quantizer


def with_codes(codes: np.ndarray, **arguments) -> VectorQuantizer:
    quantizer = built(*codes.shape, **arguments)
    quantizer.codebook.assign(codes)
    return quantizer


def brute_force(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """NumPy's argmin takes the first of equal distances."""
    return np.array([np.argmin(np.sum((vector - codes.astype(np.float64)) ** 2, axis=1)) for vector in vectors])


class AveragedCodebook:
    """Appendix A.1 of van den Oord et al. 2017, code by code."""

    def __init__(self, codes: np.ndarray, counts: np.ndarray, decay: float, epsilon: float) -> None:
        self.codes, self.counts = codes.astype(np.float64), counts.astype(np.float64)
        self.sums = self.codes * self.counts[:, None]
        self.decay, self.epsilon = decay, epsilon

    def update(self, vectors: np.ndarray) -> None:
        indices = brute_force(vectors, self.codes)
        for code in range(len(self.codes)):
            mine = vectors[indices == code].astype(np.float64)
            self.counts[code] = self.decay * self.counts[code] + (1 - self.decay) * len(mine)
            self.sums[code] = self.decay * self.sums[code] + (1 - self.decay) * mine.sum(0)
        total = self.counts.sum()
        smoothed = (self.counts + self.epsilon) / (total + len(self.codes) * self.epsilon) * total
        used = np.isin(np.arange(len(self.codes)), indices)[:, None]
        self.codes = np.where(used, self.sums / smoothed[:, None], self.codes)  # a code without vectors stays


# ---- quantizing


@pytest.mark.parametrize("num_codes", [1, 5, 256, 257, 300, 700])
def test_the_nearest_code_in_euclidean_distance_is_chosen(num_codes):
    codes, features = normal(0, num_codes, 6), normal(1, 3, 4, 5, 6)
    codes *= np.linspace(0.5, 2, num_codes, dtype=np.float32)[:, None]  # inner products alone would choose others
    quantized, _, indices = with_codes(codes)(features)
    expected = brute_force(features.reshape(-1, 6), codes).reshape(3, 4, 5)
    np.testing.assert_array_equal(indices, expected)
    assert indices.dtype == tf.int32
    # One rounding of features + (code - features).
    np.testing.assert_allclose(quantized, codes[expected], atol=1e-6)


@pytest.mark.parametrize("twins", [(3, 7), (3, 260), (255, 256), (10, 299), (40, 290, 130)])
def test_of_equally_near_codes_the_lowest_index_wins(twins):
    codes = np.full([300, 2], 100, np.float32)
    for place, twin in enumerate(twins):
        codes[twin] = [(0, 2), (2, 0), (-2, 0)][place]  # all two away from the origin, exactly
    _, _, indices = with_codes(codes)(np.zeros([1, 1, 1, 2], np.float32))
    assert indices[0, 0, 0] == min(twins)


def test_every_code_quantizes_to_itself():
    codes = normal(0, 300, 8)
    quantized, loss, indices = with_codes(codes)(codes[None, None])
    np.testing.assert_array_equal(indices[0, 0], np.arange(300))
    np.testing.assert_array_equal(quantized[0, 0], codes)
    assert loss == 0


def test_the_straight_through_gradient_is_exactly_one():
    features, weights = tf.constant(normal(1, 2, 3, 3, 4)), normal(2, 2, 3, 3, 4)
    quantizer = with_codes(normal(0, 10, 4))
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = tf.reduce_sum(quantizer(features).quantized * weights)
    np.testing.assert_array_equal(tape.gradient(loss, features), weights)


def test_the_commitment_loss_is_the_mean_squared_distance_and_pulls_only_the_features():
    features, quantizer = tf.constant(normal(1, 2, 3, 3, 4)), with_codes(normal(0, 10, 4))
    codes = normal(0, 10, 4)[brute_force(features.numpy().reshape(-1, 4), normal(0, 10, 4))].reshape(2, 3, 3, 4)
    with tf.GradientTape() as tape:
        tape.watch([features, quantizer.codebook])
        loss = quantizer(features).commitment_loss
    features_gradient, codebook_gradient = tape.gradient(loss, [features, quantizer.codebook])
    np.testing.assert_allclose(loss, np.mean((features - codes) ** 2), rtol=1e-6)  # order of a sum of 72
    np.testing.assert_allclose(features_gradient, 2 * (features - codes) / codes.size, rtol=1e-6, atol=1e-9)
    assert codebook_gradient is None


def test_nothing_of_it_is_trainable():
    quantizer = built(10, 4)
    assert quantizer.trainable_weights == []
    assert quantizer.codebook.shape == [10, 4] and not quantizer.codebook.trainable


def test_quantizing_changes_no_state():
    quantizer = built(10, 4)
    quantizer.update(tf.constant(normal(1, 2, 3, 3, 4)))
    before = [weight.numpy() for weight in quantizer.weights]
    quantizer(normal(2, 2, 3, 3, 4))
    for weight, old in zip(quantizer.weights, before):
        np.testing.assert_array_equal(weight, old)


def test_channels_that_are_not_the_code_size_are_an_error():
    with pytest.raises(ValueError, match="features have 6 channels but the codebook stores 4-vectors"):
        VectorQuantizer(10, 4)(normal(0, 1, 2, 2, 6))
    quantizer = built(10, 4)
    with pytest.raises(ValueError, match="features have 6 channels"):
        quantizer(normal(0, 1, 2, 2, 6))


def test_no_tensor_holds_more_than_a_block_of_distances():
    """Neither `[N, K, C]` nor `[N, K]`, in quantizing, its gradient and learning."""
    batch, side, num_codes, code_size = 4, 16, 1024, 24
    rows, block = batch * side * side, 256
    quantizer = built(num_codes, code_size)

    @tf.function(input_signature=[tf.TensorSpec([batch, side, side, code_size])])
    def everything(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            quantized, loss, _ = quantizer(features)
        usage = quantizer.update(features)
        return tape.gradient([quantized, loss], features), usage

    graph = everything.get_concrete_function().graph
    shapes = [output.shape for operation in graph.get_operations() for output in operation.outputs]
    sizes = [shape.num_elements() or 0 for shape in shapes]
    assert rows * block in sizes  # the walk did see the distances
    assert max(sizes) <= max(rows * block, num_codes * code_size)


# ---- learning


def test_the_first_update_fills_the_codebook_with_distinct_random_rows_of_the_features():
    features = normal(1, 4, 5, 5, 6)
    rows, chosen = features.reshape(-1, 6), []
    for seed in (0, 1):
        quantizer = built(30, 6, seed=seed)
        quantizer.update(tf.constant(features))
        distances = np.abs(quantizer.codebook.numpy()[:, None] - rows).max(2)
        # 1e-6: a multiplication by the count and a division by it.
        assert distances.min(1).max() < 1e-6
        chosen.append(distances.argmin(1))
        assert len(set(chosen[-1])) == 30
        assert chosen[-1].max() > 60  # random ones, not the first 30 of 100
    assert set(chosen[0]) != set(chosen[1])


def test_fewer_features_than_codes_fill_the_codebook_over_several_updates_without_duplicates():
    quantizer, rows = built(10, 6), []
    for step in range(3):
        features = normal(step, 1, 2, 2, 6)
        rows.append(features.reshape(-1, 6))
        quantizer.update(tf.constant(features))
        np.testing.assert_array_equal(
            quantizer.last_seeded, np.repeat([1, 2, 3, 0], [4, 4, 2, 4])[:10] * (np.arange(10) < 4 * (step + 1))
        )
        new = slice(4 * step, min(4 * step + 4, 10))
        distances = np.abs(quantizer.codebook.numpy()[new, None] - rows[-1]).max(2)
        assert distances.min(1).max() < 1e-4  # Laplace smoothing
        assert len(set(distances.argmin(1))) == len(distances)
    assert len(np.unique(quantizer.codebook.numpy().round(4), axis=0)) == 10


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_later_updates_are_the_moving_average_with_laplace_smoothing(epsilon):
    quantizer = built(7, 3, decay=0.9, epsilon=epsilon, reseed_after=0)
    quantizer.update(tf.constant(normal(1, 2, 4, 4, 3)))
    oracle = AveragedCodebook(quantizer.codebook.numpy(), np.full(7, 32 / 7), 0.9, epsilon)
    for step in range(2, 6):
        features = normal(step, 2, 4, 4, 3) + 0.3 * step
        quantizer.update(tf.constant(features))
        oracle.update(features.reshape(-1, 3))
        # 3e-6: five float32 averages of sums over 32 rows.
        np.testing.assert_allclose(quantizer.average_counts, oracle.counts, rtol=3e-6)
        np.testing.assert_allclose(quantizer.codebook, oracle.codes, rtol=3e-6, atol=3e-6)


def test_a_code_settles_on_the_mean_of_its_features():
    quantizer = built(2, 1, decay=0.5, reseed_after=0)
    features = tf.constant([-3.0, -1.0, 1.0, 2.0, 6.0], shape=[1, 1, 5, 1])
    quantizer.update(features)
    quantizer.codebook.assign([[-2.0], [2.0]])
    for _ in range(40):
        quantizer.update(features)
    np.testing.assert_allclose(quantizer.codebook, [[-2], [3]], rtol=1e-5)  # Laplace smoothing: 1e-5 of the counts
    np.testing.assert_allclose(quantizer.average_counts, [2, 3], rtol=1e-5)


def near_and_far(reseed_after: int) -> VectorQuantizer:
    """After one update: code 0 in the middle of the features, code 1 where none come."""
    quantizer = built(2, 2, decay=0.9, reseed_after=reseed_after)
    quantizer.update(tf.constant(normal(1, 2, 4, 4, 2)))
    codes = np.array([[0, 0], [1e3, 1e3]], np.float32)
    quantizer.codebook.assign(codes)
    quantizer.average_sums.assign(codes * quantizer.average_counts.numpy()[:, None])
    return quantizer


def test_a_code_unused_for_long_becomes_a_row_of_the_current_features_and_used_ones_stay():
    quantizer = near_and_far(reseed_after=3)
    quantizer.last_used.assign([1, 0])
    for step in (2, 3):
        quantizer.update(tf.constant(normal(step, 2, 4, 4, 2)))
        assert quantizer.codebook[1, 0] > 900
    features = normal(4, 2, 4, 4, 2)
    quantizer.update(tf.constant(features))
    distances = np.abs(quantizer.codebook.numpy()[:, None] - features.reshape(-1, 2)).max(2).min(1)
    assert distances[1] < 1e-4  # Laplace smoothing moves it by 1e-5 of its length
    assert distances[0] > 1e-3 and np.abs(quantizer.codebook[0]).max() < 0.5
    assert quantizer.average_counts[1] == 1


def test_a_reseeded_code_gets_its_time_before_the_next_reseeding():
    quantizer = near_and_far(reseed_after=3)
    quantizer.last_used.assign([1, 0])
    seeded = []
    for step in range(2, 12):
        # One far feature at first, then none near it: whatever code 1 becomes, it is pushed out of use again.
        quantizer.codebook.assign([[0, 0], [1e3, 1e3]])
        quantizer.update(tf.constant(normal(step, 2, 4, 4, 2)))
        seeded.append(int(quantizer.last_seeded[1]))
    assert seeded == [1, 1, 4, 4, 4, 7, 7, 7, 10, 10]


def test_without_reseeding_an_unused_code_stays_exactly_where_it_is():
    quantizer = near_and_far(reseed_after=0)
    for step in range(2, 400):
        quantizer.update(tf.constant(normal(step, 2, 4, 4, 2)))
    np.testing.assert_array_equal(quantizer.last_seeded, [1, 1])
    assert quantizer.average_counts[1] < 1e-12  # far below the smoothing
    np.testing.assert_array_equal(quantizer.codebook[1], [1e3, 1e3])


def test_perplexity_is_the_exponential_of_the_entropy_of_the_averaged_counts():
    quantizer = near_and_far(reseed_after=0)
    counts = np.array([16.0, 16.0])
    for step in range(2, 5):
        usage = quantizer.update(tf.constant(normal(step, 2, 4, 4, 2)))
        counts = 0.9 * counts + 0.1 * np.array([32, 0])
        share = counts / counts.sum()
        np.testing.assert_allclose(usage.perplexity, math.exp(-np.sum(share * np.log(share))), rtol=1e-5)  # float32


def test_perplexity_is_the_number_of_codes_when_they_are_used_alike_and_one_when_a_single_one_is():
    quantizer = built(8, 2)
    np.testing.assert_allclose(quantizer.update(tf.constant(normal(1, 2, 4, 4, 2))).perplexity, 8, rtol=1e-6)
    quantizer = built(8, 2, decay=0.0, reseed_after=0)
    for _ in range(2):
        usage = quantizer.update(tf.ones([2, 4, 4, 2]))
    assert usage.perplexity == 1


def test_usage_is_the_share_of_codes_chosen_in_the_last_hundred_updates():
    quantizer = built(5, 1, reseed_after=0)
    quantizer.update(tf.zeros([1, 2, 2, 1]))
    quantizer.codebook.assign(100.0 * np.arange(5)[:, None])
    quantizer.update_count.assign(250)
    quantizer.last_seeded.assign([1] * 5)
    quantizer.last_used.assign([3, 0, 250, 152, 151])
    # Update 251 chooses code 0; 152 is 99 updates ago, 151 is 100.
    usage = quantizer.update(tf.zeros([1, 2, 2, 1]))
    np.testing.assert_allclose(usage.usage, 3 / 5)
    np.testing.assert_array_equal(quantizer.last_used, [251, 0, 250, 152, 151])


def test_learning_gives_features_no_gradient():
    quantizer, features = built(5, 2), tf.constant(normal(1, 1, 4, 4, 2))
    with tf.GradientTape() as tape:
        tape.watch(features)
        usage = quantizer.update(features)
        loss = usage.perplexity + usage.usage + tf.reduce_sum(quantizer.codebook)
    assert tape.gradient(loss, features) is None


def test_learning_from_features_of_another_depth_is_an_error():
    quantizer = built(10, 4)
    with pytest.raises(ValueError, match="features have 8 channels"):
        quantizer.update(tf.constant(normal(0, 1, 2, 2, 8)))


def test_learning_in_a_graph_equals_learning_eagerly():
    eager, traced = built(9, 3, reseed_after=2), built(9, 3, reseed_after=2)
    traced.codebook.assign(eager.codebook)
    update = tf.function(traced.update)
    for step in range(6):
        features = tf.constant(normal(step, 2, 3, 3, 3))
        ours, expected = update(features), eager.update(features)
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
    for weight, other in zip(traced.weights, eager.weights):
        np.testing.assert_allclose(weight, other, rtol=1e-6, atol=1e-6)  # fused float32 arithmetic


def test_two_replicas_learn_what_one_learns_from_the_whole_batch(mirrored):
    single = built(12, 3, decay=0.8, reseed_after=3)
    with mirrored.scope():
        double = built(12, 3, decay=0.8, reseed_after=3)
    double.codebook.assign(single.codebook)
    update = tf.function(lambda features: mirrored.run(double.update, [features]))
    for step in range(8):
        if step == 2:  # a code that nothing chooses, to be re-seeded
            far = tf.one_hot([3], 12, on_value=1e3, axis=0)
            for quantizer in (single, double):
                quantizer.codebook.assign(quantizer.codebook + far)
                quantizer.average_sums.assign(quantizer.average_sums + far * single.average_counts[3])
        features = normal(step, 8, 3, 3, 3) * np.linspace(0.2, 2, 8, dtype=np.float32)[:, None, None, None]
        shares = mirrored.experimental_distribute_values_from_function(
            lambda context, features=features: tf.constant(np.split(features, 2)[context.replica_id_in_sync_group])
        )
        expected = single.update(tf.constant(features))
        for ours, other in zip(update(shares), expected):
            np.testing.assert_allclose(mirrored.experimental_local_results(ours), [other] * 2, rtol=1e-6)
        for ours, other in zip(double.weights, single.weights):
            first, second = mirrored.experimental_local_results(ours)
            np.testing.assert_array_equal(first, second)
            # Two partial sums instead of one; measured 4e-7.
            np.testing.assert_allclose(first, other, rtol=3e-6, atol=3e-6, err_msg=ours.name)
    assert single.last_seeded[3] > 1


def test_counts_are_those_of_every_replica(mirrored):
    with mirrored.scope():
        quantizer = built(3, 1, decay=0.0, reseed_after=0)
    for _ in range(2):
        mirrored.run(lambda: quantizer.update(tf.reshape(tf.range(20.0), [2, 2, 5, 1])))
        quantizer.codebook.assign([[0.0], [5.0], [100.0]])
    mirrored.run(lambda: quantizer.update(tf.reshape(tf.range(20.0), [2, 2, 5, 1])))
    np.testing.assert_array_equal(quantizer.average_counts, [6, 34, 0])  # of 20 rows on each of two replicas
