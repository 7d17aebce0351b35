"""The codes that a trained VQFR chooses for pictures, as the features of one of `evaluate`'s networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from rethink_fr import images
from rethink_fr.files.checksums import file_sha256
from rethink_fr.runs.checkpoint_files import checkpoint_path
from rethink_fr.runs.loading import load_run


class CodeNetwork:
    """Gives the index of the code that a network chooses at each position.

    Call with uint8 RGB `[B, R, R, 3]` of the network's resolution R; returns float32 `[B, positions]`, as the other
    networks do. That is exact: float32 holds all integers up to 2 ** 24, and codebooks have fewer codes.

    Args:
        run: directory of a run of VQFR, of either stage, or of converted published weights.

    Attributes:
        name: of the run, for reports.
        sha256: of its newest checkpoint's values.
        codebook_size: number of codes.

    Raises:
        ValueError: if the run cannot be loaded, or its network does not have one codebook for the whole image.
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
