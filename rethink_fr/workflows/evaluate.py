"""`rethink-fr evaluate`: metrics over folders of restored images and their references.

What can be asked for is in one place, `METRICS`. A metric that cannot be computed is named with its reason in the
report and never replaced by another.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Literal, Optional, Sequence, Tuple, Union

import numpy as np
import PIL
import scipy
from tqdm import tqdm

from rethink_fr import __version__
from rethink_fr.data.image_files import UnreadableImage, read_image
from rethink_fr.data.pairs import image_name, pair_by_name, read_identities
from rethink_fr.metrics import load_niqe_statistics, luma, niqe, psnr, ssim
from rethink_fr.metrics.bootstrap import DRAWS, mean_interval
from rethink_fr.metrics.vqfr_protocol import match_mean_and_std
from rethink_fr.workflows.evaluation_report import EvaluationReport, Figure, Row

Protocol = Literal["ours", "vqfr"]
Statistics = Tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One number per image: what it is, and how it is computed.

    `compute` takes the image and the reference, both uint8 RGB `[1, H, W, 3]`, and the statistics of pristine
    photographs or None.
    """

    definition: str
    unit: str
    better: Literal["higher", "lower"]
    compute: Callable[..., float]
    needs_statistics: bool = False


def _corrected(metric: Callable, channels: Callable = np.asarray) -> Callable[..., float]:
    """`metric` of the image after VQFR's correction, both seen through `channels`."""
    return lambda a, b, _: metric(channels(match_mean_and_std(a, b)), channels(b))[0]


_PSNR = "10 log10(255^2 / MSE) over all pixels of 8-bit RGB; infinite for equal images"
_SSIM = (
    "SSIM (Wang et al. 2004), 11 x 11 Gaussian of sigma 1.5, whole windows only, K1 0.01, K2 0.03, mean over R, G, B"
)
_LUMA = "of BT.601 luma in studio range (16 to 235), not rounded, peak 255"
_CORRECTED = "each channel's mean and deviation first matched to the reference's, twice, as VQFR's script does"
_NIQE = Metric(
    "NIQE (Mittal et al. 2013) of rounded BT.601 luma, 96 x 96 blocks at two scales, against the given statistics",
    "",
    "lower",
    lambda a, b, statistics: niqe(a[0], statistics),
    needs_statistics=True,
)

METRICS: Dict[str, Dict[str, Metric]] = {
    "ours": {
        "psnr": Metric(_PSNR, "dB", "higher", lambda a, b, _: psnr(a, b)[0]),
        "ssim": Metric(_SSIM, "", "higher", lambda a, b, _: ssim(a, b)[0]),
        "psnr_y": Metric(f"PSNR {_LUMA}", "dB", "higher", lambda a, b, _: psnr(luma(a), luma(b))[0]),
        "ssim_y": Metric(f"SSIM {_LUMA}", "", "higher", lambda a, b, _: ssim(luma(a), luma(b))[0]),
        "niqe": _NIQE,
    },
    "vqfr": {
        "psnr": Metric(f"{_PSNR}; {_CORRECTED}", "dB", "higher", _corrected(psnr)),
        "ssim": Metric(f"{_SSIM}; {_CORRECTED}", "", "higher", _corrected(ssim)),
        "psnr_y": Metric(f"PSNR {_LUMA}; {_CORRECTED}", "dB", "higher", _corrected(psnr, luma)),
        "ssim_y": Metric(f"SSIM {_LUMA}; {_CORRECTED}", "", "higher", _corrected(ssim, luma)),
        "niqe": _NIQE,
    },
}

_NEED_NETWORKS = ("lpips", "fid", "deg", "lmd", "precision", "recall", "iprecision", "irecall")


