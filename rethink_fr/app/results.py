"""The files that a restored photo becomes on the page: what the browser shows, and what is there for download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from PIL import Image

from rethink_fr.inference.background import background
from rethink_fr.inference.photo import Made, OpenPhoto, face_reports, larger_note, pictures, tails
from rethink_fr.inference.photo_report import FaceReport, PhotoSettings
from rethink_fr.pictures.metadata import Metadata
from rethink_fr.pictures.photos import encode_photo, output_suffix

_SHOWN = 1600  # px: longest side of what the browser shows; downloads have the photo's size
_FACE, _FACES_IN_STRIP = 160, 4  # px of a face in the strip of samples, and how many are in it


@dataclass(frozen=True)
class Shown:
    """What the page shows: the photo, and once it is restored what became of it. All paths are of files to serve."""

    name: str  # as the visitor called the photo
    size: Tuple[int, int]
    before: Path
    after: Tuple[Path, ...] = ()  # one for each sample
    faces: Tuple[Path, ...] = ()  # the restored faces of each sample
    doubt: Optional[Path] = None
    legend: Optional[Path] = None
    downloads: Tuple[Path, ...] = ()  # the photo of each sample
    extras: Tuple[Path, ...] = ()  # contact sheet, map of doubt
    reports: Tuple[FaceReport, ...] = ()
    notes: Tuple[str, ...] = ()


def write_results(opened: OpenPhoto, settings: PhotoSettings, resolution: int, before: Path, folder: Path) -> Shown:
    """Write what a restored photo became, for download and to be shown.

    Args:
        opened: once its faces are restored; it is used up.
        settings: how they were.
        resolution: of the model.
        before: the copy of the photo that the browser shows.
        folder: an empty one.
    """
    name, size, metadata = opened.path.name, opened.photo.image.size, opened.photo.metadata
    reports = face_reports(opened, None)
    notes = list(opened.photo.notes)
    larger = larger_note(reports, resolution)
    if larger is not None:
        notes.append(larger)
    if not opened.faces:
        return Shown(name, size, before, notes=tuple(notes))
    stem, suffix = opened.path.stem, output_suffix(opened.path.suffix)
    results = _Results(folder, metadata, size)
    made = pictures(opened, settings, background(None, 1))
    for tail in tails(settings, len(opened.faces)):
        results.write(next(made), f"{stem}_restored{tail}", suffix)  # one large picture at a time
    return Shown(
        name,
        size,
        before,
        after=tuple(results.after),
        faces=tuple(
            _write_png(_strip(opened, sample), folder / f"faces_{sample}.png") for sample in range(settings.samples)
        ),
        doubt=results.doubt,
        legend=results.legend,
        downloads=tuple(results.downloads),
        extras=tuple(results.extras),
        reports=reports,
        notes=tuple(dict.fromkeys([*notes, *results.lost])),
    )


class _Results:
    """Writes what a photo became, for download and to be shown."""

    def __init__(self, folder: Path, metadata: Metadata, size: Tuple[int, int]) -> None:
        self._folder, self._metadata, self._size = folder, metadata, size
        self.after: List[Path] = []
        self.downloads: List[Path] = []
        self.extras: List[Path] = []
        self.doubt: Optional[Path] = None
        self.legend: Optional[Path] = None
        self.lost: List[str] = []

    def write(self, made: Made, stem: str, suffix: str) -> None:
        """Write one picture."""
        path = self._folder / f"{stem}{suffix if made.is_photo else '.png'}"
        data, lost = encode_photo(made.image, path.suffix, self._metadata if made.is_photo else None)
        path.write_bytes(data)
        self.lost += lost
        if made.is_photo:
            self.downloads.append(path)
            self.after.append(display_copy(made.image, self._metadata, self._folder / f"after_{len(self.after)}.jpg"))
            return
        self.extras.append(path)
        if made.tail == "_doubt":
            width, height = self._size
            self.doubt = display_copy(made.image.crop((0, 0, width, height)), Metadata(), self._folder / "over.jpg")
            self.legend = _write_png(made.image.crop((0, height, 220, made.image.size[1])), self._folder / "legend.png")


def display_copy(image: Image.Image, metadata: Metadata, path: Path) -> Path:
    """Write a copy of a picture that a browser shows."""
    factor = _SHOWN / max(image.size)
    if factor < 1:
        width, height = (max(1, round(length * factor)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    data, _ = encode_photo(image, ".jpg", metadata)
    path.write_bytes(data)
    return path


def _strip(opened: OpenPhoto, sample: int) -> Image.Image:
    """The faces of a sample, the largest first, side by side."""
    sizes = [face.face.size for face in opened.faces]
    largest = sorted(range(len(sizes)), key=lambda number: -sizes[number])[:_FACES_IN_STRIP]
    strip = Image.new("RGB", (_FACE * len(largest), _FACE))
    for place, number in enumerate(largest):
        square = Image.fromarray(opened.restored[number][sample])
        strip.paste(square.resize((_FACE, _FACE), Image.Resampling.LANCZOS), (place * _FACE, 0))
    return strip


def _write_png(image: Image.Image, path: Path) -> Path:
    data, _ = encode_photo(image, ".png")
    path.write_bytes(data)
    return path
