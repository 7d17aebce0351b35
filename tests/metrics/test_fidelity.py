"""PSNR and SSIM against stored values of other implementations, and what must hold for any images."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.metrics import luma, psnr, ssim
from rethink_fr.metrics.vqfr_protocol import match_mean_and_std
from rethink_fr.pictures.files import read_image

CASES = "constant_shift face_blur face_jpeg_71x97 face_noise identical uniform_noise_48x33".split()


def cropped(images, pixels):
    return images[:, pixels : images.shape[1] - pixels, pixels : images.shape[2] - pixels]


def pictures(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float64)


@pytest.mark.parametrize("case", CASES)
def test_stored_values(shared, case):
    golden = np.load(shared / "golden/metrics/psnr_ssim.npz")

    def value(name):
        return golden[f"{case}/{name}"]

    clean, restored = value("gt")[None], value("restored")[None]
    for pixels, crop in ((0, ""), (4, "_crop4")):
        a, b = cropped(restored, pixels), cropped(clean, pixels)
        np.testing.assert_allclose(psnr(a, b)[0], value(f"psnr_rgb{crop}"), rtol=1e-12)
        np.testing.assert_allclose(psnr(luma(a), luma(b))[0], value(f"psnr_y{crop}"), rtol=1e-12)
        np.testing.assert_allclose(ssim(a, b)[0], value(f"ssim_rgb_gauss11_valid{crop}"), atol=1e-6)
        np.testing.assert_allclose(ssim(luma(a), luma(b))[0], value(f"ssim_y_gauss11_valid{crop}"), atol=1e-6)
    np.testing.assert_allclose(ssim(restored, clean)[0], value("ssim_rgb_tf215"), atol=1e-4)
    np.testing.assert_allclose(psnr(restored, clean)[0], value("psnr_rgb_tf215"), atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_stored_values_of_the_corrected_protocol(shared, case):
    golden = np.load(shared / "golden/metrics/psnr_ssim.npz")
    clean = golden[f"{case}/gt"][None]
    corrected = match_mean_and_std(golden[f"{case}/restored"][None], clean)
    np.testing.assert_allclose(psnr(corrected, clean)[0], golden[f"{case}/psnr_rgb_vqfr_meanvar_corrected"], atol=1e-3)
    np.testing.assert_allclose(ssim(corrected, clean)[0], golden[f"{case}/ssim_rgb_vqfr_meanvar_corrected"], atol=1e-5)


def vqfr_image(shared, name):
    """A picture by the name the records use, with the operation in front of it, if any."""
    operation, _, file = name.rstrip(")").rpartition("(")
    image = read_image(shared / "golden/vqfr/data" / file)
    if operation == "distort":
        image = np.minimum(np.roll(image, (1, 2), (0, 1)) // 8 * 8 + 4, 255).astype(np.uint8)
    return (image[:, ::-1] if operation == "hflip" else image)[None]


@pytest.mark.parametrize("kind", ["psnr_ssim_script", "psnr_ssim_uint8"])
def test_values_of_the_published_scripts(shared, kind):
    records = json.loads((shared / "golden/vqfr/golden_metrics.json").read_text())[kind]
    assert len(records) >= 12
    for record in records:
        clean, restored = vqfr_image(shared, record["gt"]), vqfr_image(shared, record["restored"])
        if record.get("correct_mean_var"):
            restored = match_mean_and_std(restored, clean)
        a, b = cropped(restored, record["crop"]), cropped(clean, record["crop"])
        if record["y"]:
            a, b = luma(a), luma(b)
        np.testing.assert_allclose(psnr(a, b)[0], record["psnr"], atol=1e-3, err_msg=str(record))
        np.testing.assert_allclose(ssim(a, b)[0], record["ssim"], atol=1e-5, err_msg=str(record))


def test_psnr_by_hand():
    black = np.zeros([1, 4, 4, 3])
    assert psnr(black, black + 255.0) == [0.0]
    np.testing.assert_allclose(psnr(black, black + 0.1, max_value=1.0), [20.0])
    assert psnr(black, black) == [np.inf]


def test_luma_by_hand():
    np.testing.assert_allclose(luma([[0, 0, 0], [255, 255, 255], [255, 0, 0]]), [[16.0], [235.0], [81.481]])


def test_ssim_is_the_definition_computed_window_by_window():
    a, b = pictures(0, 1, 13, 12, 2), pictures(1, 1, 13, 12, 2)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 4.5)[..., None]
    window /= window.sum()
    c1, c2 = 2.55**2, 7.65**2
    values = []
    for row in range(3):
        for column in range(2):
            x, y = (image[0, row : row + 11, column : column + 11] for image in (a, b))
            mean_x, mean_y = (np.sum(window * part, (0, 1)) for part in (x, y))
            covariance = np.sum(window * (x - mean_x) * (y - mean_y), (0, 1))
            variances = np.sum(window * ((x - mean_x) ** 2 + (y - mean_y) ** 2), (0, 1))
            values.append(
                (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
            )  # fmt: skip
    np.testing.assert_allclose(ssim(a, b), [np.mean(values)], rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(11, 20), columns=st.integers(11, 20), channels=st.integers(1, 3))
def test_properties(seed, rows, columns, channels):
    a, b = pictures(seed, 2, rows, columns, channels), pictures(seed + 1000, 2, rows, columns, channels)
    for metric in (psnr, ssim):
        value = metric(a, b)
        assert value.shape == (2,) and value.dtype == np.float64
        np.testing.assert_allclose(metric(b, a), value, rtol=1e-12)
        np.testing.assert_allclose(metric(a[::-1], b[::-1]), value[::-1])  # each image by itself
        np.testing.assert_allclose(metric(a[..., ::-1], b[..., ::-1]), value, rtol=1e-12)
        np.testing.assert_allclose(metric(a / 255.0, b / 255.0, max_value=1.0), value, rtol=1e-9, atol=1e-12)
        assert (metric(a, a) >= value).all()
    np.testing.assert_allclose(ssim(a, a), 1.0, rtol=1e-12)
    assert (psnr(a, a) == np.inf).all()


def test_a_corrected_image_has_the_references_deviation_and_nearly_its_mean():
    restored, clean = pictures(0, 2, 16, 16, 3), 0.3 * pictures(1, 2, 16, 16, 3) + 90.0
    corrected = match_mean_and_std(restored, clean)
    np.testing.assert_allclose(corrected.std((1, 2)), clean.std((1, 2)))
    assert np.abs(corrected.mean((1, 2)) - clean.mean((1, 2))).max() < np.abs(restored - clean).mean((1, 2)).min()
    np.testing.assert_allclose(match_mean_and_std(clean, clean), clean)


def test_a_channel_of_one_value_is_shifted_only():
    flat = np.full([1, 12, 12, 3], 7.0)
    np.testing.assert_allclose(match_mean_and_std(flat, pictures(0, 1, 12, 12, 3)).std((1, 2)), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    "metric, a, b, message",
    [
        (psnr, (1, 12, 12, 3), (1, 12, 13, 3), r"shapes \(1, 12, 12, 3\) and \(1, 12, 13, 3\); expected two of one"),
        (ssim, (12, 12, 3), (12, 12, 3), r"expected two of one shape \[B, H, W, C\]"),
        (ssim, (1, 10, 12, 3), (1, 10, 12, 3), "10 x 12 pixels, expected 11 x 11 or more"),
        (match_mean_and_std, (1, 12, 12, 3), (2, 12, 12, 3), "expected two of one shape"),
    ],
)
def test_misuse(metric, a, b, message):
    with pytest.raises(ValueError, match=message):
        metric(np.zeros(a), np.zeros(b))
