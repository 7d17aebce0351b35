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
) -> RestoreReport:
    """Restore aligned faces: square pictures of one face each, as FFHQ frames it.

    Pictures of another size are resized to the model's resolution (of others than squares the central square is
    taken), and results are PNG files of that resolution. With several samples each input gets a contact sheet too.
    Sample k of every input uses the k-th noise of `seed`: a picture's result does not depend on the others.

    Args:
        restorer: see `load_restorer`.
        model: its name, for the report.
        inputs: files and folders.
        output: directory for the results and `report.json`.

    Raises:
        ValueError: if there is nothing to restore or the output cannot be written.
    """
    work = list(_work(inputs))
    output = Path(output)
    if any(output.resolve() == path.parent.resolve() for path, _ in work):
        raise ValueError(f"{output}: holds the inputs, which would be overwritten; choose another --output")
    noise = restorer.draw_noise(seed, samples)
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
        restored = _restore_one(restorer, degraded, noise, noise_scale)
        names = [f"{stem}.png"] if samples == 1 else [f"{stem}_{number + 1}.png" for number in range(samples)]
        for name, result in zip(names, restored):
            write_image(output / name, result)
        sheet = None
        if samples > 1:
            sheet = f"{stem}_sheet.png"
            titles = ["input", *(f"sample {number + 1}" for number in range(samples))]
            write_image(output / sheet, contact_sheet([degraded[None], *(one[None] for one in restored)], titles))
        height, width = picture.shape[:2]
        files.append(RestoredFile(str(path), tuple(names), sheet, (width, height)))
    report = RestoreReport(model, restorer.resolution, samples, noise_scale, seed, tuple(files))
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


def _restore_one(
    restorer: LoadedRestorer, degraded: np.ndarray, noise: np.ndarray, noise_scale: float
) -> List[np.ndarray]:
    """uint8 `[R, R, 3]` to one uint8 picture per row of `noise`."""
    results: List[np.ndarray] = []
    for start in range(0, len(noise), _BATCH):
        part = noise[start : start + _BATCH]
        repeated = np.repeat(degraded[None], len(part), axis=0)
        restored = restorer(images.to_model(repeated), part, noise_scale)
        results.extend(images.to_uint8(restored).numpy())
    return results
