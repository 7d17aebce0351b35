"""One picture made ready: decoded, its face aligned if asked for, square, encoded, with its columns."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rethink_fr.data.preparation.columns import Columns, Row, read_columns
from rethink_fr.data.sources.picture_files import PictureFiles
from rethink_fr.faces.face import Detector
from rethink_fr.faces.opening import open_detector
from rethink_fr.faces.search import find_faces
from rethink_fr.files.checksums import file_sha256
from rethink_fr.pictures.files import UnreadableImage, decode_image, encode_png, square_resize
from rethink_fr.pictures.geometry import Matrix, crop, ffhq_points, mapped, scale_of, share_outside, similarity

NOTHING = hashlib.sha256(b"").hexdigest()  # for a file that cannot be read
# Landmarks of aligned faces, unless a CSV file gives others; the detector's, in its order.
FIVE_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

_MOST_OUTSIDE = 0.25  # of an aligned square: beyond the photo's border there are only repeated pixels


@dataclass(frozen=True)
class Preparation:
    """How pictures are prepared.

    Args:
        size: side of the prepared pictures, in pixels.
        align: whether the largest face of each photo is cut out, framed as in FFHQ. Otherwise it is the central square.
        columns: what a CSV file says of the pictures.
        folder_identities: whether the folder that a picture lies in is who is on it.
        sha256: of the CSV file.
    """

    size: int
    align: bool = False
    columns: Optional[Columns] = None
    folder_identities: bool = False
    sha256: str = ""

    @property
    def landmarks(self) -> Tuple[str, ...]:
        """The names of the landmarks that records get; () for none."""
        if self.columns is not None and self.columns.landmarks:
            return self.columns.landmarks
        return FIVE_POINTS if self.align else ()

    @property
    def has_identities(self) -> bool:
        """Whether records say who is on a picture."""
        return self.folder_identities or (self.columns is not None and self.columns.has_identity)

    def __str__(self) -> str:
        """What tells it from others: part of the fingerprint of a prepared folder."""
        said = [str(self.size)]
        said += ["aligned"] if self.align else []
        said += [f"columns:{self.sha256}"] if self.columns is not None else []
        said += ["folders"] if self.folder_identities else []
        return " ".join(said)


class Picture(NamedTuple):
    """What a file became."""

    name: str
    sha256: str  # of the file
    encoded: Optional[bytes]  # PNG; None if it is left out
    enlarged: bool
    reason: str  # why it is left out
    identity: Optional[str] = None
    landmarks: Optional[NDArray[np.float64]] = None  # [L, 2]: x, y in pixels of the prepared picture


def prepare_picture(files: PictureFiles, name: str, how: Preparation) -> Picture:
    """Read and prepare one picture; never fails, but may leave it out and say why."""
    digest = NOTHING
    try:
        data, digest = files.read(name)
        row, identity = _row(name, how), None
        image = decode_image(data, name)
        if how.folder_identities:
            identity = PurePosixPath(name).parent.name
            if not identity:
                raise UnreadableImage(name, "lies in no folder that would say who is on it")
        elif row is not None:
            identity = row.identity
        if how.align:
            square, matrix, landmarks = _aligned(name, image, how.size)
        else:
            square, matrix, landmarks = square_resize(image, how.size), _central(image, how.size), None
    except UnreadableImage as error:
        return Picture(name, digest, None, False, error.reason)
    if row is not None and row.landmarks is not None:
        landmarks = mapped(matrix, row.landmarks)
    return Picture(name, digest, encode_png(square), scale_of(matrix) > 1, "", identity, landmarks)


def _row(name: str, how: Preparation) -> Optional[Row]:
    if how.columns is None:
        return None
    row = how.columns.of(name)
    if row is None:
        raise UnreadableImage(name, "has no line in the file of --columns")
    return row


def _aligned(name: str, image: NDArray[np.uint8], size: int) -> Tuple[NDArray[np.uint8], Matrix, NDArray[np.float64]]:
    """The largest face of a photo, the map to its square, and its five points there."""
    photo = Image.fromarray(image)
    faces = find_faces(photo, _detector())
    if not faces:
        raise UnreadableImage(name, "no face was found")
    points = max(faces, key=lambda face: face.size).points
    matrix = similarity(points, ffhq_points(size))
    outside = share_outside(matrix, size, photo.size)
    if outside > _MOST_OUTSIDE:
        raise UnreadableImage(name, f"{outside:.0%} of the face's frame lie outside of the photo")
    return crop(photo, matrix, size), matrix, mapped(matrix, points)


def _central(image: NDArray[np.uint8], size: int) -> Matrix:
    """The map to the resized central square, as `square_resize` cuts it."""
    rows, columns = image.shape[:2]
    side = min(rows, columns)
    factor = size / side
    corner = np.array([(columns - side) // 2, (rows - side) // 2])
    shift = factor * (0.5 - corner) - 0.5
    return np.array([[factor, 0.0, shift[0]], [0.0, factor, shift[1]]])


@functools.lru_cache(maxsize=1)
def _detector() -> Detector:
    return open_detector(None)


def check_alignment() -> None:
    """Load the detector, which takes seconds.

    Raises:
        ValueError: if it is not installed.
    """
    _detector()


def columns_of(path: Optional[Path]) -> Tuple[Optional[Columns], str]:
    """The columns of a CSV file, and its SHA-256; (None, "") for None.

    Raises:
        ValueError: as `read_columns`.
    """
    return (None, "") if path is None else (read_columns(path), file_sha256(path))
