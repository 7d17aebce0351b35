"""The part of the table of metrics that is of several samples of each picture; see `rethink_fr.metrics.posterior`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence, Tuple

from rethink_fr import metrics  # loads NumPy when a metric is computed: `--help` lists the metrics without it
from rethink_fr.metrics.metric import Face, Metric, Need, OfSamples, SampleSet, Tools

if TYPE_CHECKING:
    from rethink_fr.metrics.posterior import SampleErrors


def sample_metrics(of_mean: Sequence[Metric]) -> Tuple[Metric, ...]:
    """All metrics of samples; the first ones are those of `of_mean`, computed of the mean of a picture's samples."""
    return (
        *map(_of_mean, of_mean),
        *map(_error_ratio, ("", "fine", "middle", "coarse")),
        *map(_coverage, (50, 80, 95)),
        _of_samples(
            "spread_error_correlation",
            "Spread with error",
            "correlation, over the pixels and channels of a picture, of the samples' standard deviation and the "
            "absolute error of their mean",
            2,
            lambda samples, _: metrics.spread_error_correlation(samples.pictures, samples.reference),
            "reference",
        ),
        _of_samples(
            "crps",
            "CRPS",
            "continuous ranked probability score of the samples (Gneiting and Raftery 2007; Ferro 2014: fair for any "
            "number of samples), mean over pixels and channels",
            2,
            lambda samples, _: metrics.fair_crps(samples.pictures, samples.reference),
            "reference",
            better="lower",
            unit="levels",
        ),
        _of_samples(
            "diversity",
            "Diversity",
            "mean perceptual distance over all pairs of samples of a picture; see perceptual",
            4,
            _diversity,
            "perceptual",
        ),
        _of_samples(
            "identity_spread",
            "Deg. between samples",
            "mean angle between the identity embeddings of two samples of a picture, over all pairs",
            2,
            lambda samples, _: metrics.identity_spread(samples.features["recognition"]),
            "recognition",
            better="lower",
            unit="deg",
        ),
    )


def _diversity(samples: SampleSet, tools: Tools) -> float:
    from rethink_fr.images import to_model

    return float(metrics.diversity(to_model(samples.pictures), tools["perceptual"]))


def _of_mean(metric: Metric) -> Metric:
    """The metric of the mean of all samples of each picture, which is not rounded."""

    def of_samples(samples: SampleSet, tools: Tools) -> float:
        assert metric.of_image is not None
        mean = Face(samples.pictures.mean(axis=0, keepdims=True), {})
        return metric.of_image(mean, Face(samples.reference[None], {}), tools)

    return _of_samples(
        f"{metric.name}_mean",
        f"{metric.title} of the mean",
        f"{metric.title} of the mean of all samples of a picture, which is not rounded; see {metric.name}",
        metric.decimals,
        of_samples,
        "reference",
        unit=metric.unit,
    )


def _error_ratio(band: str) -> Metric:
    where = f", in the {band} band of a Laplacian pyramid (2 x 2 means, bilinear)" if band else ""

    def of_samples(samples: SampleSet, _: Tools) -> SampleErrors:
        return samples.band_errors[band] if band else metrics.sample_errors(samples.pictures, samples.reference)

    return _of_samples(
        f"error_ratio_{band}" if band else "error_ratio",
        f"Error ratio, {band}" if band else "Error ratio",
        f"squared error of one sample over that of the mean of S samples, each averaged over the pictures{where}; of "
        "draws from the true posterior 2 / (1 + 1 / S) (Bendel et al. 2023), below it samples are too much alike",
        2,
        of_samples,
        "reference",
        better="nearer",
        ideal=lambda count: metrics.calibrated_ratio(count),
    )


def _coverage(percent: int) -> Metric:
    return _of_samples(
        f"coverage_{percent}",
        f"Coverage at {percent} %",
        f"share of pixels and channels whose truth lies in the central {percent} % prediction interval of the samples "
        "(Student's t, S - 1 degrees of freedom)",
        3,
        lambda samples, _: metrics.interval_coverage(samples.pictures, samples.reference, percent / 100),
        "reference",
        better="nearer",
        ideal=lambda _: percent / 100,
    )


def _of_samples(
    name: str, title: str, definition: str, decimals: int, of_samples: OfSamples, *needs: Need, **more: Any
) -> Metric:
    return Metric(
        name,
        title,
        definition,
        **{"better": "higher", "unit": "", **more},
        decimals=decimals,
        needs=("samples", *needs),
        group="samples",
        protocols=("ours",),
        of_samples=of_samples,
    )
