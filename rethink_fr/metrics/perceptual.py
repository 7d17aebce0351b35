"""LPIPS and its like as metrics. The arithmetic is that of the training loss, `rethink_fr.losses.lpips`, in float64."""

from __future__ import annotations

from typing import Callable, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FeatureMaps = Callable[[NDArray[np.float32]], Sequence[ArrayLike]]  # images [B, H, W, 3] to maps [B, h, w, C]


class PerceptualNetwork(Protocol):
    """A network whose features LPIPS compares, with the weights that LPIPS gives its channels.

    Call with float32 images `[B, H, W, 3]`, already normalised; returns L feature maps `[B, h, w, C]` after their
    ReLUs. `heads` are the L learnt weights `[C]`, none negative.
    """

    heads: Sequence[NDArray[np.float32]]

    def __call__(self, images: NDArray[np.float32]) -> Sequence[ArrayLike]:
        """Feature maps of `images`, one for each head."""


def lpips(a: ArrayLike, b: ArrayLike, network: PerceptualNetwork) -> NDArray[np.float64]:
    """Learned perceptual image patch similarity, v0.1 (Zhang et al. 2018, arXiv:1801.03924, eq. 1).

    At each position the features are scaled to length 1. Their squared differences are weighted by the heads, summed
    over channels, averaged over positions and summed over the feature maps.

    Args:
        a, b: RGB images `[B, H, W, 3]` in [-1, 1].
        network: whose features are compared.

    Returns:
        float64 `[B]`: 0 for equal images, lower is closer. Exchanging `a` and `b` changes nothing.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, 3]`, or maps and heads do not fit each other.
    """
    from rethink_fr.losses.lpips import normalise

    a, b = _pictures(a, b)
    maps_a, maps_b = (network(normalise(images).astype(np.float32)) for images in (a, b))
    if not len(maps_a) == len(maps_b) == len(network.heads):
        raise ValueError(f"the network has {len(maps_a)} feature maps and {len(network.heads)} heads; expected as many")
    for features, head in zip(maps_a, network.heads):
        if np.shape(head) != np.shape(features)[3:]:
            raise ValueError(
                f"a head of shape {np.shape(head)} for {np.shape(features)[3]} channels; expected one each"
            )
    return _distance(maps_a, maps_b, network.heads)


def perceptual_distance(a: ArrayLike, b: ArrayLike, network: FeatureMaps) -> NDArray[np.float64]:
    """Distance in the features of any fixed network, by the arithmetic of LPIPS with equal weights.

    LPIPS has learnt a weight for each channel of its own networks. For another network there are none, so every channel
    counts 1 / C (our reading). Otherwise as `lpips`, eq. 1 of Zhang et al. 2018: features are scaled to length 1 at
    each position, squared differences averaged over positions and channels, and summed over the feature maps.

    Args:
        a, b: RGB images `[B, H, W, 3]` in [-1, 1].
        network: float32 images `[B, H, W, 3]` in [-1, 1] to one or several feature maps `[B, h, w, C]`, such as a
            `rethink_fr.losses.feature_network.FeatureNetwork`.

    Returns:
        float64 `[B]`: 0 for equal images, lower is closer. Numbers of different networks cannot be compared.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, 3]`.
    """
    a, b = _pictures(a, b)
    maps_a, maps_b = (network(images.astype(np.float32)) for images in (a, b))
    heads = [np.full(np.shape(features)[3], 1.0 / np.shape(features)[3]) for features in maps_a]
    return _distance(maps_a, maps_b, heads)


def _pictures(a: ArrayLike, b: ArrayLike) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 4 or a.shape[3] != 3:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}; expected two of one shape [B, H, W, 3]")
    return a, b


def _distance(
    maps_a: Sequence[ArrayLike], maps_b: Sequence[ArrayLike], heads: Sequence[ArrayLike]
) -> NDArray[np.float64]:
    import tensorflow as tf  # the networks need it anyway; the other metrics do without

    from rethink_fr.losses.lpips import unit_vectors, weighted_distance

    units_a, units_b = ([unit_vectors(tf.cast(one, tf.float64)) for one in maps] for maps in (maps_a, maps_b))
    distances: NDArray[np.float64] = weighted_distance(
        units_a, units_b, [np.asarray(head, np.float64) for head in heads]
    ).numpy()
    return distances
