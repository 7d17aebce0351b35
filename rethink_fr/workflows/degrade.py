"""`rethink-fr degrade`: a folder of clean images becomes a folder of degraded ones, by Eq. 13 or for x8 and x16."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Literal, Tuple, Union

from tqdm import tqdm

from rethink_fr.data.image_files import UnreadableImage, list_images, read_image, write_image
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
) -> DegradeReport:
    """Degrade every image below `input_dir` at its own size and write it as PNG, under the same relative name.

    The images are numbered by their place in the sorted listing, unreadable ones included; the number and `seed` decide
    what is drawn. Images need not be square: the blur scales with the shorter side.

    Args:
        input_dir: searched at any depth.
        output_dir: made if need be; files of the same name are replaced.
        seed: integer.
        ranges, task: see `rethink_fr.data.degrade_for_task`.
        progress: show a bar on stderr if it takes longer than two seconds.

    Raises:
        ValueError: if there is no image, or the output is the input or inside it, or cannot be written.
    """
    input_dir, output_dir = Path(input_dir), Path(output_dir)
    files = list_images(input_dir)
    if not files:
        raise ValueError(f"{input_dir}: holds no image files; expected .jpg, .png, .webp, .tif or .bmp, at any depth")
    if input_dir.resolve() in (output_dir.resolve(), *output_dir.resolve().parents):
        raise ValueError(
            f"{output_dir}: lies in the folder of the clean images, where it would be degraded next time; "
            "choose another --output"
        )
    from rethink_fr.data.degradation import SMALLEST_INPUT, degrade_for_task

    failed: List[Tuple[str, str]] = []
    taken: Dict[Path, str] = {}
    for index, path in enumerate(tqdm(files, desc="degrading", unit="image", delay=2, disable=not progress)):
        relative = path.relative_to(input_dir)
        name, target = relative.as_posix(), relative.with_suffix(".png")
        if target in taken:
            failed.append((name, f"{taken[target]} is written as {target.as_posix()} already; rename one of them"))
            continue
        try:
            clean = read_image(path)
        except UnreadableImage as error:
            failed.append((name, error.reason))
            continue
        if min(clean.shape[:2]) < SMALLEST_INPUT:
            size = f"{clean.shape[1]} x {clean.shape[0]}"
            failed.append((name, f"{size} pixels, expected {SMALLEST_INPUT} x {SMALLEST_INPUT} or more"))
            continue
        write_image(output_dir / target, degrade_for_task(clean, seed, index, ranges, task).numpy())
        taken[target] = name
    return DegradeReport(output_dir, len(taken), tuple(failed))
