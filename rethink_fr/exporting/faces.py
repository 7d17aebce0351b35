"""The faces that an exported model is compared on: a user's own, or drawn ones that were degraded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from rethink_fr.data.degradation.tasks import degrade
from rethink_fr.drawn_faces.face import draw_face
from rethink_fr.files.names import printable
from rethink_fr.pictures.files import read_square
from rethink_fr.pictures.listing import list_images

_MOST = 6  # a large network takes half a minute for each, in each format
_DRAWN = 2
_FIRST_IDENTITY = 1_000_000  # people that no built-in data set draws


class Faces(NamedTuple):
    """Degraded faces, and in words what they are."""

    pictures: npt.NDArray[np.uint8]  # [N, R, R, 3]
    kind: str


def faces_to_check(folder: Optional[Path], side: int) -> Faces:
    """The first six pictures of a folder, or two drawn faces degraded by Eq. 13 with seed 0.

    Args:
        folder: of degraded faces, framed as in FFHQ; None for drawn ones.
        side: R, their size in pixels.

    Raises:
        ValueError: if the folder holds no pictures, or one of the first six cannot be read.
    """
    if folder is None:
        drawn = np.stack([draw_face(_FIRST_IDENTITY + number, 0, side).image for number in range(_DRAWN)])
        return Faces(degrade(drawn, seed=0, index=0).numpy(), "drawn faces")
    paths = list_images(folder)[:_MOST]
    if not paths:
        raise ValueError(f"{printable(folder)}: holds no image files; expected degraded faces for --check")
    return Faces(np.stack([read_square(path, side).image for path in paths]), "given faces")
