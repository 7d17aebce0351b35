"""The map of where restorations differ."""

import numpy as np
import pytest
from PIL import Image

from rethink_fr.pictures.doubt import doubt_map, faces_sheet_columns, heat, scale_for


def test_colours_grow_brighter_with_the_doubt():
    colours = heat(np.linspace(0, 16, 50, dtype=np.float32), 16)
    brightness = colours @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) > 0).all() and colours.min() >= 0 and colours.max() <= 255
    np.testing.assert_array_equal(heat(np.array([99.0], np.float32), 16), heat(np.array([16.0], np.float32), 16))


def test_the_scale_fits_what_is_there():
    def spread(level):
        return [((0, 0, 4, 4), np.full([4, 4], level, np.float32))]

    assert [scale_for(spread(level)) for level in (0.0, 1.5, 3.0, 20.0, 200.0)] == [2, 2, 4, 32, 64]
    assert scale_for([]) == 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_the_photo_is_grey_where_all_agree_and_coloured_where_they_differ(mode):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, [90, 300, 3], np.uint8)).convert(mode)
    made = np.asarray(doubt_map(photo, [((10, 20, 60, 70), np.full([50, 50], 12.0, np.float32))])).astype(int)
    assert made.shape == (90 + 28, 300, 3)
    outside = np.ones([90, 300], bool)
    outside[20:70, 10:60] = False
    assert np.ptp(made[:90], axis=2)[outside].max() == 0
    assert np.ptp(made[20:70, 10:60], axis=2).min() > 10
    assert made[90:].std() > 0  # the legend


def test_a_tiny_photo_has_room_for_its_legend():
    assert doubt_map(Image.new("RGB", (3, 3)), []).size == (220, 31)


def test_the_sheet_has_a_column_for_each_sample_and_one_for_the_doubt():
    crops = [np.zeros([64, 64, 3], np.uint8)] * 2
    restored = [np.stack([np.full([64, 64, 3], level, np.uint8) for level in (0, 40, 80)])] * 2
    columns, titles = faces_sheet_columns(crops, restored, 32)
    assert titles == ["input", "sample 1", "sample 2", "sample 3", "doubt"]
    assert [column.shape for column in columns] == [(2, 32, 32, 3)] * 5
