"""ArcFace with ResNet-18: the identity network of VQFR's published evaluation ("Deg.")."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import grey, resample, round_levels
from rethink_fr.evaluation.networks.picture_network import PictureNetwork
from rethink_fr.images import to_model
from rethink_fr.weights.published_network import Layers, flatten, max_pool

SIDE = 128
_STAGES = (("layer1", 64), ("layer2", 128), ("layer3", 256), ("layer4", 512))
_BLOCKS = 2


def forward(layers: Layers, images: tf.Tensor) -> tf.Tensor:
    """The network: from float32 `[B, 128, 128, 1]` in [-1, 1] to `[B, 512]`."""
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
    """The "improved residual unit" of the paper. It has one PReLU, which is used both inside and at the end."""
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


class ArcFace(PictureNetwork):
    """Identity embedding of `resnet_face18` of arcface-pytorch, without squeeze-and-excitation.

    Deng et al. 2019 (arXiv:1801.07698). Names and layouts of the weights are those of its state dict without the
    leading `module.`; GFPGAN and VQFR carry the same network as `ResNetArcFace`.

    Call with uint8 RGB `[B, H, W, 3]` of any size, one face each; returns float32 `[B, 512]`, of any length. As in
    VQFR's evaluation, the picture is made grey first, then resized as a whole to 128 x 128 bilinearly in 8 bits, then
    brought to [-1, 1]. There an image library's reader makes it grey, which may round a pixel to the next level.
    """

    name = "ArcFace (ResNet-18, grey)"
    forward = staticmethod(forward)
    image_shape = (SIDE, SIDE, 1)

    def _of_batch(self, images: np.ndarray) -> np.ndarray:
        levels = round_levels(resample(grey(images), self.crop, SIDE, SIDE))
        return self._network(to_model(levels)).numpy()
