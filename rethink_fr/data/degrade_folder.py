"""`rethink-fr degrade`: a folder of clean images becomes a folder of degraded ones, by Eq. 13 or for x8 and x16."""

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
    written: int
    failed: Tuple[Tuple[str, str], ...]  # (name, reason)


def degrade_folder(
    input_dir: Union[str, Path],
    output_dir: Union[str, Path],
    seed: int = 0,
    ranges: DegradationRanges = DegradationRanges(),  # noqa: B008 (immutable)
    task: Literal["blind", "x8", "x16", "vqfr"] = "blind",
    progress: bool = True,
    overwrite: bool = False,
) -> DegradeReport:
    """Degrade every image below `input_dir` at its own size and write it as PNG, under the same relative name.

    The images are numbered by their place in the sorted listing, unreadable ones included; the number and `seed` decide
    what is drawn. Images need not be square: the blur scales with the shorter side.

    Args:
        input_dir: searched at any depth.
        output_dir: made if need be.
        seed: integer.
        ranges, task: see `rethink_fr.data.degrade_for_task`.
        progress: show a bar on stderr if it takes longer than two seconds.
        overwrite: whether files that are there already may be replaced; never one of the clean images.

    Raises:
        ValueError: if there is no image, the output is the input or inside it, an output is a clean image or is there
            already, or cannot be written.
    """
    max_pixels()  # a wrong setting is said now
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    files = list_images(input_dir)
    if not files:
        raise ValueError(
            f"{printable(input_dir)}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth"
        )
    if input_dir.resolve() in (output_dir.resolve(), *output_dir.resolve().parents):
        raise ValueError(
            f"{printable(output_dir)}: lies in the folder of the clean images, where it would be degraded next time; "
            "choose another --output"
        )
    outputs = Outputs(files, overwrite)
    failures: Dict[int, str] = {}
    targets = [output_dir / path.relative_to(input_dir).with_suffix(".png") for path in files]
    for index, target in enumerate(targets):
        try:
            outputs.check(target)
        except LongNameError as error:
            failures[index] = error.reason
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
            # Only now: a picture that cannot be used takes no name.
            outputs.claim(targets[index], of=path.relative_to(input_dir))
            degraded = degrade_for_task(clean, seed, index, ranges, task).numpy()
            outputs.write_bytes(targets[index], encode_png(degraded))
        except (UnreadableImage, OutputError, LongNameError) as error:
            failures[index] = error.reason
    failed = tuple((files[index].relative_to(input_dir).as_posix(), failures[index]) for index in sorted(failures))
    return DegradeReport(output_dir, len(files) - len(failed), failed)
