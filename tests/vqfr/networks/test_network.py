"""The networks at small sizes: shapes, sizes they refuse, gradients, fidelity, initial weights."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.vqfr import VQFR, VQGAN
from rethink_fr.vqfr.networks.convolution import Convolution
from rethink_fr.vqfr.published_weights import create_variables, official_weights
from rethink_fr.vqfr.system import inference
from tests.vqfr.golden import rule_value

SMALL = {"resolution": 64, "width": 1 / 8, "levels": 3, "codebook_size": 20}


def pictures(batch: int = 2, height: int = 64, width: int = 64) -> tf.Tensor:
    return tf.constant(np.random.default_rng(3).uniform(-1, 1, [batch, height, width, 3]), tf.float32)


@cache
def small(make, version: int):
    """A small network with weights that do not die out, as the golden rule draws them. Nothing changes it."""
    network = make(version, **SMALL)
    for name, weight in official_weights(network).items():
        values = rule_value(name, weight.shape)
        weight.variable.assign(np.transpose(values, np.argsort(weight.order)))
    return network


@pytest.mark.parametrize("version", [1, 2])
def test_restored_and_texture_are_images(version):
    network = small(VQFR, version)
    faces = network(pictures())
    assert faces.restored.shape == faces.texture.shape == [2, 64, 64, 3]
    assert np.all(np.isfinite(faces.restored)) and not np.allclose(faces.restored, faces.texture)
    indices = network.code_indices(pictures())
    assert indices.shape == [2, 16, 16] and indices.dtype.is_integer
    assert len(np.unique(indices)) > 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_picture_does_not_depend_on_its_batch(version):
    network = small(VQFR, version)
    together, alone = network(pictures()), network(pictures()[1:])
    np.testing.assert_allclose(together.restored[1:], alone.restored, atol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_a_graph_gives_what_eager_execution_gives(version):
    network = small(VQFR, version)
    traced = tf.function(network, input_signature=[tf.TensorSpec([None, 64, 64, 3])])
    for ours, eager in zip(traced(pictures()), network(pictures())):
        np.testing.assert_allclose(ours, eager, atol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_saved_weights_load_into_another_network(version, tmp_path):
    first, second = small(VQFR, version), VQFR(version, **SMALL)
    first.save_weights(tmp_path / "weights")
    create_variables(second)
    second.load_weights(tmp_path / "weights")
    np.testing.assert_array_equal(first(pictures()).restored, second(pictures()).restored)


def test_fidelity_weighs_the_main_branch():
    network = small(VQFR, 2)
    texture_only, half, full = (network(pictures(), fidelity).restored for fidelity in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(texture_only, network(pictures()).texture)
    np.testing.assert_array_equal(full, network(pictures()).restored)
    assert not np.allclose(half, full) and not np.allclose(half, texture_only)
    mixed = network(pictures(), tf.constant([0.0, 1.0])).restored
    np.testing.assert_allclose(mixed[0], texture_only[0], atol=1e-5)
    np.testing.assert_allclose(mixed[1], full[1], atol=1e-5)
    for wrong in (-0.1, 1.5):
        with pytest.raises(ValueError, match="expected 0 to 1"):
            network(pictures(), wrong)


def test_version_1_has_no_fidelity():
    with pytest.raises(ValueError, match="version 1 has no fidelity"):
        VQFR(1, **SMALL)(pictures(), 0.5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (128, 128), (64, 100), (36, 128)])
def test_version_1_takes_other_sizes(height, width):
    network = small(VQFR, 1)
    faces = network(pictures(1, height, width))
    assert faces.restored.shape == [1, height, width, 3]
    assert network.code_indices(pictures(1, height, width)).shape == [1, height // 4, width // 4]
    # What is traced for unknown sizes agrees.
    traced = tf.function(network, input_signature=[tf.TensorSpec([None, None, None, 3])])
    # Other sums in float32, through forty layers; measured 2e-5.
    np.testing.assert_allclose(traced(pictures(1, height, width)).restored, faces.restored, atol=1e-4)


@pytest.mark.parametrize(
    ("version", "shape", "message"),
    [
        (1, [1, 64, 66, 3], "multiples of 4 from 32 to 128"),
        (1, [1, 16, 64, 3], "multiples of 4 from 32 to 128"),
        (1, [1, 256, 64, 3], "multiples of 4 from 32 to 128"),
        (1, [64, 64, 3], "expected \\[B, H, W, 3\\]"),
        (1, [1, 64, 64, 1], "expected \\[B, H, W, 3\\]"),
        (2, [1, 128, 128, 3], "version 2 takes 64 x 64 only"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(version, shape, message):
    with pytest.raises(ValueError, match=message):
        VQFR(version, **SMALL)(tf.zeros(shape))


def test_the_published_version_1_takes_256_to_1024():
    network = VQFR(1)
    for side in (224, 500, 1056):
        with pytest.raises(ValueError, match="multiples of 32 from 256 to 1024"):
            network(tf.zeros([1, side, side, 3]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 3}, "version is 3"),
        ({"levels": 8}, "levels is 8"),
        ({"decoder": "two"}, "decoder is 'two', expected one of parallel, unwarped, single, codes"),
        ({"width": 0.0}, "width is 0.0"),
        ({"resolution": 100}, "multiple of 64"),
        ({"codebook_size": 1}, "codebook_size is 1"),
    ],
)
def test_impossible_networks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VQFR(**arguments)


@pytest.mark.parametrize("version", [1, 2])
def test_gradients_reach_what_stage_2_trains(version):
    network = small(VQFR, version)
    with tf.GradientTape() as tape:
        faces, selection = network.forward(pictures())
        loss = tf.reduce_sum(faces.restored * pictures()) + tf.reduce_sum(selection.features**2)
        if selection.logits is not None:
            loss += tf.reduce_sum(selection.logits**2)
    weights = official_weights(network)
    gradients = tape.gradient(loss, {name: weight.variable for name, weight in weights.items()})
    without = [name for name, gradient in gradients.items() if gradient is None]
    if version == 1:
        # The quantizer's loss is not used; the texture image has a loss of its own.
        assert {name.partition(".")[0] for name in without} == {"decoder", "quantizer"}
        assert all(name.startswith(("decoder.conv_out", "quantizer.quantize_dict.Level_4.embed")) for name in without)
    else:
        # The texture decoder and the codebook stay as stage 1 made them; its last step turns features into the image.
        assert all(name.startswith(("decoder.", "quantizer.")) for name in without)
        assert not any(name.startswith("decoder.conv_out") for name in without)
    for name, gradient in gradients.items():
        if gradient is not None:
            assert np.all(np.isfinite(tf.convert_to_tensor(gradient))), name


@pytest.mark.parametrize("version", [1, 2])
def test_the_autoencoder_reconstructs_and_trains_all_its_weights(version):
    network = small(VQGAN, version)
    with tf.GradientTape() as tape:
        image, selection = network(pictures())
        loss = tf.reduce_sum(image * pictures()) + selection.loss
    assert image.shape == [2, 64, 64, 3]
    assert all(gradient is not None for gradient in tape.gradient(loss, network.trainable_variables))
    np.testing.assert_array_equal(network.code_indices(pictures()), selection.indices)


def test_weights_start_as_in_the_released_code():
    network = VQFR(1, resolution=64, width=0.5, levels=3)
    weights = {name: weight.variable.numpy() for name, weight in official_weights(network).items()}
    offsets = weights["main_decoder.align_func_dict.Level_1.dcn.conv_offset.weight"]
    np.testing.assert_allclose(offsets.std(), 0.02, rtol=0.02)
    warped = weights["main_decoder.align_func_dict.Level_1.dcn.weight"]
    limit = 1 / np.sqrt(9 * 64)
    assert 0.99 * limit < np.abs(warped).max() <= limit
    codes = weights["quantizer.quantize_dict.Level_4.embedding.weight"]
    assert 0.99 / 1024 < np.abs(codes).max() <= 1 / 1024
    for name, values in weights.items():
        if name.endswith("bias"):
            assert not values.any(), name
        elif values.ndim == 1:
            assert np.all(values == 1), name


def test_bfloat16_products_change_little():
    wanted = small(VQFR, 2)(pictures(1)).texture
    network = small.__wrapped__(VQFR, 2)
    for layer in network.submodules:
        if isinstance(layer, Convolution):
            layer.precision = tf.bfloat16
    faces = network(pictures(1))
    assert faces.restored.dtype == tf.float32
    # 0.29 to 0.31 of the deviation measured: random weights amplify what trained ones do not.
    assert 0 < np.sqrt(np.mean((faces.texture - wanted) ** 2)) < 0.5 * np.std(wanted)


@pytest.mark.parametrize("version", [1, 2])
def test_without_quantization_the_features_pass_the_codebook_as_they_are(version):
    """How version 1's training starts: the codebook then gets no gradient, everything else does."""
    network = small(VQGAN, version)
    with tf.GradientTape() as tape:
        image, selection = network(pictures(), quantize=False)
        loss = tf.reduce_sum(image * pictures()) + selection.loss
    assert float(selection.loss) == 0
    np.testing.assert_array_equal(selection.indices, network.code_indices(pictures()))
    passed = selection.features if version == 2 else network.quantizer.project_out(selection.features)
    np.testing.assert_array_equal(selection.quantized, passed)
    assert not np.allclose(image, network(pictures()).image)
    without = [
        variable.name
        for variable, gradient in zip(network.trainable_variables, tape.gradient(loss, network.trainable_variables))
        if gradient is None
    ]
    assert len(without) == 1 and "codebook" in without[0]


