"""VQFR's degradation: the released code's steps, its draws, and what they may depend on."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.data import VQFR_RANGES, degrade_for_task
from rethink_fr.data.degradation import vqfr_recipe as vqfr_degradation
from rethink_fr.data.degradation.kernels import filter_image, gaussian_kernel
from rethink_fr.data.degradation.stages import to_uint8, upsample
from rethink_fr.data.degradation.vqfr_recipe import degrade_vqfr, draw_vqfr_degradation, resize_down
from rethink_fr.pictures.files import read_image
from rethink_fr.types import DegradationRanges


def pictures(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [count, side, side, 3], dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "sigmas", "rotation"), [("iso_3.3", (3.3, 3.3), 0.0), ("aniso_2_7.5_0.7", (2, 7.5), 0.7)]
)
def test_blur_and_both_resizes_are_the_released_codes(shared, name, sigmas, rotation):
    golden = np.load(shared / "golden/vqfr/golden_fid_degrade.npz")
    image = read_image(shared / "golden/vqfr/data/00000052_lq.png").astype(np.float32)
    sigma_x, sigma_y, rotation = (tf.constant(value, tf.float32) for value in (*sigmas, rotation))
    blurred = filter_image(image, gaussian_kernel(20, sigma_x, sigma_y, rotation))
    size = golden[f"degrade/{name}/low_shape"][:2]
    low = resize_down(blurred, tf.constant(3.7))
    assert tuple(low.shape[:2]) == tuple(size)
    whole = to_uint8(upsample(low, 512, 512)).numpy()

    def difference(ours: tf.Tensor, piece: str) -> np.ndarray:
        theirs = golden[f"degrade/{name}/{piece}"][..., ::-1].astype(np.float64)  # stored as BGR
        return np.abs(np.asarray(ours, np.float64) - theirs * (1.0 if ours.dtype == np.uint8 else 255.0))

    # Of 255: float32 sums and transforms; measured 7e-5, and no level different at the end.
    assert difference(blurred[:16, :16], "blur_crop_corner16").max() < 5e-4
    assert difference(low[:16, :16], "low_corner16").max() < 5e-4
    ends = difference(whole[3::8, 5::8], "up_u8_sub8")
    assert ends.max() <= 1 and ends.mean() < 1e-3


def test_the_stages_run_in_the_released_codes_order(monkeypatch):
    calls = []

    def recording(name):
        stage = getattr(vqfr_degradation, name)

        def recorded(image, *arguments):
            calls.append((name, tuple(image.shape), bool(np.any(np.asarray(image) % 1))))
            return stage(image, *arguments)

        monkeypatch.setattr(vqfr_degradation, name, recorded)

    for name in ("filter_image", "resize_down", "add_noise", "compress_jpeg", "upsample", "to_uint8"):
        recording(name)
    ranges = DegradationRanges((8.0, 8.0), (3.0, 3.0), (5.0, 5.0), (80, 80), anisotropic=1.0)
    degrade_vqfr(pictures(1)[0], 0, 0, ranges)
    full, small = (32, 32, 3), (10, 10, 3)
    # The last says whether the stage gets values between the 8-bit levels: no rounding but JPEG's.
    assert calls == [
        ("filter_image", full, False),
        ("resize_down", full, True),
        ("add_noise", small, True),
        ("compress_jpeg", small, True),
        ("upsample", small, False),
        ("to_uint8", full, True),
    ]


def test_sizes_are_rounded_down_and_a_factor_below_one_enlarges():
    image = np.zeros([64, 48, 3], np.float32)
    expected = {0.75: (85, 64), 1.0: (64, 48), 3.0: (21, 16), 8.0: (8, 6), 3.001: (21, 15), 50.0: (4, 4)}
    assert {factor: tuple(resize_down(image, tf.constant(factor)).shape[:2]) for factor in expected} == expected


def test_nothing_is_antialiased():
    stripes = np.tile(np.float32([0, 0, 0, 255])[None, :, None], [16, 4, 3])
    values = resize_down(stripes, tf.constant(4.0)).numpy()
    np.testing.assert_array_equal(values, 0)  # between the second and third of each four; a mean would be 64


@pytest.mark.parametrize("version", [1, 2])
def test_the_draws_fill_the_published_ranges_and_half_the_kernels_differ_by_direction(version):
    ranges = VQFR_RANGES[version]
    drawn = tf.function(
        lambda: tf.map_fn(
            lambda index: tf.stack([tf.cast(value, tf.float32) for value in draw_vqfr_degradation(7, index, ranges)]),
            tf.range(2000, dtype=tf.int64),
            fn_output_signature=tf.float32,
        )
    )().numpy()
    sigma_x, sigma_y = drawn[:, 0], drawn[:, 1]
    turned = sigma_x != sigma_y
    assert np.mean(turned) == pytest.approx(0.5, abs=0.05)  # 4.5 standard errors
    assert abs(np.corrcoef(sigma_x[turned], sigma_y[turned])[0, 1]) < 0.15
    limits = (ranges.blur_sigma, ranges.blur_sigma, (-np.pi, np.pi), ranges.downscale, ranges.noise)
    for column, (low, high) in zip(drawn.T, limits):
        span = high - low
        assert low <= column.min() < low + 0.01 * span and high - 0.01 * span < column.max() <= high
        assert column.mean() == pytest.approx((low + high) / 2, abs=0.03 * span)
    # Uniform, then cut: the highest quality is never drawn.
    assert set(drawn[:, 5]) == set(range(*ranges.jpeg_quality))
    assert np.abs(np.corrcoef(drawn[:, 2:].T) - np.eye(4)).max() < 0.1


def test_published_ranges_are_those_of_the_two_versions():
    first, second = VQFR_RANGES[1], VQFR_RANGES[2]
    assert (first.blur_sigma, first.downscale, first.jpeg_quality) == ((0.1, 10), (0.8, 8), (60, 100))
    assert (second.blur_sigma, second.downscale, second.jpeg_quality) == ((1, 15), (1, 30), (30, 90))
    assert first.noise == second.noise == (0, 20)


def test_the_task_is_a_function_of_seed_and_index_in_every_way_of_running_it():
    images, ranges = pictures(4, 48), VQFR_RANGES[1]
    single = np.stack([degrade_vqfr(image, 3, 10 + number, ranges) for number, image in enumerate(images)])
    np.testing.assert_array_equal(degrade_for_task(images, 3, 10, ranges, "vqfr"), single)
    np.testing.assert_array_equal(degrade_for_task(images[1], 3, 11, ranges, "vqfr"), single[1])
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(10, 14, dtype=np.int64)))
    dataset = dataset.map(
        lambda image, index: degrade_for_task(image, 3, index, ranges, "vqfr"), num_parallel_calls=3, deterministic=True
    )
    np.testing.assert_array_equal(np.stack(list(dataset.as_numpy_iterator())), single)
    assert np.any(degrade_vqfr(images[0], 3, 11, ranges) != single[0])
    assert np.any(degrade_vqfr(images[0], 4, 10, ranges) != single[0])


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (8, 40), (33, 17), (130, 64)])
def test_any_size_gives_an_image_of_the_same_size(rows, columns):
    image = np.full([rows, columns, 3], 90, np.uint8)
    for version, ranges in VQFR_RANGES.items():
        result = degrade_for_task(image, version, 0, ranges, "vqfr")
        assert result.dtype == tf.uint8 and result.shape == (rows, columns, 3)
