"""VGG-19 features and the losses on them, Eqs. 14 and 15."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr import images
from rethink_fr.losses.perceptual import feature_differences, gram_matrix, style_differences
from rethink_fr.losses.perceptual_terms import RelativeTerm
from rethink_fr.losses.vgg19 import TAPPED_LAYERS, preprocess, vgg19
from rethink_fr.weights.published_network import Layers

PAPER_TAPS = ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")
# Where the sixteen convolutions stand in torchvision's `vgg19().features`.
TORCH_POSITIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def two_taps(seed: int, batch: int = 3) -> list:
    return [normal(seed, batch, 4, 5, 3), 2 * normal(seed + 1, batch, 2, 2, 6) + 1]


def filled(name: str, shape: list) -> np.ndarray:
    """The weights behind the reference values; `shape` in torch's order."""
    generator = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.05
    return (generator.standard_normal(shape) * scale).astype(np.float32)


def vgg19_features(vgg: keras.Model, preprocessed: tf.Tensor) -> list:
    """The maps of `vgg19`, with the weights of a Keras model."""

    def take(name: str, shape: tuple) -> tf.Tensor:
        layer, _, part = name.partition(".")
        return getattr(vgg.get_layer(layer), {"weight": "kernel", "bias": "bias"}[part])

    return vgg19(Layers(take), preprocessed)


@pytest.fixture(scope="module")
def vgg() -> keras.Model:
    network = keras.applications.VGG19(include_top=False, weights=None)
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    for position, layer in zip(TORCH_POSITIONS, convolutions):
        rows, columns, channels, filters = layer.kernel.shape
        kernel = filled(f"vgg19/features.{position}.weight", [filters, channels, rows, columns])
        layer.set_weights([kernel.transpose(2, 3, 1, 0), filled(f"vgg19/features.{position}.bias", [filters])])
    return network


def test_taps_equal_an_independent_network_before_its_relu(vgg, shared):
    expected = np.load(shared / "golden" / "metrics" / "lpips_vgg.npz")
    pair = np.load(shared / "golden" / "metrics" / "psnr_ssim.npz")
    pictures = np.stack([pair["face_noise/gt"], pair["face_noise/restored"]]) / np.float32(255)
    taps = vgg19_features(vgg, tf.constant((pictures - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], tf.float32))
    assert len(taps) == len(PAPER_TAPS)
    for name, tap in zip(PAPER_TAPS, taps):
        clean, restored = [tap[:1]], [tap[1:]]
        # 1e-4: float32 through up to 16 convolutions, two implementations; after the ReLU values differ by half.
        np.testing.assert_allclose(
            feature_differences(clean, restored)[0], expected[f"vgg19/{name}/mse"], rtol=1e-4, err_msg=name
        )
        np.testing.assert_allclose(
            style_differences(clean, restored)[0], expected[f"vgg19/{name}/gram_sqfro"], rtol=1e-4, err_msg=name
        )


def test_taps_are_at_five_depths_and_have_no_relu(vgg):
    assert tuple(name.replace("block", "conv").replace("_conv", "_") for name in TAPPED_LAYERS) == PAPER_TAPS
    taps = vgg19_features(vgg, tf.constant(normal(0, 1, 32, 32, 3)))
    shapes = [(1, 32, 32, 64), (1, 16, 16, 128), (1, 8, 8, 256), (1, 4, 4, 512), (1, 2, 2, 512)]
    assert [tap.shape for tap in taps] == shapes
    for tap in taps:
        assert 0.2 < np.mean(tap < 0) < 0.8


def test_taps_rectified_are_what_keras_computes(vgg):
    pictures = tf.constant(normal(0, 1, 32, 32, 3))
    keras_taps = keras.Model(vgg.input, [vgg.get_layer(name).output for name in TAPPED_LAYERS])(pictures)
    for ours, theirs in zip(vgg19_features(vgg, pictures), keras_taps):
        np.testing.assert_allclose(np.maximum(ours, 0), theirs, atol=1e-4)  # float32, up to 16 convolutions


def test_the_gradient_passes_to_the_images_and_not_to_the_network(vgg):
    pictures = tf.constant(normal(0, 1, 32, 32, 3))
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        loss = tf.add_n([tf.reduce_sum(tap**2) for tap in vgg19_features(vgg, preprocess(pictures))])
    assert np.all(np.isfinite(tape.gradient(loss, pictures)))


def test_preprocessing_is_that_of_keras():
    pictures = np.random.default_rng(0).integers(0, 256, [2, 8, 8, 3], dtype=np.uint8)
    expected = keras.applications.vgg19.preprocess_input(pictures.astype(np.float32))
    np.testing.assert_allclose(preprocess(images.to_model(pictures)), expected, atol=3e-5)  # of 255, float32


def test_feature_differences_are_equation_14():
    clean, restored = two_taps(0), two_taps(10)
    for found, one, other in zip(feature_differences(clean, restored), clean, restored):
        _, rows, columns, channels = one.shape
        per_image = [np.sum((a - b) ** 2) / (channels * rows * columns) for a, b in zip(one, other)]
        np.testing.assert_allclose(found, np.mean(per_image), rtol=1e-6)  # float32 sums


def test_the_gram_matrix_is_that_of_channels_over_elements():
    features = normal(0, 2, 4, 5, 3)
    expected = np.zeros([2, 3, 3])
    for sample, one, other in np.ndindex(2, 3, 3):
        expected[sample, one, other] = np.sum(features[sample, ..., one] * features[sample, ..., other]) / (3 * 4 * 5)
    np.testing.assert_allclose(gram_matrix(features), expected, atol=1e-6)  # float32 sums of 20 products


def test_style_differences_are_equation_15():
    clean, restored = two_taps(0), two_taps(10)
    for found, one, other in zip(style_differences(clean, restored), clean, restored):
        grams = [np.einsum("bijc,bijd->bcd", value, value) / value[0].size for value in (one, other)]
        np.testing.assert_allclose(found, np.mean(np.sum((grams[0] - grams[1]) ** 2, axis=(1, 2))), rtol=1e-5)


def test_style_forgets_where_things_are_and_features_do_not():
    clean = two_taps(0)
    moved = [np.flip(tap, axis=(1, 2)) for tap in clean]
    np.testing.assert_allclose(style_differences(clean, moved), 0, atol=1e-9)  # order of float32 sums
    assert min(feature_differences(clean, moved)) > 1


def test_equal_pictures_cost_nothing():
    for differences in (feature_differences, style_differences):
        assert [float(value) for value in differences(two_taps(0), two_taps(0))] == [0, 0]


def test_gradients_equal_finite_differences(assert_gradient):
    one, other = normal(0, 2, 3, 3, 4).astype(np.float64), normal(1, 2, 3, 3, 4).astype(np.float64)
    for differences in (feature_differences, style_differences):
        assert_gradient(lambda a, b, differences=differences: differences([a], [b])[0], one, other)


def test_relative_to_degraded_images_every_map_counts_alike():
    term = RelativeTerm(2)
    for distances in ([1.0, 3000.0], [3.0, 1000.0]):  # means of 2 and 2,000
        term.measure([tf.constant(value) for value in distances])
    assert float(term.of([tf.constant(2.0), tf.constant(2000.0)])) == pytest.approx(1.0)  # as the degraded images
    assert float(term.of([tf.constant(0.0), tf.constant(2000.0)])) == pytest.approx(0.5)
    assert float(term.of([tf.constant(0.2), tf.constant(200.0)])) == pytest.approx(0.1)
