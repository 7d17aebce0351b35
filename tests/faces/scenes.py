"""Pictures of several drawn faces, and a detector of marks that tests can place exactly."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np
from PIL import Image
from scipy import ndimage

from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.faces.face import Face

# Five points of a mark of side 1 whose top left corner is (0, 0).
MARK_POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def group(size: Tuple[int, int], places: Sequence[Tuple[int, int, int]], mode: str = "RGB") -> Image.Image:
    """A photo of drawn faces: `places` are left, top and side of each one's square."""
    photo = Image.new("RGB", size, (96, 104, 92))
    for identity, (left, top, side) in enumerate(places):
        photo.paste(Image.fromarray(draw_face(identity, 0, side).image), (left, top))
    return photo.convert(mode)


def marked(size: Tuple[int, int], marks: Sequence[Tuple[int, int, int]]) -> Image.Image:
    """A black picture of marks: red squares (left, top, side) whose upper third is green."""
    pixels = np.zeros([size[1], size[0], 3], np.uint8)
    for left, top, side in marks:
        pixels[top : top + side, left : left + side, 0] = 255
        pixels[top : top + side // 3, left : left + side] = (0, 255, 0)
    return Image.fromarray(pixels)


class MarkDetector:
    """Finds upright marks as a detector finds faces; remembers what it was given."""

    name = "marks"
    side = 200
    smallest = 10
    largest = 1000
    tells_upright = True

    def __init__(self) -> None:
        self.given: List[Tuple[int, int]] = []

    def __call__(self, picture: np.ndarray, smallest: float, threshold: float) -> List[Face]:
        self.given.append(picture.shape[1::-1])
        lit = (picture.max(axis=2) > 127).astype(int)
        labels, _ = ndimage.label(lit)
        faces = []
        for rows, columns in ndimage.find_objects(labels):
            corner = np.array([columns.start, rows.start], float) - 0.5
            sides = np.array([columns.stop - columns.start, rows.stop - rows.start], float)
            part = picture[rows, columns]
            if min(part.shape[:2]) < 4:
                continue
            upright = part[: len(part) // 4, :, 1].mean() > 200 and part[len(part) // 2 :, :, 0].mean() > 200
            if upright and sides.max() >= smallest and np.ptp(sides) < 3:
                box = (*corner, *(corner + sides))
                faces.append(Face(box, corner + MARK_POINTS * sides, 0.999))
        return faces
