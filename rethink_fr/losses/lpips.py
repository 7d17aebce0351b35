"""LPIPS as a loss, and the style loss on its features."""

from __future__ import annotations

from typing import List, Mapping, Sequence

import numpy as np
import tensorflow as tf

from rethink_fr.losses.perceptual import gram_matrix
from rethink_fr.losses.vgg16 import VGG16Features

# LPIPS' own normalisation of images in [-1, 1]: ImageNet's, seen from there.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class PerceptualDistance(tf.Module):
    """LPIPS version 0.1 on VGG-16 (Zhang et al. 2018, arXiv:1801.03924), differentiable in the images.

    `features` once for each image, then `distance` and `style_distance` on pairs; gradients of a clean image's features
    are the caller's to stop. The network is fixed and has neither dropout nor its own training mode.

    Args:
        arrays: those of `VGG16Features`, and the heads `linK.model.1.weight` `[1, C, 1, 1]`, K from 0 to 4, as the
            published files name them.

    Raises:
        ValueError: naming the first array that is missing or misshapen.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(name="lpips")
        self.backbone = VGG16Features(arrays)
        self.heads = []
        for level, stage in enumerate(self.backbone.stages):
            name, channels = f"lin{level}.model.1.weight", int(stage[-1][1].shape[0])
            if name not in arrays:
                raise ValueError(
                    f"LPIPS: no {name} among {len(arrays)} arrays; expected the heads of LPIPS 0.1 for vgg"
                )
            head = np.asarray(arrays[name], np.float32)
            if head.size != channels:
                raise ValueError(f"LPIPS: {name} is {list(head.shape)}, expected {[1, channels, 1, 1]}")
            self.heads.append(tf.Variable(head.reshape(channels), trainable=False))

    def features(self, images: tf.Tensor) -> List[tf.Tensor]:
        """Images `[B, H, W, 3]` RGB in [-1, 1], sides of 16 or more, to five maps of unit vectors along channels."""
        shift, scale = tf.constant(_SHIFT, images.dtype), tf.constant(_SCALE, images.dtype)
        return [_unit(tap) for tap in self.backbone((images - shift) / scale)]

    def distance(self, clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> tf.Tensor:
        """LPIPS of two lists of `features`, averaged over the batch: a scalar, 0 for equal images."""
        terms = []
        for head, one, other in zip(self.heads, clean, restored):
            per_channel = tf.reduce_mean(tf.math.squared_difference(one, other), axis=[0, 1, 2])
            terms.append(tf.reduce_sum(per_channel * tf.cast(head, per_channel.dtype)))
        return tf.add_n(terms)

    def style_distance(self, clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> tf.Tensor:
        """Mean absolute difference of the Gram matrices of two lists of `features`, summed over the five: a scalar.

        As in the released code of VQFR, which weighs it by 2000.
        """
        differences = [gram_matrix(one) - gram_matrix(other) for one, other in zip(clean, restored)]
        return tf.add_n([tf.reduce_mean(tf.abs(difference)) for difference in differences])


def _unit(features: tf.Tensor) -> tf.Tensor:
    """Vectors along channels, over their length plus 1e-10. Where all channels are 0, so is the gradient."""
    squares = tf.reduce_sum(tf.square(features), axis=-1, keepdims=True)
    # The derivative of the root is infinite at 0; a length below 1e-15 is 0 beside the 1e-10.
    return features / (tf.sqrt(tf.maximum(squares, 1e-30)) + _EPSILON)
