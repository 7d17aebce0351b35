"""The restorer: encoder, quantized and modulated skips, decoder; noise is an input."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.restorer.network import Restorer

# Channels by resolution, Tables 4 and 5; encoder at 512 and decoder at 1024 by our reading.
ENCODER_CHANNELS = {512: 16, 256: 32, 128: 64, 64: 128, 32: 256, 16: 512, 8: 512, 4: 512}
DECODER_CHANNELS = {1024: 16, 512: 32, 256: 64, 128: 128, 64: 256, 32: 512, 16: 512, 8: 512}


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def images(seed: int = 0, batch: int = 2, resolution: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, [batch, resolution, resolution, 3]).astype(np.float32)


def small(**arguments) -> Restorer:
    """32 px, two skips, 16 channels everywhere."""
    restorer = Restorer(**{"resolution": 32, "width": 1 / 32, "n_skips": 2, "codebook_size": 12, **arguments})
    restorer(images())
    return restorer


def build(restorer: Restorer) -> Restorer:
    """Create the variables without computing anything; check the shape of the image on the way."""
    side = restorer.resolution

    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3]), tf.TensorSpec([None, *restorer.noise_shape])])
    def trace(degraded, noise):
        restoration = restorer(degraded, noise)
        assert restoration.image.shape.as_list() == [None, side, side, 3]
        assert restoration.commitment_loss.shape.as_list() == []
        return restoration.image

    trace.get_concrete_function()
    return restorer


def noise_for(restorer: Restorer, batch: int = 2) -> tf.Tensor:
    return tf.constant(normal(7, batch, *restorer.noise_shape))


def shape_of(layer: tf.keras.layers.Layer) -> list:
    return layer.kernel.shape.as_list()


def nearest(features: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return codes[np.sum((features[..., None, :] - codes) ** 2, axis=-1).argmin(-1)]


# ---- structure


@pytest.mark.parametrize(
    ("resolution", "width", "n_skips"),
    [
        (32, 0.5, 2),
        (64, 0.25, 3),
        (128, 1 / 16, 4),
        (256, 1 / 32, 4),
        (512, 0.5, 6),
        (1024, 1 / 16, 4),
    ],
)
def test_channels_of_every_part_follow_the_resolution_and_the_width(resolution, width, n_skips):
    restorer = build(Restorer(resolution, width, n_skips, codebook_size=8))

    def encoder(side: int) -> int:
        return round(ENCODER_CHANNELS[side] * width)

    def decoder(side: int) -> int:
        return round(DECODER_CHANNELS[side] * width)

    assert restorer.noise_shape == (1 + n_skips, encoder(4))
    sides = [side for side in sorted(ENCODER_CHANNELS) if side < resolution]
    assert [shape_of(block.conv_down)[-1] for block in restorer.encoder.blocks] == [encoder(s) for s in sides[::-1]]

    channels, sides = encoder(4), [side for side in sorted(DECODER_CHANNELS) if side <= resolution]
    assert len(restorer.style_blocks) == len(sides)
    for side, block in zip(sides, restorer.style_blocks):
        assert shape_of(block.conv_up) == [3, 3, channels, decoder(side)]
        assert shape_of(block.conv_out) == [3, 3, decoder(side), decoder(side)]
        assert shape_of(block.conv_up.affine) == [encoder(4), channels]
        channels = decoder(side)
    assert shape_of(restorer.to_rgb) == [1, 1, decoder(resolution), 3]

    assert restorer.skip_resolutions == [8 * 2**position for position in range(n_skips)]
    for side, block in zip(restorer.skip_resolutions, restorer.skip_blocks):
        assert block.quantizer.codebook.shape == [8, encoder(side)]
        assert shape_of(block.modulation) == [3, 3, encoder(side), decoder(side)]
        assert shape_of(block.modulation.affine) == [encoder(4), encoder(side)]
        assert shape_of(block.gate) == [min(side, 32) ** 2] * 2


def test_every_kernel_but_the_gates_is_stored_as_standard_normal_whatever_its_fan_in():
    for weight in small(fusion="concat", n_skips=1).trainable_weights + small().trainable_weights:
        if "kernel" in weight.name and "linear_gated_fusion" not in weight.name:
            count = math.prod(weight.shape)
            assert abs(np.std(weight) - 1) < 4.5 / math.sqrt(2 * count), weight.name  # standard errors
            assert abs(np.mean(weight)) < 4.5 / math.sqrt(count), weight.name
        else:
            np.testing.assert_array_equal(weight, 1.0 if "affine" in weight.name else 0.0, err_msg=weight.name)


def test_the_network_of_the_paper_has_about_43_million_parameters():
    restorer = build(Restorer())
    trained = sum(math.prod(weight.shape) for weight in restorer.trainable_weights)
    codes = sum(math.prod(block.quantizer.codebook.shape) for block in restorer.skip_blocks)
    assert codes == 1024 * (512 + 512 + 256 + 128)
    assert 42.0e6 < trained < 44.0e6


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_images_keep_their_resolution(resolution):
    restorer = Restorer(resolution, 1 / 32, n_skips=2, codebook_size=8)
    restoration = restorer(images(0, 2, resolution), noise_for(restorer))
    assert restoration.image.shape == [2, resolution, resolution, 3]
    assert np.all(np.isfinite(restoration.image))


def test_there_is_one_to_rgb_at_the_full_resolution_and_it_is_not_demodulated():
    restorer = small()
    assert [w.name for w in restorer.weights if w.shape.rank == 4 and w.shape[-1] == 3] == [restorer.to_rgb.kernel.name]
    assert not restorer.to_rgb.demodulate
    before = restorer(images(), noise_for(restorer)).image
    # Not demodulated: gains ten times as large are an image ten times as large (its bias being 0).
    restorer.to_rgb.affine.bias.assign(10 * restorer.to_rgb.affine.bias)
    restorer.to_rgb.affine.kernel.assign(10 * restorer.to_rgb.affine.kernel)
    after = restorer(images(), noise_for(restorer)).image
    np.testing.assert_allclose(after, 10 * before, rtol=1e-4, atol=1e-4)  # float32 sums of 16 products


def test_the_image_is_not_clipped():
    restorer = small()
    restorer.to_rgb.bias.assign([5.0, -5.0, 0.0])
    means = np.mean(restorer(images()).image, axis=(0, 1, 2))
    assert means[0] > 2 and means[1] < -2


@pytest.mark.parametrize(
    "arguments", [{}, {"fusion": "add"}, {"fusion": "concat"}, {"fusion": "sft"}, {"quantize": False}, {"n_skips": 1}]
)
def test_the_parts_are_wired_as_in_figure_2(arguments):
    restorer = small(**arguments)
    degraded, noise = images(), noise_for(restorer)
    features = degraded
    by_side = {}
    for side, block in zip((16, 8, 4), restorer.encoder.blocks):
        features = by_side[side] = block(features)
    latent = restorer.encoder.pooling(features).numpy()
    styles = noise / (1 + np.exp(-latent))[:, None]  # sigmoid(z) * eps, one z for all sites

    losses = []
    for position, side in enumerate((8, 16, 32)):
        features = restorer.style_blocks[position](features, styles[:, 0])
        if position < len(restorer.skip_blocks):
            features, loss = restorer.skip_blocks[position](by_side[side], features, styles[:, 1 + position])
            losses.append(loss)
    expected = restorer.to_rgb(features, styles[:, 0])
    restoration = restorer(degraded, noise)
    np.testing.assert_allclose(restoration.image, expected, atol=1e-5)  # the sigmoid in NumPy
    np.testing.assert_allclose(restoration.commitment_loss, sum(losses), rtol=1e-6)


def test_a_residual_network_adds_to_the_degraded_image_and_sees_it_at_every_size():
    residual, plain = small(residual=True), small()
    assert [
        block.conv_up.kernel.shape[2] - other.conv_up.kernel.shape[2]
        for block, other in zip(residual.style_blocks, plain.style_blocks)
    ] == [3, 3, 3]
    residual.to_rgb.kernel.assign(tf.zeros_like(residual.to_rgb.kernel))
    np.testing.assert_allclose(residual(images()).image, images() + residual.to_rgb.bias, atol=1e-6)
    seen = residual._seen(tf.constant(images()))
    assert [one.shape[1] for one in seen] == [8, 16, 32]
    np.testing.assert_allclose(seen[0][1, 2, 3], np.mean(images()[1, 8:12, 12:16], axis=(0, 1)), atol=1e-6)


def test_restorations_of_one_encoding_are_those_of_its_images():
    restorer = small(pixel_noise=True)
    encoded, noise = restorer.encode(tf.constant(images())), noise_for(restorer)
    for one in (noise, -noise, None):
        np.testing.assert_array_equal(restorer.decode(encoded, one).image, restorer(images(), one).image)


# ---- noise


def test_noise_for_each_pixel_comes_in_rows_after_the_styles_and_acts_where_it_is():
    restorer, plain = small(pixel_noise=True), small()
    assert plain.noise_shape == (3, 16) and restorer.noise_shape == (3 + 2 * (8**2 + 16**2 + 32**2) // 16, 16)
    noise = np.zeros([2, *restorer.noise_shape], np.float32)
    still = restorer(images(), noise).image
    np.testing.assert_array_equal(still, restorer(images()).image)
    flat = noise[:, 3:].reshape(2, -1)
    flat[0, -2 * (5 * 32 + 9) - 1] = 5.0  # the last map's second number, counted from the end: row 26, column 22
    noise[:, 3:] = flat.reshape(2, -1, 16)
    moved = np.abs(restorer(images(), noise).image - still).max(-1)
    assert np.argwhere(moved > 1e-6).tolist() == [[0, 32 - 1 - 5, 32 - 1 - 9]]


def test_no_noise_is_zero_noise_and_deterministic():
    restorer = small()
    answer = restorer(images()).image
    np.testing.assert_array_equal(restorer(images()).image, answer)
    np.testing.assert_array_equal(restorer(images(), None).image, answer)
    zeros = tf.zeros([2, *restorer.noise_shape])
    np.testing.assert_array_equal(restorer(images(), zeros).image, answer)


def test_the_same_noise_gives_the_same_image_and_other_noise_another():
    restorer = small()
    noise = noise_for(restorer)
    np.testing.assert_array_equal(restorer(images(), noise).image, restorer(images(), noise).image)
    assert np.abs(restorer(images(), noise).image - restorer(images(), -noise).image).max() > 0.01


def test_noise_may_be_an_array_as_images_may():
    restorer = small()
    expected = restorer(images(), noise_for(restorer)).image
    np.testing.assert_array_equal(restorer(images(), noise_for(restorer).numpy()).image, expected)


def test_without_noise_in_the_network_the_noise_given_is_ignored():
    restorer = small(noise=False)
    np.testing.assert_array_equal(restorer(images(), noise_for(restorer)).image, restorer(images()).image)


def test_the_noise_of_each_image_is_its_own():
    restorer = small()
    noise = noise_for(restorer)
    before = restorer(images(), noise).image
    after = restorer(images(), tf.stack([noise[0], -noise[1]])).image
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)  # a product may be blocked differently
    assert np.abs(after[1] - before[1]).max() > 0.01


def sites_that_act(restorer: Restorer) -> list:
    """Whether the image depends on each site of the noise."""
    noise = noise_for(restorer)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        image = restorer(images(), noise).image * normal(3, 2, 32, 32, 3)
    return [bool(np.any(gradient != 0)) for gradient in np.moveaxis(tape.gradient(image, noise).numpy(), 1, 0)]


def test_every_site_of_the_noise_acts_on_a_place_of_its_own():
    restorer = small()
    assert sites_that_act(restorer) == [True, True, True]
    for position, block in enumerate(restorer.skip_blocks):
        kernel = block.modulation.affine.kernel
        stored = kernel.numpy()
        kernel.assign(np.zeros_like(stored))  # this skip is deaf to its style
        assert sites_that_act(restorer) == [site != 1 + position for site in range(3)]
        kernel.assign(stored)
    for layer in [layer for block in restorer.style_blocks for layer in (block.conv_up, block.conv_out)]:
        layer.affine.kernel.assign(np.zeros(layer.affine.kernel.shape))
    assert sites_that_act(restorer) == [True, True, True]  # ToRGB listens to the decoder's site as well
    restorer.to_rgb.affine.kernel.assign(np.zeros(restorer.to_rgb.affine.kernel.shape))
    assert sites_that_act(restorer) == [False, True, True]


# ---- codebooks


def test_the_commitment_loss_is_the_sum_over_skips_of_the_mean_squared_distance():
    restorer = small()
    restorer.update_codebooks(images(1))
    _, half, quarter = (None, *reversed(restorer.encoder(images()).features[:-1]))
    losses = [
        np.mean((features.numpy() - nearest(features.numpy(), block.quantizer.codebook.numpy())) ** 2)
        for features, block in zip((half, quarter), restorer.skip_blocks)
    ]
    assert abs(losses[0] / losses[1] - 1) > 0.01  # a sum weighted by size would differ
    np.testing.assert_allclose(restorer(images()).commitment_loss, sum(losses), rtol=1e-5)  # float32 sums


def test_codebooks_learn_from_the_features_of_clean_images():
    restorer = small()
    usages = restorer.update_codebooks(images(1, batch=4))
    assert len(usages) == 2
    features = restorer.encoder(images(1, batch=4)).features
    for feature, side, block in zip((features[1], features[0]), (8, 16), restorer.skip_blocks):
        assert feature.shape[1] == side
        rows = feature.numpy().reshape(-1, 16)
        distances = np.abs(block.quantizer.codebook.numpy()[:, None] - rows).max(2)
        assert distances.min(1).max() < 1e-5  # the first update takes rows of them
        assert block.quantizer.update_count == 1


def test_codebooks_never_learn_from_degraded_images():
    restorer = small()
    restorer.update_codebooks(images(1))
    before = [weight.numpy() for weight in restorer.non_trainable_weights]
    with tf.GradientTape() as tape:
        restoration = restorer(images(2), noise_for(restorer), training=True)
        loss = tf.reduce_sum(restoration.image) + restoration.commitment_loss
    tape.gradient(loss, restorer.trainable_weights)
    assert len(before) == 12  # six of each quantizer
    for weight, old in zip(restorer.non_trainable_weights, before):
        np.testing.assert_array_equal(weight, old)


def test_the_encoder_gets_no_gradient_from_learning_codes():
    restorer = small()
    with tf.GradientTape() as tape:
        usages = restorer.update_codebooks(images(1))
        loss = tf.add_n([usage.perplexity + usage.usage for usage in usages])
        loss += tf.add_n([tf.reduce_sum(block.quantizer.codebook) for block in restorer.skip_blocks])
    assert all(gradient is None for gradient in tape.gradient(loss, restorer.encoder.trainable_weights))


def test_codebooks_are_seeded_independently():
    first, second = (block.quantizer for block in small().skip_blocks)
    assert first.seed != second.seed


def test_codebook_arguments_reach_every_quantizer():
    restorer = small(codebook_size=5, codebook_decay=0.5, codebook_reseed_after=7)
    for block in restorer.skip_blocks:
        quantizer = block.quantizer
        assert (quantizer.num_codes, quantizer.decay, quantizer.reseed_after) == (5, 0.5, 7)


# ---- ablations and errors


def test_without_quantization_there_are_no_codebooks_and_no_commitment():
    restorer = small(quantize=False)
    assert restorer(images()).commitment_loss == 0
    assert restorer.update_codebooks(images()) == ()
    assert restorer.non_trainable_weights == []


@pytest.mark.parametrize("n_skips", [0, 1, 2])
def test_any_number_of_skips_works(n_skips):
    restorer = small(n_skips=n_skips)
    assert restorer.noise_shape == (1 + n_skips, 16)
    assert len(restorer.skip_blocks) == n_skips == len(restorer.update_codebooks(images()))
    restoration = restorer(images(), noise_for(restorer))
    assert restoration.image.shape == [2, 32, 32, 3]
    assert (restoration.commitment_loss == 0) == (n_skips == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_skips": 3}, "expected 0 to 2"),
        ({"n_skips": -1}, "expected 0 to 2"),
        ({"resolution": 48}, "expected a power of two"),
        ({"fusion": "sum"}, "expected one of lgf, add, concat"),
    ],
)
def test_arguments_that_do_not_fit_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Restorer(**{"resolution": 32, "width": 1 / 32, "n_skips": 2, **arguments})


@pytest.mark.parametrize("shape", [(2, 64, 64, 3), (2, 32, 16, 3), (2, 32, 32, 1), (32, 32, 3)])
def test_images_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match="resize them first"):
        small()(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(2, 2, 16), (2, 3, 8), (2, 16)])
def test_noise_of_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match=r"expected \[B, 3, 16\]"):
        small()(images(), tf.zeros(shape))
