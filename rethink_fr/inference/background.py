"""What is around the faces, enlarged: by Lanczos, or by a SavedModel that enlarges pictures, tile by tile."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Optional, Tuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from rethink_fr.files.names import printable
from rethink_fr.inference.photo import Enlarge

_TILE, _OVERLAP = 256, 16  # px of a tile, and of what it shares with the next on each side, whose borders are dropped
_LARGEST_FACTOR = 8


def enlarged(image: Image.Image, upscale: int) -> Image.Image:
    """A photo enlarged by Lanczos; an upscale of 1 leaves it as it is."""
    if upscale == 1:
        return image
    return image.resize((image.size[0] * upscale, image.size[1] * upscale), Image.Resampling.LANCZOS)


def lanczos(upscale: int) -> Enlarge:
    """What enlarges photos by Lanczos."""
    return functools.partial(enlarged, upscale=upscale)


def check_background_model(path: Path) -> None:
    """Refuse what cannot be a SavedModel, without loading it.

    Raises:
        ValueError: if there is none.
    """
    if not (path / "saved_model.pb").is_file():
        raise ValueError(
            f"--background-model {printable(path)}: no SavedModel here; expected a folder with saved_model.pb"
        )


class BackgroundModel:
    """A SavedModel that makes pictures better or larger, for what is around the faces.

    Its signature `serving_default` has one input, RGB pictures `[B, H, W, 3]`, H and W free or fixed, and one output
    like it, 1 to 8 times as large: uint8, or float32 in 0..1. Its result is resized to the upscale by Lanczos.

    Call with a photo in mode L, LA, RGB or RGBA; transparency is enlarged by Lanczos.

    Raises:
        ValueError: if the SavedModel cannot be read, or is another.
    """

    def __init__(self, path: Path, upscale: int) -> None:
        import tensorflow as tf

        check_background_model(path)
        self._name, self._upscale = printable(path), upscale
        try:
            self._loaded: Any = tf.saved_model.load(str(path))  # its functions live only as long as it
            self._function = self._loaded.signatures["serving_default"]
            ((self._input, spec),) = self._function.structured_input_signature[1].items()
            ((self._output, _),) = self._function.structured_outputs.items()
            shape, self._dtype = tuple(spec.shape), spec.dtype
        except Exception as error:  # of damaged files TensorFlow raises nearly anything
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])[:160]
            raise ValueError(
                f"{self._name}: cannot be used as background model ({reason}); expected a signature serving_default "
                "with one input and one output"
            ) from None
        if len(shape) != 4 or shape[3] != 3 or self._dtype not in (tf.uint8, tf.float32) or shape[0] not in (None, 1):
            raise ValueError(
                f"{self._name}: takes {self._dtype.name} {printable(str(shape))}; expected pictures [B, H, W, 3] in "
                "uint8, or in float32 from 0 to 1"
            )
        self._tile: Tuple[int, int] = (shape[1] or _TILE, shape[2] or _TILE)
        if min(self._tile) <= 2 * _OVERLAP:
            raise ValueError(f"{self._name}: takes pictures of {self._tile} px; expected more than {2 * _OVERLAP} px")
        made = self._run(np.zeros([*self._tile, 3], np.uint8))
        factors = {made.shape[axis] / self._tile[axis] for axis in (0, 1)}
        if len(factors) > 1 or not factors <= set(range(1, _LARGEST_FACTOR + 1)):
            raise ValueError(
                f"{self._name}: makes {made.shape[1]} x {made.shape[0]} px of {self._tile[1]} x {self._tile[0]}; "
                f"expected 1 to {_LARGEST_FACTOR} times as many"
            )

    def __call__(self, image: Image.Image) -> Image.Image:
        colours = image if image.mode == "RGB" else image.convert("RGB")
        made = Image.new("RGB", (image.size[0] * self._upscale, image.size[1] * self._upscale))
        width, height = image.size
        steps = [length - 2 * _OVERLAP for length in self._tile]
        for top in range(0, height, steps[0]):
            for left in range(0, width, steps[1]):
                core = (left, top, min(left + steps[1], width), min(top + steps[0], height))
                made.paste(self._part(colours, core), (left * self._upscale, top * self._upscale))
        if image.mode in ("L", "LA"):
            made = made.convert("L")
        if image.mode in ("LA", "RGBA"):
            made.putalpha(enlarged(image.getchannel("A"), self._upscale))
        return made

    def _part(self, image: Image.Image, core: Tuple[int, int, int, int]) -> Image.Image:
        """What becomes of the part in `core`, at the upscale; the model sees more around it."""
        rows, columns = self._tile
        left, top = core[0] - _OVERLAP, core[1] - _OVERLAP
        seen = (max(0, left), max(0, top), min(left + columns, image.size[0]), min(top + rows, image.size[1]))
        before = (seen[1] - top, seen[0] - left)
        after = (top + rows - seen[3], left + columns - seen[2])
        pixels = np.asarray(image.crop(seen))
        pixels = np.pad(pixels, ((before[0], after[0]), (before[1], after[1]), (0, 0)), mode="edge")
        made = Image.fromarray(self._run(pixels))
        factor = made.size[0] // columns
        size = ((core[2] - core[0]) * self._upscale, (core[3] - core[1]) * self._upscale)
        edges = (core[0] - left, core[1] - top, core[2] - left, core[3] - top)
        box = (edges[0] * factor, edges[1] * factor, edges[2] * factor, edges[3] * factor)
        return made.resize(size, Image.Resampling.LANCZOS, box=box)

    def _run(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        import tensorflow as tf

        batch = tf.constant(pixels[None])
        if self._dtype != tf.uint8:
            batch = tf.cast(batch, tf.float32) / 255.0
        try:
            made = self._function(**{self._input: batch})[self._output].numpy()
        except tf.errors.OpError as error:
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])[:160]
            raise ValueError(f"{self._name}: the background model failed ({reason})") from None
        if made.ndim != 4 or len(made) != 1 or made.shape[3] != 3 or made.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f"{self._name}: makes {made.dtype} {list(made.shape)} of one picture; expected [1, H, W, 3] in uint8, "
                "or in float32 from 0 to 1"
            )
        if made.dtype != np.uint8:
            made = np.rint(np.clip(np.nan_to_num(made), 0.0, 1.0) * 255.0).astype(np.uint8)
        return np.asarray(made[0])


def background(path: Optional[Path], upscale: int) -> Enlarge:
    """What enlarges a photo: the SavedModel at `path`, or Lanczos."""
    return lanczos(upscale) if path is None else BackgroundModel(path, upscale)
