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

Protocol = Literal["ours", "vqfr"]

# What a metric may need beside the pictures: networks that see every picture once and leave their features to the
# metrics; networks that the metric calls itself; statistics from files; and who is on each picture.
FeatureNeed = Literal["inception", "recognition", "landmarks", "neighbours", "codes"]
PerceptualNeed = Literal["lpips_vgg", "lpips_alex"]
Statistics = Literal["niqe_statistics", "fid_statistics"]
Need = Union[FeatureNeed, PerceptualNeed, Statistics, Literal["identities"]]
Tools = Mapping[str, Any]  # the networks and statistics themselves, by need


class Face(NamedTuple):
    """One picture as a metric sees it: its pixels, and what networks made of them."""

    picture: NDArray[np.uint8]  # RGB [1, H, W, 3], uint8
    features: Mapping[str, NDArray[Any]]  # by need: [1, D], of landmarks [1, L, 2]


@dataclass(frozen=True)
class FaceSet:
    """All pictures of a folder, and their references, as a metric of the whole set sees them."""

    features: Mapping[str, NDArray[Any]]  # of the pictures, by need: [N, D]
    references: Mapping[str, NDArray[Any]]  # of their references, in the same order
    identities: Optional[Sequence[str]]  # who is on each picture, if that is known
    tools: Tools
    k: int  # neighbours of precision and recall

    @functools.cached_property
    def coverage(self) -> Coverage:
        """Which pictures lie near references and which references near pictures. Computed once for four metrics."""
        who = self.identities
        found: Coverage = metrics.coverage(self.references["neighbours"], self.features["neighbours"], who, who, self.k)
        return found


OfImage = Callable[[Face, Face, Tools], float]
OfSet = Callable[[FaceSet], Any]


@dataclass(frozen=True)
class Metric:
    """One metric, computed either of each picture and then averaged (`of_image`), or of a whole folder (`of_set`).

    Attributes:
        name: for `--metrics`, the terminal and JSON.
        title: for papers' tables and pages.
        definition: formula, source and choices, in one line. It goes into every report.
        better: which way is better.
        decimals: digits after the point that are worth reading.
        unit: of the number, or empty.
        needs: beside the pictures.
        group: a name that stands for several metrics in `--metrics`, or empty.
        protocols: in which it is offered.
        of_image: from a picture, its reference and the tools to a number.
        of_set: from a folder to a number; or to booleans `[N, K]`, whose means over the pictures are the metric for
            k = 1..K neighbours.
        counted: from the numbers of all pictures to those that are averaged; None: all of them.
    """

    name: str
    title: str
    definition: str
    better: Literal["higher", "lower"]
    decimals: int
    unit: str = ""
    needs: Tuple[Need, ...] = ()
    group: str = ""
    protocols: Tuple[Protocol, ...] = ("ours", "vqfr")
    of_image: Optional[OfImage] = None
    of_set: Optional[OfSet] = None
    counted: Optional[Callable[[NDArray[Any]], NDArray[Any]]] = None

    @property
    def arrow(self) -> str:
        """Points the way that is better."""
        return "↑" if self.better == "higher" else "↓"
