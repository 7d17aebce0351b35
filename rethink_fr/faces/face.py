"""What a detector finds, and which of several findings of one face counts. Nothing here imports TensorFlow."""

from __future__ import annotations

from typing import List, NamedTuple, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

_SAME = 0.4  # intersection over union: two people side by side have less
_INSIDE = 0.8  # of the smaller box: a part of a face that was found as another
_FARTHEST = 2.0  # of a point from the middle of the box, in parts of its longer side


class Face(NamedTuple):
    """A face in a picture. Places are `(x, y)` in pixels; the centre of the first pixel is (0, 0)."""

    box: Tuple[float, float, float, float]  # left, top, right, bottom; may reach beyond the picture
    # [5, 2]: left and right eye, nose, left and right corner of the mouth, as they stand in an upright picture.
    points: NDArray[np.float64]
    score: float  # 0 to 1: how sure the detector is

    @property
    def size(self) -> float:
        """The longer side of the box, in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def tilt(self) -> float:
        """By how many degrees the line between the eyes is turned clockwise; -180 to 180."""
        across = self.points[1] - self.points[0]
        return float(np.degrees(np.arctan2(across[1], across[0])))


class Detector(Protocol):
    """Finds faces that stand upright, or nearly so, in pictures of moderate size; `faces.search` does the rest."""

    name: str  # for reports
    side: int  # the longer side of the largest picture that it is given, in pixels
    smallest: int  # sides of the smallest and the largest face that it finds reliably, in pixels of what it is given
    largest: int
    tells_upright: bool  # whether a face that lies has a lower score than the same face upright

    def __call__(self, picture: NDArray[np.uint8], smallest: float, threshold: float) -> List[Face]:
        """Find faces of at least `smallest` px and with a score of at least `threshold` in RGB `[H, W, 3]`."""


def is_plausible(face: Face) -> bool:
    """Whether the numbers of a face make sense, so that it can be aligned; those of a damaged network may not."""
    numbers = np.concatenate([np.asarray(face.box), face.points.ravel(), [face.score]])
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e7:
        return False
    left, top, right, bottom = face.box
    if right - left < 1 or bottom - top < 1:
        return False
    centre = np.array([left + right, top + bottom]) / 2
    spread = np.abs(face.points - face.points.mean(axis=0)).max()
    return bool(spread > 0.05 * face.size and np.abs(face.points - centre).max() < _FARTHEST * face.size)


def distinct(faces: Sequence[Face]) -> List[Face]:
    """Keep the best of those findings that are one face, and order what is left from left to right."""
    if not faces:
        return []
    boxes, scores = np.array([face.box for face in faces]), np.array([face.score for face in faces])
    # Of findings that are equally sure the larger one is whole.
    order = np.lexsort([-np.array([face.size for face in faces]), -scores.round(3)])
    ranks = np.empty(len(faces))
    ranks[order] = np.arange(len(faces), 0, -1)
    kept = keep_best(boxes, ranks, _SAME, of_smaller=_INSIDE)
    return sorted((faces[number] for number in kept), key=lambda face: (face.box[0], face.box[1]))


def keep_best(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    overlap: float,
    of_smaller: float = 1.0,
    limit: int = 1_000_000,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: the numbers of the boxes that no better one covers, the best first.

    It takes memory in proportion to the number of boxes, not to its square.

    Args:
        boxes: `[N, 4]`, left, top, right, bottom.
        scores: `[N]`.
        overlap: the largest intersection over union that two kept boxes may have.
        of_smaller: the largest share of the smaller of two kept boxes that the other may cover.
        limit: the most boxes that are kept.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    left = np.argsort(-scores, kind="stable")
    kept: List[int] = []
    while len(left) and len(kept) < limit:
        best, left = left[0], left[1:]
        kept.append(int(best))
        sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        apart = shared <= overlap * (areas[best] + areas[left] - shared)
        if of_smaller < 1.0:
            apart &= shared <= of_smaller * np.minimum(areas[best], areas[left])
        left = left[apart]
    return np.array(kept, np.int64)
