"""`rethink-fr restore`: aligned face pictures in, restored ones out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import List, Optional, Tuple

import numpy as np
from tqdm import tqdm

from rethink_fr import images
from rethink_fr.files.writing import LongNameError
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.inference.plan import REPORT_NAME, PlannedPicture, RestorePlan, claim_names
from rethink_fr.pictures.files import UnreadableImage, encode_png, read_square
from rethink_fr.pictures.sheets import contact_sheet

_BATCH = 4  # samples restored at a time


@dataclass(frozen=True)
class RestoredFile:
    """What became of one input."""

    input: str
    outputs: Tuple[str, ...] = ()
    sheet: Optional[str] = None
    texture: Optional[str] = None
    original_size: Optional[Tuple[int, int]] = None  # width, height
    error: Optional[str] = None


@dataclass(frozen=True)
class RestoreReport:
    """What `restore` did; also written as `report.json`."""

    model: str
    resolution: int
    samples: int
    noise_scale: float
    seed: int
    fidelity: Optional[float]  # None: the model's own
    inputs: int  # how many there were; fewer `files` if the user interrupted
    files: Tuple[RestoredFile, ...]

    @property
    def failed(self) -> Tuple[RestoredFile, ...]:
        """The inputs that could not be restored."""
        return tuple(file for file in self.files if file.error)


def restore(
    restorer: LoadedRestorer,
    model: str,
    plan: RestorePlan,
    noise_scale: float = 1.0,
    seed: int = 0,
    fidelity: Optional[float] = None,
) -> RestoreReport:
    """Restore aligned faces: square pictures of one face each, as FFHQ frames it.

    Pictures of another size are resized to the model's resolution (of others than squares the central square is
    taken), and results are PNG files of that resolution. With several samples each input gets a contact sheet too.
    Sample k of every input uses the k-th noise of `seed`: a picture's result does not depend on the others.
    With `plan.texture`, VQFR's second image is written too, as NAME_texture.png.

    Where two pictures would be written under one name, the first that can be read has it. If the user interrupts, the
    report tells of what was done until then.

    Args:
        restorer: see `load_restorer`.
        model: its name, for the report.
        plan: which pictures are restored, how often, and to where; see `plan_restoration`.

    Raises:
        ValueError: if the output cannot be written, or the restorer does not have what is asked for: several samples,
            a fidelity, a texture image.
    """
    _check_abilities(restorer, model, plan.samples, fidelity, plan.texture)
    noise = None if restorer.noise_shape is None else restorer.draw_noise(seed, plan.samples).numpy()
    files: List[RestoredFile] = []

    def report() -> RestoreReport:
        made = RestoreReport(
            model, restorer.resolution, plan.samples, noise_scale, seed, fidelity, len(plan.pictures), tuple(files)
        )
        plan.outputs.write_json(plan.output / REPORT_NAME, asdict(made))
        return made

    try:
        for picture in tqdm(plan.pictures, desc="restoring", unit="image", delay=2):
            files.append(_restore_file(restorer, plan, picture, noise, noise_scale, fidelity))
    except KeyboardInterrupt:
        report()
        raise
    return report()


def _restore_file(
    restorer: LoadedRestorer,
    plan: RestorePlan,
    picture: PlannedPicture,
    noise: Optional[np.ndarray],
    noise_scale: float,
    fidelity: Optional[float],
) -> RestoredFile:
    """Restore one picture and write what becomes of it."""
    shown = str(picture.path)
    if picture.error is not None:
        return RestoredFile(shown, error=picture.error)
    try:
        degraded, width, height = read_square(picture.path, restorer.resolution)
    except UnreadableImage as error:
        return RestoredFile(shown, error=error.reason)
    conflict = claim_names(picture, plan)  # not before: a picture that cannot be read takes no name
    if conflict is not None:
        return RestoredFile(shown, error=conflict)
    restored, textures = _restore_one(restorer, degraded, noise, noise_scale, fidelity)
    made = list(zip(picture.restored, restored))
    if picture.sheet is not None:
        titles = ["input", *(f"sample {number + 1}" for number in range(len(restored)))]
        made.append((picture.sheet, contact_sheet([degraded[None], *(one[None] for one in restored)], titles)))
    if picture.texture is not None:
        made.append((picture.texture, textures[0]))
    try:
        for name, image in made:
            plan.outputs.write_bytes(plan.output / name, encode_png(image))
    except LongNameError as error:  # a path too long for the file system; anything else will not go better next time
        return RestoredFile(shown, error=error.reason)
    return RestoredFile(shown, picture.restored, picture.sheet, picture.texture, (width, height))


def _check_abilities(
    restorer: LoadedRestorer, model: str, samples: int, fidelity: Optional[float], texture: bool
) -> None:
    if samples > 1 and restorer.noise_shape is None:
        raise ValueError(
            f"{model}: gives one deterministic answer, so --samples {samples} makes no sense; leave it out"
        )
    if fidelity is not None:
        restorer.check_fidelity(fidelity)
    if texture and not restorer.has_texture:
        raise ValueError(f"{model}: has no texture image; --texture is for VQFR")


def _restore_one(
    restorer: LoadedRestorer,
    degraded: np.ndarray,
    noise: Optional[np.ndarray],
    noise_scale: float,
    fidelity: Optional[float],
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """uint8 `[R, R, 3]` to one uint8 picture per row of `noise`, and the texture images if there are any."""
    results: List[np.ndarray] = []
    textures: List[np.ndarray] = []
    for start in range(0, 1 if noise is None else len(noise), _BATCH):
        part = None if noise is None else noise[start : start + _BATCH]
        repeated = np.repeat(degraded[None], 1 if part is None else len(part), axis=0)
        outputs = restorer.restore(images.to_model(repeated), part, noise_scale, fidelity=fidelity)
        results.extend(images.to_uint8(outputs["restored"]).numpy())
        if "texture" in outputs:
            textures.extend(images.to_uint8(outputs["texture"]).numpy())
    return results, textures
