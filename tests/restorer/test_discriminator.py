"""The discriminator: the encoder's blocks with StyleGAN's ending."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import AttentionPooling, MinibatchStdDev
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Encoder


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def build(network: tf.keras.Model, resolution: int) -> tf.keras.Model:
    """Create the variables without computing anything."""
    tf.function(network).get_concrete_function(tf.TensorSpec([None, resolution, resolution, 3]))
    return network


def shapes(weights: list) -> list:
    return [weight.shape.as_list() for weight in weights]


@pytest.mark.parametrize(("resolution", "width"), [(32, 1 / 32), (64, 1 / 16), (512, 1 / 2)])
def test_it_is_the_encoders_blocks_and_convolution_and_two_dense_layers(resolution, width):
    discriminator = build(Discriminator(resolution, width), resolution)
    encoder = build(Encoder(resolution, width), resolution)
    blocks = [weight for block in discriminator.blocks for weight in block.weights]
    assert shapes(blocks) == shapes(encoder.weights)
    channels = round(512 * width)
    ending = [[3, 3, channels + 1, channels], [channels], [16 * channels, channels], [channels], [channels, 1], [1]]
    assert shapes(discriminator.weights[len(blocks) :]) == ending


def test_there_is_no_attention_pooling_and_one_minibatch_deviation_over_groups_of_four():
    layers = list(build(Discriminator(32, 1 / 32), 32)._flatten_layers())
    assert not [layer for layer in layers if isinstance(layer, AttentionPooling)]
    (deviation,) = [layer for layer in layers if isinstance(layer, MinibatchStdDev)]
    assert deviation.group_size == 4


def test_every_kernel_is_stored_as_standard_normal_whatever_its_fan_in():
    for weight in build(Discriminator(32, 1 / 32), 32).weights:
        if "kernel" in weight.name:
            count = math.prod(weight.shape)
            assert abs(np.std(weight) - 1) < 4.5 / math.sqrt(2 * count), weight.name  # standard errors
        else:
            np.testing.assert_array_equal(weight, 0)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_logits_are_one_number_an_image(batch):
    assert Discriminator(32, 1 / 32)(normal(batch, 32, 32, 3)).shape == [batch, 1]


def test_logits_are_the_layers_in_order():
    discriminator, images = Discriminator(32, 1 / 32), normal(4, 32, 32, 3)
    logits = discriminator(images)
    features = images
    for block in discriminator.blocks:
        features = block(features)
    features = MinibatchStdDev()(features)
    kernel = discriminator.conv.kernel * math.sqrt(2 / (9 * 17))
    features = tf.nn.leaky_relu(tf.nn.conv2d(features, kernel, 1, "SAME"), 0.2)
    flat = features.numpy().reshape(4, -1)
    hidden = tf.nn.leaky_relu(flat @ (discriminator.dense.kernel.numpy() * math.sqrt(2 / 256)), 0.2)
    expected = hidden @ (discriminator.logits.kernel.numpy() / math.sqrt(16))
    np.testing.assert_allclose(logits, expected, atol=2e-5)  # float32 sums of 256 products


def test_an_image_is_judged_beside_its_group_only():
    discriminator, images = Discriminator(32, 1 / 32), normal(8, 32, 32, 3)
    before = discriminator(images).numpy()
    images[6] *= 3
    after = discriminator(images).numpy()
    # 1e-6: a matrix product may be blocked differently, the inputs being the same.
    np.testing.assert_allclose(after[:4], before[:4], atol=1e-6)
    assert np.all(np.abs(after[4:] - before[4:]) > 1e-5)
