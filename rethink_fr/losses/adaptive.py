"""A weight for an adversarial loss that balances its gradient against that of other losses."""

from __future__ import annotations

import math

import tensorflow as tf

_EPSILON = 1e-4
_LARGEST = 1e4


def adaptive_weight(reference_gradient: tf.Tensor, adversarial_gradient: tf.Tensor) -> tf.Tensor:
    """||reference|| / (||adversarial|| + 1e-4), from 0 to 1e4: a scalar without gradient. NaN if a norm is not finite.

    Esser et al. 2021 (VQGAN, arXiv:2012.09841), Eq. 7. VQFR's local adversarial losses are multiplied by it.

    Args:
        reference_gradient: gradient of the reconstruction losses with respect to the kernel of the last convolution.
            With several replicas it must be that of the global loss: all-reduce it first.
        adversarial_gradient: gradient of the adversarial loss with respect to the same kernel.
    """
    reference, adversarial = tf.norm(reference_gradient), tf.norm(adversarial_gradient)
    weight = tf.clip_by_value(reference / (adversarial + _EPSILON), 0.0, _LARGEST)
    return tf.stop_gradient(tf.where(tf.math.is_finite(reference) & tf.math.is_finite(adversarial), weight, math.nan))
