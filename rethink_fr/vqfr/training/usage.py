"""How many codes of a codebook are in use while it is trained."""

from __future__ import annotations

from typing import Dict

import tensorflow as tf

_DECAY = 0.99
_WINDOW = 100  # steps


class UsageMeter(tf.Module):
    """Counts which codes are chosen on all replicas, over about the last hundred steps.

    The counts are in variables, so that checkpoints hold them and a continued run goes on counting.

    Args:
        codebook_size: number of codes, K.
    """

    def __init__(self, codebook_size: int) -> None:
        super().__init__()
        once = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.average_counts = tf.Variable(tf.zeros([codebook_size]), name="average_counts", **once)
        self.last_used = tf.Variable(
            tf.fill([codebook_size], tf.constant(-_WINDOW, tf.int64)), name="last_used", **once
        )

    def count(self, indices: tf.Tensor, step: tf.Tensor) -> Dict[str, tf.Tensor]:
        """Count the codes that were chosen on this replica. Call it once in a step, in replica context.

        Args:
            indices: numbers of the codes, int32 `[b, h, w]`.
            step: int64 scalar, number of steps taken.

        Returns:
            What is logged: `codebook/usage`, the share of codes that were chosen in the last 100 steps, 0 to 1, and
            `codebook/perplexity`, exp of the entropy of the choices, averaged over steps with decay 0.99, 1 to K.
        """
        size = int(self.average_counts.shape[0])
        flat = tf.reshape(indices, [-1])
        counts = tf.math.unsorted_segment_sum(tf.ones_like(flat, tf.float32), flat, size)
        counts = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, counts)
        average = _DECAY * self.average_counts + (1.0 - _DECAY) * counts
        last_used = tf.where(counts > 0, step, self.last_used)
        self.average_counts.assign(average)
        self.last_used.assign(last_used)
        share = average / tf.reduce_sum(average)
        return {
            "codebook/usage": tf.reduce_mean(tf.cast(step - last_used < _WINDOW, tf.float32)),
            "codebook/perplexity": tf.exp(-tf.reduce_sum(tf.math.xlogy(share, share))),
        }
