"""Checks of what metrics are given: features, means, covariances and files of them. Every error is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rethink_fr.files.arrays import read_npz
from rethink_fr.files.reading import UnreadableFile

MAX_STATISTICS_BYTES = 256 << 20  # a covariance of 5,792 dimensions; those of Inception's features have 2,048
_LARGEST = 1e100  # whose square and sums of squares are still numbers


def feature_matrix(features: ArrayLike, name: str, least: int) -> NDArray[np.floating[Any]]:
    """`features` as a finite float32 or float64 array `[N, D]`; copied only where necessary.

    Args:
        features: whatever was given.
        name: what to call it in errors.
        least: smallest number of rows.

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


def load_arrays(path: Union[str, Path], names: Sequence[str], expected: str) -> List[NDArray[Any]]:
    """The arrays that have these names in an NPZ file. Nothing in the file is executed, and its size is limited.

    Args:
        path: of the file.
        names: of the arrays.
        expected: the end of the error message, which says what was expected.

    Raises:
        ValueError: naming `path`, if it is not such a file.
    """
    try:
        arrays = read_npz(path, names, MAX_STATISTICS_BYTES)
    except UnreadableFile as error:
        raise ValueError(f"{error}; {expected}") from None
    return [arrays[name] for name in names]


def gaussian(
    mean: ArrayLike, covariance: ArrayLike, mean_name: str, covariance_name: str
) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A mean `[D]` and a covariance `[D, D]` as float64, if they can be that; eigenvalues are not checked here.

    Args:
        mean, covariance: whatever was given.
        mean_name, covariance_name: what to call them in errors.

    Raises:
        ValueError: for other shapes or types, values that are not finite, and a matrix that is not symmetric.
    """
    mean, covariance = np.asarray(mean), np.asarray(covariance)
    if mean.dtype.kind not in "iuf" or covariance.dtype.kind not in "iuf":
        raise ValueError(
            f"{mean_name}, {covariance_name}: of types {mean.dtype} and {covariance.dtype}; expected reals"
        )
    if mean.ndim != 1 or len(mean) == 0 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            f"{mean_name}, {covariance_name}: shapes {mean.shape} and {covariance.shape}; expected [D] and [D, D]"
        )
    with np.errstate(over="ignore"):  # of longer types than float64: infinite is said below
        mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{mean_name}, {covariance_name}: hold values that are not finite; compute them again")
    largest = np.abs(covariance).max()
    if largest > _LARGEST or np.abs(mean).max() > _LARGEST:
        raise ValueError(f"{mean_name}, {covariance_name}: hold values above {_LARGEST:.0e}; compute them again")
    if np.abs(covariance - covariance.T).max() > 1e-6 * largest:
        raise ValueError(f"{covariance_name}: is not symmetric; expected a covariance matrix")
    return mean, covariance


def check_no_negative(eigenvalues: NDArray[np.float64], covariance_name: str) -> None:
    """Check that a matrix can be a covariance: none of its eigenvalues is clearly below zero.

    Args:
        eigenvalues: in rising order.
        covariance_name: what to call the matrix in errors.

    Raises:
        ValueError: naming the matrix and the eigenvalue.
    """
    if eigenvalues[0] < -1e-6 * max(abs(eigenvalues[-1]), abs(eigenvalues[0])):
        raise ValueError(
            f"{covariance_name}: has the eigenvalue {eigenvalues[0]:.3g}; expected none below zero, as of a covariance"
        )
