"""The noise that a seed stands for, in a graph: the rule of `LoadedRestorer.draw_noise` where it is given no picture.

(The command mixes the picture's pixels into its seeds by SHA-256, for which TensorFlow has no operator.)
"""

from __future__ import annotations

from typing import Sequence

import tensorflow as tf


def draw_noise(shape: Sequence[int], seeds: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Draw noise from N(0, 1); row k depends on `seeds[k]` and `numbers[k]` only.

    Args:
        shape: of the noise for one image.
        seeds: integers `[N]`, of any integer type.
        numbers: `[N]`: the number of the sample, or of the picture, that belongs to the seed.

    Returns:
        float32 `[N, *shape]`.
    """
    pairs = tf.stack([tf.cast(seeds, tf.int64), tf.cast(numbers, tf.int64)], axis=1)
    specification = tf.TensorSpec(shape, tf.float32)
    return tf.map_fn(lambda pair: tf.random.stateless_normal(shape, pair), pairs, fn_output_signature=specification)
