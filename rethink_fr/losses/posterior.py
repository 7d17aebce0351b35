"""Losses of several restorations of one image, least when these are draws from the posterior.

A loss of each restoration by itself is least when all of them are the same best guess: the noise dies. Losses of
several draws together can ask for the right spread. There are two here; both are unweighted scalars, averaged over the
batch of this replica.
"""

from __future__ import annotations

import math
from typing import Callable, List, Sequence

import tensorflow as tf

BANDS = ("fine", "middle", "coarse")
Distance = Callable[[tf.Tensor], tf.Tensor]  # from a difference [B, h, w, C] to how long it is, [B, h, w]


def bands(images: tf.Tensor) -> List[tf.Tensor]:
    """Split images `[B, H, W, C]` into the three bands of a Laplacian pyramid: `BANDS`.

    Burt and Adelson 1983, with a mean of 2x2 pixels to reduce and bilinear interpolation to enlarge. A band is what is
    lost by one reduction; the coarse one is what is left after two.

    Returns:
        `[B, H, W, C]`, `[B, H / 2, W / 2, C]` and `[B, H / 4, W / 4, C]`. H and W must be multiples of 4.
    """
    split = []
    for _ in BANDS[1:]:
        reduced = tf.nn.avg_pool2d(images, 2, 2, "VALID")
        enlarged = tf.image.resize(reduced, tf.shape(images)[1:3], "bilinear")
        split.append(images - tf.cast(enlarged, images.dtype))
        images = reduced
    return [*split, images]


def amplify_chroma(images: tf.Tensor, factor: float) -> tf.Tensor:
    """Scale how far the channels of `[B, H, W, 3]` are from their mean, the grey image, which stays as it is.

    In RGB the errors of faces are grey above all: in fine detail of degraded faces 5 to 10 times as large as those of
    colour (measured). A distance in RGB then hardly sees coloured grain. With a `factor` of 5 both count alike.
    """
    if factor == 1.0:
        return images
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    return grey + factor * (images - grey)


def vector_length(difference: tf.Tensor) -> tf.Tensor:
    """The Euclidean length along channels. Its gradient is 0, not infinite, where the difference is 0."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(difference), axis=-1), 1e-12))


def frobenius_norm(difference: tf.Tensor) -> tf.Tensor:
    """The Frobenius norm of matrices `[B, C, C]`, `[B]`, with a gradient of 0 where it is 0."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(difference), axis=[1, 2]), 1e-24))


def energy_score(
    target: tf.Tensor, draws: Sequence[tf.Tensor], spread: float | tf.Tensor = 1.0, distance: Distance = vector_length
) -> tf.Tensor:
    """The energy score of P draws, a scalar. Its expectation is least for draws from the true distribution only.

        mean_i d(x, y_i)  -  spread / 2 * mean_{i != j} d(y_i, y_j)

    Gneiting and Raftery 2007 (section 4.3), in the form whose expectation does not depend on P (Ferro 2014). It is
    taken of the vector of channels at each position, and averaged over positions. With one channel it is the continuous
    ranked probability score. The theory asks for a `spread` of 1, and for P of 2 or more; of a single draw the result
    is just its distance.

    Args:
        target: `[B, h, w, C]`.
        draws: P tensors of that shape.
        spread: factor on the reward for differing.
        distance: from a difference `[B, h, w, C]` to `[B, h, w]`.
    """
    error = tf.add_n([tf.reduce_mean(distance(target - draw)) for draw in draws]) / len(draws)
    pairs = [(one, other) for position, one in enumerate(draws) for other in draws[position + 1 :]]
    if not pairs:
        return error
    return error - 0.5 * spread * tf.add_n([tf.reduce_mean(distance(a - b)) for a, b in pairs]) / len(pairs)


def regularized_l1(target: tf.Tensor, draws: Sequence[tf.Tensor], spread: float | tf.Tensor = 1.0) -> tf.Tensor:
    """L1 of the mean of P draws, less a reward for their standard deviation: a scalar.

        mean |x - m|  -  spread * beta * gamma * sum_i mean |y_i - m|,   m the mean of the draws,
        gamma = sqrt(pi / (2 P (P - 1))),   beta = sqrt(2 / (pi P (P + 1)))

    Bendel, Ahmad and Schniter 2023 (arXiv:2210.13389, section 3). If pixels are independent and Gaussian, a `spread`
    of 1 is least for the true posterior; the paper adapts it while it trains, see `excess_ratio`.

    Args:
        target: `[B, h, w, C]`.
        draws: P tensors of that shape, P of 2 or more.
        spread: factor on the reward.
    """
    count = len(draws)
    gamma = math.sqrt(math.pi / (2 * count * (count - 1)))
    beta = math.sqrt(2 / (math.pi * count * (count + 1)))
    mean = tf.add_n(list(draws)) / count
    deviation = tf.add_n([tf.reduce_mean(tf.abs(draw - mean)) for draw in draws])
    return tf.reduce_mean(tf.abs(target - mean)) - spread * beta * gamma * deviation


def squared_errors(target: tf.Tensor, draws: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean squared errors of one draw, averaged over the draws, and of the mean of all: `[2]`."""
    mean = tf.add_n(list(draws)) / len(draws)
    one = tf.add_n([tf.reduce_mean(tf.square(target - draw)) for draw in draws]) / len(draws)
    return tf.stack([one, tf.reduce_mean(tf.square(target - mean))])


def excess_ratio(errors: tf.Tensor, count: int) -> tf.Tensor:
    """How far the ratio of `squared_errors` of `count` draws, `[..., 2]`, is above what the theory says: `[...]`.

    For draws from the true distribution the ratio is `2 / (1 + 1 / P)` (Bendel et al. 2023): 4 / 3 for two. Above 0 the
    draws differ too much, below too little.
    """
    return tf.math.divide_no_nan(errors[..., 0], errors[..., 1]) - 2.0 / (1.0 + 1.0 / count)
