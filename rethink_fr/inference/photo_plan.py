"""Lists the photos that a call restores, names what they become, and checks that it may be written.

Nothing here loads TensorFlow, so that a call whose results may not be written is refused in milliseconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, List, Optional, Set, Tuple

from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs
from rethink_fr.files.writing import LongNameError
from rethink_fr.film import segments
from rethink_fr.film.clips import CLIP_SUFFIXES, is_clip, missing_package
from rethink_fr.inference.photo import tails
from rethink_fr.inference.photo_report import PhotoReport, PhotoSettings
from rethink_fr.inference.progress import REPORT_NAME, Progress
from rethink_fr.pictures.listing import list_files
from rethink_fr.pictures.photos import PHOTO_SUFFIXES, output_suffix

_SUFFIXES = (*PHOTO_SUFFIXES, *CLIP_SUFFIXES)


@dataclass(frozen=True)
class PlannedPhoto:
    """One input, and the name that its outputs are made from, relative to the output folder."""

    path: Path
    stem: str
    extension: str
    done: Optional[PhotoReport] = None  # by an earlier call
    error: Optional[str] = None  # why nothing can be written for it

    @property
    def is_clip(self) -> bool:
        """Whether it is a clip, by its name."""
        return is_clip(self.path)


@dataclass(frozen=True)
class PhotoPlan:
    """What a call reads and writes; made by `plan_photos`, carried out by `restore_photos`."""

    output: Path
    settings: PhotoSettings
    photos: Tuple[PlannedPhoto, ...]
    skipped: Tuple[Path, ...]
    outputs: Outputs
    progress: Progress

    @property
    def left(self) -> Tuple[PlannedPhoto, ...]:
        """The photos that no earlier call has done."""
        return tuple(photo for photo in self.photos if photo.done is None)


def plan_photos(
    inputs: Iterable[Path], output: Path, reads: Iterable[Path], settings: PhotoSettings, overwrite: bool = False
) -> PhotoPlan:
    """List the photos below `inputs`, and check that what they become may be written to `output`.

    Photos that would have one name get numbers: of `a/me.jpg` and `b/me.jpg` the second becomes `me_2.jpg`. What
    earlier calls wrote, or what lies in an output folder below an input folder, is no input.

    Clips are listed among the photos; those in folders that cannot be restored like this get an `error`.

    Args:
        inputs: photo files and clips, and folders of them.
        output: the folder for the results and `report.json`.
        reads: other files that the call reads, such as the model's; none is written over.
        settings: how photos are restored.
        overwrite: whether all is done anew, and files that are there already may be replaced.

    Raises:
        ValueError: if there is nothing to restore, an output is an input or is there already (see `files.outputs`), or
            the folder has the report of another kind of call; or a clip is given that cannot be restored like this.
    """
    inputs = list(inputs)
    for path in inputs:
        problem = _clip_problem(path, settings) if is_clip(path) and not path.is_dir() else None
        if problem is not None:
            raise ValueError(f"{printable(path)}: {problem}")
    max_pixels()  # a wrong setting is reported now, not with the first photo
    progress = Progress(output, settings, overwrite)
    work, skipped = _work(inputs, output, progress.made)
    outputs = Outputs([*(path for path, _ in work), *reads], overwrite)
    done = {path: report for path, _ in work if (report := progress.done(path)) is not None}
    for replaceable in progress.replaceable(path for path, _ in work if path not in done):
        outputs.allow_replacing(replaceable)
    outputs.claim(output / REPORT_NAME)
    taken = {name for report in (*done.values(), *progress.others(path for path, _ in work)) for name in report.outputs}
    photos: List[PlannedPhoto] = []
    for path, name in work:
        photo = PlannedPhoto(path, "", "", done[path]) if path in done else named(path, name, settings, taken)
        photos.append(_checked(photo, output, settings, outputs))
    return PhotoPlan(output, settings, tuple(photos), tuple(skipped), outputs, progress)


def output_names(photo: PlannedPhoto, settings: PhotoSettings, faces: int) -> Tuple[str, ...]:
    """The files that a photo with so many faces becomes."""
    if photo.is_clip:
        return (f"{photo.stem}{photo.extension}",)
    own = ("_sheet", "_doubt")
    return tuple(
        f"{photo.stem}{tail}{'.png' if settings.face_only or tail in own else photo.extension}"
        for tail in tails(settings, faces)
    )


def copied_name(photo: PlannedPhoto, settings: PhotoSettings) -> Optional[str]:
    """The name of the copy, byte for byte, of a photo without a face; None if it is written anew."""
    as_it_was = settings.extension == "auto" and settings.upscale == 1 and settings.background_model is None
    return f"{photo.stem}{photo.path.suffix}" if as_it_was and not settings.face_only else None


def named(path: Path, name: Path, settings: PhotoSettings, taken: Set[str]) -> PlannedPhoto:
    """Name the outputs of a photo as no other's are, and put their names to those that are `taken`.

    Args:
        path: of the photo.
        name: what its outputs are called after, relative to the output folder.
        settings: how it is restored.
        taken: names of outputs.
    """
    stem, suffix = os.path.splitext(name)
    own_suffix = segments.output_suffix if is_clip(path) else output_suffix
    extension = own_suffix(suffix) if settings.extension == "auto" else f".{settings.extension}"
    photo, number = PlannedPhoto(path, f"{stem}{settings.suffix}", extension), 1
    while taken.intersection(names := output_names(photo, settings, 1)):
        number += 1
        photo = PlannedPhoto(path, f"{stem}_{number}{settings.suffix}", extension)
    taken.update(names)
    return photo


def _checked(photo: PlannedPhoto, output: Path, settings: PhotoSettings, outputs: Outputs) -> PlannedPhoto:
    if photo.done is None:
        problem = _clip_problem(photo.path, settings) if photo.is_clip else None
        if problem is not None:
            return replace(photo, error=problem)
        try:
            for name in output_names(photo, settings, 1):
                outputs.check(output / name)
        except LongNameError as error:
            return replace(photo, error=error.reason)
    return photo


def _clip_problem(path: Path, settings: PhotoSettings) -> Optional[str]:
    """Why a clip cannot be restored with these settings, or here; None if it can."""
    asked = {
        "--samples": settings.samples > 1,
        "--face-only": settings.face_only,
        "--ext": settings.extension != "auto",
        "--identity-net": settings.identity_net is not None,
    }
    for option, given in asked.items():
        if given:
            return f"is a clip, and {option} is for photos; leave it out for clips"
    return missing_package()


def _work(inputs: Iterable[Path], output: Path, made: Set[Path]) -> Tuple[List[Tuple[Path, Path]], List[Path]]:
    """Each photo with the name that its outputs are called after, and the files that are none."""
    own = {os.path.realpath(path) for path in made}
    real_output = os.path.realpath(output)
    work: List[Tuple[Path, Path]] = []
    skipped: List[Path] = []
    for given in inputs:
        if given.is_dir():
            listed = list_files(given, _SUFFIXES)
            inside = real_output.startswith(os.path.join(os.path.realpath(given), ""))
            images, others = (
                [path for path in paths if not _is_own(path, own, real_output if inside else None)] for paths in listed
            )
            if not images:
                kinds = ", ".join(_SUFFIXES)
                raise ValueError(
                    f"{printable(given)}: holds no photos or clips; expected files ending in {kinds}, at any depth"
                )
            work += [(path, path.relative_to(given)) for path in images]
            skipped += others
        elif os.path.lexists(given):
            work.append((given, Path(given.name)))
        else:
            raise ValueError(f"{printable(given)}: no such file or folder")
    once = {os.path.abspath(path): (path, name) for path, name in reversed(work)}  # a photo may be given twice
    return list(reversed(once.values())), skipped


def _is_own(path: Path, own: Set[str], folder: Optional[str]) -> bool:
    """Whether a file is an output of this package's, or lies in the output `folder`."""
    real = os.path.realpath(path)
    return real in own or (folder is not None and real.startswith(os.path.join(folder, "")))
