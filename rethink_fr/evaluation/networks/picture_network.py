"""What the networks with published weights have in common: weights in, uint8 pictures in, features out."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import WHOLE, Box, check_box, check_pictures, in_batches
from rethink_fr.weights.published_network import Layers, load_network


class PictureNetwork:
    """A network with published weights that is called with uint8 pictures.

    Call with RGB `[B, H, W, 3]` of any size, one face each; what it returns, and how pictures are prepared for it, is
    said by each subclass.

    Args:
        state: published name to array in PyTorch's layout.
        sha256: of the weight file, for reports.
        crop: which part of each picture the network sees; None: the subclass's `default_crop`.

    Raises:
        TorchStateError: if `state` holds the weights of something else.
        ValueError: if the crop is empty.
    """

    name: str  # for reports
    image_shape: Tuple[int, int, int]  # of one image, as `forward` takes it
    beside: Tuple[str, ...] = ()  # how entries begin that the published file has beside the network
    default_crop: Box = WHOLE

    @staticmethod
    def forward(layers: Layers, images: tf.Tensor) -> Any:
        """The network itself; see `rethink_fr.weights.published_network`."""
        raise NotImplementedError

    def __init__(self, state: Mapping[str, np.ndarray], sha256: str, crop: Optional[Box] = None) -> None:
        self.sha256 = sha256
        self.crop = check_box(crop or self.default_crop)
        self._network = load_network(self.forward, self.image_shape, state, self.beside)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return in_batches(self._of_batch, check_pictures(images, self.name))

    def _of_batch(self, images: np.ndarray) -> np.ndarray:
        """The features of a few pictures: prepares them, and calls `self._network`."""
        raise NotImplementedError
