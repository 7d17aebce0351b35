"""`rethink-fr restore`: aligned face pictures in, restored ones out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np
from tqdm import tqdm

from rethink_fr import images
from rethink_fr.data.image_files import UnreadableImage, list_images, read_image, square_resize, write_image
from rethink_fr.training.sheets import contact_sheet
from rethink_fr.workflows.loading import LoadedRestorer

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
    files: Tuple[RestoredFile, ...]

    @property
    def failed(self) -> Tuple[RestoredFile, ...]:
        """The inputs that could not be restored."""
        return tuple(file for file in self.files if file.error)


def restore(
    restorer: LoadedRestorer,
    model: str,
    inputs: Iterable[Path],
    output: Path,
    samples: int = 1,
    noise_scale: float = 1.0,
    seed: int = 0,
    fidelity: Optional[float] = None,
    texture: bool = False,
) -> RestoreReport:
    """Restore aligned faces: square pictures of one face each, as FFHQ frames it.

    Pictures of another size are resized to the model's resolution (of others than squares the central square is
    taken), and results are PNG files of that resolution. With several samples each input gets a contact sheet too.
    Sample k of every input uses the k-th noise of `seed`: a picture's result does not depend on the others.
    With `texture`, VQFR's second image is written too, as NAME_texture.png.

    Args:
        restorer: see `load_restorer`.
        model: its name, for the report.
        inputs: files and folders.
        output: directory for the results and `report.json`.

    Raises:
        ValueError: if there is nothing to restore, the output cannot be written, or the restorer does not have what is
            asked for: several samples, a fidelity, a texture image.
    """
    _check_abilities(restorer, model, samples, fidelity, texture)
    work = list(_work(inputs))
    output = Path(output)
    if any(output.resolve() == path.parent.resolve() for path, _ in work):
        raise ValueError(f"{output}: holds the inputs, which would be overwritten; choose another --output")
    noise = None if restorer.noise_shape is None else restorer.draw_noise(seed, samples).numpy()
    files: List[RestoredFile] = []
    taken: Dict[Path, Path] = {}
    for path, relative in tqdm(work, desc="restoring", unit="image", delay=2):
        stem = relative.with_suffix("")
        if stem in taken:
            files.append(RestoredFile(str(path), error=f"has the same name as {taken[stem]}; rename one of them"))
            continue
        taken[stem] = path
        try:
            picture = read_image(path)
        except UnreadableImage as error:
            files.append(RestoredFile(str(path), error=error.reason))
            continue
        degraded = square_resize(picture, restorer.resolution)
        restored, textures = _restore_one(restorer, degraded, noise, noise_scale, fidelity)
        names = [f"{stem}.png"] if samples == 1 else [f"{stem}_{number + 1}.png" for number in range(samples)]
        for name, result in zip(names, restored):
            write_image(output / name, result)
        sheet = None
        if samples > 1:
            sheet = f"{stem}_sheet.png"
            titles = ["input", *(f"sample {number + 1}" for number in range(samples))]
            write_image(output / sheet, contact_sheet([degraded[None], *(one[None] for one in restored)], titles))
        texture_name = f"{stem}_texture.png" if texture else None
        if texture_name is not None:
            write_image(output / texture_name, textures[0])
        height, width = picture.shape[:2]
        files.append(RestoredFile(str(path), tuple(names), sheet, texture_name, (width, height)))
    report = RestoreReport(model, restorer.resolution, samples, noise_scale, seed, fidelity, tuple(files))
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.json").write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False), encoding="utf-8")
    return report


def _work(inputs: Iterable[Path]) -> Iterator[Tuple[Path, Path]]:
    """Each input file with the name, relative to the output, that it goes by."""
    for given in inputs:
        if given.is_dir():
            files = list_images(given)
            if not files:
                raise ValueError(
                    f"{given}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
                )
            yield from ((path, path.relative_to(given)) for path in files)
        elif given.is_file():
            yield given, Path(given.name)
        else:
            raise ValueError(f"{given}: no such file or folder")


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
