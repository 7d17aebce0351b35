"""Eq. 13: each stage against an independent implementation, their order, and what the draws may depend on."""

import io

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rethink_fr.data.degradation import stages
from rethink_fr.data.degradation import tasks as degradation
from rethink_fr.data.degradation.tasks import degrade, degrade_for_task, draw_degradation, super_resolution_input
from rethink_fr.types import DegradationRanges

NOTHING = DegradationRanges(blur_sigma=(0.0, 0.0), downscale=(1.0, 1.0), noise=(0.0, 0.0), jpeg_quality=(100, 100))


def smooth_pictures(count, rows, columns=None, seed=0):
    """uint8 pictures with structure of several sizes, so that blur and JPEG have something to act on."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(count, rows, columns or rows, 3))
    coarse = scipy.ndimage.gaussian_filter(noise, (0, rows / 16, rows / 16, 0)) * rows
    fine = scipy.ndimage.gaussian_filter(noise, (0, 1, 1, 0))
    return np.clip(128 + 12 * coarse + 20 * fine, 0, 255).astype(np.uint8)


# --- the stages ---


@pytest.mark.parametrize(("sigma", "radius"), [(0.4, 2), (1.25, 3), (3.0, 8), (10.0, 20)])
def test_blur_is_scipys_gaussian_filter(sigma, radius):
    image = smooth_pictures(1, 48)[0].astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="mirror", radius=(radius, radius, 0))
    # 1e-3: float32 sums of up to 41 products of values up to 255
    np.testing.assert_allclose(stages.blur(image, tf.constant(sigma), radius), expected, atol=1e-3)


def test_blur_with_sigma_zero_leaves_the_image_alone():
    image = smooth_pictures(1, 16)[0].astype(np.float32)
    np.testing.assert_array_equal(stages.blur(image, tf.constant(0.0), 3), image)


def test_the_kernel_has_41_taps_at_512_and_scales_with_the_image():
    assert [degradation.blur_radius(side) for side in (8, 64, 128, 256, 512, 1024)] == [2, 3, 5, 10, 20, 40]
    assert degradation.blur_radius(512, largest_sigma=30.0) == 60


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.0, 8.0])
def test_downsample_is_pillows_antialiased_bilinear(factor):
    image = smooth_pictures(1, 64)[0].astype(np.float32)
    side = round(64 / factor)
    expected = [
        np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BILINEAR))
        for channel in np.moveaxis(image, -1, 0)
    ]
    np.testing.assert_allclose(
        stages.downsample(image, tf.constant(factor)), np.stack(expected, -1), atol=1e-2
    )  # 1e-2 of 255: Pillow's weights are rounded


def test_downsample_stops_at_four_pixels():
    assert stages.downsample(np.zeros((16, 24, 3), np.float32), tf.constant(50.0)).shape == (4, 4, 3)


@given(rows=st.integers(8, 40), columns=st.integers(8, 40), sigma=st.floats(0.0, 6.0), factor=st.floats(0.5, 9.0))
@settings(max_examples=20, deadline=None)
def test_blur_and_reduction_in_one_are_the_two_in_turn(rows, columns, sigma, factor):
    image = smooth_pictures(1, rows, columns)[0].astype(np.float32)
    arguments = tf.constant(sigma, tf.float32), stages.blur_radius(min(rows, columns)), tf.constant(factor, tf.float32)
    in_turn = stages.downsample(stages.blur(image, *arguments[:2]), arguments[2])
    # Some roundings of numbers up to 255: 8e-5 were measured.
    np.testing.assert_allclose(stages.blur_and_downsample(image, *arguments), in_turn, atol=5e-4)


def test_noise_has_the_deviation_asked_for_and_is_clipped():
    grey = np.full((128, 128, 3), 127.0, np.float32)
    noisy = degradation.add_noise(grey, tf.constant(15.0), tf.constant([1, 2], tf.int64)).numpy() - 127.0
    # 49152 values: the standard error of the deviation is 0.05, of the mean 0.07
    assert noisy.std() == pytest.approx(15.0, abs=0.25)
    assert noisy.mean() == pytest.approx(0.0, abs=0.35)
    assert abs(np.corrcoef(noisy[:, :-1].ravel(), noisy[:, 1:].ravel())[0, 1]) < 0.02
    black = degradation.add_noise(np.zeros((32, 32, 3), np.float32), tf.constant(15.0), tf.constant([1, 2], tf.int64))
    assert black.numpy().min() == 0.0


@pytest.mark.parametrize("quality", [60, 75, 90, 100])
def test_jpeg_is_pillows_at_the_same_quality(quality):
    image = smooth_pictures(1, 64)[0]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    expected = np.asarray(Image.open(buffer)).astype(int)
    ours = degradation.compress_jpeg(image.astype(np.float32), tf.constant(quality)).numpy().astype(int)
    # The two libjpegs may differ by a level in the transforms and chroma filters; a wrong quality is off by far more.
    assert np.abs(ours - expected).mean() < 0.5


def test_upsample_is_pillows_bilinear():
    image = smooth_pictures(1, 16)[0].astype(np.float32)
    expected = [
        np.asarray(Image.fromarray(channel).resize((40, 56), Image.Resampling.BILINEAR))
        for channel in np.moveaxis(image, -1, 0)
    ]
    np.testing.assert_allclose(degradation.upsample(image, 56, 40), np.stack(expected, -1), atol=1e-2)


# --- their order and scale ---


def test_the_stages_run_in_the_order_of_equation_13(monkeypatch):
    calls = []

    def recording(name):
        stage = getattr(degradation, name)

        def recorded(image, *arguments):
            calls.append((name, tuple(image.shape)))
            return stage(image, *arguments)

        monkeypatch.setattr(degradation, name, recorded)

    for name in ("blur_and_downsample", "add_noise", "compress_jpeg", "upsample"):
        recording(name)
    degrade(smooth_pictures(1, 32)[0], 0, 0, DegradationRanges(downscale=(4.0, 4.0)))
    full, small = (32, 32, 3), (8, 8, 3)
    assert calls == [
        ("blur_and_downsample", full),
        ("add_noise", small),
        ("compress_jpeg", small),
        ("upsample", small),
    ]


def test_noise_is_added_to_the_small_image_so_it_comes_back_coarse():
    ranges = DegradationRanges((0.0, 0.0), (8.0, 8.0), (15.0, 15.0), (100, 100))
    grey = np.full((128, 128, 3), 128, np.uint8)
    values = degrade(grey, 0, 0, ranges).numpy()[..., 1].astype(float) - 128
    # Before the downsampling, noise would lose a factor of 8 or so and end below 2; after the upsampling, neighbours
    # would be independent.
    assert values.std() > 5
    assert np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1] > 0.9


def test_sigma_is_in_pixels_of_a_512_image():
    image = np.repeat(smooth_pictures(1, 64)[0][..., :1], 3, -1)  # grey: 4:2:0 takes nothing from it
    ranges = DegradationRanges((8.0, 8.0), (1.0, 1.0), (0.0, 0.0), (100, 100))
    ours = degrade(image, 0, 0, ranges).numpy().astype(float)

    def difference(sigma):
        expected = scipy.ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode="mirror")
        return np.abs(ours - expected).mean()

    assert difference(1.0) < 0.7  # what rounding, JPEG at quality 100 and the kernel's 3 sigma leave
    assert difference(1.0) < 0.3 * min(difference(0.5), difference(2.0), difference(8.0))


def test_nothing_drawn_means_nothing_changed():
    grey = np.full((32, 32, 3), 77, np.uint8)
    np.testing.assert_array_equal(degrade(grey, 3, 4, NOTHING), grey)
    image = np.repeat(smooth_pictures(1, 32)[0][..., :1], 3, -1)  # grey pictures do not suffer from 4:2:0
    assert np.abs(degrade(image, 3, 4, NOTHING).numpy().astype(int) - image).max() <= 2


# --- what the draws depend on ---


def test_the_draws_fill_their_ranges_evenly():
    ranges = DegradationRanges()
    drawn = tf.function(
        lambda: tf.map_fn(
            lambda index: tf.stack([tf.cast(value, tf.float32) for value in draw_degradation(7, index, ranges)]),
            tf.range(2000, dtype=tf.int64),
            fn_output_signature=tf.float32,
        )
    )().numpy()
    for column, (low, high) in zip(drawn.T, (ranges.blur_sigma, ranges.downscale, ranges.noise, ranges.jpeg_quality)):
        assert low <= column.min() and column.max() <= high
        span = high - low
        assert column.min() < low + 0.01 * span and column.max() > high - 0.01 * span
        assert column.mean() == pytest.approx((low + high) / 2, abs=0.03 * span)  # 4.6 standard errors
        assert column.std() == pytest.approx(span / 12**0.5, rel=0.06)
    assert set(drawn[:, 3]) == set(range(60, 101))
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.1  # independent of each other


def test_the_same_seed_and_index_give_the_same_image_and_others_another():
    image = smooth_pictures(1, 32)[0]
    first = degrade(image, 1, 5).numpy()
    np.testing.assert_array_equal(degrade(image, 1, 5), first)
    assert (degrade(image, 1, 6).numpy() != first).any()
    assert (degrade(image, 2, 5).numpy() != first).any()


def test_a_batch_is_its_images_one_by_one():
    pictures = smooth_pictures(5, 32)
    single = np.stack([degrade(picture, 9, 100 + b) for b, picture in enumerate(pictures)])
    np.testing.assert_array_equal(degrade(pictures, 9, 100), single)
    np.testing.assert_array_equal(degrade(pictures, 9, np.arange(100, 105)), single)
    np.testing.assert_array_equal(degrade(pictures[::-1], 9, np.arange(104, 99, -1)), single[::-1])


def test_an_empty_batch_is_degraded_to_an_empty_batch():
    assert degrade(np.zeros((0, 32, 32, 3), np.uint8), 0, 0).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("workers", [1, 4])
def test_eager_and_tf_data_agree_whatever_the_number_of_workers(workers):
    pictures = smooth_pictures(8, 48)
    dataset = tf.data.Dataset.from_tensor_slices((pictures, np.arange(8, dtype=np.int64)))
    dataset = dataset.map(lambda image, index: degrade(image, 3, index), num_parallel_calls=workers, deterministic=True)
    np.testing.assert_array_equal(np.stack(list(dataset.as_numpy_iterator())), degrade(pictures, 3, 0))


def test_graphs_take_batches_of_unknown_length_and_tensor_seeds():
    function = tf.function(
        degrade,
        input_signature=[
            tf.TensorSpec([None, 32, 32, 3], tf.uint8),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int64),
        ],
    )
    pictures = smooth_pictures(3, 32)
    np.testing.assert_array_equal(function(pictures, 4, 0), degrade(pictures, 4, 0))
    function(pictures[:2], 5, 7)
    assert function.experimental_get_tracing_count() == 1


# Shapes and ranges that nobody chose by hand.
pairs = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(8, 40),
    columns=st.integers(8, 40),
    sigma=pairs,
    factor=pairs,
    noise=pairs,
    quality=st.tuples(st.integers(1, 100), st.integers(1, 100)).map(sorted),
    index=st.integers(0, 2**62),
)
def test_any_size_and_range_gives_an_image_of_the_same_size(rows, columns, sigma, factor, noise, quality, index):
    ranges = DegradationRanges(
        blur_sigma=tuple(100 * value for value in sigma),
        downscale=tuple(1 + 63 * value for value in factor),
        noise=tuple(255 * value for value in noise),
        jpeg_quality=tuple(quality),
    )
    drawn = draw_degradation(0, index, ranges)
    assert ranges.jpeg_quality[0] <= int(drawn.jpeg_quality) <= ranges.jpeg_quality[1]
    result = degrade(np.full((rows, columns, 3), 90, np.uint8), 0, index, ranges)
    assert result.dtype == tf.uint8 and result.shape == (rows, columns, 3)


# --- super-resolution ---


@pytest.mark.parametrize("factor", [8, 16])
def test_super_resolution_input_is_pillows_bicubic_both_ways(factor):
    pictures = smooth_pictures(2, 64)

    def bicubic(images, side):
        # Channel by channel in float: in 8 bits, Pillow would round between rows and columns.
        channels = [Image.fromarray(channel) for image in images for channel in np.moveaxis(image, -1, 0)]
        resized = [np.asarray(channel.resize((side, side), Image.Resampling.BICUBIC)) for channel in channels]
        return np.moveaxis(np.reshape(resized, (len(images), 3, side, side)), 1, -1).clip(0, 255).round()

    expected = bicubic(bicubic(pictures.astype(np.float32), 64 // factor), 64)
    ours = super_resolution_input(pictures, factor).numpy().astype(int)
    assert np.abs(ours - expected).max() <= 1  # a level, where the two sums fall on either side of a half


def test_the_super_resolution_tasks_draw_nothing():
    image = smooth_pictures(1, 64)[0]
    for task, factor in (("x8", 8), ("x16", 16)):
        ours = degrade_for_task(image, 1, 2, task=task)
        np.testing.assert_array_equal(ours, degrade_for_task(image, 3, 4, task=task))
        np.testing.assert_array_equal(ours, super_resolution_input(image, factor))
    np.testing.assert_array_equal(degrade_for_task(image, 1, 2), degrade(image, 1, 2))


# --- refusals ---


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((16, 16, 3), np.float32), "uint8"),
        (np.zeros((16, 16), np.uint8), r"\[H, W, 3\]"),
        (np.zeros((16, 16, 4), np.uint8), r"\[H, W, 3\]"),
        (np.zeros((16, 7, 3), np.uint8), "at least 8 x 8"),
    ],
)
def test_other_than_uint8_rgb_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        degrade(images, 0, 0)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="'blind', 'x8', 'x16' or 'vqfr'"):
        degrade_for_task(np.zeros((16, 16, 3), np.uint8), 0, 0, task="x4")
