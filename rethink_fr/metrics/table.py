"""The metrics of `rethink-fr evaluate`, each whole in one entry: what it is called, what it needs, how it is computed
and how it is shown. What can be asked for, and all tables, reports and pages, follow from this table. Those of several
samples of each picture stand in `rethink_fr.metrics.sample_table`.

There are two protocols, never mixed in one report: `ours`, and `vqfr` for numbers on the basis of VQFR's tables.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Tuple, get_args

from rethink_fr import metrics  # loads NumPy when a metric is computed: `--help` lists the metrics without it
from rethink_fr.metrics.metric import Face, FaceSet, Metric, Need, OfImage, OfSet, PerceptualNeed, Protocol, Tools
from rethink_fr.metrics.sample_table import sample_metrics


def _psnr(image: Face, reference: Face, _: Tools) -> float:
    return float(metrics.psnr(image.picture, reference.picture)[0])


def _ssim(image: Face, reference: Face, _: Tools) -> float:
    return float(metrics.ssim(image.picture, reference.picture)[0])


def _of_luma(compute: OfImage) -> OfImage:
    """The same, of luma instead of RGB."""

    def of_image(image: Face, reference: Face, tools: Tools) -> float:
        image, reference = (face._replace(picture=metrics.luma(face.picture)) for face in (image, reference))
        return compute(image, reference, tools)

    return of_image


def _as_vqfr(metric: Metric, compute: OfImage) -> Metric:
    """The metric in the protocol `vqfr`: of a picture whose colours were matched to those of the reference first."""

    def of_image(image: Face, reference: Face, tools: Tools) -> float:
        matched = metrics.match_mean_and_std(image.picture, reference.picture)
        return compute(image._replace(picture=matched), reference, tools)

    note = "each channel's mean and deviation first matched to the reference's, twice, as VQFR's script does"
    return replace(metric, definition=f"{metric.definition}; {note}", protocols=("vqfr",), of_image=of_image)


def _lpips(need: PerceptualNeed, title: str, network: str) -> Metric:
    def of_image(image: Face, reference: Face, tools: Tools) -> float:
        from rethink_fr.images import to_model  # TensorFlow, which LPIPS needs and most metrics do not

        return float(metrics.lpips(to_model(image.picture), to_model(reference.picture), tools[need])[0])

    definition = f"LPIPS v0.1 (Zhang et al. 2018) with {network}, RGB in [-1, 1] at full size"
    return Metric(
        need, title, definition, "lower", decimals=4, needs=("reference", need), group="lpips", of_image=of_image
    )


def _perceptual(image: Face, reference: Face, tools: Tools) -> float:
    from rethink_fr.images import to_model

    a, b = (to_model(face.picture) for face in (image, reference))
    return float(metrics.perceptual_distance(a, b, tools["perceptual"])[0])


def _frechet_to_statistics(faces: FaceSet) -> float:
    moments = metrics.FeatureMoments.of([faces.features["inception"]])
    distance = metrics.frechet_distance_of_moments(moments.mean, moments.covariance, *faces.tools["fid_statistics"])
    return float(distance)


def _near(name: str, title: str, share: str, of_set: OfSet, *needs: Need) -> Metric:
    definition = f"share of {share}; spheres reach to the k-th nearest other"
    needed = ("reference", "neighbours", *needs)
    return Metric(name, title, definition, "higher", decimals=4, needs=needed, protocols=("ours",), of_set=of_set)


def _code_usage(faces: FaceSet) -> Any:
    return metrics.code_usage(faces.features["codes"].astype("int64"), faces.tools["codes"].codebook_size)


_LUMA = "of BT.601 luma in studio range (16 to 235), not rounded, peak 255"
_FRECHET = "Frechet distance (Heusel et al. 2017) of Inception features, unbiased covariances, exact for singular ones"

_PSNR = Metric(
    "psnr",
    "PSNR",
    "10 log10(255^2 / MSE) over all pixels of 8-bit RGB; infinite for equal images",
    "higher",
    decimals=2,
    unit="dB",
    needs=("reference",),
    protocols=("ours",),
    of_image=_psnr,
)
_SSIM = Metric(
    "ssim",
    "SSIM",
    "SSIM (Wang et al. 2004), 11 x 11 Gaussian of sigma 1.5, whole windows only, K1 0.01, K2 0.03, mean over R, G, B",
    "higher",
    decimals=4,
    needs=("reference",),
    protocols=("ours",),
    of_image=_ssim,
)
_PSNR_Y = replace(_PSNR, name="psnr_y", title="PSNR-Y", definition=f"PSNR {_LUMA}", of_image=_of_luma(_psnr))
_SSIM_Y = replace(_SSIM, name="ssim_y", title="SSIM-Y", definition=f"SSIM {_LUMA}", of_image=_of_luma(_ssim))
_DEG = Metric(
    "deg",
    "Deg.",
    "Deg.: angle between the identity embeddings of image and reference, arccos of the cosine",
    "lower",
    decimals=2,
    unit="deg",
    needs=("reference", "recognition"),
    protocols=("ours",),
    of_image=lambda image, reference, _: metrics.identity_angle(
        image.features["recognition"], reference.features["recognition"]
    )[0],
)

# In the order of every table and report.
_TABLE: Tuple[Metric, ...] = (
    _PSNR,
    _SSIM,
    _PSNR_Y,
    _SSIM_Y,
    _as_vqfr(_PSNR, _psnr),
    _as_vqfr(_SSIM, _ssim),
    _as_vqfr(_PSNR_Y, _of_luma(_psnr)),
    _as_vqfr(_SSIM_Y, _of_luma(_ssim)),
    _lpips("lpips_vgg", "LPIPS (VGG)", "VGG-16"),
    _lpips("lpips_alex", "LPIPS (Alex)", "AlexNet"),
    Metric(
        "perceptual",
        "Perceptual",
        "distance in the features of the given network, by the arithmetic of LPIPS with equal weights (1 / C) for the "
        "C channels of each map, RGB in [-1, 1] at full size; comparable for one network only",
        "lower",
        decimals=4,
        needs=("reference", "perceptual"),
        protocols=("ours",),
        of_image=_perceptual,
    ),
    Metric(
        "niqe",
        "NIQE",
        "NIQE (Mittal et al. 2013) of rounded BT.601 luma, 96 x 96 blocks at two scales, against the given statistics",
        "lower",
        decimals=4,
        needs=("niqe_statistics",),
        of_image=lambda image, _, tools: metrics.niqe(image.picture[0], tools["niqe_statistics"]),
    ),
    _DEG,
    replace(
        _DEG,
        definition=f"{_DEG.definition}; pairs below one degree are left out of the mean, as VQFR's script does",
        protocols=("vqfr",),
        counted=lambda degrees: metrics.different_faces(degrees),
    ),
    Metric(
        "lmd",
        "LMD",
        "LMD: mean Euclidean distance between the landmarks of image and reference, pixels of the images given",
        "lower",
        decimals=2,
        unit="px",
        needs=("reference", "landmarks"),
        of_image=lambda image, reference, _: metrics.landmark_distance(
            image.features["landmarks"], reference.features["landmarks"]
        )[0],
    ),
    Metric(
        "consistency",
        "Consistency",
        "PSNR between the degraded picture and the image after the blur and reduction in size that bring it nearest to "
        "that (our reading of degraded again where the degradation is not known)",
        "higher",
        decimals=2,
        unit="dB",
        needs=("degraded",),
        protocols=("ours",),
        of_image=lambda image, _, __: metrics.consistency(image.picture, image.degraded)[0],
    ),
    Metric(
        "fid_paired",
        "FID (paired)",
        f"{_FRECHET}, between the images and their references",
        "lower",
        decimals=2,
        needs=("reference", "inception"),
        group="fid",
        protocols=("ours",),
        of_set=lambda faces: metrics.frechet_distance(faces.features["inception"], faces.references["inception"]),
    ),
    Metric(
        "fid_statistics",
        "FID (statistics)",
        f"{_FRECHET}, between the images and the given statistics",
        "lower",
        decimals=2,
        needs=("inception", "fid_statistics"),
        group="fid",
        of_set=_frechet_to_statistics,
    ),
    _near(
        "precision",
        "Precision",
        "images in the sphere of some reference (Kynkaanniemi et al. 2019)",
        lambda faces: faces.coverage.fake_inside,
    ),
    _near(
        "recall",
        "Recall",
        "references in the sphere of some image (Kynkaanniemi et al. 2019)",
        lambda faces: faces.coverage.real_inside,
    ),
    _near(
        "iprecision",
        "iPrecision",
        'images in the sphere of some reference of their identity ("Rethinking Deep Face Restoration", eq. 11)',
        lambda faces: faces.coverage.fake_inside_own,
        "identities",
    ),
    _near(
        "irecall",
        "iRecall",
        'references in the sphere of some image of their identity ("Rethinking Deep Face Restoration", eq. 12)',
        lambda faces: faces.coverage.real_inside_own,
        "identities",
    ),
    Metric(
        "code_usage",
        "Codes used",
        "share of a VQFR codebook's codes that its network chooses for some position of the images",
        "higher",
        decimals=2,
        needs=("codes",),
        of_set=lambda faces: _code_usage(faces).share,
    ),
    Metric(
        "code_perplexity",
        "Perplexity of codes",
        "exp of the entropy of the codes that a VQFR network chooses for the images; at most the codebook's size",
        "higher",
        decimals=2,
        needs=("codes",),
        of_set=lambda faces: _code_usage(faces).perplexity,
    ),
    *sample_metrics([_PSNR, _SSIM]),
)

METRICS: Dict[Protocol, Dict[str, Metric]] = {
    protocol: {metric.name: metric for metric in _TABLE if protocol in metric.protocols}
    for protocol in get_args(Protocol)
}
# Names that stand for several metrics in `--metrics`.
GROUPS: Dict[str, Tuple[str, ...]] = {
    group: tuple(dict.fromkeys(metric.name for metric in _TABLE if metric.group == group))
    for group in dict.fromkeys(metric.group for metric in _TABLE if metric.group)
}
