"""What measurements ask of networks that look at faces: pictures in, features or landmarks out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rethink_fr.metrics.perceptual import PerceptualNetwork


class Embedder(Protocol):
    """A network that turns pictures into vectors: of a person's identity, or of what an image looks like.

    Call with uint8 RGB `[B, H, W, 3]` of any one size; returns float32 `[B, D]`.
    """

    name: str  # for reports, such as "FaceNet (vggface2)"
    sha256: str  # of the weight file

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of `images`, one row each."""


class LandmarkNetwork(Protocol):
    """A network that finds the landmarks of a face.

    Call with uint8 RGB `[B, H, W, 3]` of any one size, one face each, framed as in FFHQ; returns float32 `[B, L, 2]`,
    (x, y) in pixels of these images.
    """

    name: str
    sha256: str

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Landmarks of each face."""


class NamedPerceptualNetwork(PerceptualNetwork, Protocol):
    """A network for LPIPS, see `metrics.perceptual`, that can be named in a report."""

    name: str
    sha256: str
