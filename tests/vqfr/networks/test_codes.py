"""The quantizers against the released code's values."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.vqfr.networks.codes import Codebook, PredictedCodes, ProjectedCodebook
from tests.vqfr.golden import rule_value


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "golden/vqfr/golden_vq.npz")


def channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1)


def test_codes_loss_and_gradients_are_the_released_codes(golden):
    layer = Codebook(32, 16)
    layer.codebook.assign(golden["small/embedding"])
    features = tf.constant(channels_last(golden["small/z"]))
    with tf.GradientTape() as tape:
        tape.watch(features)
        selection = layer(features)
        total = selection.loss + tf.reduce_sum(selection.quantized * channels_last(golden["small/cotangent"]))
    np.testing.assert_array_equal(tf.reshape(selection.indices, [2, -1]), golden["small/indices"])
    np.testing.assert_allclose(selection.quantized, channels_last(golden["small/z_q"]), atol=1e-6)
    np.testing.assert_allclose(selection.loss, golden["small/loss"], atol=1e-6)
    of_features, of_codes = tape.gradient(total, [features, layer.codebook])
    np.testing.assert_allclose(of_features, channels_last(golden["small/grad_z"]), atol=1e-6)
    np.testing.assert_allclose(tf.convert_to_tensor(of_codes), golden["small/grad_embedding"], atol=1e-6)


def test_codes_of_the_published_size(golden):
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"vq_v1size")))
    features = generator.standard_normal([1, 256, 16, 16], dtype=np.float32) * np.float32(0.6)
    np.testing.assert_array_equal(features, golden["v1size/z"])
    layer = Codebook(1024, 256)
    layer.codebook.assign(generator.standard_normal([1024, 256], dtype=np.float32) * np.float32(0.6))
    np.testing.assert_allclose(layer.codebook[:4], golden["v1size/embedding_first4rows"])
    selection = layer(channels_last(features))
    np.testing.assert_array_equal(tf.reshape(selection.indices, [1, -1]), golden["v1size/indices"])
    np.testing.assert_allclose(selection.loss, golden["v1size/loss"], atol=1e-6)


def test_the_projected_codebook_of_version_1(golden):
    layer = ProjectedCodebook(64, 16, 24, name="vqk")
    degraded, clean = (tf.constant(channels_last(golden[f"kmeans_type/{name}"])) for name in ("x", "x_hq"))
    layer(degraded)
    layer.codebook.codebook.assign(rule_value("vqk.embedding.weight", (64, 16)))
    for part, name, shape in (
        (layer.project_in, "quant_conv", (16, 24, 1, 1)),
        (layer.project_out, "post_quant_conv", (24, 16, 1, 1)),
    ):
        part.kernel.assign(np.transpose(rule_value(f"vqk.{name}.weight", shape), [2, 3, 1, 0]))
        part.bias.assign(rule_value(f"vqk.{name}.bias", shape[:1]))
    selection = layer(degraded)
    np.testing.assert_allclose(selection.quantized, channels_last(golden["kmeans_type/out"]), atol=1e-6)
    np.testing.assert_allclose(selection.features, channels_last(golden["kmeans_type/z_conv"]), atol=1e-6)
    np.testing.assert_allclose(selection.codes, channels_last(golden["kmeans_type/z_quant"]), atol=1e-6)
    np.testing.assert_allclose(selection.loss, golden["kmeans_type/loss"], atol=1e-6)
    matching = tf.reduce_mean(tf.math.squared_difference(selection.features, layer(clean).codes))
    np.testing.assert_allclose(matching, golden["kmeans_type/match_loss"], atol=1e-6)


def test_of_equal_distances_the_first_code_wins():
    layer = Codebook(4, 2)
    layer.codebook.assign([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert layer(tf.zeros([1, 1, 1, 2])).indices.numpy().item() == 1


def test_predicted_codes_are_the_largest_logits_and_give_features_no_gradient():
    layer = PredictedCodes(12, 8, "codes")
    features = tf.random.normal([2, 3, 4, 8])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        selection = layer(features)
        codes, logits = tf.reduce_sum(selection.quantized), tf.reduce_sum(selection.logits**2)
    np.testing.assert_array_equal(selection.indices, tf.argmax(selection.logits, -1))
    np.testing.assert_array_equal(selection.quantized, tf.gather(layer.codebook.codebook, selection.indices))
    assert tape.gradient(codes, features) is None
    assert np.any(tape.gradient(logits, features))


def test_features_of_another_length_are_refused():
    with pytest.raises(ValueError, match="features have 3 channels, the codes 2"):
        Codebook(4, 2)(tf.zeros([1, 1, 1, 3]))
