"""FaceNet: Inception-ResNet-v1 with the weights of facenet-pytorch."""

from __future__ import annotations

from typing import List

import numpy as np
import tensorflow as tf

from rethink_fr.evaluation.networks.crops import Box, resample_area, round_levels
from rethink_fr.evaluation.networks.picture_network import PictureNetwork
from rethink_fr.weights.published_network import Layers, max_pool

SIDE = 160

# Where a face detector (MTCNN) finds the face in FFHQ's framing: the median over 25 aligned 512 x 512 faces,
# (120, 95) to (392, 465), each side within 18 pixels of it (one standard deviation).
FACE_BOX: Box = (120 / 512, 95 / 512, 392 / 512, 465 / 512)


def forward(layers: Layers, images: tf.Tensor) -> tf.Tensor:
    """The network: from float32 `[B, 160, 160, 3]`, standardised, to `[B, 512]` of length 1."""
    features = layers.unit("conv2d_1a", images, 32, 3, strides=2)
    features = layers.unit("conv2d_2a", features, 32, 3)
    features = layers.unit("conv2d_2b", features, 64, 3, padding=1)
    features = max_pool(features, 3, 2)
    features = layers.unit("conv2d_3b", features, 80)
    features = layers.unit("conv2d_4a", features, 192, 3)
    features = layers.unit("conv2d_4b", features, 256, 3, strides=2)
    for number in range(5):
        features = block_35(layers, f"repeat_1.{number}", features)
    features = reduction_a(layers, "mixed_6a", features)
    for number in range(10):
        features = block_17(layers, f"repeat_2.{number}", features)
    features = reduction_b(layers, "mixed_7a", features)
    for number in range(5):
        features = block_8(layers, f"repeat_3.{number}", features, scale=0.2)
    features = block_8(layers, "block8", features, scale=1.0, rectified=False)
    embeddings = layers.dense("last_linear", tf.reduce_mean(features, axis=[1, 2]), 512, bias=False)
    return tf.math.l2_normalize(layers.batch_norm("last_bn", embeddings, epsilon=1e-3), axis=1)


def block_35(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """A residual block with three branches; 256 channels."""
    direct = layers.unit(f"{name}.branch0", features, 32)
    once = layers.unit(f"{name}.branch1.0", features, 32)
    once = layers.unit(f"{name}.branch1.1", once, 32, 3, padding=1)
    twice = layers.unit(f"{name}.branch2.0", features, 32)
    twice = layers.unit(f"{name}.branch2.1", twice, 32, 3, padding=1)
    twice = layers.unit(f"{name}.branch2.2", twice, 32, 3, padding=1)
    return tf.nn.relu(_residual(layers, name, features, [direct, once, twice], 0.17))


def block_17(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """A residual block with two branches, one of 1 x 7 and 7 x 1 convolutions; 896 channels."""
    direct = layers.unit(f"{name}.branch0", features, 128)
    cross = layers.unit(f"{name}.branch1.0", features, 128)
    cross = layers.unit(f"{name}.branch1.1", cross, 128, (1, 7), padding=(0, 3))
    cross = layers.unit(f"{name}.branch1.2", cross, 128, (7, 1), padding=(3, 0))
    return tf.nn.relu(_residual(layers, name, features, [direct, cross], 0.1))


def block_8(layers: Layers, name: str, features: tf.Tensor, scale: float, rectified: bool = True) -> tf.Tensor:
    """A residual block with two branches, one of 1 x 3 and 3 x 1 convolutions; 1792 channels."""
    direct = layers.unit(f"{name}.branch0", features, 192)
    cross = layers.unit(f"{name}.branch1.0", features, 192)
    cross = layers.unit(f"{name}.branch1.1", cross, 192, (1, 3), padding=(0, 1))
    cross = layers.unit(f"{name}.branch1.2", cross, 192, (3, 1), padding=(1, 0))
    outputs = _residual(layers, name, features, [direct, cross], scale)
    return tf.nn.relu(outputs) if rectified else outputs


def reduction_a(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """Halves the size: 640 new channels beside the 256 pooled old ones."""
    once = layers.unit(f"{name}.branch0", features, 384, 3, strides=2)
    twice = layers.unit(f"{name}.branch1.0", features, 192)
    twice = layers.unit(f"{name}.branch1.1", twice, 192, 3, padding=1)
    twice = layers.unit(f"{name}.branch1.2", twice, 256, 3, strides=2)
    return tf.concat([once, twice, max_pool(features, 3, 2)], axis=3)


def reduction_b(layers: Layers, name: str, features: tf.Tensor) -> tf.Tensor:
    """Halves the size: 896 new channels beside the 896 pooled old ones."""
    first = layers.unit(f"{name}.branch0.0", features, 256)
    first = layers.unit(f"{name}.branch0.1", first, 384, 3, strides=2)
    second = layers.unit(f"{name}.branch1.0", features, 256)
    second = layers.unit(f"{name}.branch1.1", second, 256, 3, strides=2)
    third = layers.unit(f"{name}.branch2.0", features, 256)
    third = layers.unit(f"{name}.branch2.1", third, 256, 3, padding=1)
    third = layers.unit(f"{name}.branch2.2", third, 256, 3, strides=2)
    return tf.concat([first, second, third, max_pool(features, 3, 2)], axis=3)


def _residual(layers: Layers, name: str, features: tf.Tensor, branches: List[tf.Tensor], scale: float) -> tf.Tensor:
    joined = tf.concat(branches, axis=3)
    return features + scale * layers.convolution(f"{name}.conv2d", joined, int(features.shape[3]))


class FaceNet(PictureNetwork):
    """Identity embedding of Inception-ResNet-v1, trained on VGGFace2 (Sandberg's facenet, 20180402-114759).

    Schroff et al. 2015 (arXiv:1503.03832) for the use, Szegedy et al. 2017 (arXiv:1602.07261) for the network. Names
    and layouts of the weights are those of facenet-pytorch's state dict.

    Call with uint8 RGB `[B, H, W, 3]` of any size, one face each, framed as in FFHQ; returns float32 `[B, 512]` of
    length 1. The crop is resized to 160 x 160 by area, whatever its shape, in 8 bits, and standardised as
    (x - 127.5) / 128. That is what facenet-pytorch does with the box that its face detector finds.

    "Rethinking Deep Face Restoration" does not say how it crops for FaceNet. Our reading: one box for all pictures,
    `FACE_BOX`, where a detector finds the face. So the distance between two pictures does not depend on what a
    detector makes of each of them.
    """

    name = "FaceNet (vggface2)"
    forward = staticmethod(forward)
    image_shape = (SIDE, SIDE, 3)
    beside = ("logits.",)  # the classifier of VGGFace2's 8631 people
    default_crop = FACE_BOX

    def _of_batch(self, images: np.ndarray) -> np.ndarray:
        levels = round_levels(resample_area(images, self.crop, SIDE, SIDE))
        return self._network(tf.constant(levels / 128.0 - 255.0 / 256.0)).numpy()
