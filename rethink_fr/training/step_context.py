"""Random numbers of a training step that do not depend on the number of replicas."""

from __future__ import annotations

import tensorflow as tf

_PURPOSES = 4  # a step of the seeds' second number


class ReplicaStepContext:
    """The `StepContext` of one replica; make it in replica context.

    All random numbers follow from `seed` and `step`, and belong to places in the global batch: any number of replicas,
    and a run that was interrupted, see the same ones.

    Args:
        seed: of the run, below 2^31.
        step: int64 scalar, steps taken.
    """

    def __init__(self, seed: int, step: tf.Tensor) -> None:
        self.step = tf.convert_to_tensor(step)
        self._seed = seed

    def random_seed(self, purpose: int) -> tf.Tensor:
        """int64 `[2]`, another one for each run's seed, step and purpose."""
        high, low = divmod(purpose, _PURPOSES)
        return tf.stack([tf.constant(self._seed + (high << 32), tf.int64), self.step * _PURPOSES + low])

    @staticmethod
    def of_this_replica(draws: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """Rows of this replica, whose batch is `share`, out of draws made for the global batch."""
        first = share * tf.distribute.get_replica_context().replica_id_in_sync_group
        return draws[first : first + share]

    @staticmethod
    def global_batch(share: tf.Tensor) -> tf.Tensor:
        """Images of all replicas together, each having `share`."""
        return share * tf.distribute.get_replica_context().num_replicas_in_sync
