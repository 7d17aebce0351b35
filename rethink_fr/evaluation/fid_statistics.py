"""Statistics of the Inception features of a set of pictures: computed, written, and read in the forms there are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Callable, List, Optional, Tuple, Union

import numpy as np
from tqdm import tqdm

from rethink_fr.evaluation.pairs import check_resize
from rethink_fr.files.names import printable
from rethink_fr.metrics import FeatureMoments, load_fid_statistics
from rethink_fr.metrics.frechet import checked_statistics
from rethink_fr.pictures.files import UnreadableImage, read_image, square_resize
from rethink_fr.pictures.listing import list_images
from rethink_fr.weights.torch_arrays import read_torch_arrays

_BATCH = 16  # pictures that the network sees together
_PUBLISHED = (".pth", ".pt")

Failure = Tuple[str, str]  # file, reason


def fid_statistics(
    folder: Union[str, Path],
    network: Callable[[np.ndarray], np.ndarray],
    resize: Optional[int] = None,
    progress: bool = True,
) -> Tuple[FeatureMoments, List[Failure]]:
    """Mean and unbiased covariance of the features of a folder's pictures, of which a few are in memory at a time.

    Args:
        folder: its pictures count at any depth.
        network: from uint8 RGB `[B, H, W, 3]` to features `[B, D]`.
        resize: side in pixels to which all are brought, by Lanczos of the central square; None: each has its own size.
        progress: show a bar on stderr if it takes longer than two seconds.

    Returns:
        The moments; and (file, reason) of each picture that cannot be read.

    Raises:
        ValueError: if there is no such folder, or fewer than two of its pictures can be used.
    """
    check_resize(resize)
    moments, failed = FeatureMoments(), []
    batch: List[np.ndarray] = []

    def flush() -> None:
        if batch:
            moments.update(network(np.stack(batch)))
            batch.clear()

    for path in tqdm(list_images(folder), desc="statistics", unit="image", delay=2, disable=not progress):
        try:
            picture = read_image(path)
        except UnreadableImage as error:
            failed.append((error.name, error.reason))
            continue
        if resize is not None:
            picture = square_resize(picture, resize)
        if batch and (len(batch) == _BATCH or batch[0].shape != picture.shape):
            flush()
        batch.append(picture)
    flush()
    if moments.count < 2:
        what = f"; the first that cannot be: {failed[0][0]}: {failed[0][1]}" if failed else ""
        raise ValueError(
            f"{printable(folder)}: {moments.count} pictures can be used; expected two or more for a covariance{what}"
        )
    return moments, failed


def statistics_file(moments: FeatureMoments) -> bytes:
    """An NPZ file with `mu` [D] and `sigma` [D, D], float64, as pytorch-fid names them, and the number of `images`."""
    file = io.BytesIO()
    np.savez(file, mu=moments.mean, sigma=moments.covariance, images=np.int64(moments.count))
    return file.getvalue()


def read_fid_statistics(path: Union[str, Path]) -> Tuple[np.ndarray, np.ndarray]:
    """Mean `[D]` and covariance `[D, D]`, float64, from a file of statistics.

    Those of FFHQ that face restoration papers compare with, `inception_FFHQ_512-f7b384ab.pth` of BasicSR, GFPGAN and
    VQFR, are a PyTorch file with the NumPy arrays `mean` and `cov`; it is read without PyTorch. Every other file is an
    NPZ; see `rethink_fr.metrics.load_fid_statistics`.

    Raises:
        ValueError: naming `path`, if it is neither, or holds no mean and covariance.
    """
    if Path(path).suffix not in _PUBLISHED:
        return load_fid_statistics(path)
    arrays = read_torch_arrays(path, ("mean", "cov"))
    shown = printable(path)
    return checked_statistics(arrays["mean"], arrays["cov"], f"{shown}: mean", f"{shown}: cov")
