"""The encoder: an image to features at every octave and a latent vector."""

from __future__ import annotations

from typing import NamedTuple, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import AttentionPooling, ResBlock
from rethink_fr.models.channels import ENCODER_CHANNELS, encoder_resolutions, scaled


class Encoding(NamedTuple):
    """What the encoder returns."""

    features: Tuple[tf.Tensor, ...]  # one [B, h, h, C_enc(h)] per octave, h = R / 2 first, 4 last
    latent: tf.Tensor  # [B, C_enc(4)]


class Encoder(keras.Model):
    """One ResBlock an octave down to 4x4, then attention pooling.

    "Rethinking Deep Face Restoration", Table 4 and Fig. 2.

    Call with images float32 `[B, R, R, 3]` in [-1, 1]; returns an `Encoding`.

    Args:
        resolution: R, a power of two from 32 to 1024.
        width: factor on every number of channels.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.resolutions = encoder_resolutions(resolution)
        self.blocks = [
            ResBlock(scaled(ENCODER_CHANNELS[side], width), name=f"block_{side}") for side in self.resolutions
        ]
        self.pooling = AttentionPooling()

    def call(self, images: tf.Tensor) -> Encoding:
        features = []
        current = images
        for block in self.blocks:
            current = block(current)
            features.append(current)
        return Encoding(tuple(features), self.pooling(current))
