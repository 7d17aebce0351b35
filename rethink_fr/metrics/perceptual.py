"""LPIPS: the arithmetic on top of a feature network, whichever it is."""

from __future__ import annotations

from typing import Protocol, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Between images in [-1, 1] and what the networks of LPIPS were trained on: ImageNet's means and deviations, rescaled.
SHIFT = np.array([-0.030, -0.088, -0.188])
SCALE = np.array([0.458, 0.448, 0.450])
_EPSILON = 1e-10


class PerceptualNetwork(Protocol):
    """A network with the weights that LPIPS gives its channels.

    Call with float32 images `[B, H, W, 3]`, already shifted and scaled; returns L feature maps `[B, h, w, C]` after
    their ReLUs. `heads` are the L learnt weights `[C]`, none negative.
    """

    heads: Sequence[NDArray[np.float32]]

    def __call__(self, images: NDArray[np.float32]) -> Sequence[ArrayLike]:
        """Feature maps of `images`, one for each head."""


def lpips(a: ArrayLike, b: ArrayLike, network: PerceptualNetwork) -> NDArray[np.float64]:
    """Learned perceptual image patch similarity, v0.1 (Zhang et al. 2018, arXiv:1801.03924, eq. 1); lower is closer.

    Features are scaled to length 1 over channels at each position; their squared differences, weighted by the head,
    are summed over channels, averaged over positions and summed over the maps.

    Images `[B, H, W, 3]` in [-1, 1]; returns float64 `[B]`, 0 for equal images. Symmetric.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, 3]`, or maps and heads do not fit each other.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 4 or a.shape[3] != 3:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}; expected two of one shape [B, H, W, 3]")
    maps_a, maps_b = (network(((images - SHIFT) / SCALE).astype(np.float32)) for images in (a, b))
    if not len(maps_a) == len(maps_b) == len(network.heads):
        raise ValueError(f"the network has {len(maps_a)} feature maps and {len(network.heads)} heads; expected as many")
    distance = np.zeros(len(a))
    for map_a, map_b, head in zip(maps_a, maps_b, network.heads):
        direction_a, direction_b = _direction(map_a), _direction(map_b)
        weights = np.asarray(head, np.float64)
        if weights.shape != direction_a.shape[3:]:
            raise ValueError(f"a head of shape {weights.shape} for {direction_a.shape[3]} channels; expected one each")
        distance += np.mean(np.square(direction_a - direction_b) @ weights, axis=(1, 2))
    return distance


def _direction(features: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(features, np.float64)
    directions: NDArray[np.float64] = values / (np.sqrt(np.square(values).sum(axis=3, keepdims=True)) + _EPSILON)
    return directions
