"""How many of a codebook's codes a network uses, and how evenly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class CodeUsage(NamedTuple):
    """How much of a codebook some images use."""

    share: float  # of the codes that were chosen at least once: above 0, at most 1
    perplexity: float  # exp of the entropy of the choices: 1 for a single code, the codebook's size if all are equal


def code_usage(code_indices: ArrayLike, codebook_size: int) -> CodeUsage:
    """How much of a codebook some images use.

    Args:
        code_indices: the codes that were chosen, integers 0 to codebook_size - 1 of any shape, such as `[B, h, w]`.
            The more positions there are, the larger the share can be: compare over equal sets of images only.
        codebook_size: number of codes.

    Raises:
        ValueError: if there is no index, or one is not an integer in that range.
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
