"""The reservoir keeps a uniform sample, the same on any number of replicas; k-means makes the codebook of it."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.vqfr.training.reservoir import Reservoir, cluster, reestimate

SIZE, LENGTH, BATCH = 12, 3, 4


def features(step: int, batch: int = BATCH) -> np.ndarray:
    return np.random.default_rng(step).normal(size=[batch, 1, 2, LENGTH]).astype(np.float32)


def fill(strategy: tf.distribute.Strategy, steps: int) -> Reservoir:
    """A reservoir after some steps on the replicas of a strategy."""
    with strategy.scope():
        reservoir = Reservoir(SIZE, LENGTH)
    share = BATCH // strategy.num_replicas_in_sync
    add = tf.function(reservoir.add)
    for step in range(steps):
        part = strategy.experimental_distribute_values_from_function(
            lambda context, step=step: tf.constant(features(step)[share * context.replica_id_in_sync_group :][:share])
        )
        strategy.run(add, args=(part, tf.constant([7, step], tf.int64)))
    return reservoir


def by_hand(steps: int) -> np.ndarray:
    """Reservoir sampling, one vector after the other, with the same draws."""
    kept, seen = np.zeros([SIZE, LENGTH], np.float32), 0
    for step in range(steps):
        rows = features(step).reshape(-1, LENGTH)
        draws = tf.random.stateless_uniform([len(rows)], [7, step], dtype=tf.float64).numpy()
        for row, draw in zip(rows, draws):
            seen += 1
            place = seen - 1 if seen <= SIZE else int(draw * seen)
            if place < SIZE:
                kept[place] = row
    return kept


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_one_and_two_replicas_keep_what_the_definition_says(mirrored, steps):
    for strategy in (tf.distribute.get_strategy(), mirrored):
        reservoir = fill(strategy, steps)
        assert int(reservoir.seen.numpy()) == steps * BATCH * 2
        for copy in strategy.experimental_local_results(reservoir.vectors):
            np.testing.assert_array_equal(copy.numpy(), by_hand(steps))


def test_of_several_vectors_for_one_place_the_last_wins():
    reservoir = Reservoir(1, 1)
    reservoir.add(tf.reshape(tf.range(8.0), [1, 1, 8, 1]), tf.constant([0, 0], tf.int64))
    draws = tf.random.stateless_uniform([8], [0, 0], dtype=tf.float64).numpy()
    hits = [number for number in range(8) if int(draws[number] * (number + 1)) == 0]
    assert len(hits) > 2, "the draws of this seed do not collide; choose another"
    assert float(reservoir.vectors[0, 0]) == hits[-1]


def test_every_vector_is_kept_equally_often():
    """400 vectors into 40 places, 300 times: each is kept 30 times in the mean."""
    kept = np.zeros(400)
    stream = tf.reshape(tf.range(400.0), [10, 1, 40, 1])
    reservoir = Reservoir(40, 1)
    add = tf.function(reservoir.add)
    for run in range(300):
        reservoir.reset()
        for step in range(10):
            add(stream[step : step + 1], tf.constant([run, step], tf.int64))
        kept[reservoir.sample()[:, 0].astype(int)] += 1
    # Vectors of one step that hit one place displace each other, hence means by step, of 40 vectors each: their
    # deviation is sqrt(30 * 0.9 / 40) = 0.8.
    np.testing.assert_allclose(kept.reshape(10, 40).mean(axis=1), 30, atol=4 * 0.8)


def test_a_sample_holds_only_what_was_seen_since_the_reset():
    reservoir = Reservoir(SIZE, LENGTH)
    assert reservoir.sample().shape == (0, LENGTH)
    reservoir.add(tf.constant(features(0)), tf.constant([0, 0], tf.int64))
    np.testing.assert_array_equal(reservoir.sample(), features(0).reshape(-1, LENGTH))
    reservoir.reset()
    assert len(reservoir.sample()) == 0


def test_k_means_finds_separate_groups():
    centres = np.float32([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]])
    noise = np.random.default_rng(0).normal(scale=0.1, size=[4, 30, LENGTH])
    found = cluster((centres[:, None] + noise).reshape(-1, LENGTH).astype(np.float32), 4)
    assert found.dtype == np.float32
    distances = np.linalg.norm(found[:, None] - centres[None], axis=-1)
    assert sorted(distances.argmin(axis=1)) == [0, 1, 2, 3]
    assert distances.min(axis=1).max() < 0.1  # 0.1 / sqrt(30) an axis


def test_more_starts_are_never_worse():
    vectors = np.random.default_rng(3).normal(size=(80, 2)).astype(np.float32)

    def error(n_init):
        centres = cluster(vectors, 9, n_init)
        return np.square(vectors[:, None] - centres).sum(-1).min(1).sum()

    np.testing.assert_array_equal(cluster(vectors, 9), cluster(vectors, 9, 1))
    assert error(20) < error(1)


def test_fewer_vectors_than_codes_are_refused():
    with pytest.raises(ValueError, match="3 feature vectors for 4 codes.*reestimate_every"):
        cluster(np.zeros([3, LENGTH], np.float32), 4)


def test_every_replica_gets_the_centres_and_a_new_sample_starts(mirrored):
    codebooks = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        reservoir = fill(strategy, 9)
        with strategy.scope():
            codebook = tf.Variable(tf.zeros([5, LENGTH]))
            reestimate(codebook, reservoir)
        assert int(reservoir.seen.numpy()) == 0
        codebooks += [copy.numpy() for copy in strategy.experimental_local_results(codebook)]
    assert len(codebooks) == 3
    for codebook in codebooks:
        np.testing.assert_array_equal(codebook, cluster(by_hand(9), 5))
