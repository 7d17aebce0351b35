"""Whether a picture that is said to be one framed face clearly is not."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rethink_fr.faces.face import Detector, distinct
from rethink_fr.inference.photo import LARGER
from rethink_fr.pictures.geometry import ffhq_points

_SIDE = 128  # px: of the copy that is looked at
_SMALLEST = 30  # px of it: a face that FFHQ frames has about 80
_THERE, _SURE = 0.6, 0.95  # scores: to be the face that was meant, and to be another one beside it
_FARTHEST = 0.08  # mean distance of the five points from where FFHQ has them, in parts of the side
_SQUARE = 1.05  # the longer side of a square picture, at the most, for one of the shorter
_ADVICE = "; --aligned is for single faces framed as in FFHQ, leave it out for whole photos"


def framing_note(square: npt.NDArray[np.uint8], detector: Detector) -> Optional[str]:
    """Say in what a square picture, uint8 `[R, R, 3]`, is not one face framed as in FFHQ; None if it may be.

    Only what is clear is said: a face that is degraded so much that nobody would find it has none.
    """
    copy = np.asarray(Image.fromarray(square).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    faces = distinct(detector(copy, _SMALLEST, _THERE))
    if not faces:
        return f"no face was found{_ADVICE}"
    sure = [face for face in faces if face.score >= _SURE]
    if len(sure) > 1:
        return f"{len(sure)} faces were found{_ADVICE}"
    face = max(faces, key=lambda face: face.size)
    distance = np.linalg.norm(face.points - ffhq_points(_SIDE), axis=1).mean() / _SIDE
    if distance > _FARTHEST:
        return f"its face is elsewhere, turned, or of another size than FFHQ's (by {distance:.0%} of the side){_ADVICE}"
    return None


def size_notes(size: Tuple[int, int], side: int) -> List[str]:
    """Say what of a picture of this size (width, height) is lost when a model of `side` px restores its square."""
    notes = []
    if max(size) > _SQUARE * min(size):
        notes.append(f"is not square ({size[0]} x {size[1]} px): only its middle was restored{_ADVICE}")
    if min(size) * LARGER > side:
        shorter = min(size)
        notes.append(f"has {shorter} px a side, the model makes {side} of them, so that fine detail may be lost")
    return notes
