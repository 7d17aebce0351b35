"""How much of a codebook is in use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class CodeUsage(NamedTuple):
    """Two numbers on one codebook."""

    share: float  # of the codes that were chosen at least once, 0..1
    perplexity: float  # exp of the entropy of the choices: 1 (one code) to the size of the codebook (all alike)


def code_usage(code_indices: ArrayLike, codebook_size: int) -> CodeUsage:
    """Usage of a codebook by some images: which share of its codes they need, and how evenly.

    Args:
        code_indices: integers 0 to codebook_size - 1 of any shape, such as `[B, h, w]`; the more positions, the larger
            the share can be, so compare over equal sets of images only.
        codebook_size: number of codes.

    Raises:
        ValueError: if there is no index, or one is not an integer of that range.
    """
    indices = np.asarray(code_indices)
    if indices.dtype.kind not in "iu" or not indices.size:
        raise ValueError(
            f"code_indices: {indices.size} values of type {indices.dtype}; expected integers, at least one"
        )
    if indices.min() < 0 or indices.max() >= codebook_size:
        raise ValueError(
            f"code_indices: from {indices.min()} to {indices.max()}; expected 0 to {codebook_size - 1}, the codebook's"
        )
    counts = np.bincount(indices.ravel(), minlength=codebook_size)
    chosen = counts[counts > 0] / indices.size
    return CodeUsage(len(chosen) / codebook_size, float(np.exp(-np.sum(chosen * np.log(chosen)))))
