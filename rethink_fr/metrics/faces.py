"""Metrics of identity and geometry, from what face networks found in two sets of images."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rethink_fr.metrics.checks import feature_matrix


def identity_angle(embeddings_a: ArrayLike, embeddings_b: ArrayLike) -> NDArray[np.float64]:
    """Angle between the embeddings of each pair of faces, in degrees ("Deg."): arccos of the cosine similarity.

    Args:
        embeddings_a, embeddings_b: of a face recognition network, `[B, D]`, of any length above 0.

    Returns:
        float64 `[B]` in 0..180, lower is closer. The cosine is clipped to [-1, 1]; exchanging the faces changes
        nothing.

    Raises:
        ValueError: if the shapes differ, or an embedding is not finite or zero (its row is named).
    """
    a, b = (
        feature_matrix(embeddings, name, least=0).astype(np.float64)
        for embeddings, name in ((embeddings_a, "embeddings_a"), (embeddings_b, "embeddings_b"))
    )
    _same_shape(a.shape, b.shape, "embeddings")
    cosine = np.sum(_unit(a, "embeddings_a") * _unit(b, "embeddings_b"), axis=1)
    degrees: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return degrees


def landmark_distance(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Mean Euclidean distance between corresponding landmarks of each pair of faces, in pixels ("LMD").

    Args:
        a, b: landmarks `[B, L, 2]` in pixels of images of one size; the papers have L = 98 at 512 x 512.

    Returns:
        float64 `[B]`, lower is closer. Exchanging the faces changes nothing.

    Raises:
        ValueError: if the shapes differ or are not `[B, L, 2]`, or a landmark is not finite (its face is named).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    _same_shape(a.shape, b.shape, "landmarks")
    if a.ndim != 3 or a.shape[1] == 0 or a.shape[2] != 2:
        raise ValueError(f"landmarks: shape {a.shape}; expected [faces, landmarks, 2]")
    distance: NDArray[np.float64] = np.sqrt(np.square(a - b).sum(axis=2)).mean(axis=1)
    if not np.isfinite(distance).all():
        raise ValueError(f"landmarks: those of face {np.flatnonzero(~np.isfinite(distance))[0]} are not finite")
    return distance


def _unit(embeddings: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"{name}: row {np.flatnonzero(lengths == 0)[0]} is zero; expected a direction")
    directions: NDArray[np.float64] = embeddings / lengths
    return directions


def _same_shape(a: Tuple[int, ...], b: Tuple[int, ...], name: str) -> None:
    if a != b:
        raise ValueError(f"{name}: shapes {a} and {b}; expected one of a pair for each face")
