"""What of a picture a network sees: boxes, sizes, grey."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.evaluation.networks.crops import (
    WHOLE,
    check_box,
    check_pictures,
    grey,
    in_batches,
    resample,
    resample_area,
    round_levels,
)
from tests.weights.filled import pictures


def test_the_whole_picture_at_its_own_size_is_itself():
    images = pictures(2, 5, 7)
    np.testing.assert_array_equal(resample(images, WHOLE, 5, 7), images)


def test_a_box_of_whole_pixels_is_cut_out_exactly():
    images = pictures(1, 8, 16)
    np.testing.assert_array_equal(resample(images, (0.25, 0.5, 0.75, 1.0), 4, 8), images[:, 4:, 4:12])


def test_half_the_size_is_the_mean_of_four_pixels():
    images = pictures(1, 8, 6)
    means = images.astype(np.float64).reshape(1, 4, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resample(images, WHOLE, 4, 3), means, atol=1e-4)  # float32 at 255


def test_outside_of_the_picture_its_border_is_repeated():
    images = pictures(1, 4, 4)
    wide = resample(images, (-1.0, 0.0, 2.0, 1.0), 4, 12)
    np.testing.assert_array_equal(wide[:, :, 4:8], images)
    np.testing.assert_array_equal(wide[:, :, :4], np.repeat(images[:, :, :1], 4, axis=2))
    np.testing.assert_array_equal(wide[:, :, 8:], np.repeat(images[:, :, -1:], 4, axis=2))


@pytest.mark.parametrize("size", [(299, 299), (17, 40), (64, 31)])
def test_any_size_is_as_torch_interpolates(size):
    torch = pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    images = pictures(2, 64, 50)
    tensor = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    expected = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)
    ours = resample(images, WHOLE, *size)
    # Measured 2e-4: torch keeps the positions in float32.
    np.testing.assert_allclose(ours, expected.numpy().transpose(0, 2, 3, 1), atol=1e-3)


def test_area_is_the_mean_of_whole_pixels():
    images = pictures(2, 12, 9)
    means = images.astype(np.float64).reshape(2, 4, 3, 3, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(resample_area(images, WHOLE, 4, 3), means, atol=1e-4)  # float32 at 255


def test_area_counts_parts_of_pixels():
    row = np.uint8([10, 20, 40]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(resample_area(row, WHOLE, 1, 2)[0, 0, :, 0], [(10 + 20 / 2) / 1.5, (20 / 2 + 40) / 1.5])
    beyond = resample_area(row, (0.0, 0.0, 4 / 3, 1.0), 1, 2)  # the border is repeated
    np.testing.assert_allclose(beyond[0, 0, :, 0], [15.0, 40.0])


def test_enlarging_by_area_is_bilinear():
    images = pictures(1, 8, 40)
    np.testing.assert_array_equal(resample_area(images, WHOLE, 9, 20), resample(images, WHOLE, 9, 20))


def test_area_is_what_the_stored_crops_were_made_with(shared):
    golden = np.load(shared / "golden/metrics/real_nets.npz")
    left, top, right, bottom = (float(edge) / 512 for edge in golden["pfld_box_xyxy"])
    for name in ("ffhq00000", "alae00007"):
        face = np.asarray(Image.open(shared / f"faces/hq512/{name}.png").convert("RGB"))[None]
        crop = round_levels(resample_area(face, (left, top, right, bottom), 112, 112))
        np.testing.assert_array_equal(crop[0], golden[f"{name}/pfld_in_gt"])


def test_grey_is_the_rounded_luma():
    images = pictures(1, 40, 40)
    exact = images @ np.array([0.299, 0.587, 0.114])
    assert grey(images).shape == (1, 40, 40, 1) and grey(images).dtype == np.uint8
    assert np.abs(grey(images)[..., 0] - exact).max() <= 0.51  # half a level, and the weights' 14 bits
    np.testing.assert_array_equal(grey(np.full((1, 1, 1, 3), 255, np.uint8)), [[[[255]]]])


def test_levels_are_rounded_half_up():
    np.testing.assert_array_equal(round_levels(np.float32([0.5, 1.5, 2.49, 255.0])), [1, 2, 2, 255])


@pytest.mark.parametrize("count", [0, 1, 8, 9, 17])
def test_batches_are_put_together_in_order(count):
    sizes = []

    def mean(images):
        sizes.append(len(images))
        return images.mean(axis=(1, 2))

    images = pictures(count, 4, 4)
    result = in_batches(mean, images)
    assert result.shape == (count, 3) and sum(sizes) == max(count, 1) and max(sizes) <= 8
    np.testing.assert_array_equal(result, images.mean(axis=(1, 2)))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 4, 4, 3)),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
        np.zeros((1, 0, 4, 3), np.uint8),
    ],
)
def test_anything_but_pictures_is_refused_by_the_networks_name(images):
    with pytest.raises(ValueError, match="^FaceNet: pictures of .*expected uint8"):
        check_pictures(images, "FaceNet")


@pytest.mark.parametrize("box", [(0.5, 0.0, 0.5, 1.0), (0.0, 1.0, 1.0, 0.0), (0.0, 0.0, np.nan, 1.0)])
def test_an_empty_box_is_refused(box):
    with pytest.raises(ValueError, match="expected left, top, right, bottom"):
        check_box(box)
