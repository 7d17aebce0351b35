"""ArcFace with ResNet-18: the identity network of VQFR's published evaluation ("Deg.")."""

from __future__ import annotations

from typing import Mapping

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import (
    WHOLE,
    Box,
    check_box,
    check_pictures,
    grey,
    in_batches,
    resample,
    round_levels,
)
from rethink_fr.evaluation.networks.torch_network import Layers, flatten, load_network, max_pool
from rethink_fr.images import to_model

SIDE = 128
_STAGES = (("layer1", 64), ("layer2", 128), ("layer3", 256), ("layer4", 512))
_BLOCKS = 2


class ArcFace:
    """Identity embedding of `resnet_face18` of arcface-pytorch, without squeeze-and-excitation.

    Deng et al. 2019 (arXiv:1801.07698). Names and layouts are those of its state dict, the leading `module.` taken off;
    GFPGAN and VQFR carry the same network as `ResNetArcFace`.

    Call with uint8 RGB `[B, H, W, 3]` of any size, one face each; returns float32 `[B, 512]`, of any length. Done as in
    VQFR's evaluation: grey first, then the whole picture to 128 x 128 bilinearly in 8 bits, then [-1, 1]. There grey
    comes from an image library's reader, which may round a pixel to the next level.

    Args:
        state: published name to array in PyTorch's layout.
        sha256: of the weight file.
        crop: what of the picture is shown to the network.

    Raises:
        WeightsError: if `state` is something else.
        ValueError: if the crop is empty.
    """

    name = "ArcFace (ResNet-18, grey)"

    def __init__(self, state: Mapping[str, np.ndarray], sha256: str, crop: Box = WHOLE) -> None:
        self.sha256 = sha256
        self.crop = check_box(crop)
        self._network = load_network(forward, [SIDE, SIDE, 1], state)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return in_batches(self._embed, check_pictures(images, self.name))

    def _embed(self, images: np.ndarray) -> np.ndarray:
        levels = round_levels(resample(grey(images), self.crop, SIDE, SIDE))
        return self._network(to_model(levels)).numpy()


def forward(layers: Layers, images: tf.Tensor) -> tf.Tensor:
    """float32 `[B, 128, 128, 1]` in [-1, 1] to `[B, 512]`."""
    features = layers.convolution("conv1", images, 64, 3, padding=1, bias=False)
    features = layers.prelu("prelu", layers.batch_norm("bn1", features))
    features = max_pool(features, 2, 2)
    for number, (stage, filters) in enumerate(_STAGES):
        for block in range(_BLOCKS):
            strides = 2 if number > 0 and block == 0 else 1
            features = residual_block(layers, f"{stage}.{block}", features, filters, strides)
    features = layers.batch_norm("bn4", features)
    return layers.batch_norm("bn5", layers.dense("fc5", flatten(features), 512))


def residual_block(layers: Layers, name: str, features: tf.Tensor, filters: int, strides: int) -> tf.Tensor:
    """The paper's improved residual unit; its one PReLU is used inside and at the end."""
    channels = int(features.shape[3])
    outputs = layers.batch_norm(f"{name}.bn0", features)
    outputs = layers.convolution(f"{name}.conv1", outputs, channels, 3, padding=1, bias=False)
    outputs = layers.prelu(f"{name}.prelu", layers.batch_norm(f"{name}.bn1", outputs))
    outputs = layers.convolution(f"{name}.conv2", outputs, filters, 3, strides, padding=1, bias=False)
    outputs = layers.batch_norm(f"{name}.bn2", outputs)
    if strides != 1 or channels != filters:
        features = layers.convolution(f"{name}.downsample.0", features, filters, 1, strides, bias=False)
        features = layers.batch_norm(f"{name}.downsample.1", features)
    return layers.prelu(f"{name}.prelu", outputs + features)
