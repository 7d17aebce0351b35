"""Loads a restorer from wherever it is kept, a run directory or a SavedModel, as something to call with images."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from rethink_fr import images as ranges
from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.inference.saved_model import read_saved_model
from rethink_fr.ops.tensor_float_32 import allow_tensor_float_32
from rethink_fr.runs.loading import load_run
from rethink_fr.runs.mirror import local_model
from rethink_fr.runs.shipped import CARD, load_shipped, shipped_folder, shipped_models
from rethink_fr.system import Inference, Precision

_FIDELITY = 1.0  # the value VQFR is trained with
_TOLERANCE = 1e-3  # of the range of images: an eighth of a level
_FROM_UINT8 = "uint8 pictures (0 to 255) become such by images / 127.5 - 1"
_BATCH = 4  # samples of one picture that are restored at a time


class LoadedRestorer:
    """A restorer that is ready for use. It checks what it is called with, and draws the noise that its network needs.

    Example:
        restorer = rethink_fr.load_restorer("runs/faces")
        restored = restorer(images, noise_scale=1.0, seed=0)

    Attributes:
        resolution: side R of the images that it is made for, in pixels.
        noise_shape: `(1 + n_skips, C)`, the shape of the noise for one image; None if it takes none (VQFR).
        takes_fidelity: whether it has a fidelity (VQFR version 2).
        has_texture: whether it also makes a second image, of textures only (VQFR).
    """

    def __init__(self, inference: Inference) -> None:
        self.resolution = inference.resolution
        self.noise_shape = inference.control_shape[1:] if inference.control == "noise" else None
        self.takes_fidelity = inference.control == "fidelity"
        self.has_texture = inference.has_texture
        self._check_shape = inference.check_shape
        self._restore = inference.function
        self._source = inference.network  # a SavedModel's functions live only as long as the loaded object

    def __call__(
        self,
        images: tf.Tensor,
        noise: Optional[tf.Tensor] = None,
        noise_scale: float = 1.0,
        seed: int = 0,
        fidelity: Optional[float] = None,
    ) -> tf.Tensor:
        """Restore images.

        Args:
            images: float32 `[B, R, R, 3]` RGB in [-1, 1]; VQFR version 1 takes other sizes too. uint8 pictures become
                such by `images / 127.5 - 1`.
            noise: `[B, *noise_shape]`; None means that it is drawn from `seed`, see `draw_noise`.
            noise_scale: 0 (one deterministic answer) to 1 (the full distribution).
            seed: integer.
            fidelity: VQFR version 2 only: 0 (the texture image) to 1; None stands for 1.

        Returns:
            float32 in the shape of the images, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: if the shape or the values of the images, the noise scale or the fidelity do not fit. (While a
                graph is traced there are no values to look at.)
        """
        return self.restore(images, noise, noise_scale, seed, fidelity)["restored"]

    def restore(
        self,
        images: tf.Tensor,
        noise: Optional[tf.Tensor] = None,
        noise_scale: float = 1.0,
        seed: int = 0,
        fidelity: Optional[float] = None,
    ) -> Dict[str, tf.Tensor]:
        """Restore images and return all that is made of them by name: `restored`, and `texture` if `has_texture`.

        Arguments and errors are those of a call.
        """
        images = _checked_values(images)
        if self._check_shape is not None:
            # Here, where every size is known: a graph that serves several sizes does not know them.
            self._check_shape(tuple(images.shape))
        elif not images.shape.is_compatible_with([None, self.resolution, self.resolution, 3]):
            raise ValueError(f"images are {images.shape}, expected [B, {self.resolution}, {self.resolution}, 3]")
        if not 0.0 <= noise_scale <= 1.0:
            raise ValueError(f"noise_scale is {noise_scale}, expected 0 to 1")
        if fidelity is not None:
            self.check_fidelity(fidelity)
        if self.noise_shape is None:
            if noise is not None:
                raise ValueError("noise is given, but this restorer takes none: its answer is deterministic")
            if not self.takes_fidelity:
                return self._restore(images)
            return self._restore(images, tf.constant(_FIDELITY if fidelity is None else fidelity, tf.float32))
        if noise is None:
            noise = self.draw_noise(seed, len(images))
        return self._restore(images, tf.convert_to_tensor(noise, tf.float32) * noise_scale)

    def restore_picture(
        self,
        picture: npt.NDArray[np.uint8],
        noise: Optional[npt.NDArray[np.float32]],
        noise_scale: float = 1.0,
        fidelity: Optional[float] = None,
    ) -> Dict[str, npt.NDArray[np.uint8]]:
        """Restore one uint8 picture `[R, R, 3]` several times, once with each row of `noise` (None: once).

        Returns:
            `restored`, and `texture` if `has_texture`: uint8 `[len(noise), R, R, 3]`, or `[1, R, R, 3]` without noise.

        Raises:
            ValueError: as a call.
        """
        made: Dict[str, List[npt.NDArray[np.uint8]]] = {}
        for start in range(0, 1 if noise is None else len(noise), _BATCH):
            part = None if noise is None else noise[start : start + _BATCH]
            repeated = np.repeat(picture[None], 1 if part is None else len(part), axis=0)
            images = self.restore(ranges.to_model(repeated), part, noise_scale, fidelity=fidelity)
            for name, image in images.items():
                made.setdefault(name, []).append(ranges.to_uint8(image).numpy())
        return {name: np.concatenate(parts) for name, parts in made.items()}

    def check_fidelity(self, fidelity: float) -> None:
        """Refuse a fidelity that is out of range, or one for a restorer that has none.

        Raises:
            ValueError: naming what was expected.
        """
        if not self.takes_fidelity:
            raise ValueError("fidelity is given, but only VQFR version 2 has one; leave it out")
        if not 0.0 <= fidelity <= 1.0:
            raise ValueError(f"fidelity is {fidelity}, expected 0 to 1")

    def draw_noise(self, seed: int, count: int, of: Optional[npt.NDArray[np.uint8]] = None) -> tf.Tensor:
        """Draw noise from N(0, 1), float32 `[count, *noise_shape]`.

        Args:
            seed: integer.
            count: number of draws.
            of: a picture, uint8 `[R, R, 3]`, whose samples the draws are for: row k depends on `seed`, k and the
                picture's pixels. Without it row k depends on `seed` and k only.

        Raises:
            ValueError: if this restorer takes no noise.
        """
        if self.noise_shape is None:
            raise ValueError("this restorer takes no noise: its answer is deterministic")
        draws = [tf.random.stateless_normal(self.noise_shape, _noise_seed(seed, number, of)) for number in range(count)]
        return tf.stack(draws) if draws else tf.zeros([0, *self.noise_shape])


def load_restorer(path_or_name: Union[str, Path], precision: Precision = "float32") -> LoadedRestorer:
    """Load the restorer of a run directory (its averaged weights) or of an exported SavedModel.

    Args:
        path_or_name: a directory, an address on an object store, the name of a directory in `runs/`, where
            `rethink-fr train` puts them, or "mini128", the network that comes with the package. Its weights are for
            non-commercial research, which is said on stderr.
        precision: in which convolutions multiply; "bfloat16" does not work for a SavedModel. "tf32" lets GPUs use
            TensorFloat-32, and the others forbid it, in the whole process from now on.

    Raises:
        ValueError: if there is no restorer, it cannot be read, or it does not compute in that precision.
    """
    allow_tensor_float_32(precision == "tf32")
    path = Path(path_or_name)
    if is_remote(path):
        with local_model(path) as folder:
            return _load_folder(folder, path, precision)
    if not path.exists() and (Path("runs") / path).is_dir():
        path = Path("runs") / path
    shipped = None if path.exists() else shipped_folder(str(path_or_name))
    if shipped is not None:
        print(
            f"{path}: trained on faces that are for research only, and so are its weights; see {shipped / CARD}",
            file=sys.stderr,
        )
        return _traced(load_shipped(shipped, precision).inference)
    return _load_folder(path, path, precision)


def _load_folder(path: Path, given: Path, precision: Precision) -> LoadedRestorer:
    if (path / "saved_model.pb").is_file():
        if precision == "bfloat16":
            raise ValueError(
                f"{printable(given)}: a SavedModel computes in the precision it was exported in; leave --precision out"
            )
        return LoadedRestorer(read_saved_model(path, given))
    if (path / "config.yaml").is_file():
        return _traced(load_run(path, precision).inference)
    raise ValueError(
        f"{printable(given)}: no model here; expected a run directory made by `rethink-fr train`, a SavedModel made by "
        f"`rethink-fr export`, or the name of a model that comes with the package: {', '.join(shipped_models())}"
    )


def _traced(inference: Inference) -> LoadedRestorer:
    return LoadedRestorer(inference._replace(function=tf.function(inference.function, reduce_retracing=True)))


def _noise_seed(seed: int, number: int, picture: Optional[npt.NDArray[np.uint8]]) -> List[int]:
    """The two numbers that a stateless random operation takes."""
    if picture is None:
        return [seed, number]
    pixels = hashlib.sha256(picture.tobytes()).digest()
    digest = hashlib.sha256(f"{seed} {number} {picture.shape} ".encode("ascii") + pixels).digest()
    return [int.from_bytes(digest[start : start + 8], "little", signed=True) for start in (0, 8)]


def _checked_values(images: Any) -> tf.Tensor:
    """The images as a float32 tensor.

    Raises:
        ValueError: if they are integers, or any value is outside [-1, 1] or not a number.
    """
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise ValueError(f"images are {images.dtype.name}, expected float32 in [-1, 1]; {_FROM_UINT8}")
    images = tf.cast(images, tf.float32)
    if tf.is_symbolic_tensor(images) or tf.reduce_all(tf.abs(images) <= 1.0 + _TOLERANCE):
        return images
    if tf.reduce_any(tf.math.is_nan(images)):
        raise ValueError("images hold values that are not numbers (NaN), expected float32 in [-1, 1]")
    low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    raise ValueError(f"images have values from {low:g} to {high:g}, expected -1 to 1; {_FROM_UINT8}, or clip them")
