"""Re-estimation of version 1's codebook: a sample of feature vectors, and k-means on it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class Reservoir(tf.Module):
    """A uniform sample of the feature vectors since the last `reset`, over all replicas (Vitter 1985, algorithm R).

    The released code of "VQFR" (Gu et al., ECCV 2022) learns the codebook's start this way; the paper is silent. The
    first `size` vectors fill it; the n-th after them replaces the vector at a random place of `[0, n)` if that place is
    below `size`. All of it is variables, so that checkpoints hold it, equal on every replica.

    Args:
        size: number of vectors kept.
        vector_size: length of each.
    """

    def __init__(self, size: int, vector_size: int) -> None:
        super().__init__()
        self.size = size
        # Every replica assigns the same gathered vectors, so that the first one's speak for all.
        once = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.vectors = tf.Variable(tf.zeros([size, vector_size]), name="reservoir", **once)
        self.seen = tf.Variable(0, dtype=tf.int64, name="reservoir_seen", **once)

    def add(self, features: tf.Tensor, seed: tf.Tensor) -> None:
        """Offer this replica's features; call it in replica context, once a step.

        Args:
            features: `[b, h, w, vector_size]`, the same b on every replica. They get no gradient.
            seed: int64 `[2]`, of the places.
        """
        rows = tf.stop_gradient(tf.reshape(features, [-1, self.vectors.shape[1]]))
        # In the order of the global batch, so that any number of replicas keeps the same vectors.
        rows = tf.distribute.get_replica_context().all_gather(rows, axis=0)
        count = tf.shape(rows, tf.int64)[0]
        number = self.seen + tf.range(1, count + 1)  # of each vector, from 1
        # float64 holds every number below 2 ** 53 exactly.
        draws = tf.random.stateless_uniform([count], seed, dtype=tf.float64)
        drawn = tf.cast(draws * tf.cast(number, tf.float64), tf.int64)
        places = tf.where(number <= self.size, number - 1, drawn)
        # Of several vectors for one place the last wins; a scatter would leave that to chance.
        here = places < self.size
        winners = tf.math.unsorted_segment_max(
            tf.where(here, tf.range(count), -1), tf.where(here, places, 0), tf.constant(self.size, tf.int64)
        )
        taken = tf.gather(rows, tf.maximum(winners, 0))
        self.vectors.assign(tf.where((winners >= 0)[:, None], taken, self.vectors))
        self.seen.assign_add(count)

    def reset(self) -> None:
        """Start a new sample; call it in cross-replica context."""
        self.seen.assign(0)

    def sample(self) -> np.ndarray:
        """The vectors kept so far, float32 `[n, vector_size]`, n at most `size`."""
        return self.vectors.numpy()[: int(self.seen.numpy())]


def reestimate(codebook: tf.Variable, reservoir: Reservoir) -> None:
    """Overwrite a codebook `[K, C]` by the k-means centres of a reservoir, and start a new sample.

    Call it in cross-replica context, on every worker: the chief computes, and its centres are broadcast, so that all
    replicas hold the same codebook whatever their processors make of the same sums.

    Raises:
        ValueError: if the reservoir holds fewer vectors than the codebook codes.
    """
    strategy = tf.distribute.get_strategy()
    centres = np.zeros(codebook.shape, np.float32)
    if strategy.extended.should_checkpoint:  # the chief
        centres = cluster(reservoir.sample(), len(centres))

    def broadcast(values: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        first = tf.cast(tf.equal(replica.replica_id_in_sync_group, 0), tf.float32)
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, values * first)

    results = strategy.run(tf.function(broadcast), args=(tf.constant(centres),))
    codebook.assign(strategy.experimental_local_results(results)[0])
    reservoir.reset()


def cluster(vectors: np.ndarray, count: int) -> np.ndarray:
    """`count` k-means centres, float32 `[count, C]`, of vectors `[n, C]`: scikit-learn's, `random_state` 0, one start.

    Raises:
        ValueError: if there are fewer vectors than centres.
    """
    from sklearn.cluster import k_means  # half a second to import, and only this needs it

    if len(vectors) < count:
        raise ValueError(
            f"k-means: {len(vectors)} feature vectors for {count} codes; expected at least as many. Raise "
            "codebook.reestimate_every or training.global_batch, or lower model.codebook_size"
        )
    centres, _, _ = k_means(vectors, count, random_state=0, n_init=1)
    return centres.astype(np.float32)
