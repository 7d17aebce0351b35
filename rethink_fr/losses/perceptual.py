"""Feature and style losses on VGG-19: Eqs. 14 and 15 of "Rethinking Deep Face Restoration"."""

from __future__ import annotations

from typing import List, Sequence

import tensorflow as tf
from tensorflow import keras

from rethink_fr.images import to_levels

TAPPED_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv4", "block4_conv4", "block5_conv4")
_CHANNEL_MEANS_BGR = (103.939, 116.779, 123.68)


def vgg19_features(vgg: keras.Model, preprocessed: tf.Tensor) -> List[tf.Tensor]:
    """Features of VGG-19 before the ReLUs of conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4: our reading of the paper.

    Args:
        vgg: `keras.applications.VGG19(include_top=False)`.
        preprocessed: images `[B, H, W, 3]` as `preprocess` returns them.

    Returns:
        Five maps `[B, h, w, C]`.
    """
    taps = []
    features = preprocessed
    for layer in vgg.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # Keras computes the ReLU within its convolutions, but the value before it is needed.
            features = tf.nn.bias_add(tf.nn.conv2d(features, layer.kernel, 1, "SAME"), layer.bias)
            if layer.name in TAPPED_LAYERS:
                taps.append(features)
                if len(taps) == len(TAPPED_LAYERS):
                    break
            features = tf.nn.relu(features)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            features = tf.nn.max_pool2d(features, 2, 2, "VALID")
    return taps


def preprocess(images: tf.Tensor) -> tf.Tensor:
    """RGB images in [-1, 1] as Keras' `imagenet` weights expect them: BGR, 0..255, less the channels' means."""
    return to_levels(images[..., ::-1]) - tf.constant(_CHANNEL_MEANS_BGR, images.dtype)


def feature_differences(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Eq. 14 for each map `[B, H, W, C]`: the mean squared difference of features; a scalar each."""
    return [tf.reduce_mean(tf.math.squared_difference(one, other)) for one, other in zip(clean, restored)]


def style_differences(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Eq. 15 for each map `[B, H, W, C]`: the squared Frobenius distance of Gram matrices, averaged over the batch."""
    return [
        tf.reduce_mean(tf.reduce_sum(tf.square(gram_matrix(one) - gram_matrix(other)), axis=[1, 2]))
        for one, other in zip(clean, restored)
    ]


class RelativeTerm(tf.Module):
    """A perceptual term relative to that of degraded images: the weights of Eqs. 14 and 15, by a rule.

    The paper gives each feature map a weight and does not say which. The distances of two maps differ by orders of
    magnitude, and those of two networks even more. Our reading: a map's distance is divided by the mean one between
    degraded and clean images, and the term is the mean over the maps. A degraded image then has the value 1, to which
    every map contributes equally, whatever the network.

    Args:
        maps: number of feature maps.
    """

    def __init__(self, maps: int) -> None:
        super().__init__(name="relative_term")
        self.sums = self._state("sums", [maps])
        self.count = self._state("count", [])

    def measure(self, distances: Sequence[tf.Tensor]) -> None:
        """Take in the distances of one batch of degraded images, a scalar for each map. Call it in replica context."""
        replica = tf.distribute.get_replica_context()
        self.sums.assign_add(replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(distances)))
        self.count.assign_add(1.0)

    def of(self, distances: Sequence[tf.Tensor]) -> tf.Tensor:
        """The term for the distances of restored images, a scalar for each map. `measure` must have been called."""
        return tf.reduce_mean(tf.stack(distances) * tf.math.divide_no_nan(self.count, self.sums))

    @staticmethod
    def _state(name: str, shape: Sequence[int]) -> tf.Variable:
        return tf.Variable(
            tf.zeros(shape), trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA, name=name
        )


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Inner products of channels over all positions, divided by C*H*W: from `[B, H, W, C]` to `[B, C, C]`."""
    channels = features.shape[-1]
    flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])
    elements = tf.cast(tf.shape(flat)[1] * channels, features.dtype)
    return tf.matmul(flat, flat, transpose_a=True) / elements
