"""Following a face from one frame to another."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.film.following import follow
from rethink_fr.pictures.geometry import inverse, mapped
from tests.film.making import background, face

_SIZE = (320, 240)


def scene(x: float, y: float, angle: float = 0.0, scale: float = 1.0, noise: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A grey frame with a face around (x, y), and the way from the face's picture to it."""
    picture = face(side=128)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = np.column_stack([linear, np.array([x, y]) - linear @ np.full(2, (picture.size[0] - 1) / 2)])
    back = inverse(there)
    shift = back[:, 2] + back[:, :2] @ [-0.5, -0.5] + 0.5  # Pillow counts from the corner of the first pixel
    numbers = (*back[0, :2], shift[0], *back[1, :2], shift[1])
    frame = background(_SIZE)
    drawn = picture.transform(_SIZE, Image.Transform.AFFINE, numbers, Image.Resampling.BICUBIC)
    mask = Image.new("L", picture.size, 255).transform(_SIZE, Image.Transform.AFFINE, numbers)
    frame.paste(drawn, (0, 0), mask)
    grey = np.asarray(frame.convert("L"), np.float64)
    if noise:
        grey = 0.85 * grey + 12 + np.random.default_rng(noise).normal(0, 8, grey.shape)
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)), there


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("motion", [(0, 0, 0, 1), (2.3, -1.4, 0.01, 1.01), (14, 6, -0.05, 0.97), (-20, 12, 0.08, 1.06)])
def test_a_face_is_followed_to_a_small_part_of_a_pixel(motion, noise):
    x, y, angle, scale = motion
    before, first = scene(150, 120, 0.1, 0.8)
    after, second = scene(150 + x, 120 + y, 0.1 + angle, 0.8 * scale, noise)
    points = mapped(first, np.array([[50.0, 60], [90, 60], [70, 80], [55, 100], [85, 100]]))
    found = follow(before, after, points)
    truth = mapped(second, mapped(inverse(first), points))
    assert found.found
    assert np.linalg.norm(mapped(found.motion, points) - truth, axis=1).max() < 0.25


def test_a_face_that_is_gone_or_covered_is_lost():
    before, first = scene(150, 120)
    points = mapped(first, np.array([[50.0, 60], [90, 60], [70, 80], [55, 100], [85, 100]]))
    assert not follow(before, background(_SIZE).convert("L"), points).found
    assert not follow(before, Image.new("L", _SIZE, 128), points).found
    noise = np.random.default_rng(0).integers(0, 256, _SIZE[::-1], np.uint8)
    assert not follow(before, Image.fromarray(noise), points).found


def test_a_face_at_the_edge_and_one_beside_the_frame_do_no_harm():
    before, first = scene(20, 15)
    points = mapped(first, np.array([[50.0, 60], [90, 60], [70, 80], [55, 100], [85, 100]]))
    assert follow(before, before, points).found
    assert np.isfinite(follow(before, before, points - 500).motion).all()
    tiny = Image.new("L", (8, 8))
    assert np.isfinite(follow(tiny, tiny, points / 50).motion).all()
