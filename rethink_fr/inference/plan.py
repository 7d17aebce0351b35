"""What `restore` will write, and whether it may: found out before TensorFlow is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Tuple

from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError, Outputs
from rethink_fr.files.writing import LongNameError
from rethink_fr.pictures.decoding import max_pixels
from rethink_fr.pictures.files import list_images

REPORT_NAME = "report.json"


@dataclass(frozen=True)
class PlannedPicture:
    """One input and the names, relative to the output folder, of what it becomes."""

    path: Path
    restored: Tuple[str, ...]  # one for each sample
    sheet: Optional[str]
    texture: Optional[str]
    error: Optional[str] = None  # why it cannot be written

    @property
    def names(self) -> Tuple[str, ...]:
        """All of them."""
        return tuple(name for name in (*self.restored, self.sheet, self.texture) if name is not None)


@dataclass(frozen=True)
class RestorePlan:
    """What a call of `restore` reads and writes."""

    output: Path
    samples: int
    texture: bool
    pictures: Tuple[PlannedPicture, ...]
    outputs: Outputs


def plan_restoration(
    inputs: Iterable[Path],
    output: Path,
    model: Path,
    samples: int = 1,
    texture: bool = False,
    overwrite: bool = False,
) -> RestorePlan:
    """Name every file that restoring `inputs` to `output` writes, and refuse what the rule of `Outputs` forbids.

    Args:
        inputs: files and folders.
        output: directory for the results and `report.json`.
        model: see `load_restorer`; its files count as inputs.
        samples: restorations of each input; with several, a contact sheet too.
        texture: whether NAME_texture.png is written too.
        overwrite: whether files that are there already may be replaced.

    Raises:
        ValueError: if there is nothing to restore, or an output is an input, or is there already.
    """
    max_pixels()  # a wrong setting is said now
    work = list(_work(inputs))
    outputs = Outputs([*(path for path, _ in work), *_files_of(model)], overwrite)
    outputs.claim(output / REPORT_NAME)
    pictures = tuple(_planned(path, relative, output, samples, texture, outputs) for path, relative in work)
    return RestorePlan(output, samples, texture, pictures, outputs)


def _planned(path: Path, relative: Path, output: Path, samples: int, texture: bool, outputs: Outputs) -> PlannedPicture:
    stem = os.path.splitext(relative)[0]
    picture = PlannedPicture(
        path,
        (f"{stem}.png",) if samples == 1 else tuple(f"{stem}_{number + 1}.png" for number in range(samples)),
        f"{stem}_sheet.png" if samples > 1 else None,
        f"{stem}_texture.png" if texture else None,
    )
    try:
        for name in picture.names:
            outputs.check(output / name)
    except LongNameError as error:
        return PlannedPicture(path, (), None, None, error.reason)
    return picture


def claim_names(picture: PlannedPicture, plan: RestorePlan) -> Optional[str]:
    """Reserve all names of a picture that was read; if another one has any of them, none, and the answer is why."""
    paths = [plan.output / name for name in picture.names]
    try:
        for path in paths:
            plan.outputs.check(path)
        for path in paths:
            plan.outputs.claim(path, of=picture.path)
    except OutputError as error:
        return error.reason
    return None


def _work(inputs: Iterable[Path]) -> Iterator[Tuple[Path, Path]]:
    """Each input file with the name, relative to the output, that it goes by."""
    for given in inputs:
        if given.is_dir():
            files: List[Path] = list_images(given)
            if not files:
                raise ValueError(
                    f"{printable(given)}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
                )
            yield from ((path, path.relative_to(given)) for path in files)
        elif os.path.lexists(given):
            yield given, Path(given.name)
        else:
            raise ValueError(f"{printable(given)}: no such file or folder")


def _files_of(model: Path) -> Iterator[Path]:
    for folder in (model, Path("runs") / model):
        if folder.is_dir():
            yield from (path for path in folder.rglob("*") if path.is_file())
