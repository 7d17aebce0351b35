"""A restorer from wherever it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple, Union

import tensorflow as tf

from rethink_fr.files.addresses import is_remote
from rethink_fr.files.names import printable
from rethink_fr.runs.loading import load_run
from rethink_fr.runs.mirror import local_model
from rethink_fr.system import Inference, Precision

_FIDELITY = 1.0  # the value VQFR is trained with
_TOLERANCE = 1e-3  # of the range of images: an eighth of a level
_FROM_UINT8 = "uint8 pictures (0 to 255) become such by images / 127.5 - 1"


class LoadedRestorer:
    """A restorer ready for use: draws the noise that the network takes as an input.

    Attributes:
        resolution: side R of the images it is made for.
        noise_shape: `(1 + n_skips, C)` of the noise of one image; None if it takes none (VQFR).
        takes_fidelity: whether it has a fidelity (VQFR version 2).
        has_texture: whether there is a second, texture image (VQFR).
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
            noise: `[B, *noise_shape]`; drawn from `seed` if None, see `draw_noise`.
            noise_scale: 0 (one deterministic answer) to 1 (the full distribution).
            seed: integer.
            fidelity: VQFR version 2 only: 0 (the texture image) to 1, which None stands for.

        Returns:
            float32, shape of the images, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: if the shape or the values of the images, the noise scale or the fidelity do not fit. (Values
                are not looked at while a graph is built.)
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
        """As a call, but all images by name: `restored`, and `texture` if `has_texture`."""
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

    def check_fidelity(self, fidelity: float) -> None:
        """Refuse a fidelity out of range, or one for a restorer that has none.

        Raises:
            ValueError: naming what was expected.
        """
        if not self.takes_fidelity:
            raise ValueError("fidelity is given, but only VQFR version 2 has one; leave it out")
        if not 0.0 <= fidelity <= 1.0:
            raise ValueError(f"fidelity is {fidelity}, expected 0 to 1")

    def draw_noise(self, seed: int, count: int) -> tf.Tensor:
        """Noise for `count` images, `[count, *noise_shape]`: the k-th depends on `seed` and k only."""
        if self.noise_shape is None:
            raise ValueError("this restorer takes no noise: its answer is deterministic")
        draws = [tf.random.stateless_normal(self.noise_shape, [seed, number]) for number in range(count)]
        return tf.stack(draws) if draws else tf.zeros([0, *self.noise_shape])


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


def load_restorer(path_or_name: Union[str, Path], precision: Precision = "float32") -> LoadedRestorer:
    """The restorer of a run directory (its averaged weights) or of an exported SavedModel.

    Args:
        path_or_name: a directory, an address on an object store, or the name of a directory in `runs/`, where
            `rethink-fr train` leaves them.
        precision: of products; "bfloat16" is for VQFR's run directories.

    Raises:
        ValueError: if there is none, it cannot be read, or it does not compute in that precision.
    """
    path = Path(path_or_name)
    if is_remote(path):
        with local_model(path) as folder:
            return _load_folder(folder, path, precision)
    if not path.exists() and (Path("runs") / path).is_dir():
        path = Path("runs") / path
    return _load_folder(path, path, precision)


def _load_folder(path: Path, given: Path, precision: Precision) -> LoadedRestorer:
    if (path / "saved_model.pb").is_file():
        if precision != "float32":
            raise ValueError(
                f"{printable(given)}: a SavedModel computes in the precision it was exported in; leave --precision out"
            )
        return _from_saved_model(path, given)
    if (path / "config.yaml").is_file():
        inference = load_run(path, precision).inference
        return LoadedRestorer(inference._replace(function=tf.function(inference.function, reduce_retracing=True)))
    raise ValueError(
        f"{printable(given)}: no model here; expected a run directory made by `rethink-fr train` or a SavedModel made "
        "by `rethink-fr export`"
    )


def _from_saved_model(path: Path, given: Path) -> LoadedRestorer:
    try:
        loaded: Any = tf.saved_model.load(str(path))
        function = loaded.restore
        images, *controls = function.concrete_functions[0].structured_input_signature[0]
        outputs = function.concrete_functions[0].structured_outputs
        control = controls[0].name if controls else None
    except (OSError, ValueError, AttributeError, tf.errors.OpError) as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise ValueError(f"{printable(given)}: not a SavedModel of `rethink-fr export` ({reason})") from None
    shape: Tuple[Optional[int], ...] = tuple(controls[0].shape) if controls else ()
    has_texture = isinstance(outputs, dict) and "texture" in outputs
    return LoadedRestorer(Inference(loaded, _by_name(function), images.shape[1], None, control, shape, has_texture))


def _by_name(function: Callable[..., Any]) -> Callable[..., Dict[str, tf.Tensor]]:
    """An exported function, with its only image named if it gives only one."""

    def restore(*inputs: tf.Tensor) -> Dict[str, tf.Tensor]:
        outputs = function(*inputs)
        return outputs if isinstance(outputs, dict) else {"restored": outputs}

    return restore
