"""NIQE: stored values of the image, its parts, and misuse."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import load_niqe_statistics, luma, niqe
from rethink_fr.metrics.naturalness import _block_features, half_size
from rethink_fr.pictures.files import read_image

# Beside flat parts of a face the result hangs on the last bit of float32, hence on the order in which a library adds
# the eight products of the half-size image: the stored values are met to this, while float64 is up to 0.014 away. That
# is all of the difference: with that image from torch's matrix-vector products, bit for bit, they are met to 3e-7.
TOLERANCE = 6e-3

PRISTINE = np.zeros(36), np.eye(36)


def noise(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [rows, columns, 3], dtype=np.uint8)


@pytest.mark.parametrize("case", "face512 face512_lq crop_210x300 jpeg_288 blur512".split())
def test_stored_values(shared, case):
    file = shared / "golden/metrics/niqe.npz"
    golden, pristine = np.load(file), load_niqe_statistics(file)
    image = golden[f"{case}/image_rgb"]
    assert niqe(image, pristine) == pytest.approx(golden[f"{case}/niqe_basicsr_f32"], abs=TOLERANCE)
    assert niqe(image, pristine) == pytest.approx(golden[f"{case}/niqe_f64"], abs=0.02)
    if f"{case}/niqe_basicsr_crop4_f32" in golden.files:
        cropped = niqe(image[4:-4, 4:-4], pristine)
        assert cropped == pytest.approx(golden[f"{case}/niqe_basicsr_crop4_f32"], abs=TOLERANCE)


def test_stored_values_of_vqfr(shared):
    folder = shared / "golden/vqfr"
    pristine = load_niqe_statistics(folder / "data/niqe_pris_params.npz")
    records = json.loads((folder / "golden_metrics.json").read_text())["niqe"]
    assert len(records) == 3
    for name, record in records.items():
        image = read_image(folder / "data" / name)
        distorted = np.minimum(np.roll(image, (1, 2), (0, 1)) // 8 * 8 + 4, 255).astype(np.uint8)
        assert niqe(image, pristine) == pytest.approx(record["crop0"], abs=TOLERANCE)
        assert niqe(image[4:-4, 4:-4], pristine) == pytest.approx(record["crop4"], abs=TOLERANCE)
        assert niqe(distorted, pristine) == pytest.approx(record["distorted_crop0"], abs=TOLERANCE)


def test_stored_parts(shared):
    golden = np.load(shared / "golden/vqfr/golden_niqe_parts.npz")
    plane = np.round(luma(read_image(shared / "golden/vqfr/data/00000052_lq.png"))[..., 0]).astype(np.float32)
    np.testing.assert_array_equal(plane[:64, :64], golden["y_rounded_first_img_crop64"])
    half = half_size(plane[:480, :480])
    np.testing.assert_allclose(half[::3, ::3], golden["imresize_half_of_y480_sub"], atol=1e-4)
    np.testing.assert_allclose(half[:16, :16], golden["imresize_half_of_y480_corner"], atol=1e-4)
    np.testing.assert_allclose(_block_features(golden["feat_block_in"]), golden["feat_block_out"], rtol=1e-12)
    resized = np.load(shared / "golden/metrics/niqe.npz")
    np.testing.assert_allclose(half_size(resized["imresize_half_in"]), resized["imresize_half_out"], atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(8, 21), columns=st.integers(8, 21), level=st.floats(-10, 10), slope=st.floats(-2, 2))
def test_halving_keeps_constants_and_slopes(rows, columns, level, slope):
    plane = level + slope * np.arange(rows, dtype=np.float64)[:, None] + np.zeros(columns)
    half = half_size(plane)
    assert half.shape == ((rows + 1) // 2, (columns + 1) // 2)
    # Output i lies between inputs 2 i and 2 i + 1; two outputs at either border see the mirrored image.
    expected = level + slope * (2.0 * np.arange(len(half)) + 0.5)
    np.testing.assert_allclose(half[2:-3, 0], expected[2:-3], atol=1e-9)
    np.testing.assert_allclose(half, half[:, :1] + np.zeros(half.shape[1]), atol=1e-9)


def test_what_is_cropped_does_not_matter():
    image = noise(210, 250)
    changed = image.copy()
    changed[192:], changed[:, 192:] = 0, 255
    assert niqe(image, PRISTINE) == niqe(changed, PRISTINE)


def test_nearer_to_pristine_is_lower():
    image = noise(192, 192)
    far = niqe(image, (np.full(36, 50.0), np.eye(36)))
    assert far > niqe(image, PRISTINE) > 0.0


@pytest.mark.parametrize(
    "image, pristine, message",
    [
        (
            np.zeros([192, 192, 3]),
            PRISTINE,
            r"niqe: float64 image of shape \(192, 192, 3\); expected uint8 \[H, W, 3\]",
        ),
        (noise(192, 192)[..., 0], PRISTINE, r"expected uint8 \[H, W, 3\]"),
        (noise(100, 180), PRISTINE, "180 x 100 pixels hold 1 blocks of 96 x 96; expected two or more"),
        (np.full([192, 192, 3], 7, np.uint8), PRISTINE, "4 of 4 blocks are flat; expected a picture"),
        (noise(192, 192), (np.zeros(35), np.eye(35)), r"expected \[36\] and \[36, 36\]"),
    ],
)
def test_misuse(image, pristine, message):
    with pytest.raises(ValueError, match=message) as caught:
        niqe(image, pristine)
    assert "\n" not in str(caught.value)


def test_statistics_files_that_are_none(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "other.npz", a=1)
    np.savez(tmp_path / "small.npz", mu_pris_param=np.zeros([1, 2]), cov_pris_param=np.eye(2))
    np.save(tmp_path / "plain.npy", np.zeros(3))
    for name in ("missing.npz", "text.npz", "empty.npz", "other.npz", "small.npz", "plain.npy"):
        with pytest.raises(ValueError, match=name) as caught:
            load_niqe_statistics(tmp_path / name)
        assert "\n" not in str(caught.value) and "36" in str(caught.value) or "expected an NPZ" in str(caught.value)
