"""The encoder: one residual block an octave, then attention pooling."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import AttentionPooling, ResBlock
from rethink_fr.restorer.network import Encoder

# Output channels by resolution, Table 4; 512 by our reading.
CHANNELS = {512: 16, 256: 32, 128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def build(network: tf.keras.Model, resolution: int) -> tf.keras.Model:
    """Create the variables without computing anything."""
    tf.function(network).get_concrete_function(tf.TensorSpec([None, resolution, resolution, 3]))
    return network


@pytest.mark.parametrize(
    ("resolution", "width"), [(32, 1 / 32), (32, 0.25), (64, 1 / 16), (128, 1 / 16), (512, 0.25), (512, 1.0)]
)
def test_channels_of_every_kernel_follow_the_resolution_and_the_width(resolution, width):
    encoder = build(Encoder(resolution, width), resolution)
    channels, side = 3, resolution // 2
    for block in encoder.blocks:
        filters = round(CHANNELS[side] * width)
        kernels = [layer.kernel.shape.as_list() for layer in (block.conv_in, block.conv_down, block.shortcut)]
        assert kernels == [[3, 3, channels, filters], [3, 3, filters, filters], [1, 1, channels, filters]]
        channels, side = filters, side // 2
    assert side == 2  # the last block's output is 4 x 4
    per_block = 5  # three kernels, two biases
    assert len(encoder.weights) == per_block * len(encoder.blocks)  # pooling has none


def test_features_and_latent_have_the_shapes_of_the_table():
    encoding = Encoder(64, 1 / 16)(normal(2, 64, 64, 3))
    assert [feature.shape.as_list() for feature in encoding.features] == [
        [2, 32, 32, 16],
        [2, 16, 16, 32],
        [2, 8, 8, 32],
        [2, 4, 4, 32],
    ]
    assert encoding.latent.shape == [2, 32]


def test_each_block_takes_the_one_before_and_pooling_takes_the_last():
    encoder, images = Encoder(32, 1 / 32), normal(2, 32, 32, 3)
    encoding = encoder(images)
    assert all(isinstance(block, ResBlock) for block in encoder.blocks)
    current = images
    for block, feature in zip(encoder.blocks, encoding.features):
        current = block(current)
        np.testing.assert_array_equal(feature, current)
    np.testing.assert_array_equal(encoding.latent, AttentionPooling()(current))


def test_other_resolutions_are_an_error():
    with pytest.raises(ValueError, match="expected a power of two"):
        Encoder(48)
