"""Creating the variables of a network before it is used."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

_ANY_RESOLUTION = 512  # for networks that take images of any size


def create_variables(network: keras.Model) -> None:
    """Create the variables of a network of images, unless it has them already.

    The network is traced once, for one image of its `resolution` and its number of `channels`; nothing is computed.
    """
    if not network.built:
        side = getattr(network, "resolution", _ANY_RESOLUTION)
        channels = getattr(network, "channels", 3)
        tf.function(network).get_concrete_function(tf.TensorSpec([1, side, side, channels], tf.float32))
