"""Pictures with titles, and numbers as colours."""

import numpy as np

from rethink_fr.pictures.sheets import contact_sheet, heat_map


def test_a_sheet_has_a_column_for_each_title():
    assert contact_sheet([np.zeros([2, 96, 96, 3], np.uint8)] * 3, ["a", "b", "c"]).shape == (222, 304, 3)


def test_a_heat_map_goes_from_black_to_white_and_gets_ever_brighter():
    colours = heat_map(np.linspace(-0.5, 1.5, 41)[None]).astype(int)[0]
    assert (colours[0] == 0).all() and (colours[10] == 0).all()
    assert (colours[30] == 255).all() and (colours[-1] == 255).all()
    assert (np.diff(colours[10:31].sum(-1)) > 0).all()
    assert colours[17].tolist() == [255, 13, 0]  # 0.35 is just above a third: red
