"""What a metric of `rethink-fr evaluate` is, and what it is given. All of them stand in `rethink_fr.metrics.table`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Literal, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from rethink_fr import metrics  # loads NumPy when a metric is computed: `--help` lists the metrics without it

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rethink_fr.metrics.neighbours import Coverage
    from rethink_fr.metrics.posterior import SampleErrors

Protocol = Literal["ours", "vqfr"]

# What a metric may need beside the pictures: networks that see every picture once and leave their features to the
# metrics; networks that the metric calls itself; statistics from files; the references; who is on each picture; the
# degraded pictures; and several samples of each picture.
FeatureNeed = Literal["inception", "recognition", "landmarks", "neighbours", "codes"]
PerceptualNeed = Literal["lpips_vgg", "lpips_alex", "perceptual"]
Statistics = Literal["niqe_statistics", "fid_statistics"]
Need = Union[FeatureNeed, PerceptualNeed, Statistics, Literal["reference", "identities", "degraded", "samples"]]
Tools = Mapping[str, Any]  # the networks and statistics themselves, by need


class Face(NamedTuple):
    """One picture as a metric sees it: its pixels, and what networks made of them."""

    picture: NDArray[np.uint8]  # RGB [1, H, W, 3], uint8
    features: Mapping[str, NDArray[Any]]  # by need: [1, D], of landmarks [1, L, 2]
    degraded: Optional[NDArray[np.uint8]] = None  # what it was restored from, in the same shape, if that is known


@dataclass(frozen=True)
class SampleSet:
    """All samples of one picture, and its reference, as a metric of samples sees them."""

    pictures: NDArray[np.uint8]  # RGB [S, H, W, 3], uint8; S is two or more
    features: Mapping[str, NDArray[Any]]  # of the samples, by need: [S, D]
    reference: NDArray[np.uint8]  # [H, W, 3]; None without references: only a metric that needs them may look at it

    @functools.cached_property
    def band_errors(self) -> Mapping[str, SampleErrors]:
        """Squared errors by band. Computed once for three metrics."""
        found: Mapping[str, SampleErrors] = metrics.band_errors(self.pictures, self.reference)
        return found


@dataclass(frozen=True)
class FaceSet:
    """All pictures of a folder, and their references, as a metric of the whole set sees them."""

    features: Mapping[str, NDArray[Any]]  # of the pictures, by need: [N, D]
    references: Mapping[str, NDArray[Any]]  # of their references, in the same order; empty without references
    identities: Optional[Sequence[str]]  # who is on each picture, if that is known
    tools: Tools
    k: int  # neighbours of precision and recall
    count: int  # N

    @functools.cached_property
    def coverage(self) -> Coverage:
        """Which pictures lie near references and which references near pictures. Computed once for four metrics."""
        who = self.identities
        found: Coverage = metrics.coverage(self.references["neighbours"], self.features["neighbours"], who, who, self.k)
        return found


OfImage = Callable[[Face, Face, Tools], float]  # the reference is None for a metric that needs none
OfSet = Callable[[FaceSet], Any]
OfSamples = Callable[[SampleSet, Tools], "Union[float, SampleErrors]"]


@dataclass(frozen=True)
class Metric:
    """One metric, computed either of each picture and then averaged (`of_image`), or of a whole folder (`of_set`), or
    of all samples of each picture together and then averaged (`of_samples`).

    Of a folder with several samples of each picture, the first two kinds are computed for each draw, which is the k-th
    samples of all pictures.

    Attributes:
        name: for `--metrics`, the terminal and JSON.
        title: for papers' tables and pages.
        definition: formula, source and choices, in one line. It goes into every report.
        better: which way is better; "nearer" to `ideal`.
        decimals: digits after the point that are worth reading.
        unit: of the number, or empty.
        needs: beside the pictures.
        group: a name that stands for several metrics in `--metrics`, or empty.
        protocols: in which it is offered.
        of_image: from a picture, its reference and the tools to a number.
        of_set: from a folder to a number; or to booleans `[N, K]`, whose means over the pictures are the metric for
            k = 1..K neighbours.
        of_samples: from the samples of a picture and the tools to a number; or to two errors, whose means over the
            pictures are divided.
        counted: from the numbers of all pictures to those that are averaged; None: all of them.
        ideal: from the number of samples to the best value.
    """

    name: str
    title: str
    definition: str
    better: Literal["higher", "lower", "nearer"]
    decimals: int
    unit: str = ""
    needs: Tuple[Need, ...] = ()
    group: str = ""
    protocols: Tuple[Protocol, ...] = ("ours", "vqfr")
    of_image: Optional[OfImage] = None
    of_set: Optional[OfSet] = None
    of_samples: Optional[OfSamples] = None
    counted: Optional[Callable[[NDArray[Any]], NDArray[Any]]] = None
    ideal: Optional[Callable[[int], float]] = None

    @property
    def arrow(self) -> str:
        """Points the way that is better."""
        return {"higher": "↑", "lower": "↓", "nearer": "→"}[self.better]
