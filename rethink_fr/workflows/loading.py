"""A trained restorer from wherever it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional, Tuple, Union

import tensorflow as tf

from rethink_fr.config import load_config
from rethink_fr.models import Restorer
from rethink_fr.training.checkpoints import load_average
from rethink_fr.workflows.build import build_restorer


class LoadedRestorer:
    """A restorer ready for use: draws the noise that the network takes as an input.

    Attributes:
        resolution: side R of the images it takes.
        noise_shape: `(1 + n_skips, C)` of the noise of one image.
    """

    def __init__(
        self,
        restore: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        resolution: int,
        noise_shape: Tuple[int, int],
        source: Any,
    ) -> None:
        self.resolution = resolution
        self.noise_shape = noise_shape
        self._restore = restore
        self._source = source  # a SavedModel's functions live only as long as the loaded object

    def __call__(
        self, images: tf.Tensor, noise: Optional[tf.Tensor] = None, noise_scale: float = 1.0, seed: int = 0
    ) -> tf.Tensor:
        """Restore images.

        Args:
            images: float32 `[B, R, R, 3]` RGB in [-1, 1].
            noise: `[B, *noise_shape]`; drawn from `seed` if None, see `draw_noise`.
            noise_scale: 0 (one deterministic answer) to 1 (the full distribution).
            seed: integer.

        Returns:
            float32 `[B, R, R, 3]`, nominally in [-1, 1], not clipped.

        Raises:
            ValueError: if the shape of the images or the noise scale does not fit.
        """
        images = tf.convert_to_tensor(images, tf.float32)
        expected = [None, self.resolution, self.resolution, 3]
        if not images.shape.is_compatible_with(expected):
            raise ValueError(f"images are {images.shape}, expected [B, {self.resolution}, {self.resolution}, 3]")
        if not 0.0 <= noise_scale <= 1.0:
            raise ValueError(f"noise_scale is {noise_scale}, expected 0 to 1")
        if noise is None:
            noise = self.draw_noise(seed, len(images))
        return self._restore(images, tf.convert_to_tensor(noise, tf.float32) * noise_scale)

    def draw_noise(self, seed: int, count: int) -> tf.Tensor:
        """Noise for `count` images, `[count, *noise_shape]`: the k-th depends on `seed` and k only."""
        draws = [tf.random.stateless_normal(self.noise_shape, [seed, number]) for number in range(count)]
        return tf.stack(draws) if draws else tf.zeros([0, *self.noise_shape])


def load_restorer(path_or_name: Union[str, Path]) -> LoadedRestorer:
    """The restorer of a run directory (its averaged weights) or of an exported SavedModel.

    Args:
        path_or_name: a directory, or the name of one in `runs/`, where `rethink-fr train` leaves them.

    Raises:
        ValueError: if there is none, or it cannot be read.
    """
    path = Path(path_or_name)
    if not path.exists() and (Path("runs") / path).is_dir():
        path = Path("runs") / path
    if (path / "saved_model.pb").is_file():
        return _from_saved_model(path)
    if (path / "config.yaml").is_file():
        return _from_run(path)
    raise ValueError(
        f"{path}: no model here; expected a run directory made by `rethink-fr train` or a SavedModel made by "
        "`rethink-fr export`"
    )


def _from_run(path: Path) -> LoadedRestorer:
    restorer = build_restorer(load_config(path / "config.yaml").model)
    load_average(path / "checkpoints", restorer)
    return LoadedRestorer(inference_function(restorer), restorer.resolution, restorer.noise_shape, restorer)


def inference_function(restorer: Restorer) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """`(images, noise) -> restored images` of a network, as a graph."""
    return tf.function(lambda images, noise: restorer(images, noise).image, reduce_retracing=True)


def _from_saved_model(path: Path) -> LoadedRestorer:
    try:
        loaded = tf.saved_model.load(str(path))
        images, noise = loaded.restore.concrete_functions[0].structured_input_signature[0]
    except (OSError, ValueError, AttributeError, tf.errors.OpError) as error:
        raise ValueError(f"{path}: not a SavedModel of `rethink-fr export` ({str(error).splitlines()[0]})") from None
    return LoadedRestorer(loaded.restore, images.shape[1], tuple(noise.shape[1:]), loaded)
