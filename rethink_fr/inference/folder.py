"""Restores whole photos: files and folders of them, one bad one never stopping the rest.

Photos are read until their faces fill a batch; these are restored together, and each photo is written.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from rethink_fr.faces.face import Detector
from rethink_fr.files.outputs import OutputError
from rethink_fr.files.writing import LongNameError
from rethink_fr.inference.abilities import check_abilities
from rethink_fr.inference.faces import BATCH, face_noise, restore_faces
from rethink_fr.inference.film import restore_clip
from rethink_fr.inference.photo import (
    Embed,
    Enlarge,
    Made,
    OpenPhoto,
    face_reports,
    finish_squares,
    larger_note,
    open_photo,
    pictures,
)
from rethink_fr.inference.photo_plan import PhotoPlan, PlannedPhoto, copied_name, output_names
from rethink_fr.inference.photo_report import FolderReport, PhotoReport, PhotoSettings
from rethink_fr.pictures.files import UnreadableImage, read_file
from rethink_fr.pictures.photos import UnwritableImage, encode_photo

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer

_HELD = 1 << 24  # pixels of photos that wait until their faces fill a batch


class Encoded(NamedTuple):
    """A file that a photo became."""

    name: str  # relative to the output folder
    data: Union[bytes, memoryview]
    lost: List[str]  # what its format could not hold, in words


def restore_photos(
    restorer: LoadedRestorer,
    detector: Detector,
    plan: PhotoPlan,
    enlarge: Enlarge,
    embed: Optional[Embed] = None,
) -> FolderReport:
    """Restore the photos of a plan, and write what they become and `report.json`.

    If the user interrupts, the report tells what was done until then, and a call with the same settings goes on there.

    Args:
        restorer: see `load_restorer`.
        detector: see `faces.opening.open_detector`.
        plan: see `plan_photos`.
        enlarge: makes a photo as large as the plan's upscale says; see `inference.background`.
        embed: an identity network, for the report.

    Raises:
        ValueError: if the output cannot be written, or the restorer does not have what is asked for.
    """
    settings = plan.settings
    check_abilities(restorer, settings.model, settings.samples, settings.fidelity)
    earlier = plan.progress.others(photo.path for photo in plan.photos)
    files: List[PhotoReport] = [photo.done for photo in plan.photos if photo.done is not None]

    def report(complete: bool) -> FolderReport:
        order = {os.path.abspath(photo.path): number for number, photo in enumerate(plan.photos)}
        made = FolderReport(
            settings,
            restorer.resolution,
            len(earlier) + len(plan.photos),
            tuple(os.fspath(path) for path in plan.skipped),
            (*earlier, *sorted(files, key=lambda file: order[os.path.abspath(file.input)])),
        )
        plan.progress.close(plan.outputs, made, complete)
        return made

    with plan.progress.working():
        try:
            for group in _groups(restorer, detector, plan, files):
                restore_group(restorer, [opened for _, opened in group], settings)
                while group:  # taken out one by one: a large photo must be gone before the next is read
                    _keep(files, plan, _written(*group.pop(0), plan, restorer.resolution, enlarge, embed))
            for photo in plan.left:
                if photo.is_clip:
                    _keep(files, plan, restore_clip(photo, plan, restorer, detector, enlarge))
        except KeyboardInterrupt:
            report(complete=False)
            raise
        return report(complete=True)


def _groups(
    restorer: LoadedRestorer, detector: Detector, plan: PhotoPlan, files: List[PhotoReport]
) -> Iterator[List[Tuple[PlannedPhoto, OpenPhoto]]]:
    """Photos whose faces are restored together. Those that cannot be read are reported at once."""
    group: List[Tuple[PlannedPhoto, OpenPhoto]] = []
    for photo in tqdm([photo for photo in plan.left if not photo.is_clip], desc="restoring", unit="photo", delay=2):
        try:
            if photo.error is not None:
                raise UnreadableImage(photo.path, photo.error)
            group.append((photo, open_photo(photo.path, detector, restorer.resolution, plan.settings)))
        except (UnreadableImage, UnwritableImage, MemoryError) as error:
            _keep(files, plan, _failed(photo, error))
            continue
        faces = sum(len(one.faces) for _, one in group) * plan.settings.samples
        if faces >= BATCH or sum(one.pixels for _, one in group) >= _HELD:
            yield group
            group = []
    if group:
        yield group


def restore_group(restorer: LoadedRestorer, group: Sequence[OpenPhoto], settings: PhotoSettings) -> None:
    """Restore the faces of several photos in common batches."""
    squares = [face.crop for opened in group for face in opened.faces]
    draws = [face_noise(restorer, square, settings.seed, settings.samples) for square in squares]
    restored = iter(restore_faces(restorer, squares, draws, settings.noise_scale, settings.fidelity))
    for opened in group:
        opened.restored = [next(restored) for _ in opened.faces]
        finish_squares(opened, settings)


def described(
    photo: PlannedPhoto, opened: OpenPhoto, settings: PhotoSettings, side: int, embed: Optional[Embed]
) -> PhotoReport:
    """What is to be said of a restored photo, and the names that it is written under: all but what formats lose."""
    faces = face_reports(opened, embed)
    notes = list(opened.photo.notes)
    larger = larger_note(faces, side)
    if larger is not None:
        notes.append(larger)
    if not faces:
        notes.append("no face was found")
    copy = None if faces else copied_name(photo, settings)
    return PhotoReport(
        os.fspath(photo.path),
        size=opened.photo.image.size,
        faces=faces,
        bytes=opened.stamp[0],
        modified=opened.stamp[1],
        outputs=output_names(photo, settings, len(faces)) if copy is None else (copy,),
        copied=copy is not None,
        notes=tuple(notes),
    )


def encoded(done: PhotoReport, opened: OpenPhoto, settings: PhotoSettings, enlarge: Enlarge) -> Iterator[Encoded]:
    """The files that a restored photo becomes, one in memory at a time. The photo is used up by it.

    Raises:
        UnreadableImage, UnwritableImage, MemoryError: if one cannot be made.
    """
    if done.copied:
        yield Encoded(done.outputs[0], read_file(opened.path), [])
        return
    made = pictures(opened, settings, enlarge)
    for name in done.outputs:  # not by zip(), which would hold a large picture while the next is made
        yield _encoded(name, next(made), opened)


def _encoded(name: str, made: Made, opened: OpenPhoto) -> Encoded:
    metadata = opened.photo.metadata if made.is_photo else None
    return Encoded(name, *encode_photo(made.image, os.path.splitext(name)[1], metadata))


def _written(
    photo: PlannedPhoto, opened: OpenPhoto, plan: PhotoPlan, side: int, enlarge: Enlarge, embed: Optional[Embed]
) -> PhotoReport:
    """Write what a photo became, and report it."""
    done = described(photo, opened, plan.settings, side, embed)
    notes = list(done.notes)
    try:
        plan.outputs.claim_all([plan.output / name for name in done.outputs], of=photo.path)
        plan.progress.begin(photo.path, done.outputs)
        for file in encoded(done, opened, plan.settings, enlarge):
            plan.outputs.write_bytes(plan.output / file.name, file.data)
            notes += [note for note in file.lost if note not in notes]
            del file  # before the next is made
    except (UnreadableImage, UnwritableImage, OutputError, LongNameError, MemoryError) as error:
        return _failed(photo, error)  # what else goes wrong will do so with the next, too
    return replace(done, notes=tuple(notes))


def failure_reason(error: Exception) -> str:
    """Why nothing could be written for a photo, in words."""
    too_large = "takes more memory than there is; scale it down, or choose a smaller --upscale"
    return str(getattr(error, "reason", too_large))


def _failed(photo: PlannedPhoto, error: Exception) -> PhotoReport:
    return PhotoReport(os.fspath(photo.path), error=failure_reason(error))


def _keep(files: List[PhotoReport], plan: PhotoPlan, report: PhotoReport) -> None:
    files.append(report)
    plan.progress.finish(report)
