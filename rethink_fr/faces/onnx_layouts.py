"""What the outputs of known face detectors mean: boxes, five points and scores from arrays.

Two layouts are known. Both number the cells of a grid over their input row by row; `step` is a cell's side in pixels.

* RetinaFace (Deng et al. 2020, CVPR; as in biubug6/Pytorch_Retinaface): outputs `[1, N, 4]`, `[1, N, 2]` and
  `[1, N, 10]` in any order. N boxes are refined from two square anchors in each cell of three grids. Their sides are
  16, 32; 64, 128; 256, 512 px unless the file's metadata say otherwise, as `rethink_fr.anchors`.
* YuNet (Wu et al. 2023, Machine Intelligence Research 20; as in OpenCV's zoo): twelve outputs `cls_8`, `obj_8`,
  `bbox_8`, `kps_8` and so on for the steps 8, 16 and 32.
"""

from __future__ import annotations

import functools
from typing import Callable, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray

from rethink_fr.files.names import printable

STEPS = (8, 16, 32)
_ANCHORS = "16,32;64,128;256,512"  # px: sides for each step
_VARIANCES = (0.1, 0.2)  # by which shifts and logarithms of sizes are scaled
_BGR_MEAN = (104.0, 117.0, 123.0)  # RetinaFace's
_LARGEST_YUNET = 400  # px: 300 is the largest that its authors say
_LARGEST = 20.0  # logarithm of a size; exp of more overflows
_YUNET = tuple(f"{kind}_{step}" for kind in ("cls", "obj", "bbox", "kps") for step in STEPS)

Arrays = Dict[str, NDArray[np.float64]]


class Candidates(NamedTuple):
    """Everything that a network sees, faces or not, in pixels of its input.

    Networks count from the corner of the first pixel; here (0, 0) is its centre, as everywhere in this package.
    """

    boxes: NDArray[np.float64]  # [N, 4]: left, top, right, bottom
    points: NDArray[np.float64]  # [N, 5, 2]
    scores: NDArray[np.float64]  # [N]


class Layout(NamedTuple):
    """A kind of network: what it is given, and how its outputs are read."""

    name: str
    mean: Tuple[float, float, float]  # that its input, BGR in 0..255, is reduced by
    largest: int  # px: side of the largest face that it finds reliably
    # (outputs by name, rows and columns of the input) -> candidates; raises a ValueError if the outputs do not fit.
    read: Callable[[Arrays, Tuple[int, int]], Candidates]


def layout_of(shapes: Mapping[str, Tuple[int, ...]], anchors: str = _ANCHORS) -> Layout:
    """Tell the kind of a network from its outputs' names and their shapes for one picture.

    Args:
        shapes: by the outputs' names.
        anchors: of RetinaFace: sides in pixels, two for each step.

    Raises:
        ValueError: if it is none of those that are known, or the anchors make no sense. The message says what was
            expected.
    """
    if set(shapes) == set(_YUNET):
        return Layout("YuNet", (0.0, 0.0, 0.0), _LARGEST_YUNET, _read_yunet)
    if sorted(shape[-1] for shape in shapes.values() if len(shape) == 3 and shape[0] == 1) == [2, 4, 10]:
        sides = _sides(anchors)
        return Layout("RetinaFace", _BGR_MEAN, int(1.25 * sides.max()), functools.partial(_read_retinaface, sides))
    raise ValueError(
        "is no face detector of a known layout; expected RetinaFace (outputs [1, N, 4], [1, N, 2], [1, N, 10]) or "
        "YuNet (cls_8, obj_8, bbox_8, kps_8, ... for 8, 16 and 32)"
    )


