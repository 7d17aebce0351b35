"""What `evaluate` can measure: each metric with its definition, its unit and what it needs.

Two protocols, never mixed: `ours`, and `vqfr` for numbers on the basis of VQFR's published tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Literal, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rethink_fr.metrics import identity_angle, landmark_distance, lpips, luma, niqe, psnr, ssim
from rethink_fr.metrics.vqfr_protocol import different_faces, match_mean_and_std

Protocol = Literal["ours", "vqfr"]
Tools = Mapping[str, Any]  # networks and statistics by the names in `needs`


class Face(NamedTuple):
    """One image: its pixels, and what the networks found in it."""

    picture: np.ndarray  # uint8 RGB [1, H, W, 3]
    features: Mapping[str, np.ndarray]  # by the name of the need: [1, D], of landmarks [1, L, 2]


@dataclass(frozen=True)
class Metric:
    """One number: of each image if it has `of_image`, which takes image, reference and tools; otherwise of a set.

    `title` is its name in tables and on pages. `needs` are names of tools, see `evaluation_needs`. `counted` leaves
    values out of the mean.
    """

    title: str
    definition: str
    unit: str
    better: Literal["higher", "lower"]
    of_image: Optional[Callable[[Face, Face, Tools], float]] = None
    needs: Tuple[str, ...] = ()
    counted: Optional[Callable[[np.ndarray], np.ndarray]] = None


def _corrected(metric: Callable, channels: Callable = np.asarray) -> Callable[[Face, Face, Tools], float]:
    """`metric` of the image after VQFR's correction, both seen through `channels`."""
    return lambda a, b, _: metric(channels(match_mean_and_std(a.picture, b.picture)), channels(b.picture))[0]


def _lpips(title: str, backbone: str, name: str) -> Metric:
    return Metric(
        title,
        f"LPIPS v0.1 (Zhang et al. 2018) with {name}, RGB in [-1, 1] at full size",
        "",
        "lower",
        lambda a, b, tools: lpips(_unit_range(a.picture), _unit_range(b.picture), tools[backbone])[0],
        needs=(backbone,),
    )


def _unit_range(picture: np.ndarray) -> np.ndarray:
    from rethink_fr import images  # TensorFlow, which LPIPS's networks need anyway and most metrics do not

    return images.to_model(picture).numpy()


def _share(title: str, definition: str, *needs: str) -> Metric:
    return Metric(title, f"share of {definition}; spheres reach to the k-th nearest other", "", "higher", needs=needs)


_PSNR = "10 log10(255^2 / MSE) over all pixels of 8-bit RGB; infinite for equal images"
_SSIM = (
    "SSIM (Wang et al. 2004), 11 x 11 Gaussian of sigma 1.5, whole windows only, K1 0.01, K2 0.03, mean over R, G, B"
)
_LUMA = "of BT.601 luma in studio range (16 to 235), not rounded, peak 255"
_CORRECTED = "each channel's mean and deviation first matched to the reference's, twice, as VQFR's script does"
_FRECHET = "Frechet distance (Heusel et al. 2017) of Inception features, unbiased covariances, exact for singular ones"

_DEG = Metric(
    "Deg.",
    "Deg.: angle between the identity embeddings of image and reference, arccos of the cosine",
    "deg",
    "lower",
    lambda a, b, _: identity_angle(a.features["recognition"], b.features["recognition"])[0],
    needs=("recognition",),
)
_SHARED = {
    "lpips_vgg": _lpips("LPIPS (VGG)", "lpips_vgg", "VGG-16"),
    "lpips_alex": _lpips("LPIPS (Alex)", "lpips_alex", "AlexNet"),
    "niqe": Metric(
        "NIQE",
        "NIQE (Mittal et al. 2013) of rounded BT.601 luma, 96 x 96 blocks at two scales, against the given statistics",
        "",
        "lower",
        lambda a, b, tools: niqe(a.picture[0], tools["niqe_statistics"]),
        needs=("niqe_statistics",),
    ),
}
_CODES = {
    "code_usage": Metric(
        "Codes used",
        "share of a VQFR codebook's codes that its network chooses for some position of the images",
        "",
        "higher",
        needs=("codes",),
    ),
    "code_perplexity": Metric(
        "Perplexity of codes",
        "exp of the entropy of the codes that a VQFR network chooses for the images; at most the codebook's size",
        "",
        "higher",
        needs=("codes",),
    ),
}
_LMD = Metric(
    "LMD",
    "LMD: mean Euclidean distance between the landmarks of image and reference, pixels of the images given",
    "px",
    "lower",
    lambda a, b, _: landmark_distance(a.features["landmarks"], b.features["landmarks"])[0],
    needs=("landmarks",),
)
_FID_STATISTICS = Metric(
    "FID (statistics)",
    f"{_FRECHET}, between the images and the given statistics",
    "",
    "lower",
    needs=("inception", "fid_statistics"),
)