def test_an_unwarped_main_branch_sees_the_degraded_image_and_has_no_deformable_convolution():
    network = VQFR(1, **SMALL, decoder="unwarped")
    network(pictures())
    assert not any("dcn" in name for name in official_weights(network))
    published, ours = official_weights(VQFR(1, **SMALL)), official_weights(network)
    assert {n for n in published if ".align_func_dict." not in n} == {n for n in ours if ".align_func_dict." not in n}
    textures = network.decoder(network.select_codes(pictures()).quantized)
    first, second = (network.main_branch(textures, tf.fill([2, 64, 64, 32], value)) for value in (0.0, 1.0))
    assert not np.allclose(first, second)


@pytest.mark.parametrize("decoder", ["single", "codes"])
def test_without_a_main_branch_the_restored_image_is_the_texture_image(decoder):
    network = VQFR(1, **SMALL, decoder=decoder)
    faces = tf.function(network)(pictures())
    np.testing.assert_array_equal(faces.restored, faces.texture)
    assert network.last_kernel is network.decoder.last_kernel
    made = inference(network)
    assert not made.has_texture and set(made.function(pictures())) == {"restored"}
    names, autoencoder = set(official_weights(network)), set(official_weights(VQGAN(1, **SMALL)))
    if decoder == "codes":
        assert names == autoencoder
    else:  # all that is new takes the degraded image to the one decoder
        assert {name.split(".")[0] for name in names - autoencoder} == {"inpfeat_extraction", "single_branch"}
        levels = {name.split(".")[1] for name in names if name.startswith("single_branch")}
        assert levels == {"Level_1", "Level_2", "Level_4"}


def test_the_single_branch_sees_more_than_the_codes():
    network = VQFR(1, **SMALL, decoder="single")
    made = network(pictures()).restored
    network.input_features.links[0].bias.assign_add(tf.ones([32]))
    assert not np.allclose(network(pictures()).restored, made)


def test_version_2_has_its_texture_branch_as_fidelity_0():
    with pytest.raises(ValueError, match="decoder 'codes' is of version 1; version 2 has it as fidelity 0"):
        VQFR(2, **SMALL, decoder="codes")


@pytest.mark.parametrize(("levels", "side"), [(5, 32), (6, 16), (7, 8)])
def test_codes_stand_for_16_32_or_64_pixels(levels, side):
    architecture = VQGAN(1, width=1 / 16, levels=levels, codebook_size=20).architecture
    assert architecture.resolution // architecture.factors[-1] == side
    assert len(architecture.channels) == levels
