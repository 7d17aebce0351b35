"""One whole photo: its faces found and aligned, and later, once restored, put back. `inference.folder` does many."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rethink_fr.faces.face import Detector
from rethink_fr.faces.search import centre_face, find_faces
from rethink_fr.files.reading import file_stamp
from rethink_fr.inference.faces import AlignedFace, align, as_grey, with_colours_of
from rethink_fr.inference.photo_report import FaceReport, PhotoSettings
from rethink_fr.pictures.doubt import doubt_map, faces_sheet_columns
from rethink_fr.pictures.geometry import from_enlarged, scale_of, share_outside
from rethink_fr.pictures.pasting import Patch, paste, patch, spread
from rethink_fr.pictures.photos import Photo, check_size, read_photo
from rethink_fr.pictures.sheets import contact_sheet

LARGER = 0.8  # pixels of the model for one of the photo: below, it is said that detail may be lost
_SQUARES = 1 << 30  # bytes of squares, restored and not, of one photo: 682 faces of 512 px
_SHEET_SIDE = 256  # px of a face in a contact sheet
_HIGHEST = 100.0  # dB that are reported; JSON has no infinity

Squares = npt.NDArray[np.uint8]
Enlarge = Callable[[Image.Image], Image.Image]  # a photo at --upscale
Embed = Callable[[Squares], npt.NDArray[np.float32]]  # uint8 [B, H, W, 3] to [B, D]


@dataclass
class OpenPhoto:
    """A photo in work."""

    path: Path
    photo: Photo
    faces: List[AlignedFace]
    stamp: Tuple[int, int]  # bytes of its file, and when that was changed, in nanoseconds
    restored: List[Squares] = field(default_factory=list)  # [samples, R, R, 3] for each face, once restored

    @property
    def pixels(self) -> int:
        """How many it holds in memory."""
        return self.photo.image.size[0] * self.photo.image.size[1]


class Made(NamedTuple):
    """A picture that a photo became."""

    tail: str  # of its name, between the photo's own and the suffix
    image: Image.Image
    is_photo: bool  # whether it is written in the photo's format and with its metadata, or as PNG


def open_photo(path: Path, detector: Detector, side: int, settings: PhotoSettings) -> OpenPhoto:
    """Read a photo, and find and align its faces for a model of `side` px.

    Raises:
        UnreadableImage: if it cannot be read.
        UnwritableImage: if it would be too large at `settings.upscale`.
    """
    stamp = file_stamp(path) or (0, 0)
    photo = read_photo(path)
    check_size(photo, settings.upscale)
    faces = find_faces(photo.image, detector, settings.min_face, settings.detection_threshold)
    if settings.only_center_face and faces:
        faces = [centre_face(faces, photo.image.size)]
    most = max(1, _SQUARES // (3 * side**2 * (settings.samples + 1)))
    if len(faces) > most:
        least = sorted((face.score for face in faces), reverse=True)[most - 1]
        photo.notes += (f"{len(faces)} faces were found; memory for {most} was set aside, and the surest are restored",)
        faces = [face for face in faces if face.score >= least][:most]
    return OpenPhoto(path, photo, align(photo.image, faces, side), stamp)


def finish_squares(opened: OpenPhoto, settings: PhotoSettings) -> None:
    """Give the restored squares of a photo its colours, where that is asked for."""
    finished = []
    for face, squares in zip(opened.faces, opened.restored):
        if settings.match_colours:
            squares = with_colours_of(squares, face.crop)
        finished.append(as_grey(squares) if settings.keep_grey and opened.photo.is_grey else squares)
    opened.restored = finished


def tails(settings: PhotoSettings, faces: int) -> List[str]:
    """What the names of the pictures that a photo with so many faces becomes have between stem and suffix."""
    samples = [f"_{number + 1}" for number in range(settings.samples)] if settings.samples > 1 else [""]
    if settings.face_only:
        names = [f"_face{number + 1}{sample}" for number in range(faces) for sample in samples]
        return [*names, "_sheet"] if settings.samples > 1 and faces else names
    if not faces:
        return [""]
    return [*samples, "_sheet", "_doubt"] if settings.samples > 1 else samples


def pictures(opened: OpenPhoto, settings: PhotoSettings, enlarge: Enlarge) -> Iterator[Made]:
    """Make the pictures that a restored photo becomes, in the order of `tails`. The photo is used up by it."""
    names = iter(tails(settings, len(opened.faces)))
    if settings.face_only:
        for squares in opened.restored:
            for square in squares:
                yield Made(next(names), Image.fromarray(square), False)
        if settings.samples > 1 and opened.faces:
            yield Made(next(names), _sheet(opened), False)
        return
    canvas = enlarge(_canvas(opened.photo.image, settings.keep_grey))
    if not opened.faces:
        yield Made(next(names), canvas, True)
        return

    def patches(sample: int) -> List[Patch]:
        return [
            patch(squares[sample], face.crop, from_enlarged(face.matrix, settings.upscale), canvas.size)
            for face, squares in zip(opened.faces, opened.restored)
        ]

    if settings.samples == 1:
        paste(canvas, patches(0), settings.blend)
        yield Made(next(names), canvas, True)
        return
    for sample in range(settings.samples):
        pasted = canvas.copy()
        paste(pasted, patches(sample), settings.blend)
        yield Made(next(names), pasted, True)
        del pasted  # so that only one copy of a large photo is there
    yield Made(next(names), _sheet(opened), False)
    spreads = [(box, settings.blend * levels) for box, levels in spread(canvas, settings.samples, patches)]
    paste(canvas, patches(0), settings.blend)
    yield Made(next(names), doubt_map(canvas, spreads), False)


def face_reports(opened: OpenPhoto, embed: Optional[Embed]) -> Tuple[FaceReport, ...]:
    """What is to be said about each restored face of a photo."""
    from rethink_fr.metrics.faces import identity_angle
    from rethink_fr.metrics.low_pass import consistency

    reports = []
    for aligned, squares in zip(opened.faces, opened.restored):
        face, scale = aligned.face, scale_of(aligned.matrix)
        inputs = np.repeat(aligned.crop[None], len(squares), axis=0)
        angles: Tuple[float, ...] = ()
        if embed is not None:
            angles = tuple(_rounded(identity_angle(embed(inputs), embed(squares))))
        deviation = np.sqrt(squares.astype(np.float32).var(axis=0).mean(axis=-1)).mean()
        reports.append(
            FaceReport(
                box=tuple(_rounded(face.box)),  # type: ignore[arg-type]  # four, as they were
                points=tuple((round(float(x), 2), round(float(y), 2)) for x, y in face.points),
                score=round(face.score, 4),
                size=round(face.size, 1),
                tilt=round(face.tilt, 1),
                outside=round(share_outside(aligned.matrix, len(aligned.crop), opened.photo.image.size), 3),
                model_pixels=round(scale, 3),
                larger_than_model=scale < LARGER,
                spread=round(float(deviation), 2) if len(squares) > 1 else None,
                consistency=tuple(_rounded(np.minimum(consistency(squares, inputs), _HIGHEST))),
                identity_angle=angles,
            )
        )
    return tuple(reports)


def larger_note(faces: Tuple[FaceReport, ...], side: int) -> Optional[str]:
    """Say which faces have more detail than the model's resolution holds."""
    larger = [number for number, face in enumerate(faces, start=1) if face.larger_than_model]
    if not larger:
        return None
    which = ", ".join(f"{number} ({side / faces[number - 1].model_pixels:,.0f} px)" for number in larger)
    return f"larger than the model's {side} px, frame included, so that fine detail may be lost: face {which}"


def _canvas(image: Image.Image, keep_grey: bool) -> Image.Image:
    if image.mode in ("L", "LA") and not keep_grey:
        return image.convert("RGB" if image.mode == "L" else "RGBA")
    return image


def _sheet(opened: OpenPhoto) -> Image.Image:
    crops = [face.crop for face in opened.faces]
    columns, titles = faces_sheet_columns(crops, opened.restored, _SHEET_SIDE)
    return Image.fromarray(contact_sheet(columns, titles))


def _rounded(values: npt.ArrayLike) -> List[float]:
    return [round(float(value), 2) for value in np.asarray(values).ravel()]