def _sides(anchors: str) -> NDArray[np.float64]:
    """The sides of the anchors, `[steps, 2]`."""
    try:
        sides = np.array([[float(side) for side in part.split(",")] for part in anchors.split(";")])
    except ValueError:
        sides = np.zeros(0)
    if sides.shape != (len(STEPS), 2) or not ((sides >= 1) & (sides <= 4096)).all():
        raise ValueError(
            f"anchors {printable(anchors)[:80]!r}; expected two sides for each of three steps, as {_ANCHORS}"
        )
    return sides


def _read_retinaface(sides: NDArray[np.float64], outputs: Arrays, size: Tuple[int, int]) -> Candidates:
    by_width = {array.shape[-1]: array.reshape(-1, array.shape[-1]) for array in outputs.values()}
    shifts, classes, landmarks = by_width[4], by_width[2], by_width[10]
    anchors = _anchors(sides, size)
    if not len(shifts) == len(classes) == len(landmarks) == len(anchors):
        raise ValueError(f"gives {len(shifts)} boxes for {size[1]} x {size[0]} px; expected {len(anchors)}")
    centres, lengths = anchors[:, :2], anchors[:, 2:]
    middles = centres + shifts[:, :2] * _VARIANCES[0] * lengths
    halves = np.exp(np.minimum(shifts[:, 2:] * _VARIANCES[1], _LARGEST)) * lengths / 2
    points = centres[:, None] + landmarks.reshape(-1, 5, 2) * _VARIANCES[0] * lengths[:, None]
    # Counted from the corner of the first pixel; ours are counted from its centre.
    return Candidates(
        np.concatenate([middles - halves, middles + halves], 1) - 0.5, points - 0.5, _probability(classes)
    )


def _read_yunet(outputs: Arrays, size: Tuple[int, int]) -> Candidates:
    found: List[Candidates] = []
    for step in STEPS:
        corners = _cells(size, step)
        parts = [outputs[f"{kind}_{step}"] for kind in ("cls", "obj", "bbox", "kps")]
        classes, objects, boxes, points = (part.reshape(-1, width) for part, width in zip(parts, (1, 1, 4, 10)))
        if not len(classes) == len(objects) == len(boxes) == len(points) == len(corners):
            raise ValueError(f"gives {len(boxes)} boxes at step {step}; expected {len(corners)}")
        middles = (corners + boxes[:, :2]) * step
        halves = np.exp(np.minimum(boxes[:, 2:], _LARGEST)) * step / 2
        places = (points.reshape(-1, 5, 2) + corners[:, None]) * float(step)
        scores = np.sqrt(np.clip(classes, 0, 1) * np.clip(objects, 0, 1))[:, 0]
        found.append(Candidates(np.concatenate([middles - halves, middles + halves], axis=1), places, scores))
    boxes, points, scores = (np.concatenate(part) for part in zip(*found))
    return Candidates(boxes - 0.5, points - 0.5, scores)


def _anchors(sides: NDArray[np.float64], size: Tuple[int, int]) -> NDArray[np.float64]:
    """RetinaFace's anchors: x and y of the centre and both sides, `[N, 4]`."""
    parts = []
    for step, both in zip(STEPS, sides):
        centres = np.repeat((_cells(size, step) + 0.5) * step, len(both), axis=0)
        lengths = np.tile(both, len(centres) // len(both))
        parts.append(np.column_stack([centres, lengths, lengths]))
    return np.concatenate(parts)


def _cells(size: Tuple[int, int], step: int) -> NDArray[np.float64]:
    """Column and row of each cell, `[N, 2]`."""
    rows, columns = np.mgrid[: -(-size[0] // step), : -(-size[1] // step)].astype(np.float64)
    return np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float64)


def _probability(classes: NDArray[np.float64]) -> NDArray[np.float64]:
    """That it is a face, from two numbers for each box: probabilities, or logits, as some exports leave them."""
    if classes.min() >= 0 and np.allclose(classes.sum(axis=1), 1.0, atol=1e-3):
        return classes[:, 1]
    return 1.0 / (1.0 + np.exp(np.clip(classes[:, 0] - classes[:, 1], -50, 50)))
