"""Vector quantization with a codebook that is learned by exponential moving averages."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.precision import exact_product

_CODES_PER_BLOCK = 256
_USAGE_WINDOW = 100  # updates


class Quantization(NamedTuple):
    """What a `VectorQuantizer` returns for features `[B, h, w, C]`."""

    quantized: tf.Tensor  # [B, h, w, C]; its gradient goes straight to the features
    commitment_loss: tf.Tensor  # scalar, the mean of (feature - sg(code))^2 over all elements
    code_indices: tf.Tensor  # int32 [B, h, w]


class CodebookUsage(NamedTuple):
    """How much of a codebook is in use."""

    usage: tf.Tensor  # share of the codes that were chosen at least once in the last 100 updates
    perplexity: tf.Tensor  # exp of the entropy of the averaged counts: 1 (one code) to num_codes (all alike)


class VectorQuantizer(keras.layers.Layer):
    """Replaces each feature vector by the nearest vector of a codebook. `update` learns the codebook, not the gradient.

    "Rethinking Deep Face Restoration", Eqs. 2 and 3; van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1:
        N_k <- d N_k + (1 - d) n_k;   m_k <- d m_k + (1 - d) sum of the vectors nearest to code k;
        e_k = m_k / N'_k, with N' the Laplace-smoothed counts.
    Quantizing (`call`) and learning (`update`) are separate: the features that are quantized come from the degraded
    image, those that are learned from come from the ground truth (section 3.1.2).

    Our reading: the codebook starts from random rows of the features that it gets, not from noise. The first update
    fills it; if there are fewer rows than codes, those after it fill the rest, so that no row becomes two codes. A code
    that no feature was nearest to stays where it is. (The smoothed counts alone would pull it to the origin.)
    Not in the paper: a code that was not used for `reseed_after` updates is replaced by a random current feature.

    Call with `[B, h, w, C]`, where C is `code_size`; returns a `Quantization`. Distances are Euclidean, in float32; if
    several codes are equally near, the one with the lowest index is taken.

    Args:
        num_codes: K, the number of codes.
        code_size: C, the length of a code.
        decay: d of the moving averages.
        epsilon: of the Laplace smoothing.
        reseed_after: updates after which an unused code is replaced; 0 leaves unused codes where they are.
        seed: of the random choice of features that become codes.

    Raises:
        ValueError: if the features do not have `code_size` channels.

    Example:
        >>> quantizer = VectorQuantizer(num_codes=16, code_size=4)
        >>> clean, degraded = tf.random.normal([2, 1, 8, 8, 4])
        >>> quantized, commitment_loss, code_indices = quantizer(degraded)
        >>> quantized.shape, code_indices.shape
        (TensorShape([1, 8, 8, 4]), TensorShape([1, 8, 8]))
        >>> usage, perplexity = quantizer.update(clean)  # in training, once a step
    """

    def __init__(
        self,
        num_codes: int,
        code_size: int,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        reseed_after: int = 200,
        seed: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.num_codes = num_codes
        self.code_size = code_size
        self.decay = decay
        self.epsilon = epsilon
        self.reseed_after = reseed_after
        self.seed = seed

    def build(self, input_shape: tf.TensorShape) -> None:
        self._check_channels(tf.TensorShape(input_shape)[-1])

        def state(name: str, shape: list[int], dtype: tf.DType, initializer: str = "zeros") -> tf.Variable:
            # Every replica assigns the same, all-reduced value, so that the first one's speaks for all.
            return self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                initializer=initializer,
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        # The uniform start only serves a codebook that is used before its first update.
        self.codebook = state("codebook", [self.num_codes, self.code_size], tf.float32, "uniform")
        self.average_counts = state("average_counts", [self.num_codes], tf.float32)
        self.average_sums = state("average_sums", [self.num_codes, self.code_size], tf.float32)
        self.last_used = state("last_used", [self.num_codes], tf.int64)
        self.last_seeded = state("last_seeded", [self.num_codes], tf.int64)
        self.update_count = state("update_count", [], tf.int64)
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> Quantization:
        self._check_channels(features.shape[-1])
        indices = self.nearest(tf.reshape(features, [-1, self.code_size]))
        indices = tf.reshape(indices, tf.shape(features)[:-1])
        codes = tf.cast(tf.gather(self.codebook, indices), features.dtype)
        commitment_loss = tf.reduce_mean(tf.math.squared_difference(features, tf.stop_gradient(codes)))
        quantized = features + tf.stop_gradient(codes - features)
        return Quantization(quantized, commitment_loss, indices)

    def nearest(self, vectors: tf.Tensor) -> tf.Tensor:
        """Find the nearest code for each row of `[N, C]`; returns their indices, int32 `[N]`.

        Distances are computed to 256 codes at a time, which bounds the memory to `[N, 256]` numbers.
        """
        vectors = tf.cast(tf.stop_gradient(vectors), tf.float32)
        best_distance, best_index = None, None
        for start in range(0, self.num_codes, _CODES_PER_BLOCK):
            block = self.codebook[start : start + _CODES_PER_BLOCK]
            # ||v - e||^2 without ||v||^2, which is the same for every code.
            distance = tf.reduce_sum(tf.square(block), axis=1) - 2.0 * exact_product(vectors, block)
            index = tf.argmin(distance, axis=1, output_type=tf.int32)
            smallest = tf.reduce_min(distance, axis=1)
            if best_index is None:
                best_distance, best_index = smallest, index
            else:
                closer = smallest < best_distance
                best_index = tf.where(closer, index + start, best_index)
                best_distance = tf.where(closer, smallest, best_distance)
        return best_index

    def update(self, features: tf.Tensor) -> CodebookUsage:
        """Move the codebook towards `features`, `[B, h, w, C]`: this replica's share of the batch.

        Statistics are summed over the replicas first, so that every replica holds the same codebook. Call it once a
        step, in replica context (inside `strategy.run` or a Keras `train_step`). The features get no gradient.
        """
        self._check_channels(features.shape[-1])
        replica = tf.distribute.get_replica_context()
        flat = tf.reshape(tf.cast(tf.stop_gradient(features), tf.float32), [-1, self.code_size])
        indices = self.nearest(flat)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(indices, tf.float32), indices, self.num_codes)
        sums = tf.math.unsorted_segment_sum(flat, indices, self.num_codes)
        counts, sums, candidates = replica.all_reduce(
            tf.distribute.ReduceOp.SUM, [counts, sums, self._candidates(flat, replica)]
        )
        updates = self.update_count + 1
        total = tf.reduce_sum(counts)

        average_counts = self.decay * self.average_counts + (1.0 - self.decay) * counts
        average_sums = self.decay * self.average_sums + (1.0 - self.decay) * sums
        last_used = tf.where(counts > 0, updates, self.last_used)
        idle = updates - tf.maximum(last_used, self.last_seeded)
        turn = self._seeding_turn(total)
        reseed = turn & (idle >= self.reseed_after) if self.reseed_after else tf.zeros_like(turn)
        average_counts = tf.where(reseed, 1.0, average_counts)
        first = turn & tf.equal(self.last_seeded, 0)
        # At first each code stands for an equal share of the features.
        average_counts = tf.where(first, total / self.num_codes, average_counts)
        reseed = reseed | first
        average_sums = tf.where(reseed[:, None], candidates * average_counts[:, None], average_sums)

        mass = tf.reduce_sum(average_counts)
        smoothed = (average_counts + self.epsilon) / (mass + self.num_codes * self.epsilon) * mass
        moved = (counts > 0) | reseed
        self.codebook.assign(tf.where(moved[:, None], average_sums / smoothed[:, None], self.codebook))
        self.average_counts.assign(average_counts)
        self.average_sums.assign(average_sums)
        self.last_used.assign(last_used)
        self.last_seeded.assign(tf.where(reseed, updates, self.last_seeded))
        self.update_count.assign(updates)

        share = average_counts / mass
        perplexity = tf.exp(-tf.reduce_sum(tf.math.xlogy(share, share)))
        recent = (last_used > 0) & (updates - last_used < _USAGE_WINDOW)
        return CodebookUsage(tf.reduce_mean(tf.cast(recent, tf.float32)), perplexity)

    def _seeding_turn(self, total: tf.Tensor) -> tf.Tensor:
        """Which codes may be seeded at this update, bool `[K]`: as many as there are rows, each given once."""
        total = tf.cast(total, tf.int64)
        turns = (self.num_codes + total - 1) // total
        return tf.equal(tf.range(self.num_codes, dtype=tf.int64) // total, self.update_count % turns)

    def _candidates(self, flat: tf.Tensor, replica: tf.distribute.ReplicaContext) -> tf.Tensor:
        """Choose K random rows of the global batch, `[K, C]`. Rows that lie on other replicas are zeros here."""
        rows = tf.shape(flat, tf.int64)[0]
        total = rows * replica.num_replicas_in_sync
        chosen = tf.random.experimental.index_shuffle(
            tf.range(self.num_codes, dtype=tf.int64) % total,
            tf.stack([tf.constant(self.seed, tf.int64), self.update_count + 0]),
            total - 1,
        )
        local = chosen - rows * tf.cast(replica.replica_id_in_sync_group, tf.int64)
        here = (local >= 0) & (local < rows)
        return tf.where(here[:, None], tf.gather(flat, tf.clip_by_value(local, 0, rows - 1)), 0.0)

    def _check_channels(self, channels: int | None) -> None:
        if channels != self.code_size:
            raise ValueError(
                f"VectorQuantizer: features have {channels} channels but the codebook stores {self.code_size}-vectors. "
                "Project with a 1x1 convolution first, or set code_size to match."
            )
