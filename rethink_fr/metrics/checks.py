"""What metrics ask of their arguments and of stored statistics; each complaint is one line."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import List, Sequence, Union

import numpy as np
from numpy.typing import ArrayLike


def feature_matrix(features: ArrayLike, name: str, least: int) -> np.ndarray:
    """`features` as a finite float32 or float64 array `[N, D]`, not copied unless it must be.

    Args:
        name: what to call it in errors.
        least: rows expected at least.

    Raises:
        ValueError: naming `name`, and the first row that is not finite.
    """
    array = np.asarray(features)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: values of type {array.dtype}; expected real numbers")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name}: shape {array.shape}; expected [samples, dimensions]")
    if len(array) < least:
        raise ValueError(f"{name}: {len(array)} samples; expected {least} or more")
    if len(array) and not np.isfinite(array.sum()):  # one pass without a temporary array; rows are looked at on need
        wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(wrong):
            raise ValueError(
                f"{name}: row {wrong[0]} is not finite ({len(wrong)} such rows of {len(array)}); "
                "look at the image it was computed from"
            )
    return array


def load_arrays(path: Union[str, Path], names: Sequence[str], expected: str) -> List[np.ndarray]:
    """The arrays of these names in an NPZ file.

    Args:
        expected: what to say was expected, if `path` is no such file.

    Raises:
        ValueError: naming `path`, if it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return [np.asarray(stored[name]) for name in names]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or 'cannot be read'}; {expected}") from error
    except (KeyError, ValueError, IndexError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not readable as such; {expected}") from error
