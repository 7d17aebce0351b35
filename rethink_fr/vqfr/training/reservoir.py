"""How version 1 starts its codebook: k-means on a random sample of features."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class Reservoir(tf.Module):
    """A random sample of the feature vectors of all replicas since the last `reset`; each is as likely to be in it.

    Vitter 1985, algorithm R: the first `size` vectors are all kept. Vector number n, for n above that, draws a place
    from 0 to n - 1, and replaces the vector at this place if it is below `size`. The released code of "VQFR" (Gu et
    al., ECCV 2022) does this; the paper does not mention it. The sample is in variables, which checkpoints hold and
    which are the same on all replicas.

    Args:
        size: number of vectors in the sample.
        vector_size: length of each vector.
        dtype: of the vectors.
    """

    def __init__(self, size: int, vector_size: int, dtype: tf.DType = tf.float32) -> None:
        super().__init__()
        self.size = size
        # All replicas assign the same vectors, so that the first one can be saved for all.
        once = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.vectors = tf.Variable(tf.zeros([size, vector_size], dtype), name="reservoir", **once)
        self.seen = tf.Variable(0, dtype=tf.int64, name="reservoir_seen", **once)

    def add(self, features: tf.Tensor, seed: tf.Tensor) -> None:
        """Offer the features of this replica to the sample. Call it once in a step, in replica context.

        Args:
            features: `[b, h, w, vector_size]`, with the same b on all replicas. No gradient flows to them.
            seed: int64 `[2]`, decides the places that are drawn.
        """
        rows = tf.stop_gradient(tf.reshape(features, [-1, self.vectors.shape[1]]))
        # In the order of the global batch, so that the sample does not depend on the number of replicas.
        rows = tf.distribute.get_replica_context().all_gather(rows, axis=0)
        count = tf.shape(rows, tf.int64)[0]
        number = self.seen + tf.range(1, count + 1)  # the number of each vector, from 1
        # float64 holds every number below 2 ** 53 exactly.
        draws = tf.random.stateless_uniform([count], seed, dtype=tf.float64)
        drawn = tf.cast(draws * tf.cast(number, tf.float64), tf.int64)
        places = tf.where(number <= self.size, number - 1, drawn)
        # If several vectors draw one place, the last one wins; a scatter would leave that to chance.
        here = places < self.size
        winners = tf.math.unsorted_segment_max(
            tf.where(here, tf.range(count), -1), tf.where(here, places, 0), tf.constant(self.size, tf.int64)
        )
        taken = tf.gather(rows, tf.maximum(winners, 0))
        self.vectors.assign(tf.where((winners >= 0)[:, None], taken, self.vectors))
        self.seen.assign_add(count)

    def reset(self) -> None:
        """Start a new sample. Call it in cross-replica context."""
        self.seen.assign(0)

    def sample(self) -> np.ndarray:
        """The sample, `[n, vector_size]`, with n at most `size`."""
        return self.vectors.numpy()[: int(self.seen.numpy())]


def reestimate(codebook: tf.Variable, reservoir: Reservoir, n_init: int = 1) -> None:
    """Replace a codebook `[K, C]` by the k-means centres of the sample in a reservoir, and start a new sample.

    Call it in cross-replica context, on every worker. The chief computes the centres and the others get them from it,
    so that all replicas have the same codebook, whatever their processors are. For `n_init` see `cluster`.

    Raises:
        ValueError: if the sample has fewer vectors than the codebook has codes.
    """
    strategy = tf.distribute.get_strategy()
    centres = np.zeros(codebook.shape, codebook.dtype.as_numpy_dtype)
    if strategy.extended.should_checkpoint:  # the chief
        centres = cluster(reservoir.sample(), len(centres), n_init)

    def broadcast(values: tf.Tensor) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        first = tf.cast(tf.equal(replica.replica_id_in_sync_group, 0), values.dtype)
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, values * first)

    results = strategy.run(tf.function(broadcast), args=(tf.constant(centres),))
    codebook.assign(strategy.experimental_local_results(results)[0])
    reservoir.reset()


def cluster(vectors: np.ndarray, count: int, n_init: int = 1) -> np.ndarray:
    """The k-means centres of vectors, by scikit-learn with `random_state` 0, as in the released code of "VQFR".

    Args:
        vectors: `[n, C]`.
        count: number of centres.
        n_init: number of starts, of which the best is taken. The released code leaves it to scikit-learn, which took 10
            before its version 1.4 and takes 1 since then.

    Returns: `[count, C]`, of the vectors' precision.

    Raises:
        ValueError: if there are fewer vectors than centres.
    """
    from sklearn.cluster import k_means  # half a second to import, and only this needs it

    if len(vectors) < count:
        raise ValueError(
            f"k-means: {len(vectors)} feature vectors for {count} codes; expected at least as many. Raise "
            "codebook.reestimate_every or training.global_batch, or lower model.codebook_size"
        )
    centres, _, _ = k_means(vectors, count, random_state=0, n_init=n_init)
    return centres.astype(vectors.dtype)
