"""Calls over photos of marks, with a network whose answer can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List

import numpy as np
import tensorflow as tf
from PIL import Image

from rethink_fr.inference.background import background
from rethink_fr.inference.folder import restore_photos
from rethink_fr.inference.loading import LoadedRestorer
from rethink_fr.inference.photo_plan import plan_photos
from rethink_fr.inference.photo_report import FolderReport, PhotoSettings
from rethink_fr.system import Inference
from tests.faces.scenes import MarkDetector, marked

SIDE = 32


def same(images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Restores nothing."""
    return {"restored": images}


def blue(images: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Makes every face blue."""
    return {"restored": tf.zeros_like(images) + tf.constant([-1.0, -1.0, 1.0])}


def noisy(images: tf.Tensor, noise: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Adds the noise, one number for a face."""
    return {"restored": tf.clip_by_value(images * 0.5 + 0.2 * noise[:, :1, :1, None], -1.0, 1.0)}


def restorer(function: Any = blue) -> LoadedRestorer:
    """A restorer of squares of `SIDE` px."""
    if function is noisy:
        return LoadedRestorer(Inference(None, noisy, SIDE, None, "noise", (None, 1, 1)))
    return LoadedRestorer(Inference(None, function, SIDE, None, None))


def call(
    inputs: Iterable[Path],
    output: Path,
    function: Any = blue,
    overwrite: bool = False,
    detector: Any = None,
    reads: Iterable[Path] = (),
    embed: Any = None,
    **settings: Any,
) -> FolderReport:
    """Plan and restore."""
    chosen = PhotoSettings(model="made", detector="marks", **settings)
    plan = plan_photos(inputs, output, reads, chosen, overwrite)
    enlarge = background(None, chosen.upscale)
    return restore_photos(restorer(function), detector or MarkDetector(), plan, enlarge, embed)


def photo(path: Path, marks: Iterable[Any] = ((20, 30, 40),), size: Any = (120, 100), mode: str = "RGB") -> Path:
    """Save a photo of marks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marked(size, list(marks)).convert(mode).save(path)
    return path


def names(folder: Path) -> List[str]:
    """Everything in a folder, by names relative to it; hidden files too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def pixels(path: Path) -> np.ndarray:
    """The pixels of a picture file."""
    with Image.open(path) as image:
        return np.asarray(image).astype(int)
