"""The generator's average: a second restorer whose weights follow the trained one's."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf
from tensorflow import keras


def build_averaged(build: Callable[[], keras.Model]) -> keras.Model:
    """Build a model whose variables may be assigned inside `strategy.run`.

    Every replica assigns the same value (weights are equal on all of them after the optimizers' step), hence
    ONLY_FIRST_REPLICA. `build` must create the variables, not only the layers.
    """

    def first_replica_speaks(next_creator: Callable[..., tf.Variable], **kwargs) -> tf.Variable:
        kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
        return next_creator(**kwargs)

    with tf.variable_creator_scope(first_replica_speaks):
        return build()


def update_average(average: keras.Model, model: keras.Model, step: tf.Tensor, decay: float) -> None:
    """One step of the exponential moving average; codebooks and other state are copied.

    Not in the paper; standard practice (Karras et al. 2018, appendix A.1). The decay starts low, `(1 + t) / (10 + t)`,
    so that the first weights do not linger.
    """
    count = tf.cast(step, tf.float32)
    decay = tf.minimum(decay, (1.0 + count) / (10.0 + count))
    for shadow, variable in zip(average.trainable_variables, model.trainable_variables):
        shadow.assign(variable + decay * (shadow - variable))
    for shadow, variable in zip(average.non_trainable_variables, model.non_trainable_variables):
        shadow.assign(variable)
