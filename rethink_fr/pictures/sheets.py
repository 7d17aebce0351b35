"""Contact sheets: labelled grids of pictures for people to look at."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_GAP = 4  # pixels
_HEADER = 18
_SMALLEST_SIDE = 96  # smaller pictures are enlarged, pixel by pixel, to be seen at all


def contact_sheet(columns: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """A grid with one column per entry, one row per picture, titles on top.

    Args:
        columns: uint8 `[N, H, W, 3]` each, equal shapes.
        titles: one for each column.

    Returns:
        uint8 `[rows, columns, 3]`.
    """
    count, height, width, _ = columns[0].shape
    factor = -(-_SMALLEST_SIDE // width)
    height, width = height * factor, width * factor
    sheet = Image.new(
        "RGB",
        (len(columns) * (width + _GAP) + _GAP, _HEADER + count * (height + _GAP) + _GAP),
        (255, 255, 255),
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for column, (pictures, title) in enumerate(zip(columns, titles)):
        left = _GAP + column * (width + _GAP)
        draw.text((left, 3), title, fill=(0, 0, 0), font=font)
        for row, picture in enumerate(pictures):
            enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, _HEADER + _GAP + row * (height + _GAP)))
    return np.asarray(sheet)
