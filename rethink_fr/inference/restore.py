"""Restores picture files of aligned faces.

`plan_restoration` names every file that will be written and checks that it may be. `restore` then reads, restores and
writes one picture after the other. Nothing here imports TensorFlow, so that a call whose results may not be written is
refused in milliseconds; the restorer that `restore` is given brings it.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError, Outputs
from rethink_fr.files.writing import LongNameError
from rethink_fr.inference.abilities import check_abilities
from rethink_fr.inference.framing import framing_note, size_notes
from rethink_fr.pictures.files import UnreadableImage, encode_png, read_square
from rethink_fr.pictures.listing import list_images
from rethink_fr.pictures.sheets import contact_sheet

if TYPE_CHECKING:
    from rethink_fr.faces.face import Detector
    from rethink_fr.inference.loading import LoadedRestorer

REPORT_NAME = "report.json"


@dataclass(frozen=True)
class PlannedPicture:
    """One input, and the names of the files that it becomes, relative to the output folder."""

    path: Path
    restored: Tuple[str, ...]  # one for each sample
    sheet: Optional[str]
    texture: Optional[str]
    error: Optional[str] = None  # why nothing can be written for it

    @property
    def names(self) -> Tuple[str, ...]:
        """All of these names."""
        return tuple(name for name in (*self.restored, self.sheet, self.texture) if name is not None)


@dataclass(frozen=True)
class RestorePlan:
    """What a call reads and writes; made by `plan_restoration`, carried out by `restore`."""

    output: Path
    samples: int
    texture: bool
    pictures: Tuple[PlannedPicture, ...]
    outputs: Outputs


@dataclass(frozen=True)
class RestoredFile:
    """What became of one input."""

    input: str
    outputs: Tuple[str, ...] = ()
    sheet: Optional[str] = None
    texture: Optional[str] = None
    original_size: Optional[Tuple[int, int]] = None  # width, height
    error: Optional[str] = None
    notes: Tuple[str, ...] = ()  # what people should know although it was restored


@dataclass(frozen=True)
class RestoreReport:
    """What `restore` did; also written as `report.json`."""

    model: str
    resolution: int
    samples: int
    noise_scale: float
    seed: int
    fidelity: Optional[float]  # None: the model's own
    inputs: int  # how many there were; there are fewer `files` if the user interrupted
    files: Tuple[RestoredFile, ...]

    @property
    def failed(self) -> Tuple[RestoredFile, ...]:
        """The inputs that could not be restored."""
        return tuple(file for file in self.files if file.error)


def plan_restoration(
    inputs: Iterable[Path],
    output: Path,
    model: Path,
    samples: int = 1,
    texture: bool = False,
    overwrite: bool = False,
) -> RestorePlan:
    """Name every file that restoring `inputs` will write to `output`, and check that each may be written.

    Args:
        inputs: picture files, and folders of them.
        output: the folder for the results and `report.json`.
        model: what `load_restorer` will be given; its files count as inputs, so that none is written over.
        samples: how many restorations there are of each input; if several, a contact sheet is written too.
        texture: whether NAME_texture.png is written too.
        overwrite: whether files that are there already may be replaced.

    Raises:
        ValueError: if there is nothing to restore, or an output is an input (see `files.outputs`) or is there already.
    """
    max_pixels()  # a wrong setting is reported now, not with the first picture
    work = list(_work(inputs))
    outputs = Outputs([*(path for path, _ in work), *_files_of(model)], overwrite)
    outputs.claim(output / REPORT_NAME)
    pictures = tuple(_planned(path, relative, output, samples, texture, outputs) for path, relative in work)
    return RestorePlan(output, samples, texture, pictures, outputs)


def restore(
    restorer: LoadedRestorer,
    model: str,
    plan: RestorePlan,
    noise_scale: float = 1.0,
    seed: int = 0,
    fidelity: Optional[float] = None,
    detector: Optional[Detector] = None,
) -> RestoreReport:
    """Restore square pictures of one face each, framed as in FFHQ, and write the results and `report.json`.

    A picture of another size is resized to the model's resolution (if it is not square, its central square is taken);
    results are PNG files of that resolution. With several samples each input gets a contact sheet too, and with
    `plan.texture` VQFR's second image. Each picture has noise of its own (Eq. 5 of "Rethinking Deep Face Restoration"),
    which follows from `seed` and the picture's pixels: the result for a picture does not depend on the others.

    Where two pictures would be written under one name, the first that can be read has it. If the user interrupts, the
    report tells what was done until then.

    Args:
        restorer: see `load_restorer`.
        model: its name, for the report.
        plan: which pictures are restored, how often, and to where; see `plan_restoration`.
        noise_scale: 0 (one deterministic answer) to 1 (the full variety).
        seed: of the noise.
        fidelity: VQFR version 2 only: 0 to 1; None stands for 1.
        detector: finds out which pictures clearly are not one framed face, for the report; None: nobody does.

    Raises:
        ValueError: if the output cannot be written, or the restorer does not have what is asked for: several samples,
            a fidelity, a texture image.
    """
    check_abilities(restorer, model, plan.samples, fidelity, plan.texture)
    files: List[RestoredFile] = []

    def report() -> RestoreReport:
        made = RestoreReport(
            model, restorer.resolution, plan.samples, noise_scale, seed, fidelity, len(plan.pictures), tuple(files)
        )
        plan.outputs.write_json(plan.output / REPORT_NAME, asdict(made))
        return made

    with ThreadPoolExecutor(max_workers=1) as beside:  # looks at a picture's framing while it is restored
        look = None if detector is None else lambda square: beside.submit(framing_note, square, detector)
        try:
            for picture in tqdm(plan.pictures, desc="restoring", unit="image", delay=2):
                files.append(_restore_file(restorer, plan, picture, noise_scale, seed, fidelity, look))
        except KeyboardInterrupt:
            report()
            raise
    return report()


def _restore_file(
    restorer: LoadedRestorer,
    plan: RestorePlan,
    picture: PlannedPicture,
    noise_scale: float,
    seed: int,
    fidelity: Optional[float],
    look: Optional[Callable[[npt.NDArray[np.uint8]], Future[Optional[str]]]],
) -> RestoredFile:
    """Restore one picture and write what becomes of it."""
    shown = str(picture.path)
    if picture.error is not None:
        return RestoredFile(shown, error=picture.error)
    try:
        degraded, width, height = read_square(picture.path, restorer.resolution)
        # Only now: a picture that cannot be read takes no name.
        plan.outputs.claim_all([plan.output / name for name in picture.names], of=picture.path)
        framing = None if look is None else look(degraded)
        noise = None if restorer.noise_shape is None else restorer.draw_noise(seed, plan.samples, degraded).numpy()
        images = restorer.restore_picture(degraded, noise, noise_scale, fidelity)
        for name, data in encoded(picture, degraded, images):
            plan.outputs.write_bytes(plan.output / name, data)
    except (UnreadableImage, OutputError, LongNameError) as error:  # what else goes wrong will do so with the next, too
        return RestoredFile(shown, error=error.reason)
    notes = size_notes((width, height), restorer.resolution)
    found = None if framing is None else framing.result()
    notes += [] if found is None else [found]
    return described(picture, (width, height), notes)


def encoded(
    picture: PlannedPicture, degraded: npt.NDArray[np.uint8], images: Dict[str, npt.NDArray[np.uint8]]
) -> Iterator[Tuple[str, bytes]]:
    """The files that a picture becomes, with their names.

    Args:
        picture: as planned.
        degraded: what was restored, uint8 `[R, R, 3]`.
        images: see `LoadedRestorer.restore_picture`.
    """
    restored = images["restored"]
    made = list(zip(picture.restored, restored))
    if picture.sheet is not None:
        titles = ["input", *(f"sample {number + 1}" for number in range(len(restored)))]
        made.append((picture.sheet, contact_sheet([degraded[None], *(one[None] for one in restored)], titles)))
    if picture.texture is not None:
        made.append((picture.texture, images["texture"][0]))
    for name, image in made:
        yield name, encode_png(image)


def described(picture: PlannedPicture, size: Tuple[int, int], notes: Sequence[str]) -> RestoredFile:
    """What is to be said of a picture that was restored and had this size (width, height)."""
    return RestoredFile(str(picture.path), picture.restored, picture.sheet, picture.texture, size, notes=tuple(notes))


def named(path: Path, relative: Path, samples: int, texture: bool) -> PlannedPicture:
    """Name what a picture becomes; `relative` is what it is called after, relative to the output folder."""
    stem = os.path.splitext(relative)[0]
    return PlannedPicture(
        path,
        (f"{stem}.png",) if samples == 1 else tuple(f"{stem}_{number + 1}.png" for number in range(samples)),
        f"{stem}_sheet.png" if samples > 1 else None,
        f"{stem}_texture.png" if texture else None,
    )


def _planned(path: Path, relative: Path, output: Path, samples: int, texture: bool, outputs: Outputs) -> PlannedPicture:
    picture = named(path, relative, samples, texture)
    try:
        for name in picture.names:
            outputs.check(output / name)
    except LongNameError as error:
        return PlannedPicture(path, (), None, None, error.reason)
    return picture


def _work(inputs: Iterable[Path]) -> Iterator[Tuple[Path, Path]]:
    """Each input file, and the name relative to the output folder that its results are called after."""
    for given in inputs:
        if given.is_dir():
            files = list_images(given)
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
