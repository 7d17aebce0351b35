"""LPIPS v0.1 (Zhang et al. 2018, arXiv:1801.03924), as a training loss and as the arithmetic of the metric.

Both compare the features of a fixed network: `normalise` the images, run the network, `unit_vectors` of each feature
map, then `weighted_distance`.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf

from rethink_fr.layers.recompute import recomputable
from rethink_fr.losses.perceptual import gram_matrix
from rethink_fr.losses.vgg16 import CHANNELS, vgg16
from rethink_fr.weights.published_network import PublishedNetwork
from rethink_fr.weights.state_dicts import check_state

# LPIPS' own normalisation: ImageNet's means and standard deviations, for images in [-1, 1] instead of [0, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
_ANY = ("",)  # every name begins so


def normalise(images: tf.Tensor) -> tf.Tensor:
    """RGB images `[B, H, W, 3]` in [-1, 1] as the networks of LPIPS take them. Tensors and NumPy arrays alike."""
    return (images - SHIFT) / SCALE


def unit_vectors(features: tf.Tensor) -> tf.Tensor:
    """Features `[B, h, w, C]` over their length along channels plus 1e-10. Where all are 0, so is the gradient."""
    squares = tf.reduce_sum(tf.square(features), axis=-1, keepdims=True)
    # The root has an infinite derivative at 0. A length below 1e-15 does not count beside the 1e-10.
    return features / (tf.sqrt(tf.maximum(squares, 1e-30)) + _EPSILON)


def weighted_distance(first: Sequence[tf.Tensor], second: Sequence[tf.Tensor], heads: Sequence[tf.Tensor]) -> tf.Tensor:
    """LPIPS of each pair of images: eq. 1 of the paper.

    Args:
        first, second: `unit_vectors` of the feature maps of two images, `[B, h, w, C]` each.
        heads: a weight for each channel of each map, `[C]`.

    Returns:
        `[B]`, 0 for equal images: squared differences, weighted by the heads, summed over channels, averaged over
        positions, and summed over the maps.
    """
    terms = []
    for one, other, head in zip(first, second, heads):
        per_channel = tf.reduce_mean(tf.math.squared_difference(one, other), axis=[1, 2])  # [B, C]
        terms.append(tf.linalg.matvec(per_channel, tf.cast(head, per_channel.dtype)))
    return tf.add_n(terms)


def read_heads(
    state: Mapping[str, np.ndarray], channels: Sequence[int], beside: Tuple[str, ...] = ()
) -> List[np.ndarray]:
    """The heads of LPIPS: a weight for each channel of each feature map, `[C]`.

    Args:
        state: `lin0.model.1.weight` and so on to array of any shape, as the published files name them.
        channels: number of channels of each map.
        beside: entries of `state` whose names begin with one of these are ignored.

    Raises:
        TorchStateError: if a head is missing, unexpected or of another size.
    """
    shapes = {f"lin{level}.model.1.weight": (count,) for level, count in enumerate(channels)}
    heads: Dict[str, np.ndarray] = {name: np.reshape(value, -1) for name, value in state.items()}
    check_state(shapes, heads, "not the heads of LPIPS 0.1 for this network", beside=beside)
    return [heads[name] for name in shapes]


class PerceptualDistance(tf.Module):
    """LPIPS on VGG-16 as a training loss, and a style loss on the same features; differentiable in the images.

    Compute the `features` of clean images once, then compare others with them. It is the caller's task to stop the
    gradient of a clean image's features. The network is fixed and has no training mode.

        perceptual = PerceptualDistance({**vgg16_arrays, **head_arrays})
        loss = perceptual.compare(perceptual.features(clean), restored, ["lpips"])["lpips"]

    Args:
        arrays: published name to array in PyTorch's layout: torchvision's VGG-16 (`features.N.weight`
            `[out, in, 3, 3]`, `features.N.bias` `[out]`) and the heads of LPIPS (`linK.model.1.weight`
            `[1, C, 1, 1]`, K from 0 to 4). Other entries are ignored: the file of the whole classifier will do.

    Raises:
        TorchStateError: if an array is missing or of another shape.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__(name="lpips")
        self.backbone = PublishedNetwork(vgg16, (None, None, 3), arrays, beside=_ANY)
        heads = read_heads(arrays, CHANNELS, beside=_ANY)
        self.heads = [tf.Variable(np.asarray(head, np.float32), trainable=False) for head in heads]

    def features(self, images: tf.Tensor) -> List[tf.Tensor]:
        """RGB images `[B, H, W, 3]` in [-1, 1] with sides of 16 or more: five maps, unit vectors along channels."""
        return [unit_vectors(tap) for tap in self.backbone(normalise(images))]

    @recomputable
    def compare(self, clean: Sequence[tf.Tensor], images: tf.Tensor, terms: Sequence[str]) -> Dict[str, tf.Tensor]:
        """The `distance` of images from the `features` of clean ones as "lpips", the `style_distance` as "style".

        Args:
            clean: the features.
            images: as many, RGB `[B, H, W, 3]` in [-1, 1].
            terms: which of the two to compute.
        """
        features, compute = self.features(images), {"lpips": self.distance, "style": self.style_distance}
        return {term: compute[term](clean, features) for term in terms}

    def distance(self, clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> tf.Tensor:
        """LPIPS of two lists of `features`, averaged over the batch: a scalar, 0 for equal images."""
        return tf.reduce_mean(weighted_distance(clean, restored, self.heads))

    def style_distance(self, clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> tf.Tensor:
        """Mean absolute difference of the Gram matrices of two lists of `features`, summed over the five: a scalar.

        As in the released code of VQFR, which gives it the weight 2000.
        """
        differences = [gram_matrix(one) - gram_matrix(other) for one, other in zip(clean, restored)]
        return tf.add_n([tf.reduce_mean(tf.abs(difference)) for difference in differences])
