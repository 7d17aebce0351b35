"""Finds the faces in a picture of any size and orientation, with a detector made for upright faces in small pictures.

The whole picture is searched once, reduced to the largest size that the detector is given (1,600 px for MTCNN); and
again turned to either side and over, at half of that size, for heads that lie. If larger faces may be there than the
detector sees, smaller copies are searched too; if smaller faces are asked for, finer copies in tiles. No copy is larger
than the detector's size, so that memory does not depend on the picture.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rethink_fr.faces.face import Detector, Face, distinct
from rethink_fr.pictures.files import over_white

DEFAULT_THRESHOLD = 0.9

_SURE = 0.99  # the score that a turned face needs beside upright ones
_ROOM = 1.5  # how much larger than the largest face a copy is when nothing larger can be in it
_OVERLAP = 128  # px: of tiles; faces that are larger were seen on the copy before
_FINEST = 2.0  # so much a picture is enlarged for faces that are smaller than the detector sees

_Box = Tuple[float, float, float, float]


def smallest_by_default(size: Tuple[int, int], detector: Detector) -> float:
    """The side in pixels of the smallest face that is looked for in a picture of this size if nothing else is said."""
    return detector.smallest * max(1.0, max(size) / detector.side)


def find_faces(
    picture: Image.Image,
    detector: Detector,
    min_face: Optional[float] = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> List[Face]:
    """Find the faces in a picture.

    Args:
        picture: of mode L, LA, RGB or RGBA; transparency is seen as white.
        detector: see `faces.opening.open_detector`.
        min_face: side of the smallest face, in pixels of the picture. None: `smallest_by_default`.
        threshold: 0 to 1: how sure the detector has to be.

    Returns:
        The faces from left to right, each once.
    """
    size, side = picture.size, detector.side
    least = smallest_by_default(size, detector) if min_face is None else min_face
    scale = min(1.0, side / max(size))
    copy = _copy(picture, (0, 0, *size), scale)
    half = _copy(copy, (0, 0, *copy.size), min(1.0, side / 2 / max(copy.size)))
    faces = _seen(copy, (0, 0, *size), detector, least, threshold)
    while max(copy.size) > _ROOM * detector.largest:
        copy = _copy(copy, (0, 0, *copy.size), 0.5)
        faces += _seen(copy, (0, 0, *size), detector, least, threshold)
    if detector.tells_upright or not faces:
        # Beside people who stand, what looks like a face upside down mostly is none.
        sure = max(threshold, _SURE) if faces else threshold
        faces += _lying(half, size, detector, least, sure)
    while detector.smallest / scale > least and scale < _FINEST:
        scale = min(2 * scale, detector.smallest / least, _FINEST)
        for box in _tiles(size, side, scale):
            faces += _seen(_copy(picture, box, scale), box, detector, least, threshold)
    return distinct([face for face in faces if face.size >= least])


def centre_face(faces: List[Face], size: Tuple[int, int]) -> Face:
    """The one of several faces whose middle is nearest to the middle of a picture of this size (width, height)."""
    middle = (np.array(size, np.float64) - 1) / 2

    def distance(face: Face) -> float:
        left, top, right, bottom = face.box
        return float(np.hypot((left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1]))

    return min(faces, key=distance)


def _copy(picture: Image.Image, box: _Box, scale: float) -> Image.Image:
    """A part of a picture, resized, in RGB."""
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    return over_white(picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0))


def _seen(copy: Image.Image, box: _Box, detector: Detector, least: float, threshold: float) -> List[Face]:
    """Faces in a copy that shows `box` of a picture, as they are in the picture; `least` in pixels of the picture."""
    smallest = max(least * copy.size[0] / (box[2] - box[0]), detector.smallest)
    faces = detector(np.asarray(copy), smallest, threshold)
    return _placed([face for face in faces if face.size <= detector.largest], copy.size, box)


def _lying(copy: Image.Image, size: Tuple[int, int], detector: Detector, least: float, threshold: float) -> List[Face]:
    """Faces in a copy turned to the left, over, and to the right, as they are in the picture of `size` it shows."""
    right, bottom = copy.size[0] - 1, copy.size[1] - 1
    # Where (x, y) of the turned copy is in the copy: x and y times the first, plus the second.
    turns = {
        Image.Transpose.ROTATE_90: ([[0, -1], [1, 0]], [right, 0]),
        Image.Transpose.ROTATE_180: ([[-1, 0], [0, -1]], [right, bottom]),
        Image.Transpose.ROTATE_270: ([[0, 1], [-1, 0]], [0, bottom]),
    }
    faces = []
    for turn, (linear, shift) in turns.items():
        turned = copy.transpose(turn)
        for face in _seen(turned, (0, 0, *turned.size), detector, least * copy.size[0] / size[0], threshold):
            corners = np.array(face.box).reshape(2, 2) @ np.transpose(linear) + shift
            points = face.points @ np.transpose(linear) + shift
            faces.append(Face((*corners.min(axis=0), *corners.max(axis=0)), points, face.score))
    return _placed(faces, copy.size, (0, 0, *size))


def _placed(faces: List[Face], size: Tuple[int, int], box: _Box) -> List[Face]:
    """Faces in a copy of `size` as they are in the picture of which it shows `box`."""
    corner = np.array(box[:2], np.float64)
    step = (np.array(box[2:]) - corner) / size  # pixels of the picture for one of the copy

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points + 0.5) * step - 0.5 + corner

    return [
        Face(tuple(place(np.array(face.box).reshape(2, 2)).ravel().tolist()), place(face.points), face.score)
        for face in faces
    ]


def _tiles(size: Tuple[int, int], side: float, scale: float) -> Iterator[_Box]:
    """Boxes of at most `side` px at this scale that cover a picture and overlap by `_OVERLAP` px."""
    side, step = side / scale, (side - _OVERLAP) / scale
    starts = [np.arange(0.0, max(1.0, length - _OVERLAP / scale), step) for length in size]
    for top in starts[1]:
        for left in starts[0]:
            yield float(left), float(top), float(min(left + side, size[0])), float(min(top + side, size[1]))
