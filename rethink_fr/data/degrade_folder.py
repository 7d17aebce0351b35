"""`rethink-fr degrade`: makes a folder of degraded images from a folder of clean ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Literal, Tuple, Union

from tqdm import tqdm

from rethink_fr.files.image_limits import max_pixels
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import OutputError, Outputs
from rethink_fr.files.writing import LongNameError
from rethink_fr.pictures.files import UnreadableImage, encode_png, read_image
from rethink_fr.pictures.listing import list_images
from rethink_fr.types import DegradationRanges


@dataclass(frozen=True)
class DegradeReport:
    """What `degrade_folder` did."""

    output: Path
    written: int  # number of images
    failed: Tuple[Tuple[str, str], ...]  # (name, reason) of the others


def degrade_folder(
    input_dir: Union[str, Path],
    output_dir: Union[str, Path],
    seed: int = 0,
    ranges: DegradationRanges = DegradationRanges(),  # noqa: B008 (immutable)
    task: Literal["blind", "x8", "x16", "vqfr"] = "blind",
    progress: bool = True,
    overwrite: bool = False,
    small_dir: Union[str, Path, None] = None,
) -> DegradeReport:
    """Degrade every image below a folder at its own size, and write it as PNG under the same relative name.

    Images are numbered by their place in the sorted listing, including those that cannot be read. What is drawn for an
    image depends on this number and the seed. Images need not be square: the blur scales with the shorter side.

    Args:
        input_dir: the clean images, at any depth.
        output_dir: the folder for the degraded ones; created if it does not exist.
        seed: integer.
        ranges, task: see `rethink_fr.data.degrade_for_task`.
        progress: show a progress bar on stderr if it takes longer than two seconds.
        overwrite: whether existing files may be replaced. Clean images never are.
        small_dir: a folder for the small images that were enlarged to the degraded ones, under the same names, for
            methods that enlarge their input themselves; see `small_input`.

    Raises:
        ValueError: if there is no image; if an output folder is the input folder or inside it, or both are the same; if
            an output exists already, is a clean image, or cannot be written.
    """
    max_pixels()  # raises an error now if this setting is wrong
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    files = list_images(input_dir)
    if not files:
        raise ValueError(
            f"{printable(input_dir)}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
        )
    folders = [output_dir] if small_dir is None else [output_dir, Path(small_dir)]
    for folder, option in zip(folders, ("--output", "--small")):
        if input_dir.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise ValueError(
                f"{printable(folder)}: lies in the folder of the clean images, where it would be degraded next time; "
                f"choose another {option}"
            )
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError(f"{printable(folders[1])}: is the folder of the degraded images, too; choose another --small")
    outputs = Outputs(files, overwrite)
    failures: Dict[int, str] = {}
    names = [path.relative_to(input_dir).with_suffix(".png") for path in files]
    for index, name in enumerate(names):
        try:
            for folder in folders:
                outputs.check(folder / name)
        except LongNameError as error:
            failures[index] = error.reason
    from rethink_fr.data.degradation.small import small_input
    from rethink_fr.data.degradation.tasks import SMALLEST_INPUT, degrade_for_task

    for index, path in enumerate(tqdm(files, desc="degrading", unit="image", delay=2, disable=not progress)):
        if index in failures:
            continue
        try:
            clean = read_image(path)
            if min(clean.shape[:2]) < SMALLEST_INPUT:
                size = f"{clean.shape[1]} x {clean.shape[0]}"
                expected = f"{SMALLEST_INPUT} x {SMALLEST_INPUT}"
                raise UnreadableImage(str(path), f"{size} pixels, expected {expected} or more")
            # Only now, so that a picture that cannot be used does not take a name.
            targets = [folder / names[index] for folder in folders]
            outputs.claim_all(targets, of=path.relative_to(input_dir))
            made = [degrade_for_task(clean, seed, index, ranges, task)]
            if small_dir is not None:
                made.append(small_input(clean, seed, index, ranges, task))
            for target, image in zip(targets, made):
                outputs.write_bytes(target, encode_png(image.numpy()))
        except (UnreadableImage, OutputError, LongNameError) as error:
            failures[index] = error.reason
    failed = tuple((files[index].relative_to(input_dir).as_posix(), failures[index]) for index in sorted(failures))
    return DegradeReport(output_dir, len(files) - len(failed), failed)
