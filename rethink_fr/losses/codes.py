"""Losses that pull the features of a degraded face towards the codes of the clean one (VQFR)."""

from __future__ import annotations

import tensorflow as tf


def code_matching_loss(features: tf.Tensor, clean_codes: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of features and codes ("VQFR", Gu et al., ECCV 2022, section 3.3).

    Args:
        features: of the degraded image, `[B, h, w, C]`.
        clean_codes: codes of the clean image, of the same shape. No gradient goes to them.
    """
    return tf.reduce_mean(tf.math.squared_difference(features, tf.stop_gradient(clean_codes)))


def code_cross_entropy(logits: tf.Tensor, clean_indices: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of predicted codes, averaged over positions (version 2 of VQFR).

    Args:
        logits: `[B, h, w, K]`, unbounded.
        clean_indices: integers `[B, h, w]` in 0..K-1: the codes of the clean image.
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=clean_indices, logits=logits))