METRICS: Dict[str, Dict[str, Metric]] = {
    "ours": {
        "psnr": Metric("PSNR", _PSNR, "dB", "higher", lambda a, b, _: psnr(a.picture, b.picture)[0]),
        "ssim": Metric("SSIM", _SSIM, "", "higher", lambda a, b, _: ssim(a.picture, b.picture)[0]),
        "psnr_y": Metric(
            "PSNR-Y", f"PSNR {_LUMA}", "dB", "higher", lambda a, b, _: psnr(luma(a.picture), luma(b.picture))[0]
        ),
        "ssim_y": Metric(
            "SSIM-Y", f"SSIM {_LUMA}", "", "higher", lambda a, b, _: ssim(luma(a.picture), luma(b.picture))[0]
        ),
        **_SHARED,
        "deg": _DEG,
        "lmd": _LMD,
        "fid_paired": Metric(
            "FID (paired)", f"{_FRECHET}, between the images and their references", "", "lower", needs=("inception",)
        ),
        "fid_statistics": _FID_STATISTICS,
        "precision": _share(
            "Precision", "images in the sphere of some reference (Kynkaanniemi et al. 2019)", "neighbours"
        ),
        "recall": _share("Recall", "references in the sphere of some image (Kynkaanniemi et al. 2019)", "neighbours"),
        "iprecision": _share(
            "iPrecision",
            'images in the sphere of some reference of their identity ("Rethinking Deep Face Restoration", eq. 11)',
            "neighbours",
            "identities",
        ),
        "irecall": _share(
            "iRecall",
            'references in the sphere of some image of their identity ("Rethinking Deep Face Restoration", eq. 12)',
            "neighbours",
            "identities",
        ),
        **_CODES,
    },
    "vqfr": {
        "psnr": Metric("PSNR", f"{_PSNR}; {_CORRECTED}", "dB", "higher", _corrected(psnr)),
        "ssim": Metric("SSIM", f"{_SSIM}; {_CORRECTED}", "", "higher", _corrected(ssim)),
        "psnr_y": Metric("PSNR-Y", f"PSNR {_LUMA}; {_CORRECTED}", "dB", "higher", _corrected(psnr, luma)),
        "ssim_y": Metric("SSIM-Y", f"SSIM {_LUMA}; {_CORRECTED}", "", "higher", _corrected(ssim, luma)),
        **_SHARED,
        "deg": Metric(
            _DEG.title,
            f"{_DEG.definition}; pairs below one degree are left out of the mean, as VQFR's script does",
            _DEG.unit,
            _DEG.better,
            _DEG.of_image,
            _DEG.needs,
            counted=different_faces,
        ),
        "lmd": _LMD,
        "fid_statistics": _FID_STATISTICS,
        **_CODES,
    },
}

NEIGHBOUR_METRICS = ("precision", "recall", "iprecision", "irecall")
GROUPS = {"lpips": ("lpips_vgg", "lpips_alex"), "fid": ("fid_paired", "fid_statistics")}


def named_metrics(names: Optional[Sequence[str]], protocol: Protocol) -> List[str]:
    """Metrics of a protocol by name, each once, in the order given; None: all. A group's name stands for its members.

    Raises:
        ValueError: naming what the protocol does not have, or if nothing is asked for.
    """
    offered = METRICS[protocol]
    if names is None:
        return list(offered)
    asked: List[str] = []
    for name in names:
        asked += [member for member in GROUPS[name] if member in offered] if name in GROUPS else [name]
    unknown = [name for name in asked if name not in offered]
    if unknown or not asked:
        elsewhere = [name for name in unknown if any(name in metrics for metrics in METRICS.values())]
        also = f"; {', '.join(elsewhere)} is of another --protocol" if elsewhere else ""
        raise ValueError(f"--metrics: {', '.join(unknown) or 'none'}; expected some of {', '.join(offered)}{also}")
    return list(dict.fromkeys(asked))
