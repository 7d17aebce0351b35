"""A network of one's own for perceptual distances, loaded from a file or folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import List

import numpy as np
import tensorflow as tf

from rethink_fr.files.checksums import file_sha256
from rethink_fr.losses.feature_network import load_feature_network


class PerceptualNet:
    """Gives the feature maps that perceptual distances compare.

    Call with float32 RGB images `[B, H, W, 3]` in [-1, 1]; returns float32 maps `[B, h, w, C]`.

    Args:
        path: of a file or folder that `load_feature_network` takes.

    Attributes:
        name: of the network, for reports.
        sha256: of the file, or of the checksums of all files of the folder.

    Raises:
        ValueError: if it cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self._network = load_feature_network(str(path))
        self.name = self._network.title
        if path.is_dir():
            sums = [file_sha256(file) for file in sorted(path.rglob("*")) if file.is_file()]
            self.sha256 = hashlib.sha256("".join(sums).encode("ascii")).hexdigest()
        else:
            self.sha256 = file_sha256(path)

    def __call__(self, images: np.ndarray) -> List[np.ndarray]:
        try:
            return [one.numpy() for one in self._network(tf.constant(images, tf.float32))]
        except (ValueError, TypeError, tf.errors.OpError) as error:  # too small, or of a size that it does not take
            _, rows, columns, _ = images.shape
            reason = str(error).strip().splitlines()[0][:120]
            raise ValueError(
                f"{columns} x {rows} pixels, which {self.name} does not take ({reason}); add --resize"
            ) from None
