"""The codes that a trained network chooses for images, as one of the networks of `evaluate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.files.checksums import file_sha256
from rethink_fr.runs.checkpoint_files import checkpoint_path
from rethink_fr.runs.loading import load_run


class CodeNetwork:
    """Call with uint8 RGB `[B, R, R, 3]`; returns the indices of the chosen codes, float32 `[B, positions]`.

    float32 holds every index of a codebook below 2 ** 24 exactly; what else `evaluate` keeps of images is float32.

    Args:
        run: directory of a run of VQFR, of either stage, or of its converted weights.

    Attributes:
        name, sha256: of the run, and of its newest checkpoint's values.
        codebook_size: number of codes.

    Raises:
        ValueError: if it cannot be loaded or has no codebook of its own for a whole image.
    """

    def __init__(self, run: Path) -> None:
        loaded = load_run(run)
        network = loaded.inference.network
        if not hasattr(network, "code_indices"):
            raise ValueError(f"{run}: this network has a codebook at every skip; expected a run of VQFR")
        checkpoint = checkpoint_path(run / "checkpoints", loaded.step)
        self.name = f"codes of {run.name}"
        self.sha256 = file_sha256(Path(f"{checkpoint}.data-00000-of-00001"))
        self.codebook_size: int = network.architecture.codebook_size
        self._resolution: int = network.resolution
        self._indices = tf.function(lambda pictures: network.code_indices(images.to_model(pictures)))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        side = self._resolution
        if pictures.shape[1:3] != (side, side):
            raise ValueError(
                f"{pictures.shape[2]} x {pictures.shape[1]} pixels, {self.name} expects {side} x {side}; "
                f"add --resize {side}"
            )
        return self._indices(tf.constant(pictures)).numpy().reshape(len(pictures), -1).astype(np.float32)