def evaluate(
    restored: Union[str, Path],
    reference: Union[str, Path],
    degraded: Optional[Union[str, Path]] = None,
    identities: Optional[Union[str, Path]] = None,
    metrics: Optional[Sequence[str]] = None,
    protocol: Protocol = "ours",
    niqe_statistics: Optional[Union[str, Path]] = None,
    seed: int = 0,
    progress: bool = True,
) -> EvaluationReport:
    """Compare each restored image with the reference of its name.

    Args:
        restored, reference: folders with images of the same names and sizes; endings may differ.
        degraded: a third such folder, measured in the same way for comparison.
        identities: CSV file with the columns `name` and `identity`; goes into the rows.
        metrics: names in `METRICS[protocol]`; by default all that can be computed.
        protocol: `ours`, or `vqfr` for numbers on the basis of VQFR's tables.
        niqe_statistics: NPZ file, see `load_niqe_statistics`.
        seed: of the confidence intervals' resampling.
        progress: show a bar on stderr if it takes longer than two seconds.

    Returns:
        The report: figures, rows of images, and what could not be read (`failed`) or computed (`missing`).

    Raises:
        ValueError: for unknown metrics, folders that are missing, empty or not paired, and unusable files of
            identities or statistics.
    """
    offered = METRICS[protocol]
    if metrics is None:
        metrics = [name for name, metric in offered.items() if niqe_statistics or not metric.needs_statistics]
    unknown = [name for name in metrics if name not in offered and name not in _NEED_NETWORKS]
    if unknown or not metrics:
        raise ValueError(f"--metrics: {', '.join(unknown) or 'none'}; expected some of {', '.join(offered)}")
    folders = {"restored": restored, "reference": reference, **({"degraded": degraded} if degraded else {})}
    pairs = pair_by_name(folders)
    names = [image_name(pair["restored"], restored) for pair in pairs]
    people = read_identities(identities, names) if identities else {}
    statistics = load_niqe_statistics(niqe_statistics) if niqe_statistics else None

    chosen, missing = _split(list(dict.fromkeys(metrics)), offered, statistics)
    rows: List[Row] = []
    failed: List[Tuple[str, str]] = []
    for name, pair in tqdm(list(zip(names, pairs)), desc="evaluating", unit="image", delay=2, disable=not progress):
        try:
            rows.append(Row(name, people.get(name), _measured(pair, chosen, statistics)))
        except UnreadableImage as error:
            failed.append((error.name, error.reason))
    measured = [what for what in folders if what != "reference"]
    figures = [_figure(name, metric, what, rows, seed) for name, metric in chosen.items() for what in measured if rows]
    return EvaluationReport(
        protocol=protocol,
        folders={what: str(folder) for what, folder in folders.items()},
        niqe_statistics=_fingerprint(niqe_statistics) if niqe_statistics else None,
        figures=tuple(figures),
        rows=tuple(rows),
        missing=tuple(missing),
        failed=tuple(failed),
        seed=seed,
        resamples=DRAWS,
        versions={
            "rethink_fr": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "pillow": PIL.__version__,
        },
    )


def _fingerprint(path: Union[str, Path]) -> Dict[str, str]:
    return {"file": str(path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def _split(
    asked: Sequence[str], offered: Dict[str, Metric], statistics: Optional[Statistics]
) -> Tuple[Dict[str, Metric], List[Tuple[str, str]]]:
    """The metrics that can be computed, and the others with what to do."""
    chosen: Dict[str, Metric] = {}
    missing: List[Tuple[str, str]] = []
    for name in asked:
        if name in _NEED_NETWORKS:
            missing.append((name, "needs a feature network, which this version cannot load; leave it out of --metrics"))
        elif offered[name].needs_statistics and statistics is None:
            missing.append((name, "needs the statistics of pristine photographs; add --niqe-statistics FILE.npz"))
        else:
            chosen[name] = offered[name]
    return chosen, missing


def _measured(
    pair: Dict[str, Path], chosen: Dict[str, Metric], statistics: Optional[Statistics]
) -> Dict[str, Dict[str, float]]:
    """`{"restored": {metric: value}, ...}` of one name.

    Raises:
        UnreadableImage: naming the file that cannot be used.
    """
    pictures = {what: read_image(path) for what, path in pair.items()}
    reference = pictures.pop("reference")
    values: Dict[str, Dict[str, float]] = {}
    for what, picture in pictures.items():
        if picture.shape != reference.shape:
            raise UnreadableImage(
                str(pair[what]),
                f"{picture.shape[1]} x {picture.shape[0]} pixels, expected {reference.shape[1]} x {reference.shape[0]} "
                f"as {pair['reference']} has; resize one of them",
            )
        try:
            values[what] = {
                name: float(metric.compute(picture[None], reference[None], statistics))
                for name, metric in chosen.items()
            }
        except ValueError as error:  # too small for a window or a block
            raise UnreadableImage(str(pair[what]), str(error)) from error
    return values


def _figure(name: str, metric: Metric, what: str, rows: Sequence[Row], seed: int) -> Figure:
    values = [row.values[what][name] for row in rows]
    return Figure(
        metric=name,
        definition=metric.definition,
        unit=metric.unit,
        better=metric.better,
        images=what,
        mean=float(np.mean(values)),
        interval=mean_interval(values, seed),
        count=len(values),
    )
