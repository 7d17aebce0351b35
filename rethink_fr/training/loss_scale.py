"""A factor on every loss, so that gradients in float16 do not vanish; and a step is skipped where they overflow."""

from __future__ import annotations

from typing import Sequence

import tensorflow as tf
from tensorflow import keras

SKIPPED = "loss_scale/skipped"  # what the number of turns that a step skipped is logged as
_SMALLEST, _LARGEST = 1.0, 2.0**24


class LossScale(tf.Module):
    """A power of two that losses are multiplied by, and their gradients divided by: as large as float16 allows.

    Micikevicius et al. 2018 (arXiv:1710.03740), section 3.2. The smallest float16 is 6e-8, and gradients of images are
    smaller. The rule and its numbers are those of Keras' `LossScaleOptimizer`, which has one factor for each optimizer,
    where here one loss may have several optimizers: the factor is halved at a step with gradients that are not finite,
    which is skipped, and doubled after `grow_after` steps in a row without one. It stays within 1 and 2^24.

    Args:
        first: the factor of the first step.
        grow_after: number of steps.

    Attributes:
        factor: float32 variable.
        good_steps: int64 variable, number of steps in a row without an overflow since the factor was changed.
    """

    def __init__(self, first: float = 2.0**15, grow_after: int = 2000) -> None:
        super().__init__()
        self.grow_after = grow_after
        # All replicas assign the same values, because they have the same gradients.
        aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.factor = tf.Variable(first, trainable=False, dtype=tf.float32, name="factor", aggregation=aggregation)
        self.good_steps = tf.Variable(0, trainable=False, dtype=tf.int64, name="good_steps", aggregation=aggregation)

    def follows(self, finite: tf.Tensor) -> tf.Tensor:
        """Whether gradients are followed, bool scalar: where they are finite.

        They are also followed where the factor cannot be smaller. Then the run has diverged, which shall be seen.
        """
        return finite | (self.factor <= _SMALLEST)

    def update(self, finite: tf.Tensor) -> None:
        """Adapt the factor after a step. Call it in replica context, with whether all of its gradients were finite."""
        good = tf.where(finite, self.good_steps + 1, 0)
        grows = good >= self.grow_after
        grown = tf.where(grows, tf.minimum(2.0 * self.factor, _LARGEST), self.factor)
        self.factor.assign(tf.where(finite, grown, tf.maximum(0.5 * self.factor, _SMALLEST)))
        self.good_steps.assign(tf.where(grows, tf.zeros_like(good), good))


def apply_if(
    condition: tf.Tensor,
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
) -> None:
    """Let an optimizer follow gradients if a condition holds; if not, it only counts the step, as Keras does.

    Call it in replica context. All replicas need the same condition, a bool scalar, and the same gradients.
    """

    def on_all_replicas(strategy: tf.distribute.Strategy, condition: tf.Tensor, gradients: Sequence[tf.Tensor]) -> None:
        def apply(gradients: Sequence[tf.Tensor]) -> None:
            optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)

        def follow() -> None:
            strategy.extended.call_for_each_replica(apply, args=(gradients,))

        def skip() -> None:
            optimizer.iterations.assign_add(1, read_value=False)

        tf.cond(strategy.experimental_local_results(condition)[0], follow, skip)

    # An optimizer talks to the other replicas, which it cannot do from inside a condition of one replica.
    tf.distribute.get_replica_context().merge_call(on_all_replicas, args=(condition, list(gradients)))
