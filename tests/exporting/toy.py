"""A network of a few layers that has what is hard to export: choices of codes, deformable convolution, group norm."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import DeformableConv2D, GroupNormSwish
from rethink_fr.runs.loading import LoadedRun
from rethink_fr.system import Inference

SIDE, CHANNELS = 32, 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the card tells."""

    resolution: int = SIDE


class Toy(keras.Model):
    """Features, the nearest codes, nearest-neighbour enlargement, warping, and an image."""

    def __init__(self) -> None:
        super().__init__()
        self.resolution = SIDE
        self.encoder = keras.layers.Conv2D(CHANNELS, 3, strides=2, padding="same", name="encoder")
        self.decoder = keras.layers.Conv2D(32, 3, padding="same", name="decoder")
        self.norm = GroupNormSwish(groups=4)
        self.to_offsets = keras.layers.Conv2D(3 * 2 * 9, 3, padding="same", name="to_offsets")
        self.warp = DeformableConv2D(16, deformable_groups=2)
        self.to_rgb = keras.layers.Conv2D(3, 1, name="to_rgb")
        self.codes = self.add_weight(name="codes", shape=[12, CHANNELS], initializer="random_normal")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        features = self.encoder(images)
        flat = tf.reshape(features, [-1, CHANNELS])
        distances = tf.reduce_sum(tf.square(self.codes), axis=1) - 2.0 * tf.matmul(flat, self.codes, transpose_b=True)
        chosen = tf.gather(self.codes, tf.argmin(distances, axis=1, output_type=tf.int32))
        chosen = tf.reshape(chosen, tf.shape(features))
        large = tf.image.resize(
            tf.ensure_shape(chosen, [None, SIDE // 2, SIDE // 2, CHANNELS]), [SIDE, SIDE], "nearest"
        )
        hidden = self.norm(self.decoder(large))
        offsets, mask = tf.split(self.to_offsets(hidden), [36, 18], axis=-1)
        return tf.tanh(self.to_rgb(self.warp(hidden, 3.0 * offsets, tf.sigmoid(mask))) + images)


def toy_run() -> LoadedRun:
    """The network with random weights, as a run would be loaded."""
    network = Toy()
    network(tf.zeros([1, SIDE, SIDE, 3]))
    generator = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(generator.normal(0, 0.3, weight.shape).astype(np.float32))

    def restore(images: tf.Tensor, control: object = None) -> dict[str, tf.Tensor]:
        return {"restored": network(images)}

    return LoadedRun(Settings(), Inference(network, restore, SIDE, None, None), step=0)
